"""The floor that people stand on: a plane in the camera frame, which also tells where up is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.motion_schema import AnyMotion, filmed
from vid3d.skeleton import H36M17
from vid3d.world import ground_of
from vid3d.world.ground import level_axes

Array = NDArray[np.float64]

ANKLE_HEIGHT = 0.08
"""Metres from the sole to the ankle joint of a grown person."""
ROOM = 0.8
"""Metres of floor that belong to the outermost people."""
MAX_SAMPLES = 600

_ANKLES = H36M17.indices(["left_ankle", "right_ankle"])


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
        return level_axes(self.up)

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


def floor_of(motion: AnyMotion) -> Floor:
    """The floor of a motion: the one that its file names, else the one its people stand on."""
    ground = ground_of(motion)
    return Floor(ground.normal, -ground.height)


def sampled_bodies(motion: AnyMotion) -> Array:
    """Up to `MAX_SAMPLES` bodies (N, 17, 3) spread evenly over people and frames; at least one.

    Those whose place is far off the others' (1st to 99th percentile and a metre) are left out,
    unless that is everybody: of two who are far apart, neither is the one that is off.
    """
    bodies = evenly(motion, MAX_SAMPLES)
    if len(bodies) == 0:
        return _nobody()
    low, high = np.quantile(bodies[:, 0], [0.01, 0.99], axis=0)
    kept: Array = bodies[((bodies[:, 0] >= low - 1) & (bodies[:, 0] <= high + 1)).all(1)]
    return kept if len(kept) else bodies


def evenly(motion: AnyMotion, most: int, in_pixels: bool = False) -> Array:
    """At most so many bodies (N, 17, 3), spread evenly over people and frames.

    Args:
        motion: whose people they are.
        most: how many.
        in_pixels: where the camera saw them instead (N, 17, 2).
    """
    people = range(motion.people)
    count = sum(len(one) for person in people for one in motion.stretches(person))
    step = max(1, -(-count // most))
    bodies, ahead = [np.zeros((0, 17, 2 if in_pixels else 3))], 0  # frames to leave out next
    for person in people:
        for stretch in motion.stretches(person):
            joints = stretch.joints3d[ahead::step]
            if in_pixels:
                joints = filmed(motion, joints, slice(stretch.start + ahead, stretch.stop, step))
            bodies.append(joints.astype(np.float64))
            ahead = (ahead - len(stretch)) % step
    return np.concatenate(bodies)


def _nobody() -> Array:
    """A stick (1, 17, 3) four metres away that makes a view of an empty room."""
    stick = np.full((1, 17, 3), [0.0, -0.6, 4.0])
    stick[:, _ANKLES, 1] = 1.0
    return stick
