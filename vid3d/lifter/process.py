"""The diffusion process that a head is trained for: noise, loss and sampling.

Everything that published systems choose differently is a field of `HeadConfig`: what is denoised
(the encoder's error, or the pose itself), how signal gives way to noise, whether the network says
the clean value or the noise, and how samples are drawn. Continuous levels 0..1 serve them all: time
step t of T in the literature is the level (t + 1) / T.

DDIM with eta (Song et al. 2021, eq. 12 and 16) is the only sampler: at eta 0 it is deterministic,
at eta 1 and a step a level it is the ancestral sampler of DDPM (Ho et al. 2020, algorithm 2).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vid3d.errors import Vid3dError

POSE = 48
"""Coordinates that are denoised: all joints but the root."""
_NOISE_BLOCK = 64  # grid moments drawn from one counter
_TRACKS = (1 << 31) - 1

Schedule = Callable[[Tensor], tuple[Tensor, Tensor]]


def _cosine(level: Tensor) -> tuple[Tensor, Tensor]:
    angle = level * (math.pi / 2)
    return angle.cos(), angle.sin()


def _linear(level: Tensor) -> tuple[Tensor, Tensor]:
    return 1 - level, level


SCHEDULES: dict[str, Schedule] = {"cosine": _cosine, "linear": _linear}
"""Weights of signal and noise at a level in 0..1: a quarter turn, or a straight line."""


def clipped_cosine(levels: int, largest: float) -> Schedule:
    """The cosine schedule in `levels` steps (Nichol & Dhariwal 2021, eq. 17).

    No step may take away more than the share `largest` (beta) of the signal's power: 0.999 in their
    paper and in D3DP, 0.5 in CSDI and DiffHPE.
    """
    u = np.arange(levels + 1) / levels
    power = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    beta = np.clip(1 - power[1:] / power[:-1], 0, largest)
    kept: NDArray[np.float64] = np.cumprod(np.append(1.0, 1 - beta))

    def schedule(level: Tensor) -> tuple[Tensor, Tensor]:
        step = (level * levels).round().long().clamp(0, levels).cpu().numpy()
        weights = (np.sqrt(kept[step]), np.sqrt(1 - kept[step]))
        signal, noise = (torch.as_tensor(w, dtype=torch.float32) for w in weights)
        return signal.to(level.device), noise.to(level.device)

    return schedule


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """The diffusion of a head; kinds of heads add their sizes.

    Attributes:
        schedule: "cosine" or "linear", see `SCHEDULES`, or "clipped cosine", which needs `levels`.
        levels: noise levels that there are (T); 0 for any level in 0..1.
        largest_beta: of the clipped cosine.
        predicts: what the network says: "clean" value, "noise", or the "velocity" from one to the
            other, signal times noise less noise times clean value (Salimans & Ho 2022, section 4),
            which teaches the clean value at all levels, where noise hardly does at the noisiest.
        residual: what is denoised is the encoder's error in the deviations that it expects, and
            hypotheses are centred on the encoder's answer; else the pose itself.
        unit: metres that a pose is counted in; not for residuals.
        every: grid moments from one of the head's to the next.
        largest: units at which targets are cut off in training.
        bounded: clean values are cut off there in sampling too.
        bounded_input: noisy values are as well, wherever the network reads them (D3DP).
        loss: "square" or "distance", the mean over joints (MPJPE).
        eta: share of fresh noise in every step of sampling.
        flip: every step asks for the mirror image as well, and takes the mean (D3DP).
    """

    schedule: str = "cosine"
    levels: int = 0
    largest_beta: float = 0.999
    predicts: str = "clean"
    residual: bool = True
    unit: float = 1.0
    every: int = 2
    largest: float = 5.0
    bounded: bool = False
    bounded_input: bool = False
    loss: str = "square"
    eta: float = 0.0
    flip: bool = False

    def __post_init__(self) -> None:
        schedules = (*SCHEDULES, "clipped cosine")
        for name, value, known in (
            ("schedule", self.schedule, schedules),
            ("predicts", self.predicts, ("clean", "noise", "velocity")),
            ("loss", self.loss, ("square", "distance")),
        ):
            if value not in known:
                raise Vid3dError(f"{name} is {value!r}, expected one of {', '.join(known)}")
        clipped = self.schedule == "clipped cosine"
        if clipped != (self.levels > 0):
            raise Vid3dError("a clipped cosine schedule needs levels, the others have none")
        if self.predicts == "noise" and not clipped:
            raise Vid3dError("a head that predicts noise needs a clipped cosine schedule: "
                             "the others end without any signal")  # fmt: skip
        if self.schedule == "linear" and (self.eta or self.predicts == "velocity"):
            raise Vid3dError("eta and velocity need a schedule that keeps the variance, "
                             "which linear does not")  # fmt: skip
        if self.every < 1:
            raise Vid3dError(f"every is {self.every}, expected 1 or more grid moments")

    def make_schedule(self) -> Schedule:
        """Weights of signal and noise at levels."""
        if self.levels:
            return clipped_cosine(self.levels, self.largest_beta)
        return SCHEDULES[self.schedule]

    def draw_levels(self, count: int, generator: torch.Generator) -> Tensor:
        """Levels (count,) to train at."""
        level = torch.rand(count, generator=generator)
        return ((level * self.levels).floor() + 1) / self.levels if self.levels else level

    def bound(self, values: Tensor) -> Tensor:
        """Noisy values as the network reads them."""
        return values.clamp(-self.largest, self.largest) if self.bounded_input else values

    def clean(self, said: Tensor, noisy: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """The clean value, from what the network said about a noisy one."""
        value = said
        if self.predicts == "noise":
            value = (noisy - noise * said) / signal
        elif self.predicts == "velocity":
            value = signal * noisy - noise * said
        return value.clamp(-self.largest, self.largest) if self.bounded else value


def standardised(values: Tensor, unit: Tensor | float, every: int) -> Tensor:
    """Errors or poses (B, G, 17, 3) in units, on the head's moments: (B, G / every, 48)."""
    return (values / unit)[:, ::every, 1:].flatten(2)


def diffusion_loss(
    head: Any,
    target: Tensor,
    condition: Tensor,
    times: Tensor,
    valid: Tensor,
    generator: torch.Generator,
    action: Tensor | None = None,
) -> Tensor:
    """How far off the head is at random levels.

    Args:
        head: that is judged, see `vid3d.lifter.heads`.
        target: (B, G, 48) in units, as `standardised` gives it.
        condition: (B, G, C) features of the encoder.
        times: (B, G) seconds.
        valid: (B, G) bool, moments that count.
        generator: of levels and noise.
        action: (B,) index of what is done, -1 where nobody knows; None for all.
    """
    config: HeadConfig = head.config
    clean = target.clamp(-config.largest, config.largest)
    anything = valid | ~valid.any(1, keepdim=True)  # never an empty row of keys
    level = config.draw_levels(len(clean), generator)
    signal, share = (weight[:, None, None] for weight in head.schedule(level))
    noise = torch.randn(clean.shape, generator=generator)
    noisy = config.bound(signal * clean + share * noise)
    aims = {"clean": clean, "noise": noise, "velocity": signal * noise - share * clean}
    error = head(noisy, level, condition, times, anything, action) - aims[config.predicts]
    if config.loss == "distance":
        amount = error.unflatten(-1, (-1, 3)).norm(dim=-1).mean(-1)
    else:
        amount = (error**2).mean(-1)
    return (amount * valid).sum() / valid.sum().clamp_min(1)


def ddim(
    noise: Tensor,
    steps: int,
    schedule: Schedule,
    clean: Callable[[Tensor, float], Tensor],
    eta: float = 0.0,
    fresh: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """Sampling from level 1 to 0.

    Args:
        noise: unit Gaussian noise of any shape.
        steps: how many times `clean` is asked.
        schedule: weights of signal and noise at a level.
        clean: predicts the clean value from a noisy one at a level.
        eta: share of fresh noise; 0 is deterministic.
        fresh: more noise for a step, if eta is not 0.
    """
    y = noise
    for index in range(steps):
        level, following = (1 - (index + k) / steps for k in (0, 1))
        x0 = clean(y, level)
        (a, s), (a_next, s_next) = (schedule(torch.tensor(value)) for value in (level, following))
        kept, drawn = s_next, None
        if eta and fresh is not None and index + 1 < steps:
            sigma = eta * s_next / s * (1 - (a / a_next) ** 2).clamp_min(0).sqrt()
            kept = (s_next**2 - sigma**2).clamp_min(0).sqrt()
            drawn = sigma * fresh(index)
        y = a_next * x0 + kept * (y - a * x0) / s
        y = y if drawn is None else y + drawn
    return y


def hypothesis_noise(
    seed: int, track: int, hypotheses: int, first: int, count: int, draw: int = 0
) -> Tensor:
    """Noise (hypotheses, count, 48) of the head's moments `first` to `first + count`.

    Counter-based (Philox): a moment's noise does not depend on how the track is cut. `draw` numbers
    independent draws for the same moments. Of a track's number 31 bits count.
    """
    begin, end = first // _NOISE_BLOCK, (first + count - 1) // _NOISE_BLOCK + 1
    drawn = np.empty((hypotheses, (end - begin) * _NOISE_BLOCK, POSE), np.float32)
    for hypothesis in range(hypotheses):
        key = np.array([seed, ((track & _TRACKS) << 32) + hypothesis], np.int64).view(np.uint64)
        for number, block in enumerate(range(begin, end)):
            counter = np.array([0, 0, draw, block], np.int64).view(np.uint64)
            generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
            part = slice(number * _NOISE_BLOCK, (number + 1) * _NOISE_BLOCK)
            drawn[hypothesis, part] = generator.standard_normal((_NOISE_BLOCK, POSE), np.float32)
    offset = first - begin * _NOISE_BLOCK
    return torch.from_numpy(drawn[:, offset : offset + count])


def level_features(level: Tensor, width: int) -> Tensor:
    """Sines and cosines (N, width) of a level (N,) as time step 0..1000 (Vaswani et al. 2017)."""
    frequencies = torch.exp(
        torch.arange(width // 2, device=level.device) * (-math.log(10_000) / (width // 2 - 1))
    )
    angles = 1000 * level[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], -1)
