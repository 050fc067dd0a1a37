"""From hypotheses to one motion: weights over hypotheses, and constant bone lengths.

Every rule gives weights (H, F, 17) that add up to 1 over hypotheses; `combine` applies them. The
rules see reprojection errors at looks only, with roots that were solved from 2D (never truth).
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.lifter.placement import kernel_smooth
from vid3d.skeleton import H36M17, JointSet, limb_groups

Array = NDArray[np.floating]

AGGREGATES = ("soft", "jpma", "mean", "best")
"""Names of the rules."""

NOISE = 0.02
"""Deviation of seen keypoints, as a share of the person's size; chosen on the dev actors."""
_OUTLYING = 5.0  # deviations at which a keypoint has lost half its say


def combine(hypotheses: Array, weights: Array) -> Array:
    """Weighted mean (F, 17, 3) of hypotheses (H, F, 17, 3) with weights (H, F, 17)."""
    return np.einsum("hfj,hfjc->fjc", weights, hypotheses)


def mean_weights(count: int, frames: int) -> Array:
    """Every hypothesis counts the same."""
    return np.full((count, frames, 17), 1.0 / count)


def group_errors(errors: Array, joints: JointSet) -> Array:
    """Root mean square error (H, K, 5) of each limb group from errors (H, K, 17).

    NaN errors (joints not seen) are left out; a group without evidence follows the whole body, a
    look without any gets 0 for all.
    """
    square = errors**2
    seen = np.isfinite(square)
    square = np.where(seen, square, 0.0)
    body = square.sum(-1) / np.maximum(seen.sum(-1), 1)
    groups = []
    for members in limb_groups(joints):
        count = seen[..., members].sum(-1)
        group = square[..., members].sum(-1) / np.maximum(count, 1)
        groups.append(np.where(count > 0, group, body))
    return np.sqrt(np.stack(groups, -1))


def soft_weights(
    residuals: Array,
    confidence: Array,
    joints: JointSet,
    look_times: Array,
    times: Array,
    noise: float = NOISE,
) -> Array:
    """Weights per limb group that bring the mean of hypotheses nearest to what was seen.

    The local ensemble transform Kalman filter (Hunt, Kostelich & Szunyogh, Physica D 2007, eq. 21)
    with a limb group as the locality: hypotheses span what the pose may be, looks say where on
    that span it is, and what a limb's hypotheses do in depth follows what they do in the picture.
    What looks say is averaged over time with a kernel, so that weights are smooth. A group without
    evidence keeps the plain mean. Weights may be negative.

    Args:
        residuals: (H, K, 17, 2) from each hypothesis's projection to what was seen, shares of the
            person's size.
        confidence: (K, 17), 0 where not seen.
        joints: the input's joint set.
        look_times: (K,) seconds.
        times: (F,) seconds.
        noise: deviation of what was seen at full confidence, share of the person's size.

    Returns:
        (H, F, 17), adding up to 1 over hypotheses.
    """
    count, looks = residuals.shape[:2]
    gap = float(np.median(np.diff(look_times))) if looks > 1 else 0.1
    width = max(0.24, 1.2 * gap)  # narrower ones gain nothing and let the result shiver
    weights = np.full((count, len(times), 17), 1.0 / count)
    groups = zip(limb_groups(joints), limb_groups(H36M17), strict=True)
    outlying = np.linalg.norm(residuals.mean(0), axis=-1) / (_OUTLYING * noise)
    trust = confidence / (1 + np.where(confidence > 0, outlying, 0.0) ** 2)
    for seen, members in groups:
        precision = ((trust[:, seen] / noise) ** 2)[..., None].repeat(2, -1).reshape(looks, -1)
        missed = residuals[:, :, seen].transpose(1, 0, 2, 3).reshape(looks, count, -1)
        mean = missed.mean(1, keepdims=True)
        anomalies = mean - missed  # of the projections: what is seen does not vary
        scaled = anomalies * precision[:, None]
        square = scaled @ anomalies.transpose(0, 2, 1)  # (K, H, H)
        linear = (scaled @ mean.transpose(0, 2, 1))[..., 0]  # (K, H)
        told = np.concatenate([square.reshape(looks, -1), linear], -1)
        smooth = kernel_smooth(told, np.ones(looks), look_times, times, width)
        matrix = smooth[:, :-count].reshape(-1, count, count) + (count - 1) * np.eye(count)
        change = np.linalg.solve(matrix, smooth[:, -count:, None])[..., 0]
        weights[:, :, members] += (change - change.mean(-1, keepdims=True)).T[..., None]
    return weights


def best_weights(errors: Array, frames: int) -> Array:
    """The one hypothesis that reprojects best over the whole track."""
    weights = np.zeros((len(errors), frames, 17))
    weights[int(np.nanmean(errors, axis=(1, 2)).argmin())] = 1.0
    return weights


def jpma_weights(errors: Array, joints: JointSet, look_times: Array, times: Array) -> Array:
    """Per joint and look the best hypothesis (JPMA, Shan et al. 2023).

    Joints that the input has no keypoint of follow their limb group. Every moment takes the
    nearest look's choice. Arguments as for `soft_weights`.
    """
    grouped = group_errors(errors, joints)
    per_joint = np.zeros((*errors.shape[:2], 17))
    for group, members in enumerate(limb_groups(H36M17)):
        per_joint[:, :, members] = grouped[:, :, group : group + 1]
    for index, name in enumerate(H36M17.joints):
        if name in joints.joints:
            own = errors[:, :, joints.index(name)]
            per_joint[:, :, index] = np.where(np.isfinite(own), own, per_joint[:, :, index])
    choice = per_joint.argmin(0)  # (K, 17)
    at = np.searchsorted((look_times[1:] + look_times[:-1]) / 2, times)
    return (choice[at][None] == np.arange(len(errors))[:, None, None]).astype(np.float64)


def constant_bones(joints: Array) -> Array:
    """Joints (F, 17, 3) with every bone at its median length, left and right the same.

    Directions stay; the root stays.
    """
    vectors = {child: joints[:, child] - joints[:, parent] for parent, child in H36M17.bones}
    lengths = {child: np.linalg.norm(v, axis=-1) for child, v in vectors.items()}
    target = {child: float(np.median(length)) for child, length in lengths.items()}
    for left, right in zip(H36M17.left, H36M17.right, strict=True):
        target[left] = target[right] = (target[left] + target[right]) / 2
    placed = joints.copy()
    for parent, child in H36M17.bones:
        factor = target[child] / np.maximum(lengths[child], 1e-6)
        placed[:, child] = placed[:, parent] + vectors[child] * factor[:, None]
    return placed
