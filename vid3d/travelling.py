"""A camera that travels, taken out of what was lifted: people where they are.

Lifted people lie in the frame of a camera that does not turn (`steadying`) and sits in the origin,
though it was elsewhere at each moment. `video.mapping` tells where it was, but not in metres. That
people's feet stand still, at least one at a time, tells the scale; then everybody is put into the
frame of the camera as it stood at the first look.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from vid3d.lifter.resample import cubic, turned
from vid3d.motion_schema import Stretch
from vid3d.video.mapping import Placed
from vid3d.world.balance import unit
from vid3d.world.stances import ANKLES

Array = NDArray[np.floating]

APART = 0.3
"""Seconds between the two moments at which an ankle is compared."""
SLOW = 0.1
"""Metres a second at which a foot counts half as standing."""
DEPTH = 10.0
"""How much less the lifter knows of a speed along the line of sight than across it."""
STILL = 0.1
"""Share of the whole way's extent that is to be travelled while somebody is seen."""
SMALLEST, LARGEST, TRIALS = 1e-3, 30.0, 400
"""Metres of the camera's mean speed a second, between which scales are tried, and how many."""


@dataclass(frozen=True)
class Way:
    """The way of a camera over the frames of a clip.

    Attributes:
        turn: (F, 3, 3) takes directions of the steady camera's frame to that of the results.
        position: (F, 3) of the camera in the frame of the results.
    """

    turn: Array
    position: Array

    @classmethod
    def of(cls, placed: Placed, turns: Sequence[Array], looked: Array, times: Array) -> "Way":
        """The way through the places that were found, in their unit.

        It begins in the origin, and what the steady camera sees then keeps its direction.

        Args:
            placed: of looks, by their number.
            turns: (3, 3) of every look, from the camera's frame to the steady one.
            looked: (K,) seconds of the looks.
            times: (F,) seconds of the frames; beyond the places the camera is held to rest.
        """
        known = placed.indices
        steady = np.stack([turns[look] for look in known.tolist()])
        turn = placed.rotation.swapaxes(1, 2) @ steady.swapaxes(1, 2)
        level = turn[0].T
        moments = np.asarray(looked)[known]
        between = turned(level @ turn, moments, times)
        places = (placed.position - placed.position[0]) @ level.T
        return cls(between, cubic(places, moments, np.clip(times, moments[0], moments[-1])))

    def scaled(self, factor: float) -> "Way":
        """In another unit."""
        return Way(self.turn, factor * self.position)

    def along(self, stretch: Stretch) -> Stretch:
        """A stretch of the steady camera's frame, in the frame of the results."""
        frames = slice(stretch.start, stretch.stop)
        joints = stretch.joints3d @ self.turn[frames].swapaxes(1, 2) + self.position[frames, None]
        return replace(stretch, joints3d=joints.astype(np.float32))

    def rotation(self, steady: Array) -> NDArray[np.float32]:
        """The camera's rotation (F, 3, 3) from the frame of the results, given that of a steady one
        (F, 3, 3), from its frame to the camera's.
        """
        return np.asarray(steady @ self.turn.swapaxes(1, 2), np.float32)


def pace(way: Way, stretches: Iterable[Stretch]) -> float:
    """The factor that makes metres of a way's unit: with it, feet that stand do so.

    Of each person's ankles the slower one counts at each moment, and the slower it is the more
    (Geman and McClure 1987), so that a jump or a slide does not matter.

    Args:
        way: in its own unit.
        stretches: of anybody, in the steady camera's frame; one at least of `APART` seconds.

    Returns:
        The factor; 0 where nobody is seen for long enough while the camera travels.
    """
    parts: list[Array] = [np.zeros((0, 2, 2, 3))]
    seen = 0.0
    for stretch in stretches:
        parts.append(_moved(way, stretch))
        seen = max(seen, _extent(way.position[stretch.start : stretch.stop]))
    moved = np.concatenate(parts)
    if not len(moved) or seen < max(STILL * _extent(way.position), 1e-9):
        return 0.0
    speed = float(np.sqrt((moved[:, 0, 1] ** 2).sum(-1).mean()))

    def cost(logarithm: float) -> float:
        velocity = moved[:, :, 0] + np.exp(logarithm) * moved[:, :, 1]
        squares = (velocity**2).sum(-1).min(-1) / SLOW**2
        return float((squares / (1 + squares)).mean())

    tried = np.linspace(np.log(SMALLEST / speed), np.log(LARGEST / speed), TRIALS)
    best = tried[int(np.argmin([cost(one) for one in tried]))]
    step = tried[1] - tried[0]
    found = minimize_scalar(cost, bounds=(best - step, best + step), method="bounded")
    return float(np.exp(found.x))


def _extent(places: Array) -> float:
    """How far places (F, 3) lie apart."""
    return float(np.linalg.norm(np.ptp(places, axis=0)))


def _moved(way: Way, stretch: Stretch) -> Array:
    """Velocities (N, 2, 2, 3): of both ankles, as seen from the camera, and of the camera itself.

    In directions of the results' frame; along the line of sight they are `DEPTH` times too small.
    """
    times = stretch.times
    later = np.searchsorted(times, times + APART)
    early = np.flatnonzero(later < len(times))
    later = later[early]
    turn, position = (
        way.turn[stretch.start : stretch.stop],
        way.position[stretch.start : stretch.stop],
    )
    ankles = stretch.joints3d[:, ANKLES] @ turn.swapaxes(1, 2)
    own, camera = ankles[later] - ankles[early], position[later] - position[early]
    seconds = (times[later] - times[early])[:, None, None, None]
    moves = np.stack([own, np.broadcast_to(camera[:, None], own.shape)], 2) / seconds
    sight = unit(ankles[early] + ankles[later])[:, :, None]
    return moves - (1 - 1 / DEPTH) * (moves * sight).sum(-1, keepdims=True) * sight
