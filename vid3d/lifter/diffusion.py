"""The light diffusion head: hypotheses about what the encoder could not know.

It denoises the residual between truth and the encoder's answer, conditioned on the encoder's
features, so one pass of the encoder serves all hypotheses and steps (the wrapper idea of DiffHPE,
Rommel et al. 2023, without a second network). The residual is counted in the deviations that the
encoder expects, which leaves the head a problem of unit size everywhere, and it lives on every
second moment of the grid: what is left over after the encoder changes slowly. Both keep it small.
x0-prediction in continuous time, deterministic few-step sampling: DDIM (Song et al. 2021), which on
the linear schedule is Euler's method for flow matching (Lipman et al. 2023).

A hypothesis has an identity over time: its noise is a function of (seed, track, hypothesis,
absolute moment), see `vid3d.lifter.process`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vid3d.lifter.encoder import Block, FeatureLayout, rotary
from vid3d.lifter.head import Head
from vid3d.lifter.process import POSE, HeadConfig


@dataclass(frozen=True)
class DiffusionConfig(HeadConfig):
    """Sizes of the head, with the same meanings as in `EncoderConfig`, and its diffusion."""

    width: int = 96
    blocks: int = 2
    heads: int = 4
    ratio: int = 2
    kind: str = "vid3d"


class DiffusionHead(Head):
    """Predicts the clean residual from a noisy one."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, layout: FeatureLayout) -> None:
        super().__init__(config)
        width = config.width
        self.pose_in = nn.Linear(POSE, width)
        self.condition_in = nn.Linear(layout.width, width)
        self.level_in = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.ratio) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, POSE)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def denoise(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Tensor:
        """See `Head`; the action is not read."""
        frequencies = torch.logspace(0, 2, 32, device=level.device)
        angles = level[:, None] * frequencies
        embedded = self.level_in(torch.cat([angles.sin(), angles.cos()], -1))
        x = self.pose_in(noisy) + condition + embedded[:, None]
        turn = rotary(times, self.config.width // self.config.heads)
        mask = None if valid is None else valid[:, None, None]
        for block in self.blocks:
            x = block(x, mask, turn)
        return self.head(self.norm(x))
