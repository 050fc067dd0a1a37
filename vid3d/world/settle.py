"""A lifted motion, settled: smoothed, on its floor, with feet that stand."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.given import real_number, truth
from vid3d.motion import Motion
from vid3d.motion_schema import ORIGIN, Stretch
from vid3d.world.fit import Footing, assumed, fit
from vid3d.world.footlock import lock_feet
from vid3d.world.ground import Ground
from vid3d.world.measures import LagClock, jitter, ratio, slide
from vid3d.world.smoothing import DEFAULT, calmed
from vid3d.world.stances import ANKLES, stances_of

TRUSTED = 0.1
"""Confidence from which feet are drawn to the floor; below it they only stay where they stand."""
MOVING_CAMERA = 1.2
"""Metres a second of standing feet beyond which it is rather the camera that moves."""


def settle(
    motion: Motion,
    smooth: float = DEFAULT,
    floor: bool = True,
    sized: Collection[int] = (),
) -> Motion:
    """Smooth a motion, find its floor, put people on it, and let standing feet stand.

    `meta` of the result tells what was done, see `Settling.meta`.

    Args:
        motion: as lifted, camera frame; the result is in the same frame.
        smooth: 0..1, see `smoothed`.
        floor: False leaves people where they were lifted.
        sized: track ids of people whose height is known; they are not scaled.

    Raises:
        Vid3dError: smooth is not in 0..1.
    """
    eyes = motion.camera_position
    settling = Settling(
        motion.track_ids.tolist(), motion.timestamps, smooth, floor, sized, eyes=eyes
    )
    people = range(motion.people)
    calm = [[settling.calmed(p, one) for one in motion.stretches(p)] for p in people]
    for person in settling.find_ground():
        for stretch in calm[person]:
            settling.measure(person, stretch)
    arrays = ("joints3d", "spread", "root_spread")
    filled = {name: getattr(motion, name).copy() for name in arrays}
    for person in people:
        for stretch in calm[person]:
            settled = settling.settled(person, stretch)
            for name in arrays:
                filled[name][person, stretch.start : stretch.stop] = getattr(settled, name)
    return replace(motion, **filled, meta={**motion.meta, **settling.meta()})


class Settling:
    """Settles people stretch by stretch, in three rounds, so that no more need be in memory.

    In the first round each stretch is smoothed (`calmed`); then the floor is found from all, and
    in the second it is measured how far feet slide on it (`measure`); in the third each is put on
    the floor (`settled`).

    Args:
        ids: of the people.
        times: (F,) seconds of the clip's frames.
        smooth: 0..1, see `smoothed`.
        floor: whether people are put on a floor.
        sized: those of the ids whose height is known; they are not scaled.
        elsewhere: those of the ids who are in another place than the floor's (another shot of the
            film); they are not put on it.
        eyes: (F, 3) where the camera was at every frame of the clip.
    """

    def __init__(
        self,
        ids: Sequence[int],
        times: NDArray[np.float64],
        smooth: float = DEFAULT,
        floor: bool = True,
        sized: Collection[int] = (),
        elsewhere: Collection[int] = (),
        eyes: NDArray[np.floating] = ORIGIN,
    ) -> None:
        self._eyes = np.broadcast_to(eyes, (len(times), 3))
        self._elsewhere = np.isin(np.array(ids, np.int64), list(elsewhere))
        self._smooth, self._floor = real_number("smooth", smooth), truth("floor", floor)
        self._free = ~np.isin(np.array(ids, np.int64), list(sized))
        self._clock = LagClock(times)
        self._agreement = np.zeros(2 * self._clock.reach + 1)
        # Totals and counts (P, 2), before and after.
        self._jitter = np.zeros((2, len(ids), 2))
        self._slid = np.zeros((2, len(ids), 2))
        self._footings = [Footing() for _ in ids]
        self._factors = np.ones(len(ids))
        self._ground: Ground | None = None
        self._seen = False

    def calmed(self, person: int, stretch: Stretch) -> Stretch:
        """First round: a stretch smoothed, and looked at.

        Raises:
            Vid3dError: smooth is not in 0..1.
        """
        self._seen = True
        calm = calmed(stretch, self._smooth)
        if self._smooth > 0:
            self._jitter[0, person] += jitter(stretch)
            self._jitter[1, person] += jitter(calm)
            self._agreement += self._clock.agreement(stretch, calm)
        if self._floor and not self._elsewhere[person]:
            self._footings[person].add(calm, self._camera(calm))
        return calm

    def find_ground(self) -> range:
        """Find the floor; returns the people to be measured on it: nobody where none is wanted."""
        if not (self._floor and self._seen):
            return range(0)
        self._ground, self._factors = fit(self._footings, self._free)
        return range(len(self._footings))

    def measure(self, person: int, calm: Stretch) -> None:
        """Second round: how far feet slide, which tells whether the camera moves."""
        self._add_slides(0, person, calm, stances_of(calm, self._camera(calm)))

    def _camera(self, stretch: Stretch) -> NDArray[np.floating]:
        """Where the camera was (F, 3) at the frames of a stretch."""
        return self._eyes[stretch.start : stretch.stop]

    @property
    def _moving_camera(self) -> bool:
        return _mean(ratio(*self._slid[0].T)) > MOVING_CAMERA

    def settled(self, person: int, calm: Stretch) -> Stretch:
        """Third round: a stretch put on the floor, its standing feet held still."""
        if self._ground is None or self._moving_camera:
            return calm
        eyes = self._camera(calm)
        stances, placed, ground = stances_of(calm, eyes), calm, None
        if self._ground.confidence >= TRUSTED and not self._elsewhere[person]:
            placed, ground = calm.scaled(self._factors[person], eyes), self._ground
        joints = lock_feet(placed.joints3d, stances, calm.times, ground, eyes)
        locked = replace(placed, joints3d=joints.astype(np.float32))
        self._add_slides(1, person, locked, stances)
        return locked

    def meta(self) -> dict[str, Any]:
        """What was done, for the result's meta data, lengths in metres.

        `smooth` (dial, jitter_before, jitter_after, lag in seconds), and with a floor `ground`
        (normal, height, confidence) and `feet` (slide_before, slide_after in m/s).
        """
        meta: dict[str, Any] = {}
        if self._smooth > 0 and self._seen:
            before, after = (_mean(np.sqrt(ratio(*sums.T))) for sums in self._jitter)
            lag = round(self._clock.lag(self._agreement), 6)
            meta["smooth"] = {
                "dial": self._smooth, "jitter_before": before, "jitter_after": after, "lag": lag
            }  # fmt: skip
        if self._ground is not None and self._moving_camera:
            meta["ground"] = assumed(self._footings).to_meta()
        elif self._ground is not None:
            before, after = (_mean(ratio(*sums.T)) for sums in self._slid)
            meta["ground"] = self._ground.to_meta()
            meta["feet"] = {"slide_before": before, "slide_after": after}
        return meta

    def _add_slides(
        self, when: int, person: int, stretch: Stretch, stances: Sequence[tuple[int, int, int]]
    ) -> None:
        assert self._ground is not None
        for foot, start, stop in stances:
            ankle = stretch.joints3d[start:stop, ANKLES[foot]]
            self._slid[when, person] += slide(ankle, stretch.times[start:stop], self._ground.normal)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is known, for a file; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return round(float(known.mean()), 5) if len(known) else 0.0
