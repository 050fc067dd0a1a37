"""Motion of any rate, units and axes as clips of 50 Hz, metres, z up."""

import numpy as np
from numpy.typing import NDArray

from vid3d.data.mocap import MOCAP_FPS, MotionClip
from vid3d.errors import Vid3dError
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]

UPS = ("x", "y", "z", "-x", "-y", "-z")
_TO_Z = {
    "x": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "-x": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    "-y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "-z": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}
"""Rotations (rows) that turn an axis up; none mirrors."""


def make_clip(
    name: str, actor: str, description: str, joints: Array, fps: float, up: str = "z"
) -> MotionClip:
    """A clip from h36m17 joints (F, 17, 3) in metres of any rate and vertical axis.

    It begins above the origin; heights stay.

    Raises:
        Vid3dError: joints that are not finite, or no rate.
    """
    joints = np.asarray(joints, np.float64)
    if joints.ndim != 3 or joints.shape[1:] != (17, 3) or len(joints) == 0:
        raise Vid3dError(f"clip {name}: joints are {joints.shape}, expected (frames, 17, 3)")
    if not np.isfinite(joints).all() or not 0 < fps <= 10_000:
        raise Vid3dError(f"clip {name} has joints that are no numbers, or a rate of {fps} Hz")
    standing = resample(joints @ np.array(_TO_Z[up], float).T, fps, MOCAP_FPS)
    standing[..., :2] -= standing[0, 0, :2]
    return MotionClip(name, actor, description, standing.astype(np.float32))


def resample(values: Array, fps: float, wanted: float) -> Array:
    """Values (F, ...) of one rate at another, by cubic splines through them."""
    if abs(fps / wanted - 1) < 1e-4 or len(values) < 2:
        return np.array(values)
    times = np.arange(len(values)) / fps
    moments = np.arange(int(times[-1] * wanted + 1e-6) + 1) / wanted
    from scipy.interpolate import CubicSpline, interp1d

    through = CubicSpline if len(values) >= 4 else interp1d
    return np.asarray(through(times, values, axis=0)(np.minimum(moments, times[-1])))


def upward(joints: Array) -> str:
    """The axis along which people mostly stand, from h36m17 joints (F, 17, 3).

    Raises:
        Vid3dError: they lie, or no axis is up.
    """
    ankles = joints[:, H36M17.indices(["left_ankle", "right_ankle"])].mean(1)
    trunk = joints[:, H36M17.index("thorax")] - ankles
    mean = trunk.mean(0)
    axis = int(np.abs(mean).argmax())
    if np.abs(mean[axis]) < 0.7 * np.linalg.norm(trunk, axis=-1).mean():
        raise Vid3dError("people stand along no axis; say which points up with --up")
    return ("-" if mean[axis] < 0 else "") + "xyz"[axis]
