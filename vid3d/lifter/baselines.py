"""Published architectures behind the encoder's interface: what the lifter is measured against.

Each reads the canonical looks that `Encoder` reads, says what it says (`Encoded`, same loss) and is
trained by the same recipes; none has a diffusion head. What differs from its paper is only what the
interface asks for: looks of either joint set at any times in, confidence and missing flags with
them, root, coco keypoints and contacts out besides the joints.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.lifter.canonical import (
    JOINT_FEATURES,
    JOINT_SETS,
    LOOK_FEATURES,
    Canonical,
    Looks,
    interpolation,
)
from vid3d.lifter.encoder import HEADS, Encoded, FeatureLayout, full_precision, read_heads
from vid3d.lifter.published.mixste import MixSTEBody

_LOOK = 17 * JOINT_FEATURES + LOOK_FEATURES
GAPS = 4
"""Numbers about the looks before and after a moment."""


class Readout(nn.Module):
    """Linear heads from a moment's features to everything that `Encoded` holds."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = nn.Linear(width, HEADS)
        nn.init.normal_(self.head.weight, std=0.1 / width**0.5)  # decimetres, not metres, at first
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor) -> Encoded:
        """Read features (B, G, width)."""
        return read_heads(self.head, features)


class PerSet(nn.Module):
    """A layer with weights of its own for each joint set: joint 3 of one is not joint 3 of another.

    Args:
        make: makes the layer of one joint set.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(make() for _ in JOINT_SETS)

    def forward(self, x: Tensor, joint_set: Tensor) -> Tensor:
        """Run windows x (B, ...) through the layers of their joint sets (B,)."""
        with full_precision(x):
            answers = torch.stack([layer(x) for layer in self.layers])
        return answers[joint_set, torch.arange(len(x), device=x.device)]


@dataclass(frozen=True)
class OnMoments:
    """Looks, linearly interpolated to other moments.

    Attributes:
        joints: (B, G, 17, JOINT_FEATURES) as `Canonical.joints`; a joint that one neighbour lacks
            is where the other has it, and half missing.
        moments: (B, G, LOOK_FEATURES + 4) look features, and the gaps to the looks before and
            after in seconds, raw and as exp(-4 gap): 1 where a look is there.
    """

    joints: Tensor
    moments: Tensor


def interpolate_looks(canonical: Canonical, looks: Looks, at: Tensor) -> OnMoments:
    """Looks at the moments (B, G), constant beyond the first and last one."""
    weights, gaps = interpolation(looks.times, looks.valid, at)
    with full_precision(weights):
        seen = (1 - canonical.joints[..., 3]) * looks.valid[..., None]  # (B, K, 17)
        share = weights @ seen
        places = weights @ (canonical.joints[..., :2] * seen[..., None]).flatten(2)
        places = places.unflatten(-1, (17, 2)) / share.clamp_min(1e-6)[..., None]
        confidence = weights @ canonical.joints[..., 2]
        features = weights @ canonical.looks
    return OnMoments(
        joints=torch.cat([places, confidence[..., None], 1 - share[..., None]], -1),
        moments=torch.cat([features, gaps, torch.exp(-4 * gaps)], -1),
    )


@dataclass(frozen=True)
class SingleFrameConfig:
    """Sizes of `SingleFrame`; the paper's are width 1024, blocks 2, dropout 0.5.

    Attributes:
        kind: name among the encoders.
        width: of the hidden layers.
        blocks: residual blocks of two layers.
        dropout: after every layer.
    """

    kind: str = "single_frame"
    width: int = 1024
    blocks: int = 2
    dropout: float = 0.1

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(0, self.width)


class SingleFrame(nn.Module):
    """A simple yet effective baseline (Martinez et al. 2017): an MLP that sees one look at a time.

    The heads are linear, so that interpolating features between looks interpolates poses.
    """

    def __init__(self, config: SingleFrameConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width

        def layer() -> nn.Sequential:
            parts = (nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())
            return nn.Sequential(*parts, nn.Dropout(config.dropout))

        self.enter = PerSet(lambda: nn.Linear(_LOOK, width))
        self.first = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout))
        self.blocks = nn.ModuleList(nn.Sequential(layer(), layer()) for _ in range(config.blocks))
        self.readout = Readout(width)

    def forward(self, canonical: Canonical, looks: Looks, at: Tensor, valid: Tensor) -> Encoded:
        """Encode windows of looks for the moments `at` (B, G)."""
        entered = self.enter(
            torch.cat([canonical.joints.flatten(2), canonical.looks], -1), looks.joint_set
        )
        x = self.first(entered[looks.valid])  # (N, width): padding stays out of the batch norm
        for block in self.blocks:
            x = x + block(x)
        seen = canonical.joints.new_zeros(*looks.valid.shape, x.shape[-1])
        seen[looks.valid] = x.float()
        weights, _ = interpolation(looks.times, looks.valid, at)
        return self.readout(weights @ seen)


@dataclass(frozen=True)
class TemporalCNNConfig:
    """Sizes of `TemporalCNN`; the paper's are width 1024 and dropout 0.25.

    Attributes:
        kind: name among the encoders.
        width: channels.
        blocks: residual blocks; block i has dilation 3^i, the receptive field is 3^(blocks + 1).
        refine: moments that it works on per output moment (the grid is coarser than dense looks).
        dropout: after every layer.
    """

    kind: str = "temporal_cnn"
    width: int = 256
    blocks: int = 3
    refine: int = 2
    dropout: float = 0.1

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(0, self.width)


class TemporalCNN(nn.Module):
    """VideoPose3D (Pavllo et al. 2019): dilated convolutions over a dense sequence of 2D poses.

    The sequence is what linear interpolation makes of the looks, with the distance to the looks
    as a flag; at the window's ends its first and last moment are repeated, as in the paper.
    """

    def __init__(self, config: TemporalCNNConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width

        def convolve(inputs: int, size: int, dilation: int = 1) -> nn.Conv1d:
            padding = dilation * (size // 2)
            return nn.Conv1d(inputs, width, size, padding=padding, dilation=dilation, bias=False,
                             padding_mode="replicate")  # fmt: skip

        def rest() -> tuple[nn.Module, ...]:
            return nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(config.dropout)

        self.enter = PerSet(lambda: convolve(_LOOK + GAPS, 3))
        self.first = nn.Sequential(*rest())
        self.blocks = nn.ModuleList(
            nn.Sequential(
                convolve(width, 3, 3 ** (index + 1)), *rest(), convolve(width, 1), *rest()
            )
            for index in range(config.blocks)
        )
        self.readout = Readout(width)

    def forward(self, canonical: Canonical, looks: Looks, at: Tensor, valid: Tensor) -> Encoded:
        """Encode windows of looks for the evenly spaced moments `at` (B, G)."""
        refine = self.config.refine
        count = (at.shape[1] - 1) * refine + 1
        fine = functional.interpolate(at[:, None], count, mode="linear", align_corners=True)[:, 0]
        sequence = interpolate_looks(canonical, looks, fine)
        x = torch.cat([sequence.joints.flatten(2), sequence.moments], -1).transpose(1, 2)
        x = self.first(self.enter(x, looks.joint_set))
        for block in self.blocks:
            x = x + block(x)
        return self.readout(x[..., ::refine].transpose(1, 2))


@dataclass(frozen=True)
class MixSTEConfig:
    """Sizes of `MixSTE`; the paper's are width 512, blocks 8, heads 8, ratio 2.

    Attributes:
        kind: name among the encoders.
        width: of a joint's token.
        blocks: pairs of a spatial and a temporal block.
        heads: of attention.
        ratio: hidden width of an MLP over its token's width.
    """

    kind: str = "mixste"
    width: int = 64
    blocks: int = 4
    heads: int = 4
    ratio: int = 2

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(self.width + 3, 0)


class MixSTE(nn.Module):
    """MixSTE (Zhang et al. 2022), the backbone of D3DP (Shan et al. 2023), deterministic.

    Every moment has a token a joint; attention over the joints of a moment takes turns with
    attention over the moments of a joint. Moments between looks enter as linear interpolation.
    Times are rotary, as in `Encoder`, in place of learned positions; one linear layer reads all
    joints of a moment, since input and output joints differ. The paper's reads a joint off its own
    token, so that a joint's features say where it is; here they are its token and the answer.
    """

    def __init__(self, config: MixSTEConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.joint_in = nn.Linear(JOINT_FEATURES, width)
        self.moment_in = nn.Linear(LOOK_FEATURES + GAPS, width)
        self.joint_embedding = nn.Parameter(0.02 * torch.randn(len(JOINT_SETS), 17, width))
        self.body = MixSTEBody(width, config.blocks, config.heads, config.ratio)
        self.readout = Readout(17 * width)

    def forward(self, canonical: Canonical, looks: Looks, at: Tensor, valid: Tensor) -> Encoded:
        """Encode windows of looks for the moments `at` (B, G), `valid` (B, G) of which count."""
        sequence = interpolate_looks(canonical, looks, at)
        with full_precision(at):
            x = self.joint_in(sequence.joints) + self.moment_in(sequence.moments)[:, :, None]
        x = x + self.joint_embedding[looks.joint_set][:, None]  # (B, G, 17, width)
        x = self.body(x, at, valid)
        encoded: Encoded = self.readout(x.flatten(2))
        return replace(encoded, features=torch.cat([x, encoded.joints], -1).flatten(2))
