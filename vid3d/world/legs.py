"""Two-bone inverse kinematics of the legs of h36m17."""

import numpy as np
from numpy.typing import NDArray

from vid3d.skeleton import H36M17
from vid3d.world.balance import unit

Array = NDArray[np.floating]

LEGS = [
    H36M17.indices([f"{side}_{joint}" for joint in ("hip", "knee", "ankle")])
    for side in ("left", "right")
]
"""Hip, knee and ankle, left and right."""

STRETCHED = 0.998
"""Share of its length to which a leg may be stretched, unless it was already."""


def move_ankle(joints: Array, foot: int, shift: Array) -> NDArray[np.float64]:
    """Joints (F, 17, 3) with one ankle moved by `shift` (F, 3) as far as the leg reaches.

    Thigh and shin keep their lengths, and the knee keeps the plane it bends in as far as it bends
    already: what more it must bend it bends forward, as a straight leg does. Where the shift is
    zero nothing changes. What a leg has left to stretch is used up gradually: near straight a knee
    turns by much for little, and would snap where the reach ends.

    Args:
        joints: h36m17, metres.
        foot: 0 left, 1 right.
        shift: metres.
    """
    joints = np.array(joints, np.float64)
    hip, knee, ankle = (joints[:, joint] for joint in LEGS[foot])
    thigh, shin = (np.linalg.norm(b - a, axis=-1) for a, b in ((hip, knee), (knee, ankle)))
    line, before = ankle + shift - hip, np.linalg.norm(ankle - hip, axis=-1)
    room = np.maximum(STRETCHED * (thigh + shin) - before, 0)
    shortest = np.minimum(before, np.abs(thigh - shin) + 0.02)
    longer = np.linalg.norm(line, axis=-1) - before
    stretch = room * -np.expm1(-np.maximum(longer, 0) / np.maximum(room, 1e-9))
    reach = np.maximum(before + np.where(longer > 0, stretch, longer), shortest)
    line = unit(line)
    along = (thigh**2 - shin**2 + reach**2) / (2 * np.maximum(reach, 1e-9))
    across = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    bend = _square_to(knee - hip, line)
    missing = np.maximum(across - np.linalg.norm(bend, axis=-1), 0)
    bend = unit(bend + missing[:, None] * unit(_square_to(_forward(joints), line)))
    joints[:, LEGS[foot][1]] = hip + along[:, None] * line + across[:, None] * bend
    joints[:, LEGS[foot][2]] = hip + reach[:, None] * line
    return np.asarray(joints, np.float64)


def _forward(joints: Array) -> NDArray[np.float64]:
    """Direction (F, 3) that the hips face."""
    left, right, thorax = (joints[:, H36M17.index(n)] for n in ("left_hip", "right_hip", "thorax"))
    return unit(np.cross(left - right, thorax - joints[:, 0]))


def _square_to(vectors: Array, axis: Array) -> NDArray[np.float64]:
    return np.asarray(vectors - (vectors * axis).sum(-1, keepdims=True) * axis, np.float64)
