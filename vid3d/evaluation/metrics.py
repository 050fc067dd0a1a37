"""Metrics of 3D pose and motion as pure functions of arrays, one figure a frame.

Joints are (F, J, 3) metres; `root`-relative metrics expect arrays that were made relative to the
root by the caller (`root_relative`). Results are (F,) metres unless said otherwise; NaN where a
joint of the frame, or of a frame that it is compared with, is not finite. Their mean over frames is
the metric of the literature.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.skeleton import H36M17, JointSet

Array = NDArray[np.floating]

SCORED = [i for i, joint in enumerate(H36M17.joints) if joint not in ("nose", "head")]
"""The 15 joints that are scored: data sets disagree about nose and head."""

PCK_LIMIT = 0.15
AUC_LIMITS = np.arange(31) * 0.005


def root_relative(joints: Array, root: int = 0) -> Array:
    """Joints (..., J, 3) minus their root."""
    return joints - joints[..., root : root + 1, :]


def joint_errors(predicted: Array, truth: Array) -> Array:
    """Distance (F, J) of every joint from the truth; pixels where both are pixels (F, J, 2)."""
    return np.linalg.norm(predicted - truth, axis=-1)


def mpjpe(predicted: Array, truth: Array) -> Array:
    """Mean per-joint position error (Ionescu et al. 2014)."""
    return joint_errors(predicted, truth).mean(-1)


def p_mpjpe(predicted: Array, truth: Array) -> Array:
    """MPJPE after the best similarity transform of every frame (protocol 2)."""
    return mpjpe(procrustes(predicted, truth), truth)


def n_mpjpe(predicted: Array, truth: Array) -> Array:
    """MPJPE after the best scale of every frame (Rhodin et al. 2018)."""
    scale = (predicted * truth).sum((1, 2)) / np.maximum((predicted**2).sum((1, 2)), 1e-12)
    return mpjpe(predicted * scale[:, None, None], truth)


def mrpe(predicted_root: Array, truth_root: Array) -> Array:
    """Root position error of (F, 3) absolute roots."""
    return np.linalg.norm(predicted_root - truth_root, axis=-1)


def pck(predicted: Array, truth: Array, limit: float = PCK_LIMIT) -> Array:
    """Share of joints within a limit, 0..1 (Mehta et al. 2017)."""
    errors = joint_errors(predicted, truth)
    return np.where(np.isfinite(errors).all(-1), (errors <= limit).mean(-1), np.nan)


def auc(predicted: Array, truth: Array) -> Array:
    """Mean PCK over limits from 0 to 150 mm in steps of 5 mm, 0..1 (Mehta et al. 2017)."""
    return np.mean([pck(predicted, truth, limit) for limit in AUC_LIMITS], axis=0)


def velocity_error(predicted: Array, truth: Array, fps: float) -> Array:
    """Distance of velocities since the frame before, m/s; NaN for the first frame."""
    return _differences(predicted - truth, 1) * fps


def acceleration_error(predicted: Array, truth: Array, fps: float) -> Array:
    """Distance of accelerations over the last three frames, m/s^2; NaN for the first two."""
    return _differences(predicted - truth, 2) * fps**2


def _differences(error: Array, order: int) -> Array:
    """Mean norm over joints of an error's differences (F, J, 3); NaN for the first frames."""
    changes = np.diff(error, n=order, axis=0)
    unknown = np.full(len(error) - len(changes), np.nan)
    return np.concatenate([unknown, np.linalg.norm(changes, axis=-1).mean(-1)])


def reprojection_errors(predicted: Array, truth: Array, members: Sequence[int]) -> Array:
    """Distances (F, J) of projected joints, as shares of the person's size.

    Args:
        predicted: (F, J, 2) pixels.
        truth: (F, J, 2) pixels.
        members: joints whose box's longer side, median over frames, is the size.
    """
    box = np.ptp(truth[:, list(members)], axis=1).max(-1)
    size = np.median(box[np.isfinite(box)]) if np.isfinite(box).any() else np.nan
    return joint_errors(predicted, truth) / size


def inside(errors: Array, spread: Array, factor: float) -> Array:
    """Share (F,) of errors (F, J) of at most `factor` times their spread (F, J), 0..1."""
    known = np.isfinite(errors).all(-1) & np.isfinite(spread).all(-1)
    return np.where(known, (errors <= factor * spread).mean(-1), np.nan)


def bone_lengths(joints: Array, joint_set: JointSet) -> Array:
    """Lengths (F, bones) of `joint_set.bones`."""
    parents, children = zip(*joint_set.bones, strict=True)
    return np.linalg.norm(joints[:, list(children)] - joints[:, list(parents)], axis=-1)


def symmetry_gap(joints: Array, joint_set: JointSet) -> Array:
    """Mean difference of left and right bone lengths (Rommel et al. 2023)."""
    lengths = bone_lengths(joints, joint_set)
    left, right = zip(*joint_set.bone_pairs, strict=True)
    return np.abs(lengths[:, list(left)] - lengths[:, list(right)]).mean(-1)


def segment_length_std(joints: Array, joint_set: JointSet) -> float:
    """Deviation of bone lengths over all frames, mean over bones (Rommel et al. 2023).

    Frames that are not finite do not count; NaN for fewer than two others.
    """
    lengths = bone_lengths(joints, joint_set)
    lengths = lengths[np.isfinite(lengths).all(-1)]
    return float(lengths.std(axis=0, ddof=1).mean()) if len(lengths) > 1 else float("nan")


def procrustes(predicted: Array, truth: Array) -> Array:
    """Predicted joints (F, J, 3) after each frame's best scale, rotation and translation.

    Closed form by singular value decomposition (Schoenemann 1966; Umeyama 1991), no reflection.
    """
    aligned = np.full(predicted.shape, np.nan)
    known = np.isfinite(predicted).all((1, 2)) & np.isfinite(truth).all((1, 2))
    centre_p = predicted[known].mean(1, keepdims=True)
    centre_t = truth[known].mean(1, keepdims=True)
    p, t = predicted[known] - centre_p, truth[known] - centre_t
    U, S, Vt = np.linalg.svd(t.transpose(0, 2, 1) @ p)
    sign = np.sign(np.linalg.det(U @ Vt))
    U[:, :, 2] *= sign[:, None]
    S[:, 2] *= sign
    rotation = U @ Vt
    scale = S.sum(1) / np.maximum((p**2).sum((1, 2)), 1e-12)
    aligned[known] = scale[:, None, None] * (p @ rotation.transpose(0, 2, 1)) + centre_t
    return aligned
