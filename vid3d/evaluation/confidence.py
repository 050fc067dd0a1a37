"""How honest a pose network's confidences are, and the map that makes them so."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from vid3d.errors import Vid3dError
from vid3d.evaluation.people2d import PosedPerson
from vid3d.pose2d.confidence import Calibration
from vid3d.pose2d.networks import PoseNetwork

Array = NDArray[np.floating]
NEAR = 0.2
"""A joint is right within this share of the torso's length (as PCK@0.2 counts)."""


def scored_joints(
    network: PoseNetwork, people: Iterable[PosedPerson]
) -> tuple[Array, NDArray[np.bool_]]:
    """Scores (n,) of all known joints in the true boxes, and whether each (n,) is right.

    People whose torso is unknown, or shorter than a tenth of the box, are left out.

    Raises:
        Vid3dError: nobody is left.
    """
    scores, right = [], []
    for person in people:
        if person.torso < 0.1 * float(person.box[3] - person.box[1]):
            continue
        ((points, confidence),) = network([person.image], [person.box[None]])
        error = np.linalg.norm(points[0] - person.keypoints, axis=-1)[person.known]
        scores.append(confidence[0][person.known])
        right.append(error < NEAR * person.torso)
    if not scores:
        raise Vid3dError("nobody to calibrate the pose network on: no labelled person was given")
    return np.concatenate(scores), np.concatenate(right)


def fit_calibration(
    scores: Array, right: NDArray[np.bool_], weights: Array | None = None, pieces: int = 10
) -> Calibration:
    """The rising line from score to share of right joints, through bins of equal weight.

    Isotonic regression of the bins' shares (Zadrozny and Elkan 2002), with straight pieces between
    the bins so that no score is worth the same as a clearly higher one; level beyond the last.

    Args:
        scores: (n,) of the network, 0..1.
        right: (n,) whether each joint was right.
        weights: (n,) how much each joint counts; all the same without.
        pieces: number of bins.

    Raises:
        Vid3dError: the scores do not fill two bins.
    """
    order = np.argsort(scores, kind="stable")
    x, y = scores[order].astype(np.float64), right[order].astype(np.float64)
    w = np.ones(len(x)) if weights is None else weights[order].astype(np.float64)
    bins = np.minimum((np.cumsum(w) - w / 2) / w.sum() * pieces, pieces - 1).astype(int)
    sums = np.stack([np.bincount(bins, v, pieces) for v in (w, w * x, w * y)])
    mass = sums[0, sums[0] > 0]
    mean, share = sums[1:, sums[0] > 0] / mass
    rising = isotonic_regression(share, weights=mass).x.round(3)
    score = mean.round(3)
    kept = np.flatnonzero(np.diff(score, prepend=0) > 0)  # none at 0 or below, none twice
    if len(kept) < 2:
        raise Vid3dError("the scores of the pose network hardly differ: nothing to calibrate by")
    return Calibration((0.0, *score[kept].tolist()), (0.0, *rising[kept].tolist()))


def calibration_error(
    confidence: Array, right: NDArray[np.bool_], weights: Array | None = None, bins: int = 10
) -> float:
    """Expected calibration error: mean gap between confidence and share of right joints.

    Weighted mean over `bins` even bins of confidence (Guo et al. 2017, equation 3), in 0..1.
    """
    w = np.ones(len(confidence)) if weights is None else weights
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, w * (confidence - right), bins)
    return float(np.abs(gaps).sum() / w.sum())
