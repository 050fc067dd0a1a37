"""Changes of recorded motion that leave it human: mirror, limbs of another, bone lengths."""

from dataclasses import dataclass

import torch
from torch import Tensor

from vid3d.data.coco import chest_frames, pelvis_frames
from vid3d.skeleton import H36M17


@dataclass(frozen=True)
class BodyRanges:
    """How far bodies are changed.

    Attributes:
        stature: deviation of the logarithm of the body's size.
        child: share of bodies made child-sized (0.6 to 0.85).
        bone: deviation of the logarithm of single bones, the same left and right.
        trunk: deviation of the logarithm of trunk, neck and head bones and of the girdles.
    """

    stature: float = 0.05
    child: float = 0.08
    bone: float = 0.07
    trunk: float = 0.05


_ARMS = tuple(
    H36M17.indices([f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist")])
    for side in ("left", "right")
)
_ABOVE = H36M17.indices(["spine", "thorax", "nose", "head"]) + [*_ARMS[0], *_ARMS[1]]


def recombine(joints: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Give a share of windows (B, F, 17, 3) limbs of another window of the batch.

    One half of them gets arms of two others, as they hung on their chests, the other half
    everything above the pelvis, as it stood on its pelvis: a walk with somebody else's throw.
    """
    batch = len(joints)
    first, second = (torch.randperm(batch, generator=generator) for _ in range(2))
    draw = torch.rand(batch, generator=generator)
    arms = (draw < share / 2).nonzero()[:, 0]
    above = ((draw >= share / 2) & (draw < share)).nonzero()[:, 0]
    mixed = joints.clone()
    for rows, frames, donors, (origin, *members) in (
        (arms, chest_frames, first, _ARMS[0]),
        (arms, chest_frames, second, _ARMS[1]),
        (above, pelvis_frames, first, [0, *_ABOVE]),
    ):
        own, other = joints[rows], joints[donors[rows]]
        turn = (frames(own) @ frames(other).transpose(-1, -2))[:, :, None]
        vectors = other[:, :, members] - other[:, :, origin : origin + 1]
        moved = own[:, :, origin : origin + 1] + (turn @ vectors[..., None])[..., 0]
        mixed[rows[:, None], :, torch.tensor(members)] = moved.transpose(1, 2)
    return mixed


def mirror(joints: Tensor, ankles: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Mirror the chosen (B,) windows in the plane x = 0.

    Args:
        joints: (B, F, 17, 3).
        ankles: (B, F, 2) of the left and the right ankle, which exchange their names as well.
        chosen: (B,) bool.
    """
    flipped = joints[:, :, H36M17.flip] * torch.tensor([-1.0, 1.0, 1.0])
    return (
        torch.where(chosen.view(-1, 1, 1, 1), flipped, joints),
        torch.where(chosen.view(-1, 1, 1), ankles.flip(-1), ankles),
    )


def resize_bones(joints: Tensor, factors: Tensor) -> Tensor:
    """Scale every bone (B, 16) of windows (B, F, 17, 3), children moving along.

    The root's path is scaled by the legs' factor, so that steps still fit the legs.
    """
    placed: dict[int, Tensor] = {0: joints[:, :, 0] * leg_factor(factors).view(-1, 1, 1)}
    for bone, (parent, child) in enumerate(H36M17.bones):
        vector = joints[:, :, child] - joints[:, :, parent]
        placed[child] = placed[parent] + vector * factors[:, bone].view(-1, 1, 1)
    return torch.stack([placed[i] for i in range(len(H36M17))], 2)


def leg_factor(factors: Tensor) -> Tensor:
    """(B,) factor of the legs' length, of the bones' factors (B, 16)."""
    legs = [child - 1 for child in H36M17.indices(["left_knee", "left_ankle"])]
    return factors[:, legs].mean(1)


def bone_factors(batch: int, ranges: BodyRanges, generator: torch.Generator) -> Tensor:
    """Random factors (B, 16) of the bones of `batch` bodies, the same left and right."""

    def randn(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    stature = torch.exp(ranges.stature * randn(batch, 1))
    child = torch.rand(batch, 1, generator=generator) < ranges.child
    small = 0.6 + 0.25 * torch.rand(batch, 1, generator=generator)
    stature = torch.where(child, small, stature)
    trunk = {"right_hip", "left_hip", "spine", "thorax", "nose", "head", "left_shoulder",
             "right_shoulder"}  # fmt: skip
    deviation = torch.tensor(
        [ranges.trunk if joint in trunk else ranges.bone for joint in H36M17.joints[1:]]
    )
    factors = torch.exp(deviation * randn(batch, 16))
    for left, right in H36M17.bone_pairs:
        factors[:, right] = factors[:, left]
    return stature * factors
