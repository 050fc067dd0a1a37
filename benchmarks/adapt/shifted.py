"""Controlled shifts of the dev actors: pair files with exact truth, each seen in a way of its own.

Every shift sees the same takes; `plain` is what training and evaluation are like. A take is either
adapted to or measured on, never both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vid3d.data.augment import resize_bones
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.data.pairs import PairSequence
from vid3d.data.virtual_pairs import make_pairs

SECONDS = 6.0  # of a sequence


@dataclass(frozen=True)
class Shift:
    """One way of being unlike what the lifter was trained on.

    Attributes:
        camera: ranges of the cameras.
        noise: levels of the 2D noise.
        size: (low, high) factors of the bodies' bones; children have longer heads and trunks.
        every: frames of 50 Hz from one frame of the footage to the next.
        stride: frames of the footage from one look to the next.
    """

    camera: CameraRanges
    noise: NoiseLevels
    size: tuple[float, float] | None = None
    every: int = 1
    stride: int = 10


_PLAIN = Shift(CameraRanges(fov=(38, 82), truncated=0.0), NoiseLevels(look=0.0))
SHIFTS = {
    "plain": _PLAIN,
    "tele": replace(_PLAIN, camera=CameraRanges((6, 10), distance=(18, 30), truncated=0)),
    "wide": replace(_PLAIN, camera=CameraRanges((100, 120), distance=(0.9, 1.8), truncated=0)),
    "low": replace(_PLAIN, camera=CameraRanges((60, 80), (-0.1, 0.2), (1.5, 3.0), truncated=0)),
    "children": replace(_PLAIN, size=(0.55, 0.75)),
    "noise": replace(_PLAIN, noise=NoiseLevels(0.02, 0.016, 0.6, 0.03, 0.04, 0.1, 0.12, 0.0)),
    "rate": replace(_PLAIN, every=4, stride=3),
}
"""Names as in issue 6: tele lens and far, wide lens and near, camera at the floor looking up,
children's proportions, a worse detector, film of 12.5 frames a second (4 looks a second)."""


def takes(mocap: Path) -> tuple[list[MotionClip], list[MotionClip]]:
    """Takes of the dev actors: those to adapt to, and those to measure on."""
    clips = [clip for path in sorted(mocap.glob("train_*.npz")) for clip in read_mocap(path)]
    dev = [clip for clip in clips if clip.actor in DEV_ACTORS]
    return dev[::2], dev[1::2]


def shifted(
    clips: Sequence[MotionClip], shift: Shift, minutes: float, seed: int
) -> list[PairSequence]:
    """About so many minutes of takes, as h36m17 joints seen through a shift."""
    generator = torch.Generator().manual_seed(seed)
    chosen, frames = [], 0.0
    for clip in clips:
        if frames < minutes * 3000:
            chosen.append(clip if shift.size is None else _child(clip, shift.size, generator))
            frames += len(clip.joints)
    pairs = make_pairs(chosen, "h36m17", seed, (), SECONDS, shift.camera, shift.noise)
    return [_thinned(sequence, shift.every) for sequence in pairs]


def _child(clip: MotionClip, size: tuple[float, float], generator: torch.Generator) -> MotionClip:
    """A take on a body of a child's proportions: limbs shortened more than trunk and head."""
    low, high = size
    limbs = low + (high - low) * float(torch.rand((), generator=generator))
    factors = torch.full((1, 16), limbs)
    factors[:, [6, 7]] = limbs * 1.1  # spine, thorax
    factors[:, [8, 9]] = limbs * 1.3  # neck and head
    joints = resize_bones(torch.from_numpy(clip.joints)[None], factors)[0]
    return replace(clip, joints=joints.numpy())


def _thinned(sequence: PairSequence, every: int) -> PairSequence:
    """Every so many frames of a sequence."""
    if every == 1:
        return sequence
    assert sequence.joints3d is not None
    return replace(
        sequence,
        keypoints2d=sequence.keypoints2d[::every],
        confidence=sequence.confidence[::every],
        joints3d=sequence.joints3d[::every],
        fps=sequence.fps / every,
    )
