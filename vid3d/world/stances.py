"""When a foot stands: stretches of time, from the lifter's contacts and from what feet do."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from vid3d.motion import Motion
from vid3d.motion_schema import ORIGIN, Stretch, runs
from vid3d.skeleton import H36M17

ANKLES = H36M17.indices(["left_ankle", "right_ankle"])
"""In the order of `Motion.contacts`."""

STANDING, LOGIT, SPEED = 1.8, 1.5, -4.0
"""Logistic regression of a standing foot on the logit of the lifter's contact and on the foot's
speed across the line of sight, m/s. On scenes of the dev actors F1 0.947, of the contact alone
0.94, of the speed alone 0.93 (benchmarks/world/stances.py). They were fitted to contacts that told
less; fitted anew to these scenes (2.0, 1.8, -7.0) they have 0.952."""
ENTER, LEAVE = 0.6, 0.45
"""Probabilities at which a stance may begin, and below which it ends."""
SHORTEST = 0.08 - 1e-6
"""Seconds; a shorter touch is not a stance. Less a slack for how times are rounded: three frames at
25/s are a stance wherever they lie."""


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
    """Every stance of every person, in the order of people, presence, feet and time."""
    return [
        Stance(person, foot, stretch.start + start, stretch.start + stop)
        for person in range(motion.people)
        for stretch in motion.stretches(person)
        for foot, start, stop in stances_of(
            stretch, motion.camera_position[stretch.start : stretch.stop]
        )
    ]


def stances_of(stretch: Stretch, eyes: NDArray[np.floating] = ORIGIN) -> list[tuple[int, int, int]]:
    """Foot, first frame and frame after the last of every stance, counted from the stretch's.

    Args:
        stretch: of one person.
        eyes: (F, 3) where the camera was.
    """
    ankles = stretch.joints3d[:, ANKLES]
    probability = foot_stands(stretch.contacts, ankles, stretch.times, eyes)
    return [
        (foot, start, stop)
        for foot in (0, 1)
        for start, stop in standing(probability[:, foot], stretch.times)
    ]


def foot_stands(
    contacts: ArrayLike,
    ankles: ArrayLike,
    times: ArrayLike,
    eyes: NDArray[np.floating] = ORIGIN,
) -> NDArray[np.float64]:
    """Probability (F, 2) that a foot stands.

    Args:
        contacts: (F, 2) what the lifter says; NaN is no contact.
        ankles: (F, 2, 3) metres, camera frame.
        times: (F,) seconds.
        eyes: (F, 3) where the camera was.
    """
    if len(np.asarray(ankles)) < 2:
        return np.asarray(_claimed(contacts))
    logits, speeds = evidence_of(contacts, ankles, times, eyes)
    return np.asarray(expit(STANDING + LOGIT * logits + SPEED * speeds), np.float64)


def evidence_of(
    contacts: ArrayLike,
    ankles: ArrayLike,
    times: ArrayLike,
    eyes: NDArray[np.floating] = ORIGIN,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits (F, 2) of contacts, and speeds (F, 2) across the line of sight, m/s.

    Arguments as for `foot_stands`, of two frames at least.
    """
    places = np.asarray(ankles, np.float64)
    velocity = np.gradient(places, np.asarray(times, np.float64), axis=0)
    sight = places - eyes[:, None]
    ray = sight / np.linalg.norm(sight, axis=-1, keepdims=True)
    across = velocity - (velocity * ray).sum(-1, keepdims=True) * ray
    return logit(_claimed(contacts)), np.linalg.norm(across, axis=-1)


def _claimed(contacts: ArrayLike) -> NDArray[np.float64]:
    """Contacts (F, 2) as chances that are never certain; NaN is no contact."""
    return np.clip(np.nan_to_num(np.asarray(contacts, np.float64)), 1e-3, 1 - 1e-3)


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
