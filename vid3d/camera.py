"""A pinhole camera: projection, rays, an assumed field of view, and root placement.

Camera frame: x right, y down, z forward, metres. Pixel centres lie at integer coordinates.
"""

import operator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray

from vid3d.errors import Vid3dError
from vid3d.files import read_json
from vid3d.given import real_number, real_numbers, unfit

ASSUMED_FOV = 55.0
"""Degrees across the longer side when nothing is known of the camera (a phone's main lens)."""

LARGEST_SIDE = 65_535
"""Pixels of the longest side of a picture."""

_MOST_ROUNDS, _SAME_PIXEL = 20, 1e-6  # of taking a distortion away

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of one camera.

    Attributes:
        intrinsics: (3, 3) matrix K, pixels.
        frame_size: width and height in pixels, as displayed.
        dist: distortion coefficients in OpenCV's order, or None for none.
    """

    intrinsics: Array
    frame_size: tuple[int, int]
    dist: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        matrix = real_numbers("camera intrinsics", self.intrinsics)  # a copy: nobody changes it
        if matrix.shape != (3, 3):
            raise Vid3dError(f"camera intrinsics are {matrix.shape}, expected a 3 x 3 matrix")
        if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
            raise Vid3dError("camera intrinsics need finite values and positive focal lengths")
        if matrix[1, 0] != 0 or (matrix[2] != (0, 0, 1)).any():
            raise Vid3dError(
                "camera intrinsics are no matrix fx s cx, 0 fy cy, 0 0 1; is it transposed?"
            )
        object.__setattr__(self, "intrinsics", matrix)
        object.__setattr__(self, "frame_size", _sides(self.frame_size))
        if self.dist is not None:
            object.__setattr__(self, "dist", _coefficients(self.dist))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Camera):
            return NotImplemented
        return self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)

    @property
    def _values(self) -> tuple[Any, ...]:
        return *self.intrinsics.ravel().tolist(), self.frame_size, self.dist

    @classmethod
    def from_fov(cls, degrees: float, frame_size: tuple[int, int]) -> "Camera":
        """Camera with a field of view across the longer side and the centre in the middle.

        Raises:
            Vid3dError: the angle is not between 1 and 179 degrees.
        """
        degrees = real_number("field of view", degrees, "degrees")
        if not 1 <= degrees <= 179:
            raise Vid3dError(f"field of view is {degrees:g} degrees, expected 1 to 179")
        width, height = _sides(frame_size)
        focal = max(width, height) / 2 / np.tan(np.radians(degrees) / 2)
        return cls.from_focal(focal, focal, (width - 1) / 2, (height - 1) / 2, frame_size)

    @classmethod
    def from_35mm(cls, millimetres: float, frame_size: tuple[int, int]) -> "Camera":
        """Camera with the field of view of a lens on 35 mm film.

        Equal are the diagonals (43.27 mm) of the film's and of a 4:3 sensor's picture, which is
        what phones have; video uses the sensor's longer side.
        """
        focal = real_number("focal length", millimetres, "millimetres above 0")
        if not focal > 0:
            raise unfit("focal length", millimetres, "millimetres above 0")
        return cls.from_fov(np.degrees(2 * np.arctan(0.4 * 43.27 / focal)), frame_size)

    @classmethod
    def from_focal(
        cls,
        fx: float,
        fy: float,
        cx: float,
        cy: float,
        frame_size: tuple[int, int],
        dist: tuple[float, ...] | None = None,
    ) -> "Camera":
        """Camera from focal lengths and principal point in pixels."""
        names = ("fx", "fy", "cx", "cy")
        fx, fy, cx, cy = map(real_number, names, (fx, fy, cx, cy))
        return cls(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64), frame_size, dist)

    @classmethod
    def from_json(cls, path: str | Path, frame_size: tuple[int, int] | None = None) -> "Camera":
        """Camera from a file of fx, fy, cx, cy, width, height and optionally dist.

        The focal lengths are scaled when the video has another size of the same shape.

        Raises:
            Vid3dError: no such file, not JSON, a field missing, or a shape other than the video's.
        """
        try:
            fields: dict[str, Any] = read_json(path)
            fx, fy, cx, cy = (_number(fields[key]) for key in ("fx", "fy", "cx", "cy"))
            size = (operator.index(fields["width"]), operator.index(fields["height"]))
            dist = tuple(_number(value) for value in fields.get("dist") or ()) or None
        except OSError as error:
            raise Vid3dError(f"cannot read camera file {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise Vid3dError(
                f"camera file {path} is not valid ({error}); "
                "it is JSON with fx, fy, cx, cy, width, height and optionally dist"
            ) from error
        try:
            camera = cls.from_focal(fx, fy, cx, cy, size, dist)
            return camera if frame_size is None else camera.resized(frame_size)
        except Vid3dError as error:
            raise Vid3dError(f"camera file {path}: {error}") from error

    def resized(self, frame_size: tuple[int, int]) -> "Camera":
        """The same camera at another resolution.

        Raises:
            Vid3dError: the new shape is not the old one scaled.
        """
        frame_size = _sides(frame_size)
        scale_x, scale_y = (new / old for new, old in zip(frame_size, self.frame_size, strict=True))
        if abs(scale_x / scale_y - 1) > 0.02:
            raise Vid3dError(
                f"the camera is for {self.frame_size[0]} x {self.frame_size[1]} pixels, the video "
                f"has {frame_size[0]} x {frame_size[1]}: another shape; give a camera for this one"
            )
        K = self.intrinsics.copy()
        K[:2, 2] += 0.5  # pixel centres lie at integer coordinates
        K[:2] *= [[scale_x], [scale_y]]
        K[:2, 2] -= 0.5
        return Camera(K, frame_size, self.dist)

    @property
    def fov(self) -> float:
        """Degrees across the longer side."""
        width, height = self.frame_size
        side, focal = max((width, self.intrinsics[0, 0]), (height, self.intrinsics[1, 1]))
        return float(np.degrees(2 * np.arctan(side / 2 / focal)))

    @property
    def is_assumed(self) -> bool:
        """Whether the field of view is the one that is assumed where nothing is known."""
        return abs(self.fov - ASSUMED_FOV) < 1e-3

    def project(self, points: ArrayLike) -> Array:
        """Pixels (..., 2) of points (..., 3) in the camera frame.

        NaN behind the camera, and beyond the fold of its distortion: a lens shows nothing from
        there, but the polynomial puts it back into the picture.
        """
        points = np.asarray(points, np.float64)
        if self.dist is not None and points.size:  # OpenCV takes no empty arrays
            flat = np.nan_to_num(points.reshape(-1, 1, 3), nan=1.0)
            pixels, _ = cv2.projectPoints(
                flat, np.zeros(3), np.zeros(3), self.intrinsics, np.asarray(self.dist)
            )
            pixels = pixels.reshape(*points.shape[:-1], 2)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                squared = ((points[..., :2] / points[..., 2:]) ** 2).sum(-1, keepdims=True)
            pixels = np.where(squared < self.fold, pixels, np.nan)  # nor where points are NaN
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                pixels = (points @ self.intrinsics.T)[..., :2] / points[..., 2:]
        return np.where(points[..., 2:] > 1e-6, pixels, np.nan)

    @cached_property
    def fold(self) -> float:
        """Squared slope from which rays come back towards the middle, by the radial distortion.

        It puts a ray of slope r at r A(r^2) / B(r^2): the first root of the derivative, or of B
        where that is nearer; infinite for none.
        """
        k1, k2, _, _, k3, k4, k5, k6 = (*(self.dist or ()), *[0.0] * 8)[:8]
        above, below = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6])
        turning = above.deriv() * below - above * below.deriv()
        slope = above * below + Polynomial([0, 2]) * turning  # times B^2, which is positive
        roots = np.concatenate([slope.roots(), below.roots()])
        return float(min(roots[np.isreal(roots) & (roots.real > 0)].real, default=np.inf))

    def zoomed(self, pixels: ArrayLike, zoom: ArrayLike) -> Array:
        """Pixels (..., 2) once the lens has zoomed in by factors (...,): larger about its axis."""
        pixels = np.asarray(pixels, np.float64)
        more = np.asarray(zoom, np.float64)[..., None] - 1
        return np.asarray(pixels + more * (pixels - self.intrinsics[:2, 2]))

    def rays(self, keypoints: ArrayLike) -> Array:
        """Directions (..., 3) with z = 1 through pixels (..., 2), distortion removed."""
        pixels = np.asarray(keypoints, np.float64)
        if self.dist is not None and pixels.size:
            xy = self._undistorted(pixels.reshape(-1, 2)).reshape(pixels.shape)
        else:
            K = self.intrinsics
            y = (pixels[..., 1] - K[1, 2]) / K[1, 1]
            x = (pixels[..., 0] - K[0, 2] - K[0, 1] * y) / K[0, 0]
            xy = np.stack([x, y], -1)
        return np.concatenate([xy, np.ones_like(xy[..., :1])], -1)

    def _undistorted(self, pixels: Array) -> Array:
        """Slopes (N, 2) of the rays through pixels (N, 2): damped Newton steps from the middle.

        OpenCV's `undistortPoints` stops after five rounds of a slower method, up to a hundred
        pixels off with wide lenses. Steps that lead past the fold of a polynomial, beyond which
        pixels come back towards the middle, are not taken: a pixel that no ray reaches gets one
        near the outermost.
        """
        xy = np.zeros_like(pixels)
        seen, slopes = self._distorted(xy)
        share = np.ones(len(pixels))
        for _ in range(_MOST_ROUNDS):
            missed = np.linalg.norm(pixels - seen, axis=-1)
            at = np.flatnonzero(missed > _SAME_PIXEL)
            if not len(at):
                break
            step = np.linalg.solve(slopes[at], (pixels - seen)[at, :, None])[..., 0]
            tried = xy[at] + share[at, None] * step
            found, there = self._distorted(tried)
            with np.errstate(invalid="ignore", over="ignore"):  # far beyond the picture
                nearer = np.linalg.norm(pixels[at] - found, axis=-1) < missed[at]
                nearer &= np.linalg.det(there) > 0
            share[at] = np.where(nearer, 1.0, share[at] / 4)
            taken = at[nearer]
            xy[taken], seen[taken], slopes[taken] = tried[nearer], found[nearer], there[nearer]
        return np.where(np.isfinite(pixels).all(-1, keepdims=True), xy, np.nan)

    def _distorted(self, slopes: Array) -> tuple[Array, Array]:
        """Pixels (N, 2) of rays with slopes (N, 2), and their derivatives (N, 2, 2)."""
        points = np.concatenate([slopes, np.ones_like(slopes[:, :1])], -1)[:, None]
        still = np.zeros(3)
        pixels, jacobian = cv2.projectPoints(
            points, still, still, self.intrinsics, np.asarray(self.dist)
        )
        by_slopes = jacobian[:, 3:5].reshape(-1, 2, 2)  # those by the translation's x and y
        return np.asarray(pixels[:, 0], np.float64), np.asarray(by_slopes, np.float64)

    def solve_root(self, joints: ArrayLike, keypoints: ArrayLike, weights: ArrayLike) -> Array:
        """Translations (..., 3) that best bring root-relative joints onto their 2D keypoints.

        Weighted linear least squares on x + T_x = r_x (z + T_z) and the same in y (the algebraic
        error of D3DP's projection, Shan et al. 2023, solved for T instead of taken from truth).

        Args:
            joints: (..., J, 3) metres, relative to any origin.
            keypoints: (..., J, 2) pixels.
            weights: (..., J); zero leaves a joint out, whatever its coordinates.

        Returns:
            (..., 3) metres; NaN where fewer than two joints have weight.
        """
        joints = np.asarray(joints, np.float64)
        weights = np.broadcast_to(np.asarray(weights, np.float64), joints.shape[:-1])
        seen = weights > 0
        joints = np.where(seen[..., None], joints, 0.0)
        keypoints = np.where(seen[..., None], np.asarray(keypoints, np.float64), 0.0)
        return solve_translation(joints, self.rays(keypoints)[..., :2], weights)


def _sides(frame_size: Any) -> tuple[int, int]:
    """Width and height in pixels; OpenCV and JSON give whole numbers as floats.

    Raises:
        Vid3dError: no two whole numbers from 1 to `LARGEST_SIDE`.
    """
    sides = real_numbers("camera frame size", frame_size)
    if sides.shape != (2,) or (sides != np.round(sides)).any():
        raise unfit("camera frame size", frame_size, "width and height in pixels")
    if not ((sides >= 1) & (sides <= LARGEST_SIDE)).all():
        raise Vid3dError(
            f"camera frame size is {sides[0]:g} x {sides[1]:g}, expected sides of 1 to "
            f"{LARGEST_SIDE}"
        )
    return int(sides[0]), int(sides[1])


def _coefficients(dist: Any) -> tuple[float, ...]:
    """Distortion coefficients, also in the row or column that OpenCV's calibration gives.

    Raises:
        Vid3dError: not as many finite numbers as one of OpenCV's models has.
    """
    numbers = real_numbers("camera dist", dist).ravel()
    if len(numbers) not in (4, 5, 8, 12, 14) or not np.isfinite(numbers).all():
        raise Vid3dError(
            f"camera dist has {len(numbers)} numbers, expected 4, 5, 8, 12 or 14 finite ones"
        )
    return tuple(numbers.tolist())


def _number(value: Any) -> float:
    """A number of a JSON file; text and truth values are none."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{value!r} is not a number")
    return float(value)


def solve_translation(joints: Array, rays: Array, weights: Array) -> Array:
    """Translation T minimising sum w |x + T_x - r_x (z + T_z)|^2 (and y) in closed form.

    Args:
        joints: (..., J, 3) metres.
        rays: (..., J, 2) x / z and y / z of each joint's ray.
        weights: (..., J) not negative.

    Returns:
        (..., 3); NaN where fewer than two joints have weight.
    """
    w = weights[..., None]
    rx, ry = rays[..., :1], rays[..., 1:]
    x, y, z = joints[..., :1], joints[..., 1:2], joints[..., 2:]
    bx, by = rx * z - x, ry * z - y
    total, sx, sy = w.sum(-2), (w * rx).sum(-2), (w * ry).sum(-2)
    rows = np.zeros((*weights.shape[:-1], 3, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = total[..., 0]
    rows[..., 0, 2] = rows[..., 2, 0] = -sx[..., 0]
    rows[..., 1, 2] = rows[..., 2, 1] = -sy[..., 0]
    rows[..., 2, 2] = (w * (rx**2 + ry**2)).sum((-2, -1))
    right = np.concatenate(
        [(w * bx).sum(-2), (w * by).sum(-2), -(w * (rx * bx + ry * by)).sum(-2)], -1
    )
    enough = (weights > 0).sum(-1) >= 2
    rows = np.where(enough[..., None, None], rows, np.eye(3))
    rows = rows + 1e-9 * np.maximum(total[..., None], 1e-9) * np.eye(3)
    solution = np.linalg.solve(rows, right[..., None])[..., 0]
    return np.where(enough[..., None], solution, np.nan)
