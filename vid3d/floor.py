"""The floor that people stand on: a plane in the camera frame, which also tells where up is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.motion import Motion
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

ANKLE_HEIGHT = 0.08
"""Metres from the sole to the ankle joint of a grown person."""
ROOM = 0.8
"""Metres of floor that belong to the outermost people."""
MAX_SAMPLES = 600

_CAMERA_UP = np.array([0.0, -1.0, 0.0])
_ANKLES = H36M17.indices(["left_ankle", "right_ankle"])
_THORAX = H36M17.index("thorax")


@dataclass(frozen=True)
class Floor:
    """A plane: points p with up . p = level, in the camera frame.

    Attributes:
        up: (3,) unit vector.
        level: metres; a camera above the floor has a negative one.
    """

    up: Array
    level: float

    @property
    def axes(self) -> Array:
        """Rows (2, 3): the real camera's right and forward, level with the floor."""
        ahead = np.array([0.0, 0.0, 1.0])
        if abs(self.up[2]) > 0.95:  # a camera that looks straight down: the picture's up is ahead
            ahead = _CAMERA_UP
        forward = unit(ahead - ahead @ self.up * self.up)
        return np.stack([np.cross(-self.up, forward), forward])

    def height(self, points: ArrayLike) -> Array:
        """Metres (...,) of points (..., 3) above the floor."""
        return np.asarray(points, np.float64) @ self.up - self.level

    def below(self, points: ArrayLike) -> Array:
        """Points (..., 3) dropped onto the floor."""
        return np.asarray(points, np.float64) - self.height(points)[..., None] * self.up

    def at(self, spots: ArrayLike) -> Array:
        """Points (..., 3) of spots (..., 2) on the floor, metres along `axes`."""
        return np.asarray(spots, np.float64) @ self.axes + self.level * self.up

    def extent(self, bodies: Array) -> Array:
        """Least and greatest spot (2, 2) of bodies (N, 17, 3), with room to stand around them."""
        spots = bodies[:, 0] @ self.axes.T
        return np.stack([spots.min(0) - ROOM, spots.max(0) + ROOM])


def floor_of(motion: Motion) -> Floor:
    """The floor of a motion: the one in its `meta["ground"]`, else the one under its people.

    `ground` holds `normal`, a unit vector up in the camera frame, and `height`, metres: points of
    the floor satisfy normal . p + height = 0.
    """
    ground = motion.meta.get("ground")
    if ground is None:
        return find_floor(sampled_bodies(motion))
    return Floor(unit(np.asarray(ground["normal"], np.float64)), -float(ground["height"]))


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
    up = unit(up - slope @ axes)
    return Floor(up, float(np.median(feet @ up)) - ANKLE_HEIGHT)


def unit(vector: Array) -> Array:
    """A vector (3,) scaled to length one; zero stays zero."""
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _nobody() -> Array:
    """A stick (1, 17, 3) four metres away that makes a view of an empty room."""
    stick = np.full((1, 17, 3), [0.0, -0.6, 4.0])
    stick[:, _ANKLES, 1] = 1.0
    return stick


def _standing_direction(bodies: Array) -> Array:
    spine = bodies[:, _THORAX] - bodies[:, _ANKLES].mean(1)
    length = np.linalg.norm(spine, axis=1)
    standing = spine[length >= 0.8 * np.quantile(length, 0.9)]
    up = unit((standing / np.linalg.norm(standing, axis=1, keepdims=True)).mean(0))
    return up if up @ _CAMERA_UP > np.cos(np.radians(60)) else _CAMERA_UP
