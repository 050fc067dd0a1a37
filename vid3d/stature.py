"""Metric scale from a known height."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.motion import Motion
from vid3d.skeleton import H36M17


def stature(joints3d: NDArray[np.floating]) -> float:
    """Standing height in metres, from the median bone lengths of h36m17 joints (F, 17, 3).

    Legs, trunk, neck and head added up, plus the ankle's height above the sole (3.9 % of stature,
    Winter, Biomechanics and Motor Control of Human Movement, 2009).
    """
    lengths = {
        child: float(np.median(np.linalg.norm(joints3d[:, child] - joints3d[:, parent], axis=-1)))
        for parent, child in H36M17.bones
    }
    legs = sum(lengths[H36M17.index(f"{side}_{joint}")]
               for side in ("left", "right") for joint in ("knee", "ankle")) / 2  # fmt: skip
    upper = sum(lengths[H36M17.index(joint)] for joint in ("spine", "thorax", "nose", "head"))
    return (legs + upper) / (1 - 0.039)


def scaled_to_height(motion: Motion, height: Mapping[int | None, float]) -> Motion:
    """The motion with people of known height scaled about the camera, which keeps their picture.

    Raises:
        Vid3dError: a height is given for a track that is not there.
    """
    unknown = set(height) - {None} - set(motion.track_ids.tolist())
    if unknown:
        raise Vid3dError(
            f"height is given for person {min(key for key in unknown if key is not None)}, "
            f"but the people found are {motion.track_ids.tolist()}"
        )
    for person, track_id in enumerate(motion.track_ids.tolist()):
        metres = height.get(track_id, height.get(None))
        here = motion.present[person]
        if metres is None or not here.any():
            continue
        factor = metres / stature(motion.joints3d[person, here])
        for array in (motion.joints3d, motion.spread, motion.root_spread):
            array[person] *= factor
    return replace(motion)  # validates the filled arrays
