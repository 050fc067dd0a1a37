"""What was seen of one person: checked, sorted out, as rays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.given import real_numbers, words
from vid3d.skeleton import JointSet
from vid3d.skeleton import joint_set as named_set

Array = NDArray[np.floating]

CLOSEST_LOOKS = 0.03
"""Seconds; looks that lie denser are thinned: training has at most 25 a second."""


@dataclass(frozen=True)
class Observation:
    """Usable looks at one person.

    Attributes:
        rays: (K, 17, 2) slopes x/z and y/z; 0 where not seen.
        confidence: (K, 17) in 0..1; 0 where not seen.
        times: (K,) seconds, strictly rising.
        joints: the joint set.
    """

    rays: Array
    confidence: Array
    times: Array
    joints: JointSet


def observe(
    keypoints2d: ArrayLike,
    confidence: ArrayLike,
    times: ArrayLike,
    camera: Camera,
    joint_set: str,
) -> Observation:
    """Check looks (K, 17, 2), (K, 17), (K,) and turn them into rays; empty looks are dropped.

    Raises:
        Vid3dError: wrong shapes, times that do not rise, an unknown joint set, or nothing seen.
    """
    keypoints = real_numbers("keypoints2d", keypoints2d)
    trust = real_numbers("confidence", confidence)
    seconds = real_numbers("times", times)
    count = len(seconds) if seconds.ndim == 1 else -1
    joints = named_set(words("joint_set", joint_set))
    for name, array, shape in (
        ("keypoints2d", keypoints, (count, 17, 2)),
        ("confidence", trust, (count, 17)),
        ("times", seconds, (count,)),
    ):
        if array.shape != shape or count < 1:
            expected = shape if count > 0 else ("K",) + shape[1:]
            raise Vid3dError(f"{name} is {array.shape}, expected {expected}: one row a look")
    if not (np.diff(seconds) > 0).all() or not np.isfinite(seconds).all():
        raise Vid3dError("times of the looks must be finite seconds that rise: sort the looks")
    visible = (trust > 0) & np.isfinite(keypoints).all(-1)
    trust = np.where(visible, np.minimum(trust, 1.0), 0.0)
    kept = np.flatnonzero(visible.sum(1) >= 2)
    if not len(kept):
        raise Vid3dError("no look with at least two joints seen: nothing to lift")
    kept = _thin(seconds, kept)
    keypoints = np.where(visible[..., None], keypoints, 0.0)[kept]
    rays = camera.rays(keypoints)[..., :2]
    rays = np.where(visible[kept][..., None], rays, 0.0)
    return Observation(rays, trust[kept], seconds[kept], joints)


def _thin(seconds: Array, kept: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the looks `kept` those at least `CLOSEST_LOOKS` apart."""
    chosen: list[int] = []
    for look in kept.tolist():
        if not chosen or seconds[look] - seconds[chosen[-1]] >= CLOSEST_LOOKS:
            chosen.append(look)
    return np.array(chosen, np.int64)
