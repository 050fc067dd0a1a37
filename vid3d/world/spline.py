"""Penalised least squares over time: the one smoother that everything in this folder uses."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

Array = NDArray[np.floating]

ORDER = 3
"""Derivative that is penalised: constant acceleration passes unchanged."""


def smooth_series(
    values: Array, weights: Array, times: Array, cutoff: float, order: int = ORDER
) -> NDArray[np.float64]:
    """The series x that minimises sum w (x - v)^2 dt + (2 pi cutoff)^(-2 order) sum (D x)^2 dt.

    A discrete smoothing spline (Whittaker 1923; Eilers 2003, with divided differences for uneven
    times). On even times with weight 1 it is a filter of gain 1 / (1 + (f / cutoff)^(2 order)): the
    squared Butterworth, without phase. Less weight lowers the cutoff, no weight interpolates.

    Args:
        values: (F, ...); not looked at where the weight is 0.
        weights: (F,) not negative, shared by all columns.
        times: (F,) seconds, rising.
        cutoff: Hz, where a weight of 1 halves the amplitude.
        order: of the derivative D.

    Returns:
        (F, ...); the values themselves where there are not more than `order`.
    """
    values = np.asarray(values, np.float64)
    if len(times) <= order or not (weights > 0).sum() > order:
        return np.array(values, np.float64)
    seconds = np.gradient(times)
    scale = seconds.mean()  # times in frames, so that the system is well conditioned
    bands = _penalty(times / scale, order) * (2 * np.pi * cutoff * scale) ** (-2 * order)
    mass = weights * seconds / scale
    bands[0] += mass
    kept = np.where((weights > 0).reshape(-1, *[1] * (values.ndim - 1)), values, 0.0)
    right = mass[:, None] * kept.reshape(len(times), -1)
    solved = solveh_banded(bands, right, lower=True, check_finite=False)
    return np.asarray(solved.reshape(values.shape), np.float64)


def _penalty(times: Array, order: int) -> NDArray[np.float64]:
    """Lower bands (order + 1, F) of D'D for the derivative D by divided differences."""
    rows = np.ones((len(times), 1))
    for level in range(1, order + 1):
        span = (times[level:] - times[:-level]) / level
        wider = np.zeros((len(span), level + 1))
        wider[:, 1:] += rows[1:] / span[:, None]
        wider[:, :-1] -= rows[:-1] / span[:, None]
        rows = wider
    rows = rows * np.sqrt((times[order:] - times[:-order]) / order)[:, None]
    bands = np.zeros((order + 1, len(times)))
    for i in range(order + 1):
        for j in range(i + 1):
            bands[i - j, j : j + len(rows)] += rows[:, i] * rows[:, j]
    return bands
