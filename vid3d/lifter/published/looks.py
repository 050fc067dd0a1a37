"""The condition of systems that read 2D poses and nothing else: looks, interpolated.

D3DP, FinePOSE and DiffHPE-2D denoise a pose beside its 2D keypoints. Here these are the canonical
looks, at h36m17 joints whatever the input's set, linearly interpolated to the moments; the
confidence, the share that is missing and the seconds to the looks go with them, so that an unseen
keypoint is no keypoint at the coordinate 0 (a fault of DiffHPE's code). What the lifter's interface
asks for besides a pose (where the root is, COCO keypoints, feet) is read off them by an MLP.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vid3d.lifter.baselines import GAPS, Readout, interpolate_looks
from vid3d.lifter.canonical import JOINT_FEATURES, LOOK_FEATURES, Canonical, Looks
from vid3d.lifter.encoder import Encoded, FeatureLayout, full_precision
from vid3d.skeleton import COCO17, H36M17

_GAIN = 6.0
"""Of coordinates, whose deviation is about 0.15, beside noise of deviation 1."""
_MIDDLES = {
    "pelvis": ("left_hip", "right_hip"),
    "spine": ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
    "thorax": ("left_shoulder", "right_shoulder"),
    "nose": ("nose", "left_shoulder", "right_shoulder"),
    "head": ("left_eye", "right_eye", "left_ear", "right_ear"),
}
"""COCO keypoints whose mean stands for an h36m17 joint that COCO lacks."""


def retargeting() -> Tensor:
    """Weights (2, 17, 17) that make h36m17 joints of the joints of each set of `JOINT_SETS`."""
    coco = torch.zeros(17, 17)
    for row, name in enumerate(H36M17.joints):
        sources = _MIDDLES.get(name, (name,))
        coco[row, COCO17.indices(sources)] = 1 / len(sources)
    return torch.stack([torch.eye(17), coco])


def as_h36m17(joints: Tensor, weights: Tensor) -> Tensor:
    """Canonical joints (B, K, 17, 4) as `Canonical.joints`, at h36m17 joints.

    Args:
        joints: of any set.
        weights: (B, 17, 17) of `retargeting`. A joint is the mean of those sources that are seen.
    """
    seen = 1 - joints[..., 3]
    share = torch.einsum("bij,bkj->bki", weights, seen)
    places = torch.einsum("bij,bkjc->bkic", weights, joints[..., :2] * seen[..., None])
    places = places / share.clamp_min(1e-6)[..., None]
    confidence = torch.einsum("bij,bkj->bki", weights, joints[..., 2])
    return torch.cat([places, confidence[..., None], 1 - share[..., None]], -1)


@dataclass(frozen=True)
class LooksConfig:
    """Sizes of `InterpolatedLooks`.

    Attributes:
        kind: name among the encoders.
        width: hidden width of the MLP.
    """

    kind: str = "looks"
    width: int = 128

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(JOINT_FEATURES, LOOK_FEATURES + GAPS + 1)


class InterpolatedLooks(nn.Module):
    """Looks at moments as features, and an MLP of a moment for everything else."""

    weights: Tensor

    def __init__(self, config: LooksConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("weights", retargeting(), persistent=False)
        self.hidden = nn.Sequential(
            nn.Linear(config.layout.width, config.width),
            nn.GELU(),
            nn.Linear(config.width, config.width),
            nn.GELU(),
        )
        self.readout = Readout(config.width)

    def forward(self, canonical: Canonical, looks: Looks, at: Tensor, valid: Tensor) -> Encoded:
        """Encode windows of looks for the moments `at` (B, G)."""
        with full_precision(at):
            joints = as_h36m17(canonical.joints, self.weights[looks.joint_set])
            retargeted = Canonical(joints, canonical.looks, canonical.angles, canonical.scale)
            sequence = interpolate_looks(retargeted, looks, at)
            joint_set = looks.joint_set[:, None, None].expand(*at.shape, 1).to(joints.dtype)
            joints = sequence.joints * joints.new_tensor([_GAIN, _GAIN, 1, 1])
            parts = [joints.flatten(2), sequence.moments, joint_set]
            features = torch.cat(parts, -1)
            encoded: Encoded = self.readout(self.hidden(features))
        return replace(encoded, features=features)
