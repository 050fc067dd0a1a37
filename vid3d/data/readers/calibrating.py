"""Cameras out of true 2D-3D pairs: data sets whose files leave their calibration out hold it still.

So nobody's table of camera parameters has to be carried along.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError

Array = NDArray[np.floating]

_MOST_POINTS = 4_000
_CLOSE = 1.0
"""Pixels: the median residual of pairs that do belong together is far below."""


def fit_intrinsics(
    points: Array, pixels: Array, frame_size: tuple[int, int]
) -> tuple[Camera, float]:
    """The pinhole camera that best shows points (N, 3) of its own frame at pixels (N, 2).

    u = fx x / z + cx is linear in fx and cx: least squares an axis.

    Returns:
        The camera, and the median distance in pixels that is left.

    Raises:
        Vid3dError: too few points before the camera, or they determine no camera.
    """
    points, pixels = points.reshape(-1, 3), pixels.reshape(-1, 2)
    good = np.isfinite(points).all(1) & np.isfinite(pixels).all(1) & (points[:, 2] > 1e-3)
    points, pixels = _some(points[good]), _some(pixels[good])
    if len(points) < 8:
        raise Vid3dError("too few joints before the camera to find its focal length from")
    slopes = points[:, :2] / points[:, 2:]
    (fx, cx), (fy, cy) = (
        np.linalg.lstsq(
            np.stack([slopes[:, i], np.ones(len(slopes))], 1), pixels[:, i], rcond=None
        )[0]
        for i in range(2)
    )
    camera = Camera.from_focal(fx, fy, cx, cy, frame_size)
    return camera, float(np.median(np.linalg.norm(camera.project(points) - pixels, axis=1)))


def solve_camera(
    points: Array, pixels: Array, frame_size: tuple[int, int], what: str
) -> tuple[Camera, Array, Array]:
    """The camera that shows points (N, 3) of the world at pixels (N, 2), with its distortion.

    Zhang's calibration as OpenCV has it, from one view of points that lie in no plane.

    Returns:
        The camera; its rotation (3, 3) and translation (3,): X_camera = R X_world + t.

    Raises:
        Vid3dError: no camera fits the pairs; `what` names them.
    """
    points, pixels = points.reshape(-1, 3), pixels.reshape(-1, 2)
    good = np.isfinite(points).all(1) & np.isfinite(pixels).all(1)
    points, pixels = _some(points[good]), _some(pixels[good])
    width, height = frame_size
    guess = np.array([[1.1 * width, 0, width / 2], [0, 1.1 * width, height / 2], [0, 0, 1]])
    try:
        _, matrix, distortion, turns, shifts = cv2.calibrateCamera(
            [points.astype(np.float32)], [pixels.astype(np.float32)], frame_size, guess,
            np.zeros(5), flags=cv2.CALIB_USE_INTRINSIC_GUESS,
        )  # fmt: skip
        rotation = np.asarray(cv2.Rodrigues(turns[0])[0], np.float64)
        translation = np.asarray(shifts[0], np.float64).ravel()
        dist = tuple(float(value) for value in np.ravel(distortion))
        camera = Camera(np.asarray(matrix, np.float64), frame_size, dist)
        there = camera.project(points @ rotation.T + translation)
    except (cv2.error, Vid3dError, IndexError) as error:
        raise Vid3dError(f"{what}: no camera fits its 2D and 3D; give --cameras") from error
    # A joint that the camera does not see at all is as far off as can be.
    left = np.nan_to_num(np.linalg.norm(there - pixels, axis=1), nan=np.inf)
    if not np.median(left) < _CLOSE:
        raise Vid3dError(
            f"{what}: the best camera leaves {np.median(left):.1f} pixels between 3D and 2D, which "
            "do not belong together; give --cameras"
        )
    return camera, rotation, translation


def undistorted(camera: Camera, pixels: Array) -> tuple[Camera, Array]:
    """A camera without distortion, and where it would have seen pixels (..., 2)."""
    if camera.dist is None:
        return camera, pixels
    plain = Camera(camera.intrinsics, camera.frame_size)
    return plain, plain.project(camera.rays(pixels))


def _some(values: Array) -> Array:
    """At most `_MOST_POINTS` of the values, evenly spread."""
    return values[:: max(1, -(-len(values) // _MOST_POINTS))]
