"""From hypotheses to one motion: weights over hypotheses, and constant bone lengths.

Every rule gives weights (H, F, 17) that add up to 1 over hypotheses; `combine` applies them. The
rules see reprojection errors at looks only, with roots that were solved from 2D (never truth).
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.lifter.placement import kernel_smooth
from vid3d.skeleton import H36M17, JointSet, limb_groups

Array = NDArray[np.floating]

SOFTNESS = 0.02
"""Reprojection error, as a share of the person's size, at which a hypothesis loses its say."""


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
    errors: Array, joints: JointSet, look_times: Array, times: Array, softness: float = SOFTNESS
) -> Array:
    """Gaussian weights per limb group, smoothed over time: (H, F, 17).

    Args:
        errors: (H, K, 17) reprojection errors of the input's joints, shares of the person's size.
        joints: the input's joint set.
        look_times: (K,) seconds.
        times: (F,) seconds.
        softness: see `SOFTNESS`.
    """
    grouped = group_errors(errors, joints)  # (H, K, 5)
    count, looks = grouped.shape[:2]
    flat = (grouped**2).transpose(1, 0, 2).reshape(looks, -1)
    gap = float(np.median(np.diff(look_times))) if looks > 1 else 0.1
    smooth = kernel_smooth(flat, np.ones(looks), look_times, times, max(0.15, 0.6 * gap))
    smooth = smooth.reshape(len(times), count, -1).transpose(1, 0, 2)  # (H, F, 5)
    weights = np.exp(-0.5 * (smooth - smooth.min(0)) / softness**2)
    weights /= weights.sum(0)
    spread = np.zeros((count, len(times), 17))
    for group, members in enumerate(limb_groups(H36M17)):
        spread[:, :, members] = weights[:, :, group : group + 1]
    return spread


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
    at = np.abs(times[:, None] - look_times).argmin(1)
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
