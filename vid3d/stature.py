"""Metric scale from a known height."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
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


def height_factors(
    ids: Sequence[int], statures: Sequence[float], height: Mapping[int | None, float]
) -> list[float]:
    """By which factor each person is to be scaled about the camera, which keeps their picture.

    Args:
        ids: of the people.
        statures: metres, as lifted.
        height: metres by id; None as the key means everybody else. Who has none keeps the size.

    Raises:
        Vid3dError: a height is given for somebody who is not there.
    """
    unknown = set(height) - {None} - set(ids)
    if unknown:
        raise Vid3dError(
            f"height is given for person {min(key for key in unknown if key is not None)}, "
            f"but the people chosen are {list(ids)}"
        )
    metres = [height.get(one, height.get(None)) for one in ids]
    return [
        1.0 if wanted is None else wanted / found
        for wanted, found in zip(metres, statures, strict=True)
    ]
