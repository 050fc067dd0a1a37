"""How much feet slide, how much joints jitter, how late one motion is behind another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.motion_schema import Stretch
from vid3d.world.spline import smooth_series
from vid3d.world.stances import ANKLES, Stance

Array = NDArray[np.floating]

JITTER_ABOVE = 5.0
"""Hz; people hardly move faster than that."""
LONGEST_LAG = 0.3
"""Seconds that a lag is looked for in."""


def foot_slides(motion: Motion, stances: Sequence[Stance], normal: Array) -> NDArray[np.float64]:
    """Mean speed (P,) of each person's standing feet along the floor, m/s; NaN without a stance.

    Args:
        motion: whose feet.
        stances: when they stand (`find_stances`).
        normal: (3,) of the floor.
    """
    slid = np.zeros((motion.people, 2))
    for stance in stances:
        ankle = motion.joints3d[stance.person, stance.frames, ANKLES[stance.foot]]
        slid[stance.person] += slide(ankle, motion.timestamps[stance.frames], normal)
    return ratio(*slid.T)


def slide(ankle: Array, times: Array, normal: Array) -> NDArray[np.float64]:
    """Metres that a standing ankle (F, 3) goes along the floor, and seconds (2,) it takes."""
    step = np.diff(ankle.astype(np.float64), axis=0)
    step -= (step @ normal)[:, None] * normal
    return np.array([np.linalg.norm(step, axis=1).sum(), times[-1] - times[0]])


def ratio(total: Array, count: Array) -> NDArray[np.float64]:
    """Totals by count; NaN where nothing was counted."""
    return np.where(count > 0, total / np.maximum(count, 1e-9), np.nan)


def jitters(motion: Motion) -> NDArray[np.float64]:
    """Root mean square (P,) of what each person's joints do faster than 5 Hz, metres; NaN: absent.

    Relative to the root, one coordinate of one joint.
    """
    squares = np.zeros((motion.people, 2))
    for person in range(motion.people):
        for stretch in motion.stretches(person):
            squares[person] += jitter(stretch)
    return np.sqrt(ratio(*squares.T))


def jitter(stretch: Stretch) -> NDArray[np.float64]:
    """Sum of squares of what joints do faster than 5 Hz, and how many there are (2,)."""
    joints = stretch.joints3d.astype(np.float64)
    free = (joints - joints[:, :1])[:, 1:].reshape(len(joints), -1)
    fast = free - smooth_series(free, np.ones(len(free)), stretch.times, JITTER_ABOVE)
    return np.array([(fast**2).sum(), fast.size])


def lag(before: Motion, after: Motion) -> float:
    """Seconds that `after` comes later than `before`, who is present at the same frames.

    Where their velocities agree best: cross-correlation over whole frames, less half the energy
    (which is the least squared difference), refined by a parabola through its peak. Frames are
    taken to be evenly spaced. 0 where nobody moves.
    """
    clock = LagClock(before.timestamps)
    agreement = np.zeros(2 * clock.reach + 1)
    for person in range(before.people):
        pairs = zip(before.stretches(person), after.stretches(person), strict=True)
        for first, second in pairs:
            agreement += clock.agreement(first, second)
    return clock.lag(agreement)


class LagClock:
    """What lags are counted in, for a clip with frames at some times (F,).

    Attributes:
        seconds: from one frame to the next.
        reach: frames of the longest lag.
    """

    def __init__(self, times: Array) -> None:
        self.seconds = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
        self.reach = max(1, min(round(LONGEST_LAG / self.seconds), len(times) // 4))

    def agreement(self, before: Stretch, after: Stretch) -> NDArray[np.float64]:
        """How well (2 reach + 1,) they agree, the second `-reach`..`reach` frames later.

        The middle of the first is compared, so that every shift has the same number of frames.
        """
        reach = self.reach
        if len(before) <= 2 * reach + 2:
            return np.zeros(2 * reach + 1)
        first, second = (
            np.diff(one.joints3d.reshape(len(one), -1), axis=0) for one in (before, after)
        )
        inner = first[reach:-reach].astype(np.float64)
        windows = [second[shift : shift + len(inner)] for shift in range(2 * reach + 1)]
        return np.array([(inner * late - 0.5 * late**2).sum() for late in windows])

    def lag(self, agreement: Array) -> float:
        """Seconds at which the agreement is best."""
        peak = int(agreement.argmax())
        if not agreement.any() or peak in (0, 2 * self.reach):
            return (peak - self.reach) * self.seconds if agreement.any() else 0.0
        low, top, high = agreement[peak - 1 : peak + 2]
        bend = low - 2 * top + high
        offset = 0.5 * (low - high) / bend if bend < 0 else 0.0
        return float((peak - self.reach + offset) * self.seconds)
