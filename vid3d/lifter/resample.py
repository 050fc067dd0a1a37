"""From the grid of output moments to any other times."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline
from scipy.spatial.transform import Rotation, Slerp

Array = NDArray[np.floating]


def cubic(values: Array, times: Array, at: Array) -> Array:
    """Cubic spline through values (G, ...) at times (G,), read at (F,): (F, ...)."""
    if len(times) < 4:
        return linear(values, times, at)
    spline = make_interp_spline(times, values, 3)  # quicker than `CubicSpline`, the same curve
    return np.asarray(spline(np.clip(at, times[0], times[-1])))


def linear(values: Array, times: Array, at: Array) -> Array:
    """Linear interpolation of values (G, ...) at times (G,), constant beyond the ends."""
    if len(times) == 1:
        return np.repeat(values, len(at), axis=0)
    high = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    share = np.clip((at - times[high - 1]) / (times[high] - times[high - 1]), 0, 1)
    share = share.reshape(-1, *[1] * (values.ndim - 1))
    return values[high - 1] * (1 - share) + values[high] * share


def turned(rotations: Array, times: Array, at: Array) -> Array:
    """Rotations (G, 3, 3) at times (G,), read at (F,): (F, 3, 3), constant beyond the ends."""
    if len(times) == 1:
        return np.repeat(rotations, len(at), axis=0)
    between = Slerp(times, Rotation.from_matrix(rotations))
    return np.asarray(between(np.clip(at, times[0], times[-1])).as_matrix())
