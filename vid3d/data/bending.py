"""Poses that nobody recorded: recorded motion whose joints are bent a little further or less.

Trunk, shoulders and hips turn about all axes by smooth random angles, elbows and knees bend within
what a body can do. Bones keep their lengths. Similar in spirit to PoseAug (Gong et al., CVPR 2021,
section 3.2), which learns its angles; these are drawn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vid3d.data.coco import chest_frames, pelvis_frames
from vid3d.skeleton import H36M17


@dataclass(frozen=True)
class BendRanges:
    """How far joints are bent.

    Attributes:
        share: of windows that are bent at all.
        joint: chance of each trunk, limb or hinge of them to be bent.
        trunk, shoulder, hip, hinge: standard deviation of the angles in radians; a third of the
            variance changes within a window.
        flexion: least and largest angle of elbows and knees, radians.
    """

    share: float = 0.0
    joint: float = 0.6
    trunk: float = 0.25
    shoulder: float = 0.5
    hip: float = 0.4
    hinge: float = 0.5
    flexion: tuple[float, float] = (0.0, 2.6)


_ABOVE = H36M17.indices(
    ["spine", "thorax", "nose", "head"]
    + [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
)
_SIDES = ("left", "right")
_SLOWEST, _FASTEST = 0.2, 1.0
"""Hertz of what changes within a window."""


def bend(
    joints: Tensor, seconds: Tensor, ranges: BendRanges, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Bend a share of windows.

    Args:
        joints: (B, N, 17, 3) h36m17, z up.
        seconds: (B, N) of the moments, in any order.
        ranges: how far.
        generator: of all draws.

    Returns:
        Joints (B, N, 17, 3), and which windows were bent (B,).
    """
    bent = torch.rand(len(joints), generator=generator) < ranges.share
    rows = bent.nonzero()[:, 0]
    if len(rows) == 0:
        return joints, bent
    moved, time = joints[rows], seconds[rows]

    def angles(deviation: float, axes: int) -> Tensor:
        drawn = _smooth(time, axes, generator)
        chosen = torch.rand(len(rows), 1, 1, generator=generator) < ranges.joint
        return deviation * chosen * drawn

    moved = _turn(moved, 0, _ABOVE, pelvis_frames(moved), angles(ranges.trunk, 3))
    for ball, hinge, end, deviation, frames, ahead in (
        ("shoulder", "elbow", "wrist", ranges.shoulder, chest_frames, 1.0),
        ("hip", "knee", "ankle", ranges.hip, pelvis_frames, -1.0),
    ):
        for side in _SIDES:
            limb = H36M17.indices([f"{side}_{joint}" for joint in (ball, hinge, end)])
            body = frames(moved)
            moved = _turn(moved, limb[0], limb[1:], body, angles(deviation, 3))
            forward = ahead * body[..., 2]  # the way the hinge folds
            moved = _fold(moved, limb, forward, angles(ranges.hinge, 1)[..., 0], ranges.flexion)
    result = joints.clone()
    result[rows] = moved
    return result, bent


def _smooth(time: Tensor, axes: int, generator: torch.Generator) -> Tensor:
    """Random angles (B, N, axes) of variance 1: a constant and a slow wave."""

    def draw(function: object) -> Tensor:
        return function(len(time), 1, axes, generator=generator)  # type: ignore[operator]

    rate = _SLOWEST + (_FASTEST - _SLOWEST) * draw(torch.rand)
    phase = 2 * torch.pi * draw(torch.rand)
    wave = torch.sin(2 * torch.pi * rate * time[..., None] + phase)
    return (2 / 3) ** 0.5 * draw(torch.randn) + (2 / 3) ** 0.5 * draw(torch.randn) * wave


def _turn(joints: Tensor, origin: int, members: list[int], frames: Tensor, by: Tensor) -> Tensor:
    """Turn members about the joint `origin` by rotation vectors (B, N, 3) in frames."""
    matrix = frames @ rotation_matrices(by) @ frames.transpose(-1, -2)
    vectors = joints[:, :, members] - joints[:, :, origin : origin + 1]
    turned = joints.clone()
    turned[:, :, members] = joints[:, :, origin : origin + 1] + vectors @ matrix.transpose(-1, -2)
    return turned


def _fold(
    joints: Tensor, limb: list[int], forward: Tensor, by: Tensor, limits: tuple[float, float]
) -> Tensor:
    """Bend a hinge by angles (B, N), within limits and in the plane in which it is bent.

    A straight limb shows no plane: it folds towards `forward` (B, N, 3).
    """
    ball, hinge, end = limb
    upper, lower = joints[:, :, hinge] - joints[:, :, ball], joints[:, :, end] - joints[:, :, hinge]
    length = lower.norm(dim=-1, keepdim=True)
    along, lower = _unit(upper), lower / length.clamp_min(1e-6)
    cosine = (along * lower).sum(-1, keepdim=True)
    across = lower - cosine * along
    flexion = torch.atan2(across.norm(dim=-1, keepdim=True), cosine)
    side = forward - (forward * along).sum(-1, keepdim=True) * along
    across = _unit(across + 0.05 * side)
    low, high = (torch.full_like(flexion, limit) for limit in limits)
    # Recorded limbs beyond the limits stay as they are.
    folded = (flexion + by[..., None]).clamp(torch.minimum(low, flexion), high.maximum(flexion))
    changed = joints.clone()
    direction = folded.cos() * along + folded.sin() * across
    direction = torch.where(by[..., None] == 0, lower, direction)
    changed[:, :, end] = joints[:, :, hinge] + length * direction
    return changed


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3) (Rodrigues' formula)."""
    angle = vectors.norm(dim=-1)[..., None, None].clamp_min(1e-8)
    x, y, z = (vectors / angle[..., 0]).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3) + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-6)
