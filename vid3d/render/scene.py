"""The room a motion happens in: a virtual camera that sees all of it, the floor's grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.floor import Floor

Array = NDArray[np.float64]

AZIMUTHS, ELEVATION = (35.0, -35.0, 22.0, -22.0), 18.0
"""Degrees by which the virtual camera is moved round the people and raised above them."""
FIELD_OF_VIEW = 28.0
MARGIN = 0.35
"""Metres of floor around the outermost people that are in view."""
SMALLEST_SCENE = 2.5
"""Metres across the picture at least: one person does not fill it."""
MAX_LINES = 14


@dataclass(frozen=True)
class View:
    """A virtual pinhole camera.

    Attributes:
        rotation: (3, 3) from the real camera's frame to this one's; x right, y down, z forward.
        offset: (3,) added after rotation, metres.
        focal: pixels.
        center: (2,) principal point, pixels.
    """

    rotation: Array
    offset: Array
    focal: float
    center: Array

    def project(self, points: ArrayLike) -> tuple[Array, Array]:
        """Pixels (..., 2) and depth (...,) of points (..., 3); NaN behind or close to the view."""
        seen = np.asarray(points, np.float64) @ self.rotation.T + self.offset
        depth = np.where(seen[..., 2] > 0.1, seen[..., 2], np.nan)
        return seen[..., :2] / depth[..., None] * self.focal + self.center, depth


def fit_view(
    bodies: Array,
    floor: Floor,
    size: tuple[int, int],
    margins: tuple[int, int, int],
    azimuth: float | None = None,
    elevation: float = ELEVATION,
) -> View:
    """A view from beside and a little above that holds all bodies.

    Args:
        bodies: (N, 17, 3) camera frame, N > 0.
        floor: their floor.
        size: width and height of the picture.
        margins: pixels kept free at the top, the bottom and each side.
        azimuth: degrees by which the view stands to the right of the real camera; None: of
            `AZIMUTHS` the one that shows the bodies largest.
        elevation: degrees by which it looks down.
    """
    focal, center, half = _lens(size, margins)
    points = _surroundings(bodies, floor)
    views = []
    for degrees in AZIMUTHS if azimuth is None else (azimuth,):
        rotation = _rotation(floor, degrees, elevation)
        offset = _fit_offset(points @ rotation.T, half / focal)
        offset[2] += _too_close(points @ rotation.T + offset, focal, size)
        views.append(View(rotation, offset, focal, center))
    return min(views, key=lambda view: float(view.project(points)[1].mean()))


def orbit(
    bodies: Array,
    floor: Floor,
    size: tuple[int, int],
    margins: tuple[int, int, int],
    elevation: float = ELEVATION,
) -> Callable[[float], View]:
    """Views from all round, at one distance that holds all bodies from everywhere.

    Args: as for `fit_view`.

    Returns:
        The view at an azimuth in degrees.
    """
    focal, center, half = _lens(size, margins)
    points = _surroundings(bodies, floor)
    spots = points @ floor.axes.T
    heights = floor.height(points)
    middle = floor.at((spots.min(0) + spots.max(0)) / 2)
    middle = middle + (heights.min() + heights.max()) / 2 * floor.up
    distance = 0.0
    for degrees in range(0, 360, 15):
        seen = (points - middle) @ _rotation(floor, degrees, elevation).T
        needed = (np.abs(seen[:, :2]) / (half / focal)).max(1) - seen[:, 2]
        distance = max(distance, float(needed.max()), 0.5 - float(seen[:, 2].min()))
    ahead = np.array([0.0, 0.0, distance])
    ahead[2] += _too_close(ahead[None], focal, size)

    def view(azimuth: float) -> View:
        rotation = _rotation(floor, azimuth, elevation)
        return View(rotation, ahead - rotation @ middle, focal, center)

    return view


def _lens(size: tuple[int, int], margins: tuple[int, int, int]) -> tuple[float, Array, Array]:
    """Focal length, principal point (2,) and half of the free width and height (2,) in pixels."""
    (width, height), (top, bottom, side) = size, margins
    focal = min(width, height) / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    center = np.array([width / 2, (top + height - bottom) / 2])
    return float(focal), center, np.array([width / 2 - side, (height - top - bottom) / 2])


def _surroundings(bodies: Array, floor: Floor) -> Array:
    """Points (N, 3) that are to be seen: the bodies, and the floor around them."""
    steps = MARGIN * np.concatenate([floor.axes, -floor.axes])
    around = floor.below(bodies[:, 0])[:, None] + steps
    return np.concatenate([bodies.reshape(-1, 3), around.reshape(-1, 3)])


def _rotation(floor: Floor, azimuth: float, elevation: float) -> Array:
    level = np.stack([floor.axes[0], -floor.up, floor.axes[1]])
    return np.asarray(_pitch(elevation) @ _yaw(azimuth) @ level)


def _too_close(seen: Array, focal: float, size: tuple[int, int]) -> float:
    """Metres to step back from points (N, 3) until `SMALLEST_SCENE` fits the picture."""
    return max(0.0, float(focal * SMALLEST_SCENE / min(size) - seen[:, 2].mean()))


def _fit_offset(points: Array, half: Array) -> Array:
    """Offset (3,) that brings points (N, 3) in front of a camera and within half its tangents."""
    offset = np.array([0.0, 0.0, 30.0]) - (points.min(0) + points.max(0)) / 2
    for _ in range(12):  # alternate: centre what is seen, step back until all of it fits
        moved = points + offset
        seen = moved[:, :2] / moved[:, 2:]
        offset[:2] -= (seen.min(0) + seen.max(0)) / 2 * np.median(moved[:, 2])
        moved = points + offset
        needed = (np.abs(moved[:, :2]) / half).max(1) - moved[:, 2]
        offset[2] += max(needed.max(), 0.5 - moved[:, 2].min())
    return offset


def corners(floor: Floor, bodies: Array) -> Array:
    """Corners (4, 3), in order round it, of the piece of floor that bodies are on."""
    (left, near), (right, far) = floor.extent(bodies)
    return floor.at([[left, near], [right, near], [right, far], [left, far]])


def grid(floor: Floor, bodies: Array) -> tuple[Array, Array]:
    """Lines across that piece of floor every metre, or every 2, 5, ... where it is large.

    Returns:
        Starts and ends, (N, 3) each.
    """
    (left, near), (right, far) = floor.extent(bodies)
    size = max(right - left, far - near)
    step = next(step for step in _steps() if size / step <= MAX_LINES)
    across = [[[left, y], [right, y]] for y in np.arange(np.ceil(near / step) * step, far, step)]
    along = [[[x, near], [x, far]] for x in np.arange(np.ceil(left / step) * step, right, step)]
    ends = floor.at(np.array(across + along, np.float64).reshape(-1, 2, 2))
    return ends[:, 0], ends[:, 1]


def _steps() -> Iterator[float]:
    """Metres between lines: 1, 2, 5, 10, 20, 50 and so on without end."""
    for power in count():
        yield from (digit * 10.0**power for digit in (1, 2, 5))


def _yaw(degrees: float) -> Array:
    """Rotation about the vertical that brings the right of the scene nearer."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _pitch(degrees: float) -> Array:
    """Rotation that looks down from above."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
