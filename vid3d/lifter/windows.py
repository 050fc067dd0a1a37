"""Overlapping windows over a track's grid of output moments, and their blending."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vid3d.lifter.canonical import JOINT_SETS, Looks

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Windows:
    """Windows of equal length over the moments first, first + 1, ... of the absolute grid.

    Attributes:
        first: index of the first grid moment; moment i is at i * step seconds.
        count: number of moments, G.
        step: seconds between them.
        starts: (W,) first moment of every window, relative to `first`.
        length: moments a window.
        weights: (W, length) blending weights; over all windows they add up to 1 at every moment.
    """

    first: int
    count: int
    step: float
    starts: NDArray[np.int64]
    length: int
    weights: Array

    @property
    def times(self) -> Array:
        """(G,) seconds of the moments."""
        return (self.first + np.arange(self.count)) * self.step

    @property
    def index(self) -> NDArray[np.int64]:
        """(W, length) moments of every window."""
        return self.starts[:, None] + np.arange(self.length)

    def blend(self, values: Tensor) -> Tensor:
        """Blend (W, ..., length, C) values of windows to (..., G, C)."""
        weights = torch.from_numpy(self.weights).to(values)
        shape = (*values.shape[1:-2], self.count, values.shape[-1])
        blended = values.new_zeros(shape)
        for window, start in enumerate(self.starts):
            part = values[window] * weights[window][:, None]
            blended[..., start : start + self.length, :] += part
        return blended

    def cut(self, values: Tensor) -> Tensor:
        """Windows (W, ..., length, C) of values (..., G, C)."""
        return torch.stack([values[..., s : s + self.length, :] for s in self.starts.tolist()])

    def coarser(self, every: int) -> "Windows":
        """The same windows on every `every`-th moment, for windows planned so."""
        return Windows(
            first=self.first // every,
            count=(self.count - 1) // every + 1,
            step=self.step * every,
            starts=self.starts // every,
            length=(self.length - 1) // every + 1,
            weights=self.weights[:, ::every],
        )


def plan_windows(
    begin: float, end: float, step: float, length: int, hop: int, every: int = 1
) -> Windows:
    """Windows that cover the seconds from `begin` to `end` on the absolute grid.

    They start at multiples of `hop` of the absolute grid's moments after the first; the last one is
    moved back to end with the track. Weights fall linearly towards a window's ends. First and last
    moment of the track and of every window are multiples of `every`, which must divide `hop` and
    `length - 1`.
    """
    first = int(np.floor(begin / step + 1e-6)) // every * every
    last = max(int(np.ceil(end / step - 1e-6)), first)
    count = -(-(last - first) // every) * every + 1
    size = min(length, count)
    starts = np.arange(0, count - size + 1, hop)
    if starts[-1] + size < count:
        starts = np.append(starts, count - size)
    ramp = np.minimum(np.arange(size) + 1, size - np.arange(size)).astype(np.float64)
    ramp = np.minimum(ramp, max(1, length - hop))
    total = np.zeros(count)
    for start in starts:
        total[start : start + size] += ramp
    weights = np.stack([ramp / total[start : start + size] for start in starts])
    return Windows(first, count, step, starts.astype(np.int64), size, weights)


def centred_windows(begin: float, end: float, step: float, length: int) -> Windows:
    """A window around every moment, of which the middle counts (Uplift and Upsample, section 3.2).

    Arguments as for `plan_windows`. Moments too near to an end to lie in a middle are answered by
    the first or last window; a shorter track is continued to a whole window.
    """
    first = int(np.floor(begin / step + 1e-6))
    last = max(int(np.ceil(end / step - 1e-6)), first)
    count = max(last - first + 1, length)
    starts = np.arange(count - length + 1)
    middle = length // 2
    weights = np.zeros((len(starts), length))
    weights[:, middle] = 1
    weights[0, :middle] = weights[-1, middle:] = 1
    return Windows(first, count, step, starts, length, weights)


def _blended(begin: float, end: float, step: float, length: int, every: int) -> Windows:
    return plan_windows(begin, end, step, length, length * 2 // 3 // every * every, every)


def _whole(begin: float, end: float, step: float, length: int, every: int) -> Windows:
    return _blended(begin, max(end, begin + (length - 1) * step), step, length, every)


def _centred(begin: float, end: float, step: float, length: int, every: int) -> Windows:
    return centred_windows(begin, end, step, length)


PLANS: dict[str, Callable[[float, float, float, int, int], Windows]] = {
    "blended": _blended,
    "whole": _whole,
    "centred": _centred,
}
"""How to cut seconds from begin to end, on a grid of `step`, into windows of `length` moments for a
head on every `every`-th: overlapping ones; the same, but never shorter; one for each moment."""


def looks_of_windows(
    windows: Windows, rays: Array, confidence: Array, times: Array, joint_set: str
) -> tuple[Looks, Tensor]:
    """The looks that fall into every window, and the windows' moments (W, length) in seconds.

    Seconds are counted from each window's first moment. A window without looks takes the nearest
    one before and after it.
    """
    moments = windows.times[windows.index]
    slack = windows.step / 2
    members = []
    for window in moments:
        inside = np.flatnonzero((times >= window[0] - slack) & (times <= window[-1] + slack))
        if not len(inside):
            after = int(np.searchsorted(times, window[0]))
            inside = np.array([i for i in (after - 1, after) if 0 <= i < len(times)])
        members.append(inside)
    slots = max(len(inside) for inside in members)
    shape = (len(members), slots)
    picked = np.zeros(shape, np.int64)
    valid = np.zeros(shape, bool)
    for row, inside in enumerate(members):
        picked[row, : len(inside)] = inside
        valid[row, : len(inside)] = True
    origin = moments[:, :1]
    looks = Looks(
        rays=torch.from_numpy(rays[picked]).float(),
        confidence=torch.from_numpy(confidence[picked] * valid[..., None]).float(),
        times=torch.from_numpy((times[picked] - origin) * valid).float(),
        valid=torch.from_numpy(valid),
        joint_set=torch.full((len(members),), JOINT_SETS.index(joint_set)),
    )
    return looks, torch.from_numpy(moments - origin).float()
