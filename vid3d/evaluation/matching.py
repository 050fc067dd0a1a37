"""Matching a result's people with the true ones by where they are in the image."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Array = NDArray[np.floating]


def match_people(
    truth: Array, visible: NDArray[np.bool_], found: Array, gate: float = 0.5
) -> NDArray[np.int64]:
    """Which result person is which true person, at every frame.

    A pair is possible where the joints lie, on average, within the gate; joints that the camera
    does not see (NaN) are left out, up to half of them. A pair once made holds while it is
    possible, and the others are assigned at least total distance. A person who is lost
    keeps the claim on the last partner until somebody else takes it.

    Args:
        truth: (T, F, J, 2) pixels, NaN where not seen.
        visible: (T, F) frames in which a true person counts.
        found: (P, F, J, 2) pixels, NaN where absent.
        gate: share of the true person's size, the root of the area that the joints span.

    Returns:
        (T, F) index into `found`, -1 for none.
    """
    known = np.isfinite(truth)
    span = np.where(known, truth, -np.inf).max(-2) - np.where(known, truth, np.inf).min(-2)
    size = np.sqrt(np.maximum(span.prod(-1), 1.0))
    gaps = np.empty((len(truth), len(found), truth.shape[1]))
    for index, one in enumerate(found):  # all joints of all pairs at once would fill the memory
        gaps[:, index] = _mean_gap(truth - one)
    allowed = (gaps <= gate * size[:, None]) & visible[:, None]
    matched = np.full(visible.shape, -1, np.int64)
    current = np.full(len(truth), -1, np.int64)
    for frame in range(visible.shape[1]):
        cost = np.where(allowed[:, :, frame], gaps[:, :, frame], np.inf)
        now = _match_frame(cost, current)
        matched[:, frame] = now
        current[np.isin(current, now[now >= 0])] = -1
        current = np.where(now >= 0, now, current)
    return matched


def _mean_gap(apart: Array) -> Array:
    """Mean length (...) of offsets (..., J, 2), of those that are known; NaN for less than half."""
    gaps = np.linalg.norm(apart, axis=-1)
    known = np.isfinite(gaps)
    counted = np.where(2 * known.sum(-1) >= gaps.shape[-1], known.sum(-1), np.nan)
    return np.asarray(np.where(known, gaps, 0).sum(-1) / counted)


def _match_frame(cost: Array, current: NDArray[np.int64]) -> NDArray[np.int64]:
    """Column of each row or -1, for one frame; current pairs hold while they are finite."""
    now = np.full(len(cost), -1, np.int64)
    for person in np.flatnonzero(current >= 0):
        partner = current[person]
        if np.isfinite(cost[person, partner]):
            now[person] = partner
    rows = np.flatnonzero(now < 0)
    columns = np.setdiff1d(np.arange(cost.shape[1]), now)
    free = cost[np.ix_(rows, columns)]
    for i, j in zip(*linear_sum_assignment(np.where(np.isfinite(free), free, 1e9)), strict=True):
        if np.isfinite(free[i, j]):
            now[rows[i]] = columns[j]
    return now
