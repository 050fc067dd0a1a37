"""Legs that a pose network took for each other at a single look.

Seen from the side a network may exchange the legs though the rest of the body is right; the lifter,
told two stories, then puts both in the middle. No straight line between the looks around tells
which is which, as ankles change places in every step. The encoder knows how people walk: shown
everything but the legs of a look it says where they are, and names that fit its answer better the
other way round are exchanged. (Arms are exchanged four times as seldom: not worth the passes.)
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.lifter.observation import Observation
from vid3d.lifter.placement import reprojection_errors, solve_roots

Array = NDArray[np.floating]

LEGS = ("knee", "ankle")
HIDDEN = 2
"""The legs of every second look are hidden at once, so that both looks beside one are whole."""
# Measured on the dev actors as pose networks see them.
SHARE, LEAST = 0.75, 0.16
"""Exchanged, legs must miss by at most this share of what they miss by as they are, and that by at
least so much of the person's size."""
SURE = 0.95
"""Mean confidence of legs that are left alone; of legs that were exchanged none had over 0.91."""


def with_sides(seen: Observation, poses: Callable[[Observation], Array]) -> Observation:
    """Looks with the names of legs put right.

    Args:
        seen: the looks.
        poses: what the encoder answers to looks: their own joints (K, 17, 3) relative to the root,
            in the camera's axes.
    """
    names = seen.joints.joints
    legs = np.array([i for i, name in enumerate(names) if name.split("_")[-1] in LEGS])
    twins = np.array(seen.joints.flip)[legs]
    wrong = _exchanged(seen, poses, legs, twins)
    rays, confidence = seen.rays.copy(), seen.confidence.copy()
    rays[np.ix_(wrong, legs)] = seen.rays[np.ix_(wrong, twins)]
    confidence[np.ix_(wrong, legs)] = seen.confidence[np.ix_(wrong, twins)]
    return replace(seen, rays=rays, confidence=confidence)


def _exchanged(
    seen: Observation,
    poses: Callable[[Observation], Array],
    legs: NDArray[np.int64],
    twins: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Looks (K,) at which legs have each other's names; never two in a row."""
    count = len(seen.times)
    kept, exchanged = np.full(count, np.nan), np.full(count, np.nan)
    for first in range(min(HIDDEN, count)):
        looks = np.arange(first, count, HIDDEN)
        rays, trust = seen.rays[looks], seen.confidence.copy()
        trust[np.ix_(looks, legs)] = 0.0
        joints = poses(replace(seen, confidence=trust))[looks]
        roots = solve_roots(joints, rays, trust[looks])
        for misses, named in ((kept, legs), (exchanged, twins)):
            told = seen.confidence[looks][:, named]
            missed = reprojection_errors(joints[:, legs], roots, rays[:, named], told)
            misses[looks] = np.sqrt((missed**2).mean(-1))  # NaN unless both legs are seen
    # Comparisons with NaN are false: those legs stay.
    better = (exchanged < SHARE * kept) & (kept > LEAST)
    unsure = seen.confidence[:, legs].mean(-1) < SURE
    gain = np.where(better & unsure, kept - exchanged, 0.0)
    beside = np.maximum(np.append(gain[1:], 0.0), np.append(0.0, gain[:-1]))
    wrong: NDArray[np.bool_] = gain > beside  # a wrong look misleads about those beside it
    return wrong
