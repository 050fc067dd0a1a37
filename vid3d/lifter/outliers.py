"""Keypoints that miss the body that all of them tell of.

A pose network puts a hidden ankle or wrist anywhere, most often on the other leg or arm. The
encoder, told everything, still leaves what fits neither the rest of the body nor the looks around
some way off; shown it with less confidence, it leaves it farther. The same thought as in
`placement.solve_roots`: iteratively reweighted least squares, one round of it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.lifter.observation import Observation
from vid3d.lifter.placement import reprojection_errors, solve_roots

Array = NDArray[np.floating]

LIMBS = ("elbow", "wrist", "knee", "ankle")
# Measured on the dev actors, with simulated noise and as pose networks see them.
HALF, POWER = 0.1, 6
"""Share of the person's size by which a keypoint of half its confidence misses; how steeply
confidence falls about that."""


def without_outliers(seen: Observation, joints: Array) -> Observation:
    """Looks with less confidence in keypoints of limbs that miss the body.

    Args:
        seen: the looks.
        joints: (K, 17, 3) what the encoder makes of them, relative to the root, in their own set.
    """
    roots = solve_roots(joints, seen.rays, seen.confidence)
    missed = reprojection_errors(joints, roots, seen.rays, seen.confidence)
    limbs = [name.split("_")[-1] in LIMBS for name in seen.joints.joints]
    missed = np.where(limbs, np.nan_to_num(missed), 0.0)  # NaN where nothing is seen
    return replace(seen, confidence=seen.confidence / (1 + (missed / HALF) ** POWER))
