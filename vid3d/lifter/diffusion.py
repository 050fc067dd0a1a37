"""The light diffusion head: hypotheses about what the encoder could not know.

It denoises the residual between truth and the encoder's answer, conditioned on the encoder's
features, so one pass of the encoder serves all hypotheses and steps (the wrapper idea of DiffHPE,
Rommel et al. 2023, without a second network). The residual is counted in the deviations that the
encoder expects, which leaves the head a problem of unit size everywhere, and it lives on every
second moment of the grid: what is left over after the encoder changes slowly. Both keep it small.
x0-prediction in continuous time, deterministic few-step sampling: DDIM (Song et al. 2021), which on
the linear schedule is Euler's method for flow matching (Lipman et al. 2023).

A hypothesis has an identity over time: its noise is a function of (seed, track, hypothesis,
absolute moment), see `hypothesis_noise`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vid3d.errors import Vid3dError
from vid3d.lifter.encoder import Block, rotary

POSE = 48
"""Coordinates of a residual: all joints but the root."""
EVERY = 2
"""Moments of the grid from one of the head's to the next."""
LARGEST = 5.0
"""Deviations at which residuals are cut off in training."""
_NOISE_BLOCK = 64  # grid moments drawn from one counter


@dataclass(frozen=True)
class DiffusionConfig:
    """Sizes of the head, with the same meanings as in `EncoderConfig`, and its noise.

    Attributes:
        schedule: how signal gives way to noise, a name of `SCHEDULES`.
    """

    width: int = 96
    blocks: int = 2
    heads: int = 4
    ratio: int = 2
    schedule: str = "cosine"

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            known = ", ".join(SCHEDULES)
            raise Vid3dError(f"schedule is {self.schedule!r}, expected one of {known}")


Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]


def _cosine(level: Tensor) -> tuple[Tensor, Tensor]:
    angle = level * (math.pi / 2)
    return angle.cos(), angle.sin()


def _linear(level: Tensor) -> tuple[Tensor, Tensor]:
    return 1 - level, level


SCHEDULES: dict[str, Schedule] = {"cosine": _cosine, "linear": _linear}
"""Weights of signal and noise at a level in 0..1: a quarter turn, or a straight line."""


class DiffusionHead(nn.Module):
    """Predicts the clean residual from a noisy one."""

    def __init__(self, config: DiffusionConfig, condition_width: int) -> None:
        super().__init__()
        self.config = config
        self.schedule = SCHEDULES[config.schedule]
        width = config.width
        self.pose_in = nn.Linear(POSE, width)
        self.condition_in = nn.Linear(condition_width, width)
        self.level_in = nn.Sequential(nn.Linear(64, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.ratio) for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, POSE)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, noisy: Tensor, level: Tensor, condition: Tensor, times: Tensor, valid: Tensor
    ) -> Tensor:
        """Clean residual (N, G, 48), in deviations.

        Args:
            noisy: (N, G, 48) in deviations.
            level: (N,) noise level in 0..1.
            condition: (N, G, condition_width) features of the encoder.
            times: (N, G) seconds.
            valid: (N, G) bool, moments that count.
        """
        return self.denoise(noisy, level, self.condition_in(condition), times, valid)

    def denoise(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
    ) -> Tensor:
        """The same with the condition (N, G, width) already projected, once for all steps."""
        frequencies = torch.logspace(0, 2, 32, device=level.device)
        angles = level[:, None] * frequencies
        embedded = self.level_in(torch.cat([angles.sin(), angles.cos()], -1))
        x = self.pose_in(noisy) + condition + embedded[:, None]
        turn = rotary(times, self.config.width // self.config.heads)
        mask = None if valid is None else valid[:, None, None]
        for block in self.blocks:
            x = block(x, mask, turn)
        return self.head(self.norm(x))


def standardised(residual: Tensor, deviation: Tensor) -> Tensor:
    """Residuals (B, G, 17, 3) in deviations, on the head's moments: (B, G / 2, 48)."""
    return (residual / deviation)[:, ::EVERY, 1:].flatten(2)


def diffusion_loss(
    head: DiffusionHead,
    residual: Tensor,
    condition: Tensor,
    times: Tensor,
    valid: Tensor,
    generator: torch.Generator,
) -> Tensor:
    """Mean squared error of the clean residual at random levels.

    Args:
        head: that is judged.
        residual: (B, G, 48) in deviations, as `standardised` gives it.
        condition: (B, G, condition_width) features of the encoder.
        times: (B, G) seconds.
        valid: (B, G) bool, moments that count.
        generator: of levels and noise.
    """
    clean = residual.clamp(-LARGEST, LARGEST)
    anything = valid | ~valid.any(1, keepdim=True)  # never an empty row of keys
    level = torch.rand(len(clean), generator=generator)
    signal, noise = (weight[:, None, None] for weight in head.schedule(level))
    noisy = signal * clean + noise * torch.randn(clean.shape, generator=generator)
    error = (head(noisy, level, condition, times, anything) - clean) ** 2
    return (error.mean(-1) * valid).sum() / valid.sum().clamp_min(1)


def ddim(
    noise: Tensor, steps: int, schedule: Schedule, clean: Callable[[Tensor, float], Tensor]
) -> Tensor:
    """Deterministic sampling from level 1 to 0.

    Args:
        noise: unit Gaussian noise of any shape.
        steps: how many times `clean` is asked.
        schedule: weights of signal and noise at a level.
        clean: predicts the clean value from a noisy one at a level.
    """
    y = noise
    for index in range(steps):
        level, following = (1 - (index + k) / steps for k in (0, 1))
        x0 = clean(y, level)
        (a, s), (a_next, s_next) = (schedule(torch.tensor(value)) for value in (level, following))
        y = a_next * x0 + s_next * (y - a * x0) / s
    return y


def hypothesis_noise(seed: int, track: int, hypotheses: int, first: int, count: int) -> Tensor:
    """Noise (hypotheses, count, 48) of the head's moments `first` to `first + count`.

    Counter-based (Philox): a moment's noise does not depend on how the track is cut.
    """
    begin, end = first // _NOISE_BLOCK, (first + count - 1) // _NOISE_BLOCK + 1
    drawn = np.empty((hypotheses, (end - begin) * _NOISE_BLOCK, POSE), np.float32)
    for hypothesis in range(hypotheses):
        key = np.array([seed, (track << 32) + hypothesis], np.int64).view(np.uint64)
        for number, block in enumerate(range(begin, end)):
            counter = np.array([0, 0, 0, block], np.int64).view(np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
            part = slice(number * _NOISE_BLOCK, (number + 1) * _NOISE_BLOCK)
            drawn[hypothesis, part] = generator.standard_normal((_NOISE_BLOCK, POSE), np.float32)
    offset = first - begin * _NOISE_BLOCK
    return torch.from_numpy(drawn[:, offset : offset + count])
