"""When a foot stands: stretches of time out of contact probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.motion import Motion
from vid3d.skeleton import H36M17

ANKLES = H36M17.indices(["left_ankle", "right_ankle"])
"""In the order of `Motion.contacts`."""

ENTER, LEAVE = 0.6, 0.4
"""Probabilities at which a stance may begin, and below which it ends."""
SHORTEST = 0.08
"""Seconds; a shorter touch is not a stance."""


@dataclass(frozen=True)
class Stance:
    """One foot of one person on the ground.

    Attributes:
        person: index into the motion's people.
        foot: 0 left, 1 right.
        start: first frame.
        stop: the frame after the last.
    """

    person: int
    foot: int
    start: int
    stop: int

    @property
    def frames(self) -> slice:
        """Frames of the stance."""
        return slice(self.start, self.stop)


def find_stances(motion: Motion) -> list[Stance]:
    """Every stance of every person, in the order of people, feet and time."""
    return [
        Stance(person, foot, start, stop)
        for person in range(motion.people)
        for foot in (0, 1)
        for start, stop in standing(
            np.where(motion.present[person], motion.contacts[person, :, foot], np.nan),
            motion.timestamps,
        )
    ]


def standing(probability: ArrayLike, times: NDArray[np.floating]) -> list[tuple[int, int]]:
    """(start, stop) of the stretches in which a foot stands.

    A stretch begins and goes on while the probability is at least `LEAVE`, must reach `ENTER`
    somewhere (hysteresis), and must last `SHORTEST`.

    Args:
        probability: (F,) of contact; NaN is no contact.
        times: (F,) seconds.
    """
    values = np.nan_to_num(np.asarray(probability, np.float64))
    stretches = []
    for start, stop in runs(values >= LEAVE):
        lasts = times[stop - 1] - times[start] >= SHORTEST
        if lasts and values[start:stop].max() >= ENTER:
            stretches.append((start, stop))
    return stretches


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, stop) of every unbroken run of True in (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
