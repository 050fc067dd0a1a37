"""Uplift and Upsample (Einfalt, Ludwig & Lienhart 2023, section 3.2): sparse looks to dense poses.

Three transformers: over the joints of each look; over all moments of the window, where moments
without a look begin as one learned upsampling token (eq. 3) and the first block takes keys and
values from looks only (deferred attention); and strided blocks that reduce the window to its middle
moment. Two answers: one for every moment (eq. 5) and a refined one for the middle (eq. 4).

The spatial transformer runs on looks alone, never on empty tokens, which its released code does. A
look counts for the moment that is nearest to it; of several at one moment the nearest counts.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.errors import Vid3dError
from vid3d.lifter.baselines import Readout
from vid3d.lifter.canonical import JOINT_FEATURES, JOINT_SETS, LOOK_FEATURES, Canonical, Looks
from vid3d.lifter.encoder import Attention, Block, Encoded, FeatureLayout, full_precision

_KERNEL = 3


@dataclass(frozen=True)
class UpliftConfig:
    """Sizes of `UpliftUpsample`, the paper's for 351 frames by default.

    Attributes:
        kind: name among the encoders.
        moments: of a window, which the learned positions are for.
        joint_width: of a joint's token.
        spatial_blocks: how many.
        width: of a moment's token.
        blocks: temporal blocks, the first one deferred.
        strides: of the strided blocks.
        paddings: zeros at both ends before each of them, 0 or 1.
        heads: of attention.
        ratio: hidden width of an MLP over its token's width.
        drop_path: share of samples that skip the last temporal block; rises from 0 at the first.
    """

    kind: str = "uplift_upsample"
    moments: int = 71
    joint_width: int = 32
    spatial_blocks: int = 4
    width: int = 384
    blocks: int = 4
    strides: tuple[int, ...] = (3, 10, 3)
    paddings: tuple[int, ...] = (0, 0, 0)
    heads: int = 8
    ratio: int = 2
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "strides", tuple(self.strides))
        object.__setattr__(self, "paddings", tuple(self.paddings))
        fits = len(self.strides) == len(self.paddings) and set(self.paddings) <= {0, 1}
        if not fits or self.lengths[-1] != 1:
            raise Vid3dError(f"strides {self.strides} with paddings {self.paddings} do not take "
                             f"{self.moments} moments to one: {self.lengths}")  # fmt: skip

    @property
    def lengths(self) -> list[int]:
        """Moments before every strided block, and after the last one."""
        lengths = [self.moments]
        for stride, padding in zip(self.strides, self.paddings, strict=False):
            lengths.append((lengths[-1] + 2 * padding - _KERNEL) // stride + 1)
        return lengths

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(0, self.width)


class DropPath(nn.Module):
    """A block that some samples skip in training (stochastic depth, Huang et al. 2016)."""

    def __init__(self, block: nn.Module, share: float) -> None:
        super().__init__()
        self.block, self.share = block, share

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Run tokens x (B, T, C); what the block adds is scaled so that its mean stays."""
        y = self.block(x, mask)
        if not self.training or self.share == 0:
            return y
        stays = torch.rand(len(x), 1, 1, device=x.device) >= self.share
        return x + (y - x) * stays / (1 - self.share)


class StridedBlock(nn.Module):
    """Attention, then a strided convolution in place of the MLP (Li et al. 2022).

    The residual is the tokens at the convolution's centres. What a stride leaves over is cut off at
    both ends alike, so that the middle token stays in the middle (the released code cuts at the
    end: at 71 moments its residual is of the moment before).

    Args:
        length: tokens that come in.
        width: of them.
        heads: of attention.
        ratio: hidden width of the convolutions over the tokens' width.
        stride: from one output token to the next.
        padding: zeros at both ends.
    """

    def __init__(
        self, length: int, width: int, heads: int, ratio: int, stride: int, padding: int
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        over = (length + 2 * padding - _KERNEL) % stride
        self.kept = slice(over // 2, length - (over - over // 2))
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, ratio * width)
        self.convolve = nn.Conv1d(ratio * width, width, _KERNEL, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Fewer tokens (B, L', C) from tokens x (B, L, C)."""
        x = x + self.position
        x = (x + self.attention(self.norm1(x)))[:, self.kept]
        y = functional.relu(self.widen(self.norm2(x)))
        y = self.convolve(y.transpose(1, 2)).transpose(1, 2)
        centres = x[:, _KERNEL // 2 - self.padding :: self.stride]
        return centres[:, : y.shape[1]] + y


def nearest_looks(looks: Looks, at: Tensor) -> tuple[Tensor, Tensor]:
    """The look (B, G) that each moment at (B, G) would show, and whether it is one (B, G).

    Looks count within half a step; in a window that has none so near, the nearest look counts.
    """
    step = (at[:, -1:] - at[:, :1]) / max(at.shape[1] - 1, 1)
    apart = (looks.times[:, None] - at[..., None]).abs()  # (B, G, K)
    distance, chosen = apart.masked_fill(~looks.valid[:, None], torch.inf).min(-1)
    real = distance <= step / 2 + 1e-4
    nearest = distance == distance.min(1, keepdim=True).values
    nearest = nearest & distance.isfinite()
    return chosen, torch.where(real.any(1, keepdim=True), real, nearest)


class UpliftUpsample(nn.Module):
    """From canonical looks to a pose at every moment, and a refined one in the middle."""

    def __init__(self, config: UpliftConfig) -> None:
        super().__init__()
        self.config = config
        joint, width = config.joint_width, config.width
        self.joint_in = nn.Linear(JOINT_FEATURES, joint)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(len(JOINT_SETS), 17, joint))
        self.spatial = nn.ModuleList(
            DropPath(Block(joint, config.heads, config.ratio), share)
            for share in np.linspace(0, config.drop_path, config.spatial_blocks)
        )
        self.spatial_norm = nn.LayerNorm(joint)
        self.look_in = nn.Linear(17 * joint + LOOK_FEATURES + 1, width)
        self.upsampling = nn.Parameter(0.02 * torch.randn(width))
        self.position = nn.Parameter(0.02 * torch.randn(config.moments, width))
        self.temporal = nn.ModuleList(
            DropPath(Block(width, config.heads, config.ratio), share)
            for share in np.linspace(0, config.drop_path, config.blocks)
        )
        self.sequence = nn.Sequential(nn.LayerNorm(width), Readout(width))
        self.strided = nn.ModuleList(
            StridedBlock(length, width, config.heads, config.ratio, stride, padding)
            for (length, _), stride, padding in zip(
                pairwise(config.lengths), config.strides, config.paddings, strict=True
            )
        )
        self.centre = nn.Sequential(nn.LayerNorm(width), Readout(width))

    def forward(self, canonical: Canonical, looks: Looks, at: Tensor, valid: Tensor) -> Encoded:
        """Encode windows of looks for the evenly spaced moments `at` (B, G).

        Raises:
            Vid3dError: another number of moments than the positions are for.
        """
        if at.shape[1] != self.config.moments:
            raise Vid3dError(f"windows of {at.shape[1]} moments, but the encoder has "
                             f"moments={self.config.moments}")  # fmt: skip
        chosen, real = nearest_looks(looks, at)
        tokens = self._embed(canonical, looks, at, chosen, real)
        x = self.upsampling.expand(*at.shape, -1).clone()
        x[real] = tokens.to(x.dtype)
        x = x + self.position
        # A window without any look has no key to attend to but its own tokens.
        deferred = (real | ~real.any(1, keepdim=True))[:, None, None]
        for index, block in enumerate(self.temporal):
            x = block(x, deferred if index == 0 else None)
        encoded: Encoded = self.sequence(x)
        for strided in self.strided:
            x = strided(x)
        return replace(encoded, centre=self.centre(x))

    def _embed(
        self, canonical: Canonical, looks: Looks, at: Tensor, chosen: Tensor, real: Tensor
    ) -> Tensor:
        """Pose tokens (N, width) of the N moments that show a look."""
        window, moment = real.nonzero(as_tuple=True)
        look = chosen[window, moment]
        away = (looks.times[window, look] - at[window, moment])[:, None]
        with full_precision(at):
            x = self.joint_in(canonical.joints[window, look])
        x = x + self.joint_embedding[looks.joint_set[window]]
        for block in self.spatial:
            x = block(x)
        parts = [self.spatial_norm(x).flatten(1), canonical.looks[window, look], away]
        return self.look_in(torch.cat(parts, -1))
