"""Training batches from motion alone: bodies, cameras, looks and noise are drawn on the fly."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from vid3d.data import augment, cameras, coco, looking
from vid3d.data.augment import BodyRanges
from vid3d.data.bending import BendRanges, bend
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import MOCAP_FPS, MotionClip
from vid3d.data.noise import NoiseLevels
from vid3d.given import real_number, unfit
from vid3d.lifter.canonical import Looks
from vid3d.skeleton import COCO17, H36M17, JointSet

RESTING = 0.25
"""Metres a second below which an ankle counts as resting."""


@dataclass(frozen=True)
class BatchOptions:
    """How windows are cut and seen.

    Attributes:
        seconds: length of a window.
        grid: seconds between output moments, whole frames of 1/50 s.
        strides: frames at 50 Hz between looks, drawn once a batch.
        speed: factors of playing speed.
        backwards: share of windows played backwards.
        recombined: share of windows with limbs of another.
        bend: how joints are bent beyond what was recorded.
        short: share of windows cut to a random shorter length, down to one moment.
        irregular: share of windows whose looks are thinned at random.
        blind: share of windows whose looks the encoder is not shown, so that it also knows what
            motion is like when nothing is seen.
        travelling: share of windows seen by a camera that goes from place to place.
        focal: deviation of the logarithm of a wrongly assumed focal length, in a third of windows.
        screen: looks are screen-normalised, as in the literature: no camera is known, and what is
            seen is counted in half widths of the picture, as if all were 90 degrees wide.
        aligned: looks are at output moments, as in Uplift and Upsample; strides must be multiples
            of the grid.
        twins: the second half of a batch is the mirror image of the first.
        occlusions: patterns of DiffHPE (`vid3d.data.occlusion`), one of which is drawn for
            every window; "none" may be among them.
    """

    seconds: float = 2.56
    grid: float = 0.08
    strides: tuple[int, ...] = (2, 3, 5, 5, 8, 10, 10, 12, 15, 20, 20, 25)
    speed: tuple[float, float] = (0.75, 1.3)
    backwards: float = 0.0
    recombined: float = 0.0
    short: float = 0.12
    irregular: float = 0.2
    blind: float = 0.04
    travelling: float = 0.0
    focal: float = 0.15
    screen: bool = False
    aligned: bool = False
    twins: bool = False
    occlusions: tuple[str, ...] = ()
    body: BodyRanges = field(default_factory=BodyRanges)
    bend: BendRanges = field(default_factory=BendRanges)
    camera: CameraRanges = field(default_factory=CameraRanges)
    noise: NoiseLevels = field(default_factory=NoiseLevels)

    def __post_init__(self) -> None:
        if not 0 < self.grid <= self.seconds:
            raise unfit("grid", self.grid, f"seconds, more than 0 and at most {self.seconds}")
        if not self.strides or min(self.strides) < 1:
            raise unfit("strides", self.strides, "frames between looks, each 1 or more")
        if self.step < 1 or abs(self.grid * MOCAP_FPS - self.step) > 1e-3:
            raise unfit("grid", self.grid, f"a multiple of {1 / MOCAP_FPS:g} s")
        if self.aligned and any(stride % self.step for stride in self.strides):
            expected = f"multiples of the grid's {self.step} frames, as looks are aligned"
            raise unfit("strides", self.strides, expected)
        for name in ("backwards", "recombined", "short", "irregular", "blind", "travelling"):
            if not 0 <= real_number(name, share := getattr(self, name)) <= 1:
                raise unfit(name, share, "a share from 0 to 1")

    @property
    def step(self) -> int:
        """Frames at 50 Hz between output moments."""
        return round(self.grid * MOCAP_FPS)


@dataclass(frozen=True)
class Batch:
    """Windows to learn from: B windows, K looks, G output moments.

    Attributes:
        looks: what is seen.
        times: (B, G) seconds of the output moments.
        valid: (B, G) bool, within the window's motion.
        joints: (B, G, 17, 3) h36m17 in the camera frame, metres, absolute. A wrongly assumed focal
            length moves the person in depth, as it moves the rays.
        coco: (B, G, 17, 3) the coco17 keypoints behind the looks.
        contacts: (B, G, 2) 1 where the left or right foot rests.
        blind: (B,) bool, windows whose looks only serve to place them.
        action: (B,) index of what is done in `Motions.actions`, -1 if it is not among them; None
            where nobody knows.
    """

    looks: Looks
    times: Tensor
    valid: Tensor
    joints: Tensor
    coco: Tensor
    contacts: Tensor
    blind: Tensor
    action: Tensor | None = None

    def with_twins(self) -> "Batch":
        """These windows, then their mirror images."""
        twins = Batch(
            self.looks.mirrored(),
            self.times,
            self.valid,
            _mirrored(self.joints, H36M17),
            _mirrored(self.coco, COCO17),
            self.contacts.flip(-1),
            self.blind,
            self.action,
        )
        joined: Batch = replace(_joined(self, twins), looks=_joined(self.looks, twins.looks))
        return joined


def _joined(first: Any, second: Any) -> Any:
    """A dataclass of both ones' tensors, one after the other."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}
    tensors = {name: torch.cat(pair) for name, pair in pairs.items() if torch.is_tensor(pair[0])}
    return replace(first, **tensors)


def _mirrored(joints: Tensor, order: JointSet) -> Tensor:
    """Joints (..., 17, 3) in a mirror."""
    return joints[..., order.flip, :] * joints.new_tensor([-1.0, 1.0, 1.0])


class Motions:
    """All clips end to end, for random windows.

    Clips shorter than a window stay usable: what lies beyond them is marked invalid.

    Args:
        clips: to draw from.
        actions: names of what may be done; None for what is done in these clips.
    """

    def __init__(self, clips: Sequence[MotionClip], actions: Sequence[str] | None = None) -> None:
        device = torch.get_default_device()
        self.frames = torch.cat([torch.from_numpy(clip.joints) for clip in clips]).to(device)
        speeds = [ankle_speeds(torch.from_numpy(clip.joints).to(device)) for clip in clips]
        self.ankle_speeds = torch.cat(speeds)
        lengths = torch.tensor([len(clip.joints) for clip in clips])
        self.starts = lengths.cumsum(0) - lengths
        self.lengths = lengths
        done = [clip.description for clip in clips]
        self.actions = sorted(set(done)) if actions is None else list(actions)
        index = {name: number for number, name in enumerate(self.actions)}
        self.action = torch.tensor([index.get(name, -1) for name in done])
        # Long clips repeat themselves: weight grows with the length to the power of 0.8.
        self.weights = lengths.double() ** 0.8

    def draw(
        self, count: int, frames: int, speed: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Choose windows of `frames` at 50 Hz, played at factors `speed` (count,).

        Returns:
            clip (count,), the first frame (count,) as a float, valid (count, frames).
        """
        clip = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        last = self.lengths[clip].float() - 1
        room = (last - (frames - 1) * speed).clamp_min(0)
        begin = torch.rand(count, generator=generator) * room
        at = begin[:, None] + torch.arange(frames) * speed[:, None]
        return clip, begin, at <= last[:, None]

    def read(self, clip: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Joints (B, N, 17, 3), z up, and ankle speeds (B, N, 2) at frames `at` (B, N), floats."""
        last = self.lengths[clip][:, None] - 1
        at = torch.minimum(at, last.float())
        low = at.floor().long().clamp_min(0)
        share = (at - low)[..., None, None]
        base = self.starts[clip][:, None]
        before, after = self.frames[base + low], self.frames[base + torch.minimum(low + 1, last)]
        return torch.lerp(before, after, share), self.ankle_speeds[base + low]


def make_batch(
    motions: Motions, count: int, options: BatchOptions, generator: torch.Generator
) -> Batch:
    """Draw `count` windows; half of them are seen as coco17, half as h36m17.

    Only what is needed is ever computed: the frames of output moments, and those looked at.
    """
    if options.twins:
        return make_batch(
            motions, max(1, count // 2), replace(options, twins=False), generator
        ).with_twins()
    frames = round(options.seconds * MOCAP_FPS) + 1
    speed = cameras.uniform(*options.speed, (count,), generator)
    clip, begin, valid = motions.draw(count, frames, speed, generator)
    valid = _shorten(valid, options.short, generator)
    grid = torch.arange(0, frames, options.step)
    raster = options.step if options.aligned else 1
    at, chosen = looking.look_frames(valid, options.strides, options.irregular, raster, generator)
    needed = torch.cat([grid.expand(count, -1), at], 1)
    backwards = torch.rand(count, 1, generator=generator) < options.backwards
    last = valid.sum(1, keepdim=True) - 1
    played = torch.where(backwards, (last - needed).clamp_min(0), needed)
    joints, ankles = motions.read(clip, begin[:, None] + played * speed[:, None])
    joints = augment.recombine(joints, options.recombined, generator)
    joints, bent = bend(joints, needed / MOCAP_FPS, options.bend, generator)
    mirrored = torch.rand(count, generator=generator) < 0.5
    joints, ankles = augment.mirror(joints, ankles, mirrored)
    factors = augment.bone_factors(count, options.body, generator)
    joints = augment.resize_bones(joints, factors)
    moving = ankles[:, : len(grid)] * (speed * augment.leg_factor(factors))[:, None, None]
    if options.bend.share:  # what was recorded of these ankles no longer holds
        bent_moving = ankle_speeds(joints[:, : len(grid)], options.grid)
        moving = torch.where(bent[:, None, None], bent_moving, moving)
    both = torch.cat([joints, random_coco(joints, needed / (frames - 1), generator)], 2)
    if options.travelling:  # a camera that goes one way sees what one that stays sees go the other
        ways = cameras.travel(joints[:, :, 0], needed / MOCAP_FPS, generator)
        travels = torch.rand(count, 1, 1, 1, generator=generator) < options.travelling
        both = both - torch.where(travels, ways[:, :, None], 0.0)
    views = cameras.view(both, options.camera, generator)
    seen = cameras.Views(views.joints[:, len(grid) :], views.half)
    looks = looking.look(seen, at, chosen, options.noise, generator)
    if options.occlusions:
        looks = looking.occlude(looks, at, frames, options.occlusions, generator)
    focal = torch.exp(options.focal * torch.randn(count, generator=generator))
    focal = torch.where(torch.rand(count, generator=generator) < 1 / 3, focal, 1.0)
    if options.screen:
        focal = 1 / views.half[:, 0]
    targets = _apparent(views.joints[:, : len(grid)], 1 / focal)
    return Batch(
        looks=replace(looks, rays=looks.rays * focal.view(-1, 1, 1, 1)),
        times=(grid / MOCAP_FPS).expand(count, -1),
        valid=valid[:, grid],
        joints=targets[:, :, :17],
        coco=targets[:, :, 17:],
        contacts=(moving < RESTING).float(),
        blind=torch.rand(count, generator=generator) < options.blind,
        action=motions.action[clip],
    )


def _apparent(joints: Tensor, depth: Tensor) -> Tensor:
    """Windows (B, G, J, 3) moved so that the root's depth is multiplied by depth (B,)."""
    root = joints[:, :, :1]
    moved = root * torch.stack([torch.ones_like(depth), torch.ones_like(depth), depth], -1).view(
        -1, 1, 1, 3
    )
    return joints - root + moved


def _shorten(valid: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cut some windows to a random shorter length, sometimes to a single frame."""
    count, frames = valid.shape
    length = (torch.rand(count, 1, generator=generator) ** 2 * frames).ceil().clamp_min(1)
    length = torch.where(torch.rand(count, 1, generator=generator) < 0.2, 1.0, length)
    cut = torch.rand(count, 1, generator=generator) < share
    return valid & (~cut | (torch.arange(frames) < length))


def ankle_speeds(joints: Tensor, apart: float = 1 / MOCAP_FPS) -> Tensor:
    """(..., F, 2) metres a second of left and right ankle; frames (..., F, 17, 3) apart seconds."""
    ankles = joints[..., H36M17.indices(["left_ankle", "right_ankle"]), :]
    speeds = torch.zeros(ankles.shape[:-1])
    if ankles.shape[-3] > 2:
        moved = ankles[..., 2:, :, :] - ankles[..., :-2, :, :]
        speeds[..., 1:-1, :] = moved.norm(dim=-1) / (2 * apart)
        speeds[..., 0, :], speeds[..., -1, :] = speeds[..., 1, :], speeds[..., -2, :]
    return speeds


def random_coco(joints: Tensor, time: Tensor, generator: torch.Generator) -> Tensor:
    """COCO keypoints (B, N, 17, 3) of random bodies and head turns on h36m17 windows.

    `time` (B, N) is 0 at a window's first and 1 at its last frame.
    """
    table, deviation = coco.load_offsets()
    batch = len(joints)
    pair = torch.randint(len(table), (2, batch), generator=generator)
    mix = torch.rand(batch, 1, 1, generator=generator)
    offsets = torch.lerp(table[pair[0]], table[pair[1]], mix)
    # Annotators and detectors differ as well: every keypoint's definition is a little uncertain,
    # half of it the same way on both sides.
    loose = deviation + torch.tensor([0.015] * 5 + [0.025] * 2 + [0.012] * 4 + [0.045] * 2
                                     + [0.015] * 4)[:, None]  # fmt: skip
    own, shared = torch.randn(2, batch, 17, 3, generator=generator)
    other_side = shared[:, COCO17.flip] * torch.tensor([-1.0, 1.0, 1.0])
    right = torch.tensor([name.startswith("right") for name in COCO17.joints])
    shared = torch.where(right[:, None], other_side, shared)
    offsets = offsets + loose * (own + shared) / 2**0.5
    waves = [0.5 * torch.randn(batch, 2, 1, generator=generator)]
    for speed in (1.5, 4.0):
        phase = torch.rand(batch, 2, 1, generator=generator) * 2 * torch.pi
        waves.append(0.35 * torch.randn(batch, 2, 1, generator=generator)
                     * torch.sin(speed * torch.pi * time[:, None] + phase))  # fmt: skip
    yaw, nod = (sum(waves) * torch.tensor([[0.6], [0.2]])).unbind(1)  # type: ignore[union-attr]
    return coco.coco_from_h36m(joints, offsets, _head_turn(yaw.clamp(-1.2, 1.2), nod))


def _head_turn(yaw: Tensor, nod: Tensor) -> Tensor:
    """Rotation (..., 3, 3) in the head's frame (left, up, forward): nod after yaw."""
    cy, sy, cn, sn = yaw.cos(), yaw.sin(), nod.cos(), nod.sin()
    zero = torch.zeros_like(cy)
    rows = [cy, zero, sy, sn * sy, cn, -sn * cy, -cn * sy, sn, cn * cy]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))
