"""A lifted motion, settled: smoothed, on its floor, with feet that stand."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.given import real_number, truth
from vid3d.motion import Motion
from vid3d.motion_schema import ORIGIN, Stretch, first_after_cuts
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
FAR_AWAY = 0.02
"""The same as a share of the distance: so far away that this is more, depths are that unsteady."""


def settle(
    motion: Motion,
    smooth: float = DEFAULT,
    floor: bool = True,
    sized: Collection[int] = (),
) -> Motion:
    """Smooth a motion, find its floor, put people on it, and let standing feet stand.

    `meta` of the result tells what was done, see `Settling.meta`.

    Args:
        motion: as lifted, camera frame; the result is in the same frame, but for a film with cuts
            whose shots are each in that of their own camera: they are laid onto one floor.
        smooth: 0..1, see `smoothed`.
        floor: False leaves people where they were lifted.
        sized: track ids of people whose height is known; they are not scaled.

    Raises:
        Vid3dError: smooth is not in 0..1.
    """
    people, eyes = range(motion.people), motion.camera_position
    cuts = [] if "ground" in motion.meta else first_after_cuts(motion)  # else on one floor by now
    begins = [next((one.start for one in motion.stretches(p)), 0) for p in people]
    shots = np.searchsorted(cuts, begins, side="right").tolist()
    settling = Settling(
        motion.track_ids.tolist(), motion.timestamps, smooth, floor, sized, shots, eyes
    )
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
    shown = np.searchsorted(cuts, np.arange(motion.frames), side="right")
    turns, places = settling.cameras(shown)
    return replace(
        motion,
        **filled,
        camera_rotation=(motion.camera_rotation @ turns.swapaxes(1, 2)).astype(np.float32),
        camera_position=(np.einsum("fij,fj->fi", turns, eyes) + places).astype(np.float32),
        meta={**motion.meta, **settling.meta()},
    )


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
        shots: in which part between cuts each of the ids is; none is in two. Each part has a camera
            and a floor of its own, and all are put on the floor of that in which most is seen, of
            those whose floor is known.
        eyes: (F, 3) where the camera was at every frame of the clip.
    """

    def __init__(
        self,
        ids: Sequence[int],
        times: NDArray[np.float64],
        smooth: float = DEFAULT,
        floor: bool = True,
        sized: Collection[int] = (),
        shots: Sequence[int] | None = None,
        eyes: NDArray[np.floating] = ORIGIN,
    ) -> None:
        self._eyes = np.broadcast_to(eyes, (len(times), 3))
        self._shots = np.zeros(len(ids), np.int64) if shots is None else np.array(shots, np.int64)
        self._smooth, self._floor = real_number("smooth", smooth), truth("floor", floor)
        self._free = ~np.isin(np.array(ids, np.int64), list(sized))
        self._clock = LagClock(times)
        self._agreement = np.zeros(2 * self._clock.reach + 1)
        # Totals and counts (P, 2), before and after.
        self._jitter = np.zeros((2, len(ids), 2))
        self._slid = np.zeros((2, len(ids), 2))
        self._footings = [Footing() for _ in ids]
        self._factors = np.ones(len(ids))
        self._frames = Counter[int]()  # of people, in each shot
        self._grounds: dict[int, Ground] = {}
        self._moving: dict[int, bool] = {}

    def calmed(self, person: int, stretch: Stretch) -> Stretch:
        """First round: a stretch smoothed, and looked at.

        Raises:
            Vid3dError: smooth is not in 0..1.
        """
        self._frames[int(self._shots[person])] += len(stretch)
        calm = calmed(stretch, self._smooth)
        if self._smooth > 0:
            self._jitter[0, person] += jitter(stretch)
            self._jitter[1, person] += jitter(calm)
            self._agreement += self._clock.agreement(stretch, calm)
        if self._floor:
            self._footings[person].add(calm, self._camera(calm))
        return calm

    def find_ground(self) -> range:
        """Find the floors; returns who is to be measured on them: nobody where none is wanted."""
        if not (self._floor and self._frames):
            return range(0)
        for shot in self._frames:
            here = self._in(shot)
            footings = [self._footings[person] for person in here]
            self._grounds[shot], self._factors[here] = fit(footings, self._free[here])
        return range(len(self._footings))

    def measure(self, person: int, calm: Stretch) -> None:
        """Second round: how far feet slide, which tells whether the camera moves."""
        self._add_slides(0, person, calm, stances_of(calm, self._camera(calm)))

    def _camera(self, stretch: Stretch) -> NDArray[np.floating]:
        """Where the camera was (F, 3) at the frames of a stretch."""
        return self._eyes[stretch.start : stretch.stop]

    def _in(self, shot: int) -> NDArray[np.int64]:
        """The people of a shot."""
        return np.flatnonzero(self._shots == shot)

    def _distance(self, people: NDArray[np.int64]) -> float:
        """Median metres from the camera to where the people stand; 0 where nobody does."""
        places = [place for person in people for place in self._footings[person].places]
        return float(np.median([float(np.linalg.norm(foot - eye)) for foot, eye in places] or 0.0))

    def _floor_of(self, shot: int) -> Ground:
        """A shot's floor; where its camera moves, which is told from everybody, the assumed one."""
        if shot not in self._moving:
            here = self._in(shot)
            fastest = max(MOVING_CAMERA, FAR_AWAY * self._distance(here))
            self._moving[shot] = _mean(ratio(*self._slid[0, here].T)) > fastest
            if self._moving[shot]:
                self._grounds[shot] = assumed([self._footings[person] for person in here])
        return self._grounds[shot]

    @cached_property
    def _main(self) -> int:
        """The shot in which most is seen, of those whose floor is known; for after `measure`."""

        def known(shot: int) -> tuple[bool, int]:
            return self._floor_of(shot).confidence >= TRUSTED, self._frames[shot]

        return max(self._frames, key=known)

    def settled(self, person: int, calm: Stretch) -> Stretch:
        """Third round: a stretch put on the floor, its standing feet held still."""
        shot = int(self._shots[person])
        if shot not in self._grounds:
            return calm
        found, settled = self._floor_of(shot), calm
        if not self._moving[shot]:
            eyes = self._camera(calm)
            stances, placed, ground = stances_of(calm, eyes), calm, None
            if found.confidence >= TRUSTED:
                placed, ground = calm.scaled(self._factors[person], eyes), found
            joints = lock_feet(placed.joints3d, stances, calm.times, ground, eyes)
            settled = replace(placed, joints3d=joints.astype(np.float32))
            self._add_slides(1, person, settled, stances)
        if shot == self._main:
            return settled
        turn, shift = self._onto_main(shot)
        return replace(settled, joints3d=(settled.joints3d @ turn.T + shift).astype(np.float32))

    def _onto_main(self, shot: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotation (3, 3) and shift (3,) from a shot's frame to that of the main one.

        Floor comes onto floor, the camera above the same place, looking the same way but for how
        steeply.
        """
        (own, up), (main, level) = (self._floor_of(one).to_world() for one in (shot, self._main))
        return main.T @ own, main.T @ (up - level)

    def cameras(self, shots: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Turns (F, 3, 3) and places (F, 3) of the cameras of shots (F,) in the results' frame.

        For when all are settled. A shot that nobody is seen in has the main one's camera.
        """
        turns, places = np.tile(np.eye(3), (len(shots), 1, 1)), np.zeros((len(shots), 3))
        for shot in self._grounds:
            if shot != self._main:
                turns[shots == shot], places[shots == shot] = self._onto_main(shot)
        return turns, places

    def meta(self) -> dict[str, Any]:
        """What was done, for the result's meta data, lengths in metres.

        `smooth` (dial, jitter_before, jitter_after, lag in seconds), and with a floor `ground`
        (normal, height, confidence) and, where somebody stood, `feet` (slide_before, slide_after in
        m/s).
        """
        meta: dict[str, Any] = {}
        if self._smooth > 0 and self._frames:
            before, after = (_mean(np.sqrt(ratio(*sums.T))) for sums in self._jitter)
            lag = round(self._clock.lag(self._agreement), 6)
            meta["smooth"] = {
                "dial": self._smooth, "jitter_before": before, "jitter_after": after, "lag": lag
            }  # fmt: skip
        if self._grounds:
            meta["ground"] = self._floor_of(self._main).to_meta()
            stay = [p for p, shot in enumerate(self._shots.tolist()) if not self._moving.get(shot)]
            if not self._moving[self._main] and self._slid[0, stay].any():
                before, after = (_mean(ratio(*sums[stay].T)) for sums in self._slid)
                meta["feet"] = {"slide_before": before, "slide_after": after}
        return meta

    def _add_slides(
        self, when: int, person: int, stretch: Stretch, stances: Sequence[tuple[int, int, int]]
    ) -> None:
        normal = self._grounds[int(self._shots[person])].normal
        for foot, start, stop in stances:
            ankle = stretch.joints3d[start:stop, ANKLES[foot]]
            self._slid[when, person] += slide(ankle, stretch.times[start:stop], normal)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is known, for a file; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return round(float(known.mean()), 5) if len(known) else 0.0
