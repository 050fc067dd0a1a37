"""The source: known motion, moved into the target's position, scale, cameras, looks and noise (F).

A source window takes over everything of a target window but the person: the moments of its looks,
the camera's lens, picture and slope, where the person stands and how large they are. A share of the
source is seen as in training instead: anything else would be learnt, and what was known forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from vid3d.adaptation.target import TargetWindows
from vid3d.data import augment
from vid3d.data.augment import BodyRanges
from vid3d.data.batches import (
    RESTING,
    Batch,
    BatchOptions,
    Motions,
    make_batch,
    random_coco,
)
from vid3d.data.cameras import CameraRanges, Views, uniform
from vid3d.data.mocap import MOCAP_FPS, MotionClip, read_mocap
from vid3d.data.noise import NoiseLevels, detect
from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import JOINT_SETS, Looks
from vid3d.skeleton import joint_set

NEAREST = 0.4
"""Metres before the camera that every joint keeps."""
_SMALLEST = 1e-3  # slopes; smaller people are no people
_FARTHEST = 200.0  # metres
_MOST_OUTSIDE = 0.3  # share of joints outside the picture beyond which a person stays on the spot
_TILT = 0.06  # radians, deviation of the camera's slope about its estimate
_SPEED = (0.85, 1.2)
_TRAINED = BatchOptions(
    recombined=0.25,
    blind=0.0,
    camera=CameraRanges(height=(0.2, 4.5), distance=(1.6, 14.0)),
    noise=NoiseLevels(limb=0.08, spread=0.65, outlier=0.02, swap=0.02),
)
"""As the lifter saw windows when it was trained: configs/lifter/base.py, which needs mmengine to be
read. How far people stand from cameras there is what the lifter tells their size from: other
distances made everybody smaller."""


@dataclass(frozen=True)
class Detector:
    """What the target's 2D is like.

    Attributes:
        noise: levels of noise.
        confidence: (Q,) quantiles of the confidence of seen joints.
    """

    noise: NoiseLevels
    confidence: Tensor


def load_source(folders: Sequence[Path]) -> list[MotionClip]:
    """Motion capture of folders of compact files, or of such files.

    Raises:
        Vid3dError: there is none.
    """
    files = [path for folder in folders for path in mocap_files(folder)]
    clips = [clip for path in files for clip in read_mocap(path)]
    if not clips:
        raise Vid3dError(
            f"no motion capture in {', '.join(map(str, folders))}: make files with `vid3d data`"
        )
    return clips


def mocap_files(folder: Path) -> list[Path]:
    """The compact files of a folder, hidden ones left out, or such a file itself."""
    return sorted(folder.glob("[!.]*.npz")) if folder.is_dir() else [folder]


def closed_form_depth(joints: Tensor, size: Tensor) -> Tensor:
    """Depth (B,) at which people fill as much of the picture as others do.

    z = (dx + dy) / (2 s) for slopes, that is a focal length of 1 (PoseDA, Chai et al. 2023; the F
    of PoSynDA). Medians over a window, so that crouching is not taken for going away.

    Args:
        joints: (B, N, J, 3) metres, camera axes.
        size: (B,) s, half the sum of the sides of the target's box, slopes.
    """
    extent = (joints.amax(2) - joints.amin(2))[..., :2].sum(-1).median(1).values
    return (extent / (2 * size.clamp_min(_SMALLEST))).clamp(NEAREST, _FARTHEST)


def place_like(joints: Tensor, at: Tensor, root: Tensor, depth: Tensor) -> Tensor:
    """Windows (B, N, J, 3) moved so that at moment `at` (B,) the root stands at z (u, v, 1).

    Where a joint would come nearer than `NEAREST` the whole window moves away along its ray.

    Args:
        joints: metres, camera axes; joint 0 is the root.
        at: (B,) moments.
        root: (B, 2) slopes u, v.
        depth: (B,) z.
    """
    ray = torch.cat([root, torch.ones_like(root[:, :1])], -1)
    reference = joints[torch.arange(len(joints)), at, 0]
    moved = joints + (ray * depth[:, None] - reference)[:, None, None]
    short = (NEAREST - moved[..., 2].amin((1, 2))).clamp_min(0)
    return moved + (ray * short[:, None])[:, None, None]


def world_to_camera(up: Tensor, heading: Tensor) -> Tensor:
    """Rotations (B, 3, 3) of a world, z up and turned by heading (B,), to cameras that see `up`.

    Args:
        up: (B, 3) unit vectors in camera axes, against gravity.
        heading: radians.
    """
    ahead = torch.tensor([0.0, 0.0, 1.0]).expand_as(up)
    right = torch.linalg.cross(ahead, up)
    steep = right.norm(dim=-1, keepdim=True) < 1e-3  # looks straight down: any right will do
    right = torch.where(steep, torch.tensor([1.0, 0.0, 0.0]), right)
    level = torch.nn.functional.normalize(right, dim=-1)
    forward = torch.linalg.cross(up, level)
    axes = torch.stack([level, forward, up], -1)  # columns: x, y, z of the world
    c, s, zero, one = heading.cos(), heading.sin(), 0 * heading, 0 * heading + 1
    turn = torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(-1, 3, 3)
    return axes @ turn


class Source:
    """Draws source windows.

    Args:
        clips: the motion.
        ups: (P, 3) which way is up in the camera of every piece of the target.
        detector: what the target's 2D is like.
        body: how bodies are changed.
        rehearsed: share of windows that are seen as in training.
    """

    def __init__(
        self,
        clips: Sequence[MotionClip],
        ups: Tensor,
        detector: Detector,
        body: BodyRanges,
        rehearsed: float = 0.0,
    ) -> None:
        self.motions = Motions(clips)
        self.ups, self.detector, self.body, self.rehearsed = ups, detector, body, rehearsed

    def draw(self, like: TargetWindows, generator: torch.Generator) -> Batch:
        """As many windows as `like`: some seen as those of the target are, then those rehearsed."""
        count = len(like.times)
        rehearsed = round(self.rehearsed * count)
        parts = []
        if rehearsed < count:
            parts.append(self._filmed(like.first_of(count - rehearsed), generator))
        if rehearsed:
            steps = like.times[0]
            trained = replace(
                _TRAINED,
                seconds=float(steps[-1]),
                grid=float(steps[1]),
                body=self.body,
            )
            batch = make_batch(self.motions, rehearsed, trained, generator)
            parts.append(replace(batch, action=None))
        return parts[0] if len(parts) == 1 else joined(*parts)

    def _filmed(self, like: TargetWindows, generator: torch.Generator) -> Batch:
        """Windows of the source, seen as the target's windows `like` are."""
        count, moments = like.times.shape
        needed = torch.cat([like.times, like.shown.times], 1) * MOCAP_FPS  # frames at 50 Hz
        frames = round(float(like.times[0, -1]) * MOCAP_FPS) + 1
        speed = uniform(*_SPEED, (count,), generator)
        clip, begin, within = self.motions.draw(count, frames, speed, generator)
        last = (within.sum(1, keepdim=True) - 1).float()
        at = needed.clamp(min=0.0)
        joints, ankles = self.motions.read(clip, begin[:, None] + at * speed[:, None])
        mirrored = torch.rand(count, generator=generator) < 0.5
        joints, ankles = augment.mirror(joints, ankles, mirrored)
        factors = augment.bone_factors(count, self.body, generator)
        joints = augment.resize_bones(joints, factors)
        both = torch.cat([joints, random_coco(joints, at / max(frames - 1, 1), generator)], 2)
        both = self._before_camera(both, like, generator)
        moving = ankles[:, :moments] * (speed * augment.leg_factor(factors))[:, None, None]
        valid = like.shown.valid & (needed[:, moments:] <= last + 0.5)
        valid[:, 0] |= ~valid.any(1)
        return Batch(
            looks=self._seen(both[:, moments:], like, valid, generator),
            times=like.times,
            valid=like.valid & (needed[:, :moments] <= last + 0.5),
            joints=both[:, :moments, :17],
            coco=both[:, :moments, 17:],
            contacts=(moving < RESTING).float(),
            blind=torch.zeros(count, dtype=torch.bool),
        )

    def _before_camera(
        self, joints: Tensor, like: TargetWindows, generator: torch.Generator
    ) -> Tensor:
        """World joints (B, N, 34, 3) in the target's cameras, where the target's people stand."""
        count, moments = like.times.shape
        rows = torch.arange(count)
        tilt = _TILT * torch.randn(count, 3, generator=generator)
        up = torch.nn.functional.normalize(self.ups[like.piece] + tilt, dim=-1)
        turn = world_to_camera(up, uniform(-torch.pi, torch.pi, (count,), generator))
        turned = joints @ turn.transpose(-1, -2)[:, None]
        look = torch.multinomial(like.looks.valid.float(), 1, generator=generator)[:, 0]
        nearest = (like.times - like.looks.times[rows, look][:, None]).abs().argmin(1)
        size = torch.where(like.looks.valid, like.size, torch.nan).nanmedian(1).values
        own = like.looks.joint_set.view(-1, 1, 1, 1) == 0
        depth = closed_form_depth(torch.where(own, turned[:, :, :17], turned[:, :, 17:]), size)
        place = like.root[rows, look]
        moved = place_like(turned, nearest, place, depth)
        outside = 1 - Views(moved[:, :moments], like.half).inside().float().mean((1, 2))
        held = turned - turned[:, :, :1] + turned[rows, nearest, 0][:, None, None]
        still = place_like(held, nearest, place, depth)
        return torch.where((outside > _MOST_OUTSIDE).view(-1, 1, 1, 1), still, moved)

    def _seen(
        self, joints: Tensor, like: TargetWindows, valid: Tensor, generator: torch.Generator
    ) -> Looks:
        """Looks at joints (B, K, 34, 3) as the target's detector would see them."""
        rays = joints[..., :2] / joints[..., 2:].clamp_min(0.05)
        inside = Views(joints, like.half).inside()
        noisy, confidence = rays.new_zeros(rays[:, :, :17].shape), rays.new_zeros(*valid.shape, 17)
        for number, name in enumerate(JOINT_SETS):
            rows = (like.looks.joint_set == number).nonzero()[:, 0]
            part = slice(17 * number, 17 * number + 17)
            if len(rows):
                noisy[rows], confidence[rows] = detect(
                    rays[rows, :, part],
                    inside[rows, :, part],
                    joint_set(name),
                    self.detector.noise,
                    generator,
                )
        confidence = confidence * valid[..., None]
        confidence = as_confident(confidence, self.detector.confidence)
        valid = valid & (confidence > 0).any(-1)
        return Looks(noisy, confidence, like.shown.times, valid, like.looks.joint_set)


def joined(first: Batch, second: Batch) -> Batch:
    """Windows of both, those with fewer looks padded."""
    slots = max(first.looks.valid.shape[1], second.looks.valid.shape[1])

    def pair(name: str) -> Tensor:
        return torch.cat([getattr(first, name), getattr(second, name)])

    def padded_pair(name: str) -> Tensor:
        values = [getattr(batch.looks, name) for batch in (first, second)]
        sizes = [(len(value), slots - value.shape[1], *value.shape[2:]) for value in values]
        return torch.cat(
            [torch.cat([v, v.new_zeros(size)], 1) for v, size in zip(values, sizes, strict=True)]
        )

    names = ("times", "valid", "joints", "coco", "contacts", "blind")
    looks = {name: padded_pair(name) for name in ("rays", "confidence", "times", "valid")}
    sets = torch.cat([first.looks.joint_set, second.looks.joint_set])
    return Batch(looks=Looks(**looks, joint_set=sets), **{name: pair(name) for name in names})


def as_confident(confidence: Tensor, quantiles: Tensor) -> Tensor:
    """Confidences, those above 0 mapped to a distribution with the given quantiles (Q,)."""
    seen = confidence > 0
    values = confidence[seen]
    if len(values) < 2:
        return confidence
    rank = values.argsort().argsort() / (len(values) - 1) * (len(quantiles) - 1)
    low = rank.floor().long().clamp_max(len(quantiles) - 2)
    mapped = confidence.clone()
    mapped[seen] = torch.lerp(quantiles[low], quantiles[low + 1], rank - low).to(values.dtype)
    return mapped


def confidence_quantiles(confidence: Tensor, count: int = 33) -> Tensor:
    """Quantiles (count,) of the confidences above 0 of any shape."""
    values = confidence[confidence > 0].float().sort().values
    at = torch.linspace(0, 1, count) * (len(values) - 1)
    return values[at.round().long()]


def scaled_noise(noise: NoiseLevels, factor: float, missing: float) -> NoiseLevels:
    """Noise with drift and jitter times a factor, and a share of missing joints."""
    return replace(
        noise, drift=noise.drift * factor, jitter=noise.jitter * factor, missing=missing, look=0.0
    )
