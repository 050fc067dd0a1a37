"""2D joints that cannot be true are marked as missing, so that the lifter does not follow them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import Look
from vid3d.skeleton import joint_set
from vid3d.tracking.similarity import sizes
from vid3d.tracking.tracks import Track

Array = NDArray[np.floating]

MIN_CONFIDENCE = 0.05
"""Joints below this say nothing."""

# How far beyond the straight line between its neighbours a joint must jump, in sizes (the root of
# the box area; 1.7 make a standing adult), and which share of the jump may remain afterwards.
# Real motion at 0.1-0.4 s a look is flagged in 0.1 % of all cases or less (motion capture).
_JUMP = {"wrist": 0.8, "ankle": 0.8, "elbow": 0.6, "knee": 0.6}
_OTHER_JUMP = 0.35
_RETURN = 0.5


def clean(track: Track, looks: Sequence[Look], joints: str) -> Track:
    """The track with the confidence of joints that cannot be trusted set to 0.

    These are joints of next to no confidence, and spikes: a joint that, against the motion of the
    whole body, jumps away at a single look and is back at the next.
    """
    confidence = np.where(track.confidence < MIN_CONFIDENCE, 0.0, track.confidence)
    times = np.array([looks[int(index)].time for index in track.looks])
    spikes = find_spikes(track.keypoints, confidence, times, sizes(track.boxes), joints)
    return replace(track, confidence=np.where(spikes, 0.0, confidence).astype(np.float32))


def find_spikes(
    keypoints: Array, confidence: Array, times: Array, size: Array, joints: str
) -> NDArray[np.bool_]:
    """Single-look jumps that return at once.

    Args:
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        times: (L,) seconds.
        size: (L,) of the person, pixels.
        joints: name of the joint set.

    Returns:
        (L, 17) bool; never at the first or last look, nor beside a look where the joint is missing.
    """
    spikes = np.zeros(confidence.shape, bool)
    if len(times) < 3:
        return spikes
    seen = confidence > 0
    points = np.where(seen[..., None], keypoints, 0.0).astype(np.float64)
    share = ((times[1:-1] - times[:-2]) / (times[2:] - times[:-2]))[:, None, None]
    triple: NDArray[np.bool_] = np.logical_and.reduce([seen[:-2], seen[1:-1], seen[2:]])
    jump = points[1:-1] - ((1 - share) * points[:-2] + share * points[2:])
    jump = jump - _median(jump, triple)
    step = points[2:] - points[:-2]
    step = step - _median(step, triple)
    reach = np.linalg.norm(jump, axis=-1)
    names = [joint.split("_")[-1] for joint in joint_set(joints).joints]
    limit = np.array([_JUMP.get(name, _OTHER_JUMP) for name in names])
    away = reach > limit * np.median(size)
    back = np.linalg.norm(step, axis=-1) < _RETURN * reach
    spikes[1:-1] = triple & away & back
    return spikes


def _median(values: Array, valid: NDArray[np.bool_]) -> Array:
    """(L, 1, 2) median over the valid joints of (L, 17, 2); 0 where there are none."""
    masked = np.ma.masked_array(values, np.broadcast_to(~valid[..., None], values.shape))
    return np.ma.median(masked, axis=1, keepdims=True).filled(0.0)
