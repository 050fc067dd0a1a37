"""Metrics of 3D pose and motion as pure functions of arrays.

Joints are (F, J, 3) metres; `root`-relative metrics expect arrays that were made relative to the
root by the caller (`root_relative`). Results are metres, unless said otherwise. Frames with NaN
must be left out by the caller.
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.skeleton import H36M17, JointSet

Array = NDArray[np.floating]

SCORED = [i for i, joint in enumerate(H36M17.joints) if joint not in ("nose", "head")]
"""The 15 joints that are scored: data sets disagree about nose and head."""


def root_relative(joints: Array, root: int = 0) -> Array:
    """Joints (..., J, 3) minus their root."""
    return joints - joints[..., root : root + 1, :]


def joint_errors(predicted: Array, truth: Array) -> Array:
    """Distance (F, J) of every joint from the truth."""
    return np.linalg.norm(predicted - truth, axis=-1)


def mpjpe(predicted: Array, truth: Array) -> float:
    """Mean per-joint position error (Ionescu et al. 2014)."""
    return float(joint_errors(predicted, truth).mean())


def p_mpjpe(predicted: Array, truth: Array) -> float:
    """MPJPE after the best similarity transform of every frame (protocol 2)."""
    return mpjpe(procrustes(predicted, truth), truth)


def n_mpjpe(predicted: Array, truth: Array) -> float:
    """MPJPE after the best scale of every frame (Rhodin et al. 2018)."""
    scale = (predicted * truth).sum((1, 2)) / np.maximum((predicted**2).sum((1, 2)), 1e-12)
    return mpjpe(predicted * scale[:, None, None], truth)


def mrpe(predicted_root: Array, truth_root: Array) -> float:
    """Mean root position error of (F, 3) absolute roots."""
    return float(np.linalg.norm(predicted_root - truth_root, axis=-1).mean())


def pck(predicted: Array, truth: Array, threshold: float = 0.15) -> float:
    """Share of joints within a threshold, 0..1 (Mehta et al. 2017)."""
    return float((joint_errors(predicted, truth) <= threshold).mean())


def auc(predicted: Array, truth: Array) -> float:
    """Mean PCK over thresholds from 0 to 150 mm in steps of 5 mm, 0..1 (Mehta et al. 2017)."""
    thresholds = np.arange(31) * 0.005
    return float(np.mean([pck(predicted, truth, threshold) for threshold in thresholds]))


def velocity_error(predicted: Array, truth: Array, fps: float) -> float:
    """Mean distance of velocities, metres a second; 0 for fewer than two frames."""
    if len(predicted) < 2:
        return 0.0
    return mpjpe(np.diff(predicted, axis=0), np.diff(truth, axis=0)) * fps


def acceleration_error(predicted: Array, truth: Array, fps: float) -> float:
    """Mean distance of accelerations, metres a second squared; 0 for fewer than three frames."""
    if len(predicted) < 3:
        return 0.0
    return mpjpe(np.diff(predicted, n=2, axis=0), np.diff(truth, n=2, axis=0)) * fps**2


def bone_lengths(joints: Array, joint_set: JointSet) -> Array:
    """Lengths (F, bones) of `joint_set.bones`."""
    parents, children = zip(*joint_set.bones, strict=True)
    return np.linalg.norm(joints[:, list(children)] - joints[:, list(parents)], axis=-1)


def symmetry_gap(joints: Array, joint_set: JointSet) -> float:
    """Mean difference of left and right bone lengths (Rommel et al. 2023)."""
    lengths = bone_lengths(joints, joint_set)
    left, right = zip(*joint_set.bone_pairs, strict=True)
    return float(np.abs(lengths[:, list(left)] - lengths[:, list(right)]).mean())


def segment_length_std(joints: Array, joint_set: JointSet) -> float:
    """Standard deviation of bone lengths over time, mean over bones (Rommel et al. 2023)."""
    if len(joints) < 2:
        return 0.0
    return float(bone_lengths(joints, joint_set).std(axis=0, ddof=1).mean())


def procrustes(predicted: Array, truth: Array) -> Array:
    """Predicted joints (F, J, 3) after each frame's best scale, rotation and translation.

    Closed form by singular value decomposition (Schoenemann 1966; Umeyama 1991), no reflection.
    """
    centre_p = predicted.mean(1, keepdims=True)
    centre_t = truth.mean(1, keepdims=True)
    p, t = predicted - centre_p, truth - centre_t
    U, S, Vt = np.linalg.svd(t.transpose(0, 2, 1) @ p)
    sign = np.sign(np.linalg.det(U @ Vt))
    U[:, :, 2] *= sign[:, None]
    S[:, 2] *= sign
    rotation = U @ Vt
    scale = S.sum(1) / np.maximum((p**2).sum((1, 2)), 1e-12)
    return scale[:, None, None] * (p @ rotation.transpose(0, 2, 1)) + centre_t
