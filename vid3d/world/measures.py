"""How much feet slide, how much joints jitter, how late one motion is behind another."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.world.spline import smooth_series
from vid3d.world.stances import ANKLES, Stance, runs

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
    path, seconds = np.zeros(motion.people), np.zeros(motion.people)
    for stance in stances:
        ankle = motion.joints3d[stance.person, stance.frames, ANKLES[stance.foot]]
        step = np.diff(ankle.astype(np.float64), axis=0)
        step -= (step @ normal)[:, None] * normal
        path[stance.person] += np.linalg.norm(step, axis=1).sum()
        seconds[stance.person] += np.diff(motion.timestamps[[stance.start, stance.stop - 1]])[0]
    return np.where(seconds > 0, path / np.maximum(seconds, 1e-9), np.nan)


def jitters(motion: Motion) -> NDArray[np.float64]:
    """Root mean square (P,) of what each person's joints do faster than 5 Hz, metres; NaN: absent.

    Relative to the root, one coordinate of one joint.
    """
    squares: list[list[Array]] = [[] for _ in range(motion.people)]
    for person in range(motion.people):
        for start, stop in runs(motion.present[person]):
            joints = motion.joints3d[person, start:stop].astype(np.float64)
            free = (joints - joints[:, :1])[:, 1:].reshape(len(joints), -1)
            times = motion.timestamps[start:stop]
            slow = smooth_series(free, np.ones(len(free)), times, JITTER_ABOVE)
            squares[person].append((free - slow) ** 2)
    return np.array([np.sqrt(np.concatenate(s).mean()) if s else np.nan for s in squares])


def lag(before: Motion, after: Motion) -> float:
    """Seconds that `after` comes later than `before`: where their velocities agree best.

    Cross-correlation over whole frames, less half the energy (which is the least squared
    difference), refined by a parabola through its peak. Frames are taken to be evenly spaced. 0
    where nobody moves.
    """
    both = before.present & after.present
    seconds = float(np.median(np.diff(before.timestamps))) if before.frames > 1 else 1.0
    reach = max(1, min(round(LONGEST_LAG / seconds), before.frames // 4))
    correlation = np.zeros(2 * reach + 1)
    for person in range(before.people):
        for start, stop in runs(both[person]):
            if stop - start > 2 * reach + 2:
                first, second = (
                    np.diff(m.joints3d[person, start:stop].reshape(stop - start, -1), axis=0)
                    for m in (before, after)
                )
                correlation += _correlate(first, second, reach)
    peak = int(correlation.argmax())
    if not correlation.any() or peak in (0, 2 * reach):
        return (peak - reach) * seconds if correlation.any() else 0.0
    low, top, high = correlation[peak - 1 : peak + 2]
    bend = low - 2 * top + high
    offset = 0.5 * (low - high) / bend if bend < 0 else 0.0
    return float((peak - reach + offset) * seconds)


def _correlate(before: Array, after: Array, reach: int) -> NDArray[np.float64]:
    """Agreement (2 reach + 1,) of two series (F, C), the second `-reach`..`reach` frames later.

    The middle of the first is compared, so that every shift has the same number of frames.
    """
    inner = before[reach:-reach].astype(np.float64)
    windows = [after[shift : shift + len(inner)] for shift in range(2 * reach + 1)]
    return np.array([(inner * late - 0.5 * late**2).sum() for late in windows])
