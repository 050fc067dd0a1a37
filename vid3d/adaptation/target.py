"""The target: pieces of tracks of the user's own video, and random windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import JOINT_SETS, Looks
from vid3d.lifter.observation import Observation, observe
from vid3d.skeleton import joint_set, limb_groups

Array = NDArray[np.floating]

LEAST_FRAMES = 200
"""Frames with people below which there is too little to learn from."""
_UNSURE = 0.25  # mean confidence of a look below which it says nothing
_LONGEST, _SHORTEST = 12.0, 3.0  # seconds of a piece
_HELD_OUT = 5  # one piece of so many is never learnt from
_GAPS = (0.0, 0.2, 0.2, 0.4)  # seconds between the looks that the student is shown; 0: all
_THINNED, _DROPPED = 0.2, 0.4  # share of windows whose looks are dropped, and of their looks
_LIMB, _JOINT = 0.3, 0.04  # chances to hide a limb for a window, and a joint at a look
_WHOLE = 12  # joints of a look that tell a person's size


@dataclass(frozen=True)
class Piece:
    """A stretch of one person's track.

    Attributes:
        clip: name of the clip that it is of.
        keypoints: (K, 17, 2) pixels.
        confidence: (K, 17), 0 where missing.
        times: (K,) seconds of the clip, rising.
        frames: of the clip that it covers.
        joint_set: of the keypoints.
        camera: that saw them.
    """

    clip: str
    keypoints: Array
    confidence: Array
    times: Array
    frames: int
    joint_set: str
    camera: Camera

    @cached_property
    def seen(self) -> Observation:
        """The looks as rays."""
        return observe(self.keypoints, self.confidence, self.times, self.camera, self.joint_set)

    @cached_property
    def half(self) -> Array:
        """(2,) half width and height, as slopes, of the picture and of what was seen beyond it.

        Looks are those of a camera that stands; one that turned saw more than a picture holds.
        """
        width, height = self.camera.frame_size
        corners = self.camera.rays(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]))
        return np.abs(np.concatenate([corners[:, :2], *self.seen.rays])).max(0)

    @cached_property
    def places(self) -> tuple[Array, Array]:
        """Slopes (K, 2) of the root and sizes (K,) of the person at the looks of `seen`.

        The size is half the sum of width and height of the box of the joints (PoseDA, Chai et al.
        2023); that of the nearest whole look where much is missing.
        """
        rays, seen = self.seen.rays, self.seen.confidence > 0
        low = np.where(seen[..., None], rays, np.inf).min(1)
        high = np.where(seen[..., None], rays, -np.inf).max(1)
        hips = joint_set(self.joint_set).indices(["left_hip", "right_hip"])
        both = seen[:, hips].all(1, keepdims=True)
        root = np.where(both, rays[:, hips].mean(1), (low + high) / 2)
        size, whole = (high - low).sum(-1) / 2, seen.sum(1) >= _WHOLE
        if whole.any():
            times = self.seen.times
            nearest = np.abs(times[:, None] - times[whole]).argmin(1)
            size = size[whole][nearest]
        return root, np.maximum(size, 1e-4)

    def moments(self, grid: float) -> tuple[int, int]:
        """First and last moment of the absolute grid that lie within its looks."""
        times = self.seen.times
        first = int(np.ceil(times[0] / grid - 1e-6))
        return first, max(first, int(np.floor(times[-1] / grid + 1e-6)))


def cut(piece: Piece, seconds: float) -> list[Piece]:
    """Parts of a piece of about equal length, none longer than that."""
    span = float(piece.times[-1] - piece.times[0])
    count = max(1, int(np.ceil(span / seconds - 1e-6)))
    bounds = np.linspace(piece.times[0], piece.times[-1] + 1e-6, count + 1)
    number = np.clip(np.searchsorted(bounds, piece.times, "right") - 1, 0, count - 1)
    return [
        replace(
            piece,
            keypoints=piece.keypoints[number == part],
            confidence=piece.confidence[number == part],
            times=piece.times[number == part],
            frames=-(-piece.frames // count),
        )
        for part in range(count)
        if ((piece.confidence[number == part] > 0).sum(1) >= 2).any()
    ]


def split(tracks: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Pieces to learn from, and others to judge by, evenly spread.

    Raises:
        Vid3dError: no people, all of low confidence, or too little.
    """
    if not tracks:
        raise Vid3dError("no people found in the videos to adapt to: nothing to learn from")
    sure = [piece for piece in tracks if _confidence(piece) >= _UNSURE]
    if not sure:
        best = max(map(_confidence, tracks))
        raise Vid3dError(
            f"people were found, but their joints are all of low confidence (at best {best:.2f}, "
            f"expected {_UNSURE}): give sharper or larger pictures of them"
        )
    frames = sum(piece.frames for piece in sure)
    if frames < LEAST_FRAMES:
        raise Vid3dError(
            f"too little to adapt to: people on {frames} frames, at least {LEAST_FRAMES} are "
            "needed: give more or longer videos"
        )
    total = sum(float(piece.times[-1] - piece.times[0]) for piece in sure)
    length = float(np.clip(total / (3 * _HELD_OUT), _SHORTEST, _LONGEST))
    pieces = [part for piece in sure for part in cut(piece, length)]
    held = pieces[_HELD_OUT // 2 :: _HELD_OUT]
    learnt = [piece for i, piece in enumerate(pieces) if i % _HELD_OUT != _HELD_OUT // 2]
    if not held:
        raise Vid3dError("too little to adapt to: nobody is seen for long; give more video")
    return learnt, held


def _confidence(piece: Piece) -> float:
    """Mean confidence of the joints."""
    return float(np.minimum(piece.confidence, 1).mean())


@dataclass(frozen=True)
class TargetWindows:
    """Windows of the target: B windows, K looks, G moments.

    Attributes:
        looks: everything that was seen.
        shown: what the student is shown of it.
        times: (B, G) seconds of the moments from the window's first.
        valid: (B, G) bool, moments within the piece.
        piece: (B,) numbers of the pieces.
        first: (B,) first moment on the absolute grid.
        root: (B, K, 2) slopes of the root at the looks.
        size: (B, K) of the person.
        half: (B, 2) of the picture.
    """

    looks: Looks
    shown: Looks
    times: Tensor
    valid: Tensor
    piece: Tensor
    first: Tensor
    root: Tensor
    size: Tensor
    half: Tensor

    def first_of(self, count: int) -> "TargetWindows":
        """The first so many windows."""

        def cut(some: Any) -> Any:
            parts = {item.name: getattr(some, item.name) for item in fields(some)}
            return type(some)(
                **{k: v[:count] if torch.is_tensor(v) else cut(v) for k, v in parts.items()}
            )

        found: TargetWindows = cut(self)
        return found


def draw_windows(
    pieces: Sequence[Piece], count: int, seconds: float, grid: float, generator: torch.Generator
) -> TargetWindows:
    """Random windows; pieces count by their length."""
    moments = round(seconds / grid) + 1
    ranges = np.array([piece.moments(grid) for piece in pieces])
    lengths = torch.from_numpy(np.diff(ranges, axis=1)[:, 0] + 1.0)
    chosen = torch.multinomial(lengths, count, replacement=True, generator=generator)
    room = torch.from_numpy(ranges[:, 1] - ranges[:, 0] - moments + 1).clamp_min(0)[chosen]
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    first = torch.from_numpy(ranges[:, 0])[chosen] + (share * (room + 1)).long().clamp_max(room)
    steps = torch.arange(moments)
    looks, root, size = _gather([pieces[i] for i in chosen], first.numpy() * grid, seconds, grid)
    return TargetWindows(
        looks=looks,
        shown=_student_view(looks, generator),
        times=(steps * grid).float().expand(count, -1),
        valid=first[:, None] + steps <= torch.from_numpy(ranges[:, 1])[chosen][:, None],
        piece=chosen,
        first=first,
        root=root,
        size=size,
        half=torch.from_numpy(np.stack([pieces[i].half for i in chosen])).float(),
    )


def _gather(
    rows: Sequence[Piece], begins: Array, seconds: float, grid: float
) -> tuple[Looks, Tensor, Tensor]:
    """Looks of windows that begin at `begins`, with roots and sizes, padded."""
    members = []
    for piece, begin in zip(rows, begins.tolist(), strict=True):
        times = piece.seen.times
        inside = (times >= begin - grid / 2) & (times <= begin + seconds + grid / 2)
        nearest = np.abs(times - begin - seconds / 2).argmin()
        members.append(np.flatnonzero(inside) if inside.any() else np.array([nearest]))
    slots = max(map(len, members))

    def padded(parts: list[Array]) -> Tensor:
        filled = np.zeros((len(parts), slots, *parts[0].shape[1:]), np.float32)
        for row, part in enumerate(parts):
            filled[row, : len(part)] = part
        return torch.from_numpy(filled)

    pairs = list(zip(rows, members, begins.tolist(), strict=True))
    looks = Looks(
        rays=padded([piece.seen.rays[m] for piece, m, _ in pairs]),
        confidence=padded([piece.seen.confidence[m] for piece, m, _ in pairs]),
        times=padded([piece.seen.times[m] - begin for piece, m, begin in pairs]),
        valid=padded([np.ones(len(m)) for m in members]).bool(),
        joint_set=torch.tensor([JOINT_SETS.index(piece.joint_set) for piece in rows]),
    )
    root = padded([piece.places[0][m] for piece, m, _ in pairs])
    return looks, root, padded([piece.places[1][m] for piece, m, _ in pairs])


def _student_view(looks: Looks, generator: torch.Generator) -> Looks:
    """Looks left out, joints and limbs hidden; at least one look stays."""

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    batch, slots = looks.valid.shape
    count = looks.valid.sum(1)
    span = (looks.times * looks.valid).amax(1) - looks.times[:, 0]
    gap = _GAPS[int(torch.randint(len(_GAPS), (1,), generator=generator))]
    every = (gap * (count - 1).clamp_min(1) / span.clamp_min(1e-3)).round().clamp(1, slots)
    offset = (rand(batch) * torch.minimum(every, count)).floor()
    shown = looks.valid & ((torch.arange(slots) - offset[:, None]) % every[:, None] == 0)
    shown &= ~((rand(batch, 1) < _THINNED) & (rand(batch, slots) < _DROPPED))
    nothing = ~shown.any(1)
    shown[nothing, (count // 2)[nothing]] = True
    hidden = rand(batch, slots, 17) < _JOINT
    limb, hit = torch.randint(1, 5, (batch,), generator=generator), rand(batch) < _LIMB
    for number, name in enumerate(JOINT_SETS):
        groups = torch.zeros(5, 17, dtype=torch.bool)
        for group, joints in enumerate(limb_groups(joint_set(name))):
            groups[group, joints] = True
        rows = hit & (looks.joint_set == number)
        hidden[rows] |= groups[limb[rows]][:, None]
    confidence = looks.confidence * shown[..., None] * ~hidden
    seen = confidence.sum(-1) > 0
    kept = torch.where((shown & seen).any(1, keepdim=True), shown & seen, shown)
    empty = ~(shown & seen).any(1)
    confidence[empty] = (looks.confidence * shown[..., None])[empty]
    return replace(looks, confidence=confidence, valid=kept)
