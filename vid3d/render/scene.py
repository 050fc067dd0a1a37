"""The room a motion happens in: its floor, and a fixed virtual camera that sees all of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.motion import Motion
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

ANKLE_HEIGHT = 0.08
"""Metres from the sole to the ankle joint of a grown person."""
AZIMUTHS, ELEVATION = (35.0, -35.0, 22.0, -22.0), 18.0
"""Degrees by which the virtual camera is moved round the people and raised above them."""
FIELD_OF_VIEW = 28.0
MARGIN, ROOM = 0.35, 0.8
"""Metres of floor around the outermost people that are in view, and that are drawn."""
SMALLEST_SCENE = 2.5
"""Metres across the picture at least: one person does not fill it."""
MAX_LINES = 14
MAX_SAMPLES = 600

_CAMERA_UP = np.array([0.0, -1.0, 0.0])
_ANKLES = H36M17.indices(["left_ankle", "right_ankle"])
_THORAX, _PELVIS = H36M17.index("thorax"), H36M17.index("pelvis")


@dataclass(frozen=True)
class Floor:
    """A plane: points p with up . p = level, in the camera frame.

    Attributes:
        up: (3,) unit vector.
        level: metres.
    """

    up: Array
    level: float

    @property
    def axes(self) -> Array:
        """Rows (2, 3): the real camera's right and forward, level with the floor."""
        forward = _unit(np.array([0.0, 0.0, 1.0]) - self.up[2] * self.up)
        return np.stack([np.cross(-self.up, forward), forward])

    def below(self, points: ArrayLike) -> Array:
        """Points (..., 3) dropped onto the floor."""
        points = np.asarray(points, np.float64)
        return points - (points @ self.up - self.level)[..., None] * self.up

    def at(self, spots: ArrayLike) -> Array:
        """Points (..., 3) of spots (..., 2) on the floor, metres along `axes`."""
        return np.asarray(spots, np.float64) @ self.axes + self.level * self.up

    def extent(self, bodies: Array) -> Array:
        """Least and greatest spot (2, 2) of bodies (N, 17, 3), with room to stand around them."""
        spots = bodies[:, 0] @ self.axes.T
        return np.stack([spots.min(0) - ROOM, spots.max(0) + ROOM])


def _nobody() -> Array:
    """A stick (1, 17, 3) four metres away that makes a view of an empty room."""
    stick = np.full((1, 17, 3), [0.0, -0.6, 4.0])
    stick[:, _ANKLES, 1] = 1.0
    return stick


def sampled_bodies(motion: Motion) -> Array:
    """Up to `MAX_SAMPLES` bodies (N, 17, 3) spread evenly over people and frames; at least one.

    Those whose place is far off the others' (1st to 99th percentile and a metre) are left out.
    """
    bodies = motion.joints3d[motion.present].astype(np.float64)
    if len(bodies) == 0:
        return _nobody()
    bodies = bodies[:: -(-len(bodies) // MAX_SAMPLES)]
    low, high = np.quantile(bodies[:, 0], [0.01, 0.99], axis=0)
    kept: Array = bodies[((bodies[:, 0] >= low - 1) & (bodies[:, 0] <= high + 1)).all(1)]
    return kept


def find_floor(bodies: Array) -> Floor:
    """Floor under bodies (N, 17, 3): up as people stand, level and slope as their feet tell.

    The mean direction from ankles to thorax of those who stand is up, unless it is more than 60
    degrees off the camera's; a plane through the lower ankle of each body then corrects the slope,
    as far as people move about enough (ridge of half a metre) and by at most 15 degrees.
    """
    up = _standing_direction(bodies)
    axes = Floor(up, 0.0).axes
    heights = bodies[:, _ANKLES] @ up
    feet = bodies[np.arange(len(bodies)), np.take(_ANKLES, heights.argmin(1))]
    spots = feet - np.median(feet, 0)
    flat = spots @ axes.T
    kept = np.ones(len(feet), bool)
    for _ in range(2):  # the second time without the fifth that fits worst: jumps and misplaced
        rows, values = flat[kept] - flat[kept].mean(0), spots[kept] @ up
        slope = np.linalg.solve(
            rows.T @ rows + 0.25 * len(rows) * np.eye(2), rows.T @ (values - values.mean())
        )
        misfit = np.abs(spots @ up - flat @ slope - np.median(spots @ up - flat @ slope))
        kept = misfit <= np.quantile(misfit, 0.8)
    slope *= min(1.0, np.tan(np.radians(15)) / max(np.linalg.norm(slope), 1e-9))
    up = _unit(up - slope @ axes)
    return Floor(up, float(np.quantile(feet @ up, 0.1)) - ANKLE_HEIGHT)


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
    bodies: Array, floor: Floor, size: tuple[int, int], margins: tuple[int, int, int]
) -> View:
    """A view from beside and a little above that holds all bodies; the side that shows them larger.

    Args:
        bodies: (N, 17, 3) camera frame, N > 0.
        floor: their floor.
        size: width and height of the picture.
        margins: pixels kept free at the top, the bottom and each side.
    """
    top, bottom, side = margins
    width, height = size
    focal = min(width, height) / 2 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    center = np.array([width / 2, (top + height - bottom) / 2])
    half = np.array([width / 2 - side, (height - top - bottom) / 2])
    steps = MARGIN * np.concatenate([floor.axes, -floor.axes])
    around = floor.below(bodies[:, 0])[:, None] + steps
    points = np.concatenate([bodies.reshape(-1, 3), around.reshape(-1, 3)])
    level = np.stack([floor.axes[0], -floor.up, floor.axes[1]])
    views = []
    for azimuth in AZIMUTHS:
        rotation = _pitch(ELEVATION) @ _yaw(azimuth) @ level
        offset = _fit_offset(points @ rotation.T, half / focal)
        closest = focal * SMALLEST_SCENE / min(size) - (points @ rotation.T + offset)[:, 2].mean()
        offset[2] += max(0.0, closest)
        views.append(View(rotation, offset, float(focal), center))
    return min(views, key=lambda view: float(view.project(points)[1].mean()))


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
    step = next(step for step in (1, 2, 5, 10, 20, 50, np.inf) if size / step <= MAX_LINES)
    across = [[[left, y], [right, y]] for y in np.arange(np.ceil(near / step) * step, far, step)]
    along = [[[x, near], [x, far]] for x in np.arange(np.ceil(left / step) * step, right, step)]
    ends = floor.at(np.array(across + along, np.float64).reshape(-1, 2, 2))
    return ends[:, 0], ends[:, 1]


def _standing_direction(bodies: Array) -> Array:
    spine = bodies[:, _THORAX] - bodies[:, _ANKLES].mean(1)
    length = np.linalg.norm(spine, axis=1)
    standing = spine[length >= 0.8 * np.quantile(length, 0.9)]
    up = _unit((standing / np.linalg.norm(standing, axis=1, keepdims=True)).mean(0))
    return up if up @ _CAMERA_UP > np.cos(np.radians(60)) else _CAMERA_UP


def _unit(vector: Array) -> Array:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _yaw(degrees: float) -> Array:
    """Rotation about the vertical that brings the right of the scene nearer."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _pitch(degrees: float) -> Array:
    """Rotation that looks down from above."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
