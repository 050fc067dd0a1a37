"""Which way is up, as bodies tell: who stands has the centre of mass over the feet."""

import numpy as np
from numpy.typing import NDArray

from vid3d.skeleton import H36M17

Array = NDArray[np.floating]

# (mass, proximal joint, distal joint, place of the centre between them) of the segments, from
# Winter, Biomechanics and Motor Control of Human Movement (2009), table 4.1; the hand is in the
# forearm, the foot in the shank.
_LIMBS = (
    (0.028, "shoulder", "elbow", 0.436),
    (0.022, "elbow", "wrist", 0.682),
    (0.100, "hip", "knee", 0.433),
    (0.061, "knee", "ankle", 0.606),
)
_SEGMENTS = [(0.081, "nose", "head", 0.5), (0.497, "pelvis", "thorax", 0.5)] + [
    (mass, f"{side}_{upper}", f"{side}_{lower}", place)
    for side in ("left", "right")
    for mass, upper, lower, place in _LIMBS
]

SUPPORT_AHEAD = 0.055
"""Metres from the ankles forward to the middle of the feet, over which a standing body balances."""


def _mass_weights() -> NDArray[np.float64]:
    weights = np.zeros(len(H36M17))
    for mass, upper, lower, place in _SEGMENTS:
        weights[H36M17.index(upper)] += mass * (1 - place)
        weights[H36M17.index(lower)] += mass * place
    return weights / weights.sum()


MASS = _mass_weights()
"""Share (17,) of the body's mass that each joint of h36m17 stands for."""

_ANKLES = H36M17.indices(["left_ankle", "right_ankle"])
_HIPS = H36M17.indices(["left_hip", "right_hip"])


def centre_of_mass(joints: Array) -> NDArray[np.float64]:
    """Centre of mass (..., 3) of h36m17 joints (..., 17, 3)."""
    return np.asarray(MASS @ np.asarray(joints, np.float64))


def uprightness(joints: Array) -> NDArray[np.float64]:
    """Vectors (..., 3) from the support to the centre of mass of joints (..., 17, 3), metres.

    The support is the middle of the feet, `SUPPORT_AHEAD` of the ankles as the hips face.
    """
    joints = np.asarray(joints, np.float64)
    up = centre_of_mass(joints) - joints[..., _ANKLES, :].mean(-2)
    ahead = np.cross(joints[..., _HIPS[0], :] - joints[..., _HIPS[1], :], up)
    return up - SUPPORT_AHEAD * unit(ahead)


def unit(vectors: Array) -> NDArray[np.float64]:
    """Vectors (..., 3) of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float64)
