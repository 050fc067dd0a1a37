"""The noise predictor of DiffHPE (Rommel et al. 2023, section 3.3).

Residual layers after CSDI (Tashiro et al. 2021) with two graph convolutions in place of two
transformer layers: the first one's features are the moments of the window, one channel after
the other, the second one's are the channels, one moment after the other; both are carried along the
skeleton. The convolution is pre-aggregated with decoupled self-connections (Liu et al. 2020, "A
comprehensive study of weight sharing in graph networks for 3D human pose estimation"): every joint
has a matrix for itself and one for what it says to its neighbours. Joints that are no neighbours
meet in a non-local block (Wang et al. 2018).

With an encoder of looks the condition is the 2D pose (DiffHPE-2D); with a frozen pre-trained
encoder it is the encoder's features (DiffHPE-Wrapper, eq. 10 to 12). The noisy pose is embedded by
a linear layer of its own, so that a wide condition does not drown it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.errors import Vid3dError
from vid3d.lifter.encoder import FeatureLayout, full_precision
from vid3d.lifter.head import JointHead
from vid3d.lifter.process import HeadConfig, level_features
from vid3d.skeleton import H36M17


@dataclass(frozen=True, kw_only=True)
class GCNConfig(HeadConfig):
    """Sizes of the noise predictor, the paper's by default, and its diffusion.

    Attributes:
        kind: name among the heads.
        width: channels.
        blocks: residual layers.
        frames: moments of a window, which the first graph convolution's weights depend on.
        dropout: after every graph convolution; 0.03 with looks, 0.27 with an encoder's features.
        standardised: features of the encoder are brought to mean 0 and deviation 1; those of a
            trained one hardly differ between poses, beside what is the same in all.
    """

    kind: str = "gcn"
    width: int = 64
    blocks: int = 16
    frames: int = 27
    dropout: float = 0.03
    standardised: bool = False
    schedule: str = "clipped cosine"
    levels: int = 50
    largest_beta: float = 0.5
    predicts: str = "noise"
    residual: bool = False
    every: int = 1
    largest: float = 1.5
    bounded: bool = True
    eta: float = 1.0


def adjacency() -> Tensor:
    """The skeleton's A + I (17, 17) with rows that add up to 1."""
    matrix = torch.eye(17)
    for parent, child in H36M17.bones:
        matrix[parent, child] = matrix[child, parent] = 1
    return matrix / matrix.sum(1, keepdim=True)


class GraphConvolution(nn.Module):
    """y_i = a_ii W_i x_i + sum over j != i of a_ij V_j x_j + b.

    It begins near the identity: what is to be said is the noise, which is in the input, and random
    matrices would mix it up in every layer.

    Args:
        features: of a joint, in and out.
    """

    links: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("links", adjacency(), persistent=False)
        bound = 0.1 * math.sqrt(3 / features)
        own, told = torch.empty(2, 17, features, features).uniform_(-bound, bound).unbind()
        identity = torch.eye(features) / self.links.diagonal()[:, None, None]
        # Matrices of joints on top of each other, or Muon would make one of 17 rows of them.
        self.own = nn.Parameter((identity + own).flatten(0, 1))
        self.told = nn.Parameter(told.flatten(0, 1).clone())
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x (N, 17, features)."""
        own, told = (
            torch.einsum("njf,jfg->njg", x, matrices.unflatten(0, (17, -1)))
            for matrices in (self.own, self.told)
        )
        own = own * self.links.diagonal()[:, None]
        others = self.links - torch.diag(self.links.diagonal())
        return own + torch.einsum("ij,njg->nig", others, told) + self.bias


class _GraphLayer(nn.Module):
    """A graph convolution, batch norm, ReLU and dropout."""

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.convolution = GraphConvolution(features)
        self.norm = nn.BatchNorm1d(features)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Run x (N, 17, features)."""
        y = self.norm(self.convolution(x).transpose(1, 2)).transpose(1, 2)
        return self.dropout(functional.relu(y))


class _NonLocal(nn.Module):
    """Attention over the joints of a moment (embedded Gaussian), added to its input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * (width // 2))
        self.out = nn.Linear(width // 2, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Run x (N, 17, width)."""
        q, k, v = self.qkv(x).chunk(3, -1)
        return x + self.out((q @ k.transpose(1, 2)).softmax(-1) @ v)


class ResidualLayer(nn.Module):
    """Level, time graph, feature graph, non-local block, gate; a residual and a skip come out."""

    def __init__(self, config: GCNConfig) -> None:
        super().__init__()
        width = config.width
        self.level_in = nn.Linear(2 * width, width)
        self.time = _GraphLayer(config.frames, config.dropout)
        self.feature = _GraphLayer(width, config.dropout)
        self.nonlocal_block = _NonLocal(width)
        self.middle = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Next x (N, G, 17, width) and the skip of the same shape; level (N, 2 width)."""
        batch = len(x)
        y = x + self.level_in(level)[:, None, None]
        over_time = y.permute(0, 3, 2, 1).flatten(0, 1)  # (N C, 17, G)
        y = self.time(over_time).unflatten(0, (batch, -1)).permute(0, 3, 2, 1)
        y = self.nonlocal_block(self.feature(y.flatten(0, 1)))
        gate, filtered = self.middle(y).chunk(2, -1)
        y = self.out(gate.sigmoid() * filtered.tanh()).unflatten(0, (batch, -1))
        residual, skip = y.chunk(2, -1)
        return (x + residual) / math.sqrt(2), skip


class NoisePredictor(JointHead):
    """DiffHPE's network: the noise in noisy poses, given a condition."""

    config: GCNConfig

    def __init__(self, config: GCNConfig, layout: FeatureLayout) -> None:
        super().__init__(config, layout, config.width)
        width = config.width
        self.features_norm: nn.Module = (
            nn.BatchNorm1d(layout.width, affine=False) if config.standardised else nn.Identity()
        )
        self.level_in = nn.Sequential(
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
            nn.Linear(2 * width, 2 * width),
            nn.SiLU(),
        )
        self.layers = nn.ModuleList(ResidualLayer(config) for _ in range(config.blocks))
        self.skip = nn.Linear(width, width)
        self.out = nn.Linear(width, 3)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def condition_in(self, features: Tensor) -> Tensor:
        """The condition (N, G, 17, width) that features (N, G, C) of the encoder make."""
        with full_precision(features):
            rows = self.features_norm(features.float().flatten(0, 1))
        return super().condition_in(rows.unflatten(0, features.shape[:2]))

    def denoise(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Tensor:
        """See `Head`; what `predicts` names. Times, valid and action are not read.

        Raises:
            Vid3dError: a window of another length than the weights are for.
        """
        if noisy.shape[1] != self.config.frames:
            raise Vid3dError(f"windows of {noisy.shape[1]} moments, but the diffusion head has "
                             f"frames={self.config.frames}")  # fmt: skip
        with full_precision(noisy):
            x = functional.relu(self.read_poses(noisy) + condition)
        embedded = self.level_in(level_features(level, 2 * self.config.width))
        skips = torch.zeros_like(x)
        for layer in self.layers:
            x, skip = layer(x, embedded)
            skips = skips + skip
        return self.say(functional.relu(self.skip(skips / math.sqrt(len(self.layers)))))
