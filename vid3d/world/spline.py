"""Penalised least squares over time: the one smoother that everything in this folder uses."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

Array = NDArray[np.floating]

ORDER = 3
"""Derivative that is penalised: constant acceleration passes unchanged."""
CLOSEST = 0.02
"""Share of the mean gap between frames; nearer ones count as so far apart: some files hold frames
a few microseconds apart, by which derivatives cannot be taken."""
LEAST_WEIGHT = 1e-10
"""What no weight counts as, a share of the largest."""
SLACK = 1e-14
"""Share of itself that is added to every equation, so that double precision can tell them apart."""


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
    gaps = np.diff(times) / scale
    derivative = _derivative(np.cumsum([0, *np.maximum(gaps, CLOSEST)]), order)
    mass = weights * seconds / scale
    give = 1 / np.maximum(mass, LEAST_WEIGHT * mass.max())
    # What is taken away is D'u by the weights (Reinsch 1967). It is millimetres: digits that the
    # solution loses matter less than they would of x itself, which is metres.
    bands = _gram(derivative, give)
    bands[0] += (2 * np.pi * cutoff * scale) ** (2 * order) + SLACK * bands[0]
    kept = _filled(values.reshape(len(times), -1), weights > 0, times)
    count = len(derivative)
    columns = [slice(i, i + count) for i in range(order + 1)]
    bent = sum(derivative[:, i, None] * kept[part] for i, part in enumerate(columns))
    force = solveh_banded(bands, bent, lower=True, check_finite=False)
    taken = np.zeros_like(kept)
    for i, part in enumerate(columns):
        taken[part] += derivative[:, i, None] * force
    return np.asarray((kept - give[:, None] * taken).reshape(values.shape), np.float64)


def _filled(values: Array, known: NDArray[np.bool_], times: Array) -> NDArray[np.float64]:
    """Values (F, C), between the known ones (F,) linearly interpolated."""
    if known.all():
        return np.asarray(values, np.float64)
    columns = [np.interp(times, times[known], column[known]) for column in values.T]
    return np.stack(columns, -1)


def _derivative(times: Array, order: int) -> NDArray[np.float64]:
    """Rows (F - order, order + 1) of D by divided differences: row i is about frames i onwards."""
    rows = np.ones((len(times), 1))
    for level in range(1, order + 1):
        span = (times[level:] - times[:-level]) / level
        wider = np.zeros((len(span), level + 1))
        wider[:, 1:] += rows[1:] / span[:, None]
        wider[:, :-1] -= rows[:-1] / span[:, None]
        rows = wider
    return rows * np.sqrt((times[order:] - times[:-order]) / order)[:, None]


def _gram(rows: Array, give: Array) -> NDArray[np.float64]:
    """Lower bands (order + 1, F - order) of D diag(give) D' of rows as `_derivative` has them.

    Of a matrix smaller than that, as many bands as it has.
    """
    count, width = rows.shape
    bands = np.zeros((min(width, count), count))
    for apart in range(len(bands)):
        last = count - apart
        for i in range(width - apart):
            shared = give[apart + i : apart + i + last]
            bands[apart, :last] += rows[:last, apart + i] * rows[apart:, i] * shared
    return bands
