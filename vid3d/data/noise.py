"""2D noise like a keypoint detector's, as shares of the person's size in the picture.

Slow drift (a detector's bias follows the pose), jitter from look to look, outliers, exchanged left
and right, missing joints and limbs, and a confidence that follows the error, loosely.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vid3d.skeleton import JointSet, limb_groups


@dataclass(frozen=True)
class NoiseLevels:
    """Levels of detector noise; lengths as shares of the person's size.

    Attributes:
        drift: deviation of the slow part.
        jitter: deviation of the part that changes from look to look.
        spread: the two are scaled per window by e^N(0, spread).
        outlier: chance of a joint of a look to be far off.
        swap: chance of a look to have left and right of arms, legs or both exchanged, or one side
            of them where the other is.
        missing: chance of a joint of a look to be missing.
        limb: chance of a limb to be missing for a stretch of a window.
        look: chance of a look without this person.
        learned: share of windows in which coco17 keypoints err as pose networks do
            (`vid3d.data.detector`) in place of drift, jitter, outliers and swaps.
    """

    drift: float = 0.010
    jitter: float = 0.006
    spread: float = 0.4
    outlier: float = 0.008
    swap: float = 0.015
    missing: float = 0.02
    limb: float = 0.04
    look: float = 0.02
    learned: float = 0.0


def person_size(keypoints: Tensor) -> Tensor:
    """Size (B,) of a person in the picture: the larger side of the box, median over looks.

    `keypoints` is (B, K, J, 2), free of noise.
    """
    box = keypoints.amax(2) - keypoints.amin(2)
    return box.amax(-1).median(1).values


def detect(
    keypoints: Tensor,
    inside: Tensor,
    joints: JointSet,
    levels: NoiseLevels,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Noisy keypoints and confidences of windows seen at some looks.

    Args:
        keypoints: (B, K, J, 2) true projections, any unit.
        inside: (B, K, J) bool, within the picture.
        joints: their joint set.
        levels: how noisy.
        generator: of the randomness.

    Returns:
        (B, K, J, 2) keypoints and (B, K, J) confidences, 0 where missing.
    """
    batch, looks, count, _ = keypoints.shape

    def rand(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    def randn(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    size = person_size(keypoints).view(-1, 1, 1, 1)
    level = torch.exp(levels.spread * randn(batch, 1, 1, 1))
    error = level * (levels.drift * _drift(batch, looks, count, generator)
                     + levels.jitter * randn(batch, looks, count, 2))  # fmt: skip
    heavy = 1 + 2.5 * (rand(batch, looks, count, 1) < 0.08)  # some looks are much worse
    error = error * heavy
    far = rand(batch, looks, count) < levels.outlier
    error = torch.where(far[..., None], 0.15 * randn(batch, looks, count, 2), error)
    truth, swapped = _swap(keypoints, joints, levels.swap, generator)
    noisy = truth + error * size

    confidence = 0.93 - 5.0 * error.norm(dim=-1) + 0.08 * randn(batch, looks, count)
    confidence = torch.where(swapped, confidence * (0.5 + 0.5 * rand(batch, looks, 1)), confidence)
    confidence = confidence.clamp(0.05, 1.0)
    # A detector guesses joints beyond the border at the border, unsure; many pipelines drop them.
    gone = rand(batch, looks, count) < levels.missing
    gone |= ~inside | (rand(batch, looks, 1) < levels.look)
    gone |= _missing_limbs(batch, looks, joints, levels.limb, generator)
    confidence = torch.where(gone, torch.zeros(()), confidence)
    return torch.where(gone[..., None], torch.zeros(()), noisy), confidence


def _drift(batch: int, looks: int, joints: int, generator: torch.Generator) -> Tensor:
    """Smooth unit-variance noise (B, K, J, 2): a constant part and a few slow waves."""
    time = torch.linspace(0, 1, looks).view(1, -1, 1, 1)
    total = 0.6 * torch.randn(batch, 1, joints, 2, generator=generator).expand(-1, looks, -1, -1)
    for waves, weight in ((2.0, 0.8), (6.0, 0.8)):
        phase = torch.rand(batch, 1, joints, 2, generator=generator) * 2 * torch.pi
        speed = waves * (0.5 + torch.rand(batch, 1, joints, 2, generator=generator))
        total = total + weight * torch.sin(speed * time * torch.pi + phase)
    return total


def _swap(
    keypoints: Tensor, joints: JointSet, chance: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Exchange left and right of arms, legs or both in some looks; in half of those one side only
    changes its place, so that both lie on one limb.
    """
    batch, looks = keypoints.shape[:2]
    groups = limb_groups(joints)
    arms, legs = set(groups[1] + groups[2]), set(groups[3] + groups[4])
    kind = torch.rand(batch, looks, 1, generator=generator)
    swapped = torch.rand(batch, looks, 1, generator=generator) < chance
    in_arms = torch.tensor([i in arms for i in range(len(joints))])
    in_legs = torch.tensor([i in legs for i in range(len(joints))])
    chosen = swapped & torch.where(
        kind < 0.4, in_legs, torch.where(kind < 0.7, in_arms, in_arms | in_legs)
    )
    sides = torch.rand(batch, looks, 1, generator=generator)
    left, right = (torch.tensor([i in side for i in range(len(joints))])
                   for side in (joints.left, joints.right))  # fmt: skip
    chosen = chosen & torch.where(sides < 0.25, left, torch.where(sides < 0.5, right, left | right))
    return torch.where(chosen[..., None], keypoints[:, :, joints.flip], keypoints), chosen


def _missing_limbs(
    batch: int, looks: int, joints: JointSet, chance: float, generator: torch.Generator
) -> Tensor:
    """(B, K, J) bool: limbs gone for a stretch of looks."""
    gone = torch.zeros(batch, looks, len(joints), dtype=torch.bool)
    index = torch.arange(looks).view(1, -1)
    for group in limb_groups(joints)[1:]:
        hit = torch.rand(batch, 1, generator=generator) < chance
        start = torch.rand(batch, 1, generator=generator) * 1.4 - 0.4
        length = torch.rand(batch, 1, generator=generator)
        inside = (index >= start * looks) & (index <= (start + length) * looks)
        gone[:, :, group] |= (hit & inside)[..., None]
    return gone
