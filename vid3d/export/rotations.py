"""Rotation matrices of joints: swing and twist, axes to frames, Euler angles.

A rotation of a bone is its swing (the shortest turn that brings the bone's resting direction to
where it points) after its twist about the resting direction.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


def unit(vectors: ArrayLike) -> Array:
    """Vectors (..., 3) at length 1; zero stays zero."""
    vectors = np.asarray(vectors, np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-12)


def exponential(rotvecs: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3), radians."""
    rotvecs = np.asarray(rotvecs, np.float64)
    return Rotation.from_rotvec(rotvecs.reshape(-1, 3)).as_matrix().reshape(*rotvecs.shape, 3)


def logarithm(matrices: ArrayLike) -> Array:
    """Rotation vectors (..., 3) of rotation matrices (..., 3, 3), radians, at most pi long."""
    matrices = np.asarray(matrices, np.float64)
    rotvecs = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return rotvecs.reshape(matrices.shape[:-1])


def quaternions(matrices: ArrayLike) -> Array:
    """Unit quaternions (F, 4) x, y, z, w of (F, 3, 3), of continuous sign over F."""
    quats = Rotation.from_matrix(np.asarray(matrices, np.float64)).as_quat()
    signs = np.where((quats[1:] * quats[:-1]).sum(-1) < 0, -1.0, 1.0)
    quats[1:] *= np.cumprod(signs)[:, None]
    return quats


def shortest(start: ArrayLike, to: ArrayLike) -> Array:
    """The shortest rotations (..., 3, 3) that turn unit vector `start` (3,) to unit `to` (..., 3).

    Opposite vectors have many; one of them is taken.
    """
    start, to = np.broadcast_arrays(np.asarray(start, np.float64), np.asarray(to, np.float64))
    axis = np.cross(start, to)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * to).sum(-1, keepdims=True))
    least = np.eye(3)[np.abs(start).argmin(-1)]  # any axis across, where the cross product is zero
    across = unit(np.cross(start, least))
    return exponential(np.where(sine > 1e-9, axis / np.maximum(sine, 1e-12), across) * angle)


def swing_twist(matrices: ArrayLike, axis: ArrayLike) -> tuple[Array, Array]:
    """Swing (F, 3) as a rotation vector and twist (F,) in radians: R = exp(swing) exp(twist a).

    Args:
        matrices: (F, 3, 3).
        axis: (3,) unit vector a, the bone's resting direction.
    """
    whole = Rotation.from_matrix(np.asarray(matrices, np.float64))
    quats, axis = whole.as_quat(), np.asarray(axis, np.float64)
    twist = 2 * np.arctan2(quats[:, :3] @ axis, quats[:, 3])
    twist -= 2 * np.pi * np.round(twist / (2 * np.pi))
    swing = whole * Rotation.from_rotvec(-twist[:, None] * axis)
    return swing.as_rotvec(), twist


def from_swing_twist(swing: ArrayLike, twist: ArrayLike, axis: ArrayLike) -> Array:
    """Rotation matrices (..., 3, 3) of swings (..., 3) after twists (...,) about `axis` (3,)."""
    twist = np.asarray(twist, np.float64)[..., None] * np.asarray(axis, np.float64)
    return exponential(swing) @ exponential(twist)


def frame(x: ArrayLike, y: ArrayLike) -> Array:
    """Rotations (..., 3, 3) with an x axis along `x` and a y axis as near as can be to `y`.

    Vectors of no length count as the frame's own axes; where `y` is along `x`, any frame will do.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x = unit(np.where(_short(x), [1.0, 0, 0], x))
    z = np.cross(x, np.where(_short(y), [0, 1.0, 0], y))
    z = unit(np.where(_short(z), np.cross(x, np.eye(3)[np.abs(x).argmin(-1)]), z))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def _short(vectors: Array) -> NDArray[np.bool_]:
    """Whether vectors (..., 3) have no direction to speak of, (..., 1)."""
    return np.linalg.norm(vectors, axis=-1, keepdims=True) < 1e-6


def euler_zxy(matrices: ArrayLike) -> Array:
    """Angles (F, 3) in degrees of R = Rz Rx Ry, (F, 3, 3), without jumps over F.

    Every rotation has two: z, x, y and z + 180, 180 - x, y + 180. Taken are those near the frame
    before, the smaller ones at first: a knee that bends past 90 degrees stays one curve.
    """
    matrices = np.asarray(matrices, np.float64)
    level = np.hypot(matrices[:, 0, 1], matrices[:, 1, 1])
    # With x at 90 degrees only z + y or z - y can be seen: z stays what it was.
    seen = np.maximum.accumulate(np.where(level > 1e-6, np.arange(len(level)), 0))
    z = np.arctan2(-matrices[seen, 0, 1], matrices[seen, 1, 1])
    unturned = Rotation.from_euler("z", -z[:, None]).as_matrix() @ matrices
    x = np.arctan2(matrices[:, 2, 1], level)
    y = np.arctan2(unturned[:, 0, 2], unturned[:, 0, 0])
    angles = np.stack([z, x, y], axis=-1)
    other = np.stack([z + np.pi, np.pi - x, y + np.pi], axis=-1)
    before = np.concatenate([np.zeros((1, 3)), angles[:-1]])
    switches = _turn(other - before) < _turn(angles - before)
    taken = np.logical_xor.accumulate(switches)
    return np.degrees(np.unwrap(np.where(taken[:, None], other, angles), axis=0))


def _turn(angles: Array) -> Array:
    """How much (F,) angles (F, 3) turn in all, each the shorter way, radians."""
    return np.abs(np.arctan2(np.sin(angles), np.cos(angles))).sum(-1)
