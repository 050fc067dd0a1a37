"""2D joints that cannot be true: sides that were confused are exchanged, spikes marked as missing.

The lifter would follow both. Only what the looks before and after agree on is touched.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import Look, sizes
from vid3d.skeleton import joint_set
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

# Sides are judged by pairs that cannot change places between looks, as ankles do in every step:
# with sides exchanged the squared distance must fall to this share, from at least this root (in
# sizes). Of simulated exchanges half are found, the rest seen from the side; 1 in 3,800 is wrong.
_FIRM = ("shoulder", "hip", "eye", "ear")
_MIN_FIRM = 4
_SWAP_SHARE, _SWAP_ROOT = 0.3, 0.08


def clean(track: Track, looks: Sequence[Look], joints: str) -> Track:
    """The track with confused sides exchanged, and the confidence of joints not to trust set to 0.

    The latter are joints of next to no confidence, and spikes: a joint that, against the motion of
    the whole body, jumps away at a single look and is back at the next.
    """
    times = np.array([looks[int(index)].time for index in track.looks])
    keypoints, confidence = cleaned(track.boxes, track.keypoints, track.confidence, times, joints)
    return replace(track, keypoints=keypoints, confidence=confidence)


def cleaned(
    boxes: Array, keypoints: Array, confidence: Array, times: Array, joints: str
) -> tuple[Array, Array]:
    """Keypoints (L, 17, 2) and confidence (L, 17) of one person, see `clean`.

    Args:
        boxes: (L, 4) pixels.
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        times: (L,) seconds.
        joints: name of the joint set.
    """
    confidence = np.where(confidence < MIN_CONFIDENCE, 0.0, confidence)
    size = sizes(boxes)
    flip = joint_set(joints).flip
    swapped = find_swaps(keypoints, confidence, times, size, joints)
    keypoints = np.where(swapped[:, None, None], keypoints[:, flip], keypoints)
    confidence = np.where(swapped[:, None], confidence[:, flip], confidence)
    spikes = find_spikes(keypoints, confidence, times, size, joints)
    return keypoints, np.where(spikes, 0.0, confidence).astype(np.float32)


def find_swaps(
    keypoints: Array, confidence: Array, times: Array, size: Array, joints: str
) -> NDArray[np.bool_]:
    """Looks at which the network took a person's left for the right.

    Args:
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        times: (L,) seconds.
        size: (L,) of the person, pixels.
        joints: name of the joint set.

    Returns:
        (L,) bool; never at the first or last look, nor beside another such look.
    """
    swaps = np.zeros(len(times), bool)
    if len(times) < 3:
        return swaps
    names = joint_set(joints)
    paired = [i for i in names.left + names.right if names.joints[i].split("_")[-1] in _FIRM]
    twins = [names.flip[i] for i in paired]
    seen = confidence > 0
    points = np.where(seen[..., None], keypoints, 0.0).astype(np.float64)
    own, other = points[:, paired], points[:, twins]
    both = seen[:, paired] & seen[:, twins]
    valid: NDArray[np.bool_] = np.logical_and.reduce([both[:-2], both[1:-1], both[2:]])
    expected = _between(own, times)
    kept = _misfit(own[1:-1] - expected, valid)
    exchanged = _misfit(other[1:-1] - expected, valid)
    agreeing = _misfit(own[2:] - own[:-2], valid)
    disagreeing = _misfit(other[2:] - own[:-2], valid)
    swaps[1:-1] = (
        (valid.sum(-1) >= _MIN_FIRM)
        & (exchanged < _SWAP_SHARE * kept)
        & (agreeing < _SWAP_SHARE * disagreeing)
        & (kept > (_SWAP_ROOT * size[1:-1]) ** 2)
    )
    for look in np.flatnonzero(swaps):  # right looks between confused ones seem confused, too
        swaps[look] &= not swaps[look - 1]
    return swaps


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
    triple: NDArray[np.bool_] = np.logical_and.reduce([seen[:-2], seen[1:-1], seen[2:]])
    jump = points[1:-1] - _between(points, times)
    jump = jump - _median(jump, triple)
    step = points[2:] - points[:-2]
    step = step - _median(step, triple)
    reach = np.linalg.norm(jump, axis=-1)
    names = [joint.split("_")[-1] for joint in joint_set(joints).joints]
    limit = np.array([_JUMP.get(name, _OTHER_JUMP) for name in names])
    near = np.median([size[:-2], size[1:-1], size[2:]], axis=0)  # one box alone may be wrong
    away = reach > limit * near[:, None]
    back = np.linalg.norm(step, axis=-1) < _RETURN * reach
    spikes[1:-1] = triple & away & back
    return spikes


def _between(points: Array, times: Array) -> Array:
    """(L - 2, J, 2) where the straight line between both neighbours puts the points of a look."""
    share = ((times[1:-1] - times[:-2]) / (times[2:] - times[:-2]))[:, None, None]
    line: Array = (1 - share) * points[:-2] + share * points[2:]
    return line


def _misfit(offsets: Array, valid: NDArray[np.bool_]) -> Array:
    """(L,) mean squared length of the valid offsets (L, J, 2) without what they have in common."""
    weights = valid / np.maximum(valid.sum(-1, keepdims=True), 1)
    rest = offsets - (weights[..., None] * offsets).sum(1, keepdims=True)
    misfit: Array = (weights * (rest**2).sum(-1)).sum(-1)
    return misfit


def _median(values: Array, valid: NDArray[np.bool_]) -> Array:
    """(L, 1, 2) median over the valid joints of (L, 17, 2); 0 where there are none."""
    masked = np.ma.masked_array(values, np.broadcast_to(~valid[..., None], values.shape))
    return np.ma.median(masked, axis=1, keepdims=True).filled(0.0)
