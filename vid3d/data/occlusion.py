"""The four occlusion patterns of DiffHPE, for training batches and pair sequences.

Rommel et al. 2023, section 5.2 (after Saadatnejad et al. 2023): patterns on sequences of 27 frames
at 50 fps. A longer sequence is a row of such stretches, drawn one by one. Patterns are drawn at the
full frame rate, before looks are chosen, so that all strides meet the same events. An omitted
keypoint has confidence 0 (the paper sets it to the legal coordinate 0 and does not say so).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.skeleton import JointSet, joint_set

STRETCH = 27
"""Frames that a pattern is drawn for."""

Mask = NDArray[np.bool_]

_RIGHT_LEG = ("right_hip", "right_knee", "right_ankle")
_LEFT_ARM = ("left_shoulder", "left_elbow", "left_wrist")


def _random(joints: JointSet, generator: np.random.Generator) -> Mask:
    """Any keypoint of any frame, with probability 0.2."""
    return generator.random((STRETCH, len(joints))) < 0.2


def _leg_and_arm(joints: JointSet, generator: np.random.Generator) -> Mask:
    """Left arm and right leg together, in any frame with probability 0.4."""
    frames = generator.random(STRETCH) < 0.4
    return frames[:, None] & _members(joints, _LEFT_ARM + _RIGHT_LEG)


def _consecutive_leg(joints: JointSet, generator: np.random.Generator) -> Mask:
    """The right leg in 10 consecutive frames."""
    return _consecutive(10, generator)[:, None] & _members(joints, _RIGHT_LEG)


def _consecutive_frames(joints: JointSet, generator: np.random.Generator) -> Mask:
    """Everything in 5 consecutive frames."""
    return _consecutive(5, generator)[:, None] & np.ones(len(joints), bool)


def _members(joints: JointSet, names: tuple[str, ...]) -> Mask:
    return np.isin(joints.joints, names)


def _consecutive(length: int, generator: np.random.Generator) -> Mask:
    begin = generator.integers(STRETCH - length + 1)
    return (np.arange(STRETCH) >= begin) & (np.arange(STRETCH) < begin + length)


OCCLUSIONS: dict[str, Callable[[JointSet, np.random.Generator], Mask]] = {
    "random": _random,
    "leg-arm": _leg_and_arm,
    "leg": _consecutive_leg,
    "frames": _consecutive_frames,
}


def occlusion_mask(pattern: str, frames: int, joints: JointSet, seed: int = 0) -> Mask:
    """(F, J) bool, True where a keypoint is omitted.

    Raises:
        Vid3dError: no such pattern.
    """
    if pattern not in OCCLUSIONS:
        raise Vid3dError(f"occlusion is {pattern!r}, expected one of {', '.join(OCCLUSIONS)}")
    generator = np.random.default_rng(seed)
    stretches = -(-frames // STRETCH)
    masks = [OCCLUSIONS[pattern](joints, generator) for _ in range(stretches)]
    return np.concatenate(masks)[:frames]


def occlude(sequence: PairSequence, pattern: str, seed: int = 0) -> PairSequence:
    """The sequence with a pattern's keypoints omitted; the same seed omits the same ones."""
    mask = occlusion_mask(pattern, len(sequence), joint_set(sequence.joint_set), seed)
    return replace(sequence, confidence=np.where(mask, 0, sequence.confidence))
