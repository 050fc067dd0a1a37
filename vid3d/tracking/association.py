"""Who is who: the cost of every pairing of a person with a sighting, and the best set of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vid3d.pose2d.people import centres
from vid3d.tracking.person import Prediction, Sightings
from vid3d.tracking.similarity import MIN_SHARED, generalised_iou, oks

Array = NDArray[np.floating]

# Weights of pose and box beside the motion model's own negative log likelihood.
_POSE, _BOX = 3.0, 1.0
# Spread of position, in sizes, at which its normalising term is nought.
_REFERENCE = 0.1


@dataclass(frozen=True)
class Costs:
    """Costs of pairing T predicted people with N sightings.

    Attributes:
        total: (T, N) dimensionless, lower is likelier.
        shift: (T, N, 2) pixels from the prediction to the sighting, as one rigid displacement.
    """

    total: Array
    shift: Array


def pairing_costs(predictions: Sequence[Prediction], seen: Sightings) -> Costs:
    """Cost of every pairing: motion (position, size), pose and box.

    The displacement common to all joints belongs to the motion model, which knows how sure it is;
    what remains is the pose, compared by object keypoint similarity with tolerances that grow with
    the time since each joint was seen. So two people who cross are told apart by how they hold
    themselves when place cannot, and a person who changed posture is still found by place.
    """
    points = np.stack([p.keypoints for p in predictions])
    tolerance = np.stack([p.tolerance for p in predictions])[:, None]
    variance = np.stack([p.variance for p in predictions])[:, None] + seen.noise[None]
    boxes = np.stack([p.box for p in predictions])
    log_sizes = np.array([p.log_size for p in predictions])[:, None]
    known = np.stack([p.weights for p in predictions])[:, None]

    weights = np.sqrt(known * seen.weights[None])
    size = np.exp((log_sizes + seen.log_sizes[None]) / 2)
    offsets = (seen.keypoints[None] - points[:, None]) / size[..., None, None]
    posed = (weights > 0).sum(-1) >= MIN_SHARED
    shift = np.where(
        posed[..., None],
        _common_shift(offsets, weights, tolerance),
        (centres(seen.boxes)[None] - centres(boxes)[:, None]) / size[..., None],
    )
    likeness = oks(offsets - shift[..., None, :], weights, tolerance)
    likeness = np.where(posed, likeness, 0.5)

    place = (shift**2).sum(-1) / (2 * variance[..., 0]) + np.log(variance[..., 0] / _REFERENCE**2)
    growth = (seen.log_sizes[None] - log_sizes) ** 2 / (2 * variance[..., 1])
    overlap = (1 - generalised_iou(boxes, seen.boxes)) / 2
    total = place + growth - _POSE * np.log(np.maximum(likeness, 1e-4)) + _BOX * overlap
    return Costs(total, shift * size[..., None])


def _common_shift(offsets: Array, weights: Array, tolerance: Array) -> Array:
    """Weighted mean displacement over joints, then once more without those that disagree."""
    trust = weights / tolerance**2
    for _ in range(2):
        shift = (trust[..., None] * offsets).sum(-2) / np.maximum(trust.sum(-1), 1e-9)[..., None]
        distance = ((offsets - shift[..., None, :]) ** 2).sum(-1)
        trust = weights / (tolerance**2 + distance)
    return shift


def assign(costs: Array, limit: float) -> list[tuple[int, int]]:
    """Pairs (row, column) of the globally cheapest assignment; a pair costs at most `limit`.

    Leaving a row alone costs `limit` as well, so a cheap pair is never given up for two dear ones.
    """
    rows, columns = costs.shape
    padded = np.full((rows, columns + rows), 1e6)
    padded[:, :columns] = np.where(costs < limit, costs, 1e6)
    padded[np.arange(rows), columns + np.arange(rows)] = limit
    return [
        (int(row), int(column))
        for row, column in zip(*linear_sum_assignment(padded), strict=True)
        if column < columns
    ]
