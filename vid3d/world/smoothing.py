"""Smoothing as one dial, without any shift in time."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.motion import Motion
from vid3d.motion_schema import Stretch
from vid3d.skeleton import H36M17
from vid3d.world.spline import smooth_series

Array = NDArray[np.floating]

DEFAULT = 0.3
"""Of the dial; chosen on the dev actors (benchmarks/world/smoothing.py)."""
LIGHTEST, STRONGEST = 8.0, 0.7
"""Hz, the cutoffs that the dial leads from and to, evenly in octaves."""
LEAST_WEIGHT, MOST_WEIGHT = 0.2, 5.0


def cutoff(dial: float) -> float:
    """Hz that are halved at a place (0, 1] of the dial."""
    return float(LIGHTEST * (STRONGEST / LIGHTEST) ** dial)


def smoothed(motion: Motion, dial: float = DEFAULT) -> Motion:
    """The motion with less jitter, at the same time, with the same bone lengths.

    Every unbroken presence is smoothed by itself: the root, and the joints relative to it, each
    weighted by its spread (`smooth_series`); then every bone gets back the length it had.

    Args:
        motion: to smooth; left as it is.
        dial: 0 (nothing) to 1 (keeps what is slower than about once a second).

    Raises:
        Vid3dError: the dial is not in 0..1.
    """
    if dial == 0:
        return motion
    joints3d = motion.joints3d.copy()
    for person in range(motion.people):
        for stretch in motion.stretches(person):
            calm = calmed(stretch, dial)
            joints3d[person, stretch.start : stretch.stop] = calm.joints3d
    return replace(motion, joints3d=joints3d)


def calmed(stretch: Stretch, dial: float) -> Stretch:
    """One presence smoothed; see `smoothed`."""
    if not 0 <= dial <= 1:
        raise Vid3dError(f"smooth is {dial}, expected a number from 0 (off) to 1 (strongest)")
    if dial == 0:
        return stretch
    joints = smooth_joints(
        stretch.joints3d, stretch.spread, stretch.root_spread, stretch.times, cutoff(dial)
    )
    return replace(stretch, joints3d=joints.astype(np.float32))


def smooth_joints(
    joints: Array, spread: Array, root_spread: Array, times: Array, frequency: float
) -> NDArray[np.float64]:
    """Joints (F, 17, 3) of one person without what is faster than `frequency` Hz.

    Args:
        joints: h36m17, metres.
        spread: (F, 17) metres; NaN where not known.
        root_spread: (F,) metres, likewise.
        times: (F,) seconds.
        frequency: Hz at which the amplitude is halved, where the spread is the median one.
    """
    joints = np.asarray(joints, np.float64)
    root = smooth_series(joints[:, 0], trust(root_spread), times, frequency)
    free = joints - joints[:, :1]
    for joint in range(1, len(H36M17)):
        free[:, joint] = smooth_series(free[:, joint], trust(spread[:, joint]), times, frequency)
    return np.asarray(_with_bones(free, _bone_lengths(joints, times, frequency)) + root[:, None])


def trust(spread: Array) -> NDArray[np.float64]:
    """Weights (F,) of spreads (F,): 1 at the median one, inverse to the variance, limited."""
    known = np.isfinite(spread) & (spread > 0)
    if not known.any():
        return np.ones(len(spread))
    ratio = np.median(spread[known]) / np.where(known, spread, np.inf)
    weights = np.where(known, np.clip(ratio**2, LEAST_WEIGHT, MOST_WEIGHT), LEAST_WEIGHT)
    return np.asarray(weights, np.float64)


def _bone_lengths(joints: Array, times: Array, frequency: float) -> dict[int, Array]:
    """Length (F, 1) of the bone to each joint; smoothed as well, which leaves constant ones."""
    return {
        child: smooth_series(
            np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1, keepdims=True),
            np.ones(len(times)),
            times,
            frequency,
        )
        for parent, child in H36M17.bones
    }


def _with_bones(directions: Array, lengths: dict[int, Array]) -> NDArray[np.float64]:
    """Root-relative joints (F, 17, 3): bones as in `directions`, of the given lengths."""
    placed = np.zeros_like(directions)
    for parent, child in H36M17.bones:
        bone = directions[:, child] - directions[:, parent]
        bone /= np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-9)
        placed[:, child] = placed[:, parent] + lengths[child] * bone
    return np.asarray(placed, np.float64)
