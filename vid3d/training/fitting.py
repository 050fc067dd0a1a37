"""The loop that every training shares: optimizer, schedule, averaged weights, exact resume.

A training is one or more stages. A stage's loss depends on nothing but the number of its step, so a
run that was killed at any moment and resumed gives the same weights as an unbroken one.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.given import real_number, unfit, whole_number
from vid3d.training import distributed
from vid3d.training.curves import METRICS, keep_rows
from vid3d.training.muon import optimizers

LOG_EVERY, SAVE_EVERY = 20.0, 60.0  # seconds
_RANGES = (
    ("samples", 1, math.inf),
    ("lr", 0, math.inf),
    ("minutes", 0, math.inf),
    ("warm_up", 0, 1),
    ("decay", 0, 1),
    ("weight_decay", 0, math.inf),
    ("clip", 0, math.inf),
    ("ema", 0, 1),
)
"""Of a stage's numbers."""


@dataclass(frozen=True)
class Stage:
    """One stretch of training.

    Attributes:
        name: of the stage; its averaged weights are written to `<name>.pth`.
        samples: to see in all.
        batch: samples a step and process.
        lr: peak learning rate.
        minutes: wall-clock limit (0 = none); the schedule follows whichever is nearer its end.
        warm_up: share of the stage.
        decay: share of the stage, at its end, over which the learning rate falls to 0 (0 = never).
        optimizer: "muon" (with AdamW for what is no matrix) or "adamw".
        weight_decay: of matrices and filters.
        clip: largest gradient norm (0 = any).
        ema: decay of the averaged weights.
        dev_every: samples between looks at the dev set (0 = none).
    """

    name: str
    samples: int
    batch: int
    lr: float
    minutes: float = 0.0
    warm_up: float = 0.03
    decay: float = 0.97
    optimizer: str = "muon"
    weight_decay: float = 0.05
    clip: float = 35.0
    ema: float = 0.998
    dev_every: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.+-]+", str(self.name)) or self.name == "checkpoint":
            raise unfit("stage.name", self.name, "a name for a file NAME.pth, not checkpoint")
        whole_number("stage.batch", self.batch, 1)
        whole_number("stage.dev_every", self.dev_every, 0)
        for name, low, high in _RANGES:
            value, expected = getattr(self, name), f"a number from {low} to {high}"
            if not low <= real_number(f"stage.{name}", value, expected) <= high:
                raise unfit(f"stage.{name}", value, expected)

    def progress(self, seen: int, seconds: float) -> float:
        """Share of the stage that is done, 0..1."""
        timed = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(seen / self.samples, timed))

    def learning_rate(self, progress: float) -> float:
        """Linear warm-up, a plateau, a linear fall to 0 (WSD, Hu et al. 2024)."""
        rise = progress / self.warm_up + 1e-3 if self.warm_up else 1.0
        fall = (1 - progress) / self.decay if self.decay else 1.0
        return self.lr * min(1.0, rise, fall)


class Loss(Protocol):
    """The loss of one step: its mean over the batch, and figures to log."""

    def __call__(self, step: int, progress: float, /) -> tuple[Tensor, dict[str, float]]:
        """Draw the batch of ``step`` (from that number alone) and judge the model on it."""


Dev = Callable[[], dict[str, float]]
"""Figures of the model, with its averaged weights, on the dev set."""


@contextmanager
def fast_precision(name: str) -> Iterator[None]:
    """Compute a loss in "bfloat16", where the model does not say otherwise, or in "float32".

    On a CPU attention is spelled out: the fused kernel's backward pass takes half the time of a
    step on sequences as short as these.

    Raises:
        Vid3dError: another name.
    """
    if name not in ("bfloat16", "float32"):
        raise unfit("precision", name, "bfloat16 or float32")
    device = torch.get_default_device().type
    kernels = [SDPBackend.MATH]
    if device != "cpu":
        kernels += [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    low = torch.autocast(device, torch.bfloat16, enabled=name == "bfloat16")
    with sdpa_kernel(kernels), low:
        yield


def average(target: dict[str, Tensor], source: dict[str, Tensor], decay: float) -> None:
    """Move the averaged state ``target`` towards ``source``; integers are copied."""
    for name, value in source.items():
        if value.is_floating_point():
            target[name].lerp_(value, 1 - decay)
        else:
            target[name].copy_(value)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write what `torch.load` reads; it replaces an older file whole or not at all.

    By way of memory: of a full disk torch's own writer only says that its format went wrong.

    Raises:
        Vid3dError: it cannot be written.
    """
    held = io.BytesIO()
    torch.save(state, held)
    with atomic_path(path) as aside:
        aside.write_bytes(held.getbuffer())


class _Run:
    """The state of a stage: everything that a checkpoint holds."""

    def __init__(self, model: nn.Module, stage: Stage, loss: Loss) -> None:
        self.model, self.stage = model, stage
        self.objective = distributed.objective(model, loss)
        self.optimizers = optimizers(model, stage.optimizer, stage.lr, stage.weight_decay)
        self.averaged = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.seen, self.steps, self.seconds = 0, 0, 0.0

    @property
    def progress(self) -> float:
        return self.stage.progress(self.seen, self.seconds)

    def advance(self, progress: float) -> dict[str, float]:
        """One step; the figures to log."""
        stage = self.stage
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = stage.learning_rate(progress)
        loss, figures = self.objective(self.steps, progress)
        if not torch.isfinite(loss):
            raise Vid3dError(
                f"the loss of stage {stage.name} is not finite at step {self.steps}; "
                "lower its learning rate and resume"
            )
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), stage.clip or math.inf, foreach=True)
        for optimizer in self.optimizers:
            optimizer.step()
        self.steps += 1
        self.seen += stage.batch * distributed.processes()
        young = (1 + self.steps) / (10 + self.steps)
        average(self.averaged, self.model.state_dict(), min(stage.ema, young))
        return {"loss": float(loss.detach()), **figures}

    def measure(self, dev: Dev) -> dict[str, float]:
        """Dev figures of the averaged weights."""
        current = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.averaged)
        figures = dev()
        self.model.load_state_dict(current)
        return figures

    def save(self, path: Path) -> None:
        """Write a checkpoint; it replaces the old one whole or not at all."""
        state = {
            "stage": self.stage.name,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "averaged": self.averaged,
            "counters": [self.seen, self.steps, self.seconds],
        }
        write_state(path, state)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of this stage; one of another stage is left alone.

        Raises:
            Vid3dError: it is damaged, or of another recipe.
        """
        with _kept(path) as saved:
            if saved["stage"] != self.stage.name:
                return
            self.model.load_state_dict(saved["model"])
            for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            for name, value in saved["averaged"].items():
                self.averaged[name].copy_(value)
            self.seen, self.steps, self.seconds = saved["counters"]


@contextmanager
def _kept(path: Path) -> Iterator[dict[str, Any]]:
    """What a training has written, to be taken up inside the `with` block.

    Raises:
        Vid3dError: it is damaged, or does not fit.
    """
    try:
        yield torch.load(path, map_location="cpu", weights_only=True)
    except (AttributeError, EOFError, KeyError, OSError, RuntimeError, TypeError, ValueError,
            pickle.UnpicklingError) as error:  # fmt: skip
        raise Vid3dError(
            f"cannot go on from {path}: it is damaged, or of other networks or another optimizer; "
            "give the recipe that it was begun with, or begin anew without --resume"
        ) from error


def fit(
    model: nn.Module,
    stage: Stage,
    loss: Loss,
    work_dir: Path,
    resume: bool = False,
    dev: Dev | None = None,
) -> None:
    """Train ``model`` for one stage and leave the averaged weights in it.

    ``work_dir`` receives metrics.jsonl, checkpoint.pth (every minute, and after a look at the dev
    set) and ``<stage>.pth`` at the end. With ``resume`` a finished stage is read back and an
    unfinished one goes on from its checkpoint.

    Raises:
        Vid3dError: the loss is not finite, or what there is to go on from is damaged or does not
            fit.
    """
    done, checkpoint = work_dir / f"{stage.name}.pth", work_dir / "checkpoint.pth"
    if resume and done.is_file():
        with _kept(done) as saved:
            model.load_state_dict(saved["state_dict"])
        return
    work_dir.mkdir(parents=True, exist_ok=True)
    run = _Run(model, stage, loss)
    if resume and checkpoint.is_file():
        run.load(checkpoint)
    if not distributed.rank():
        keep_rows(work_dir / METRICS, stage.name, run.seen)
    model.train()
    _loop(run, work_dir, dev)
    model.load_state_dict(run.averaged)
    if distributed.rank():
        return
    write_state(done, {"state_dict": run.averaged, "meta": {"stage": stage.name}})


def _loop(run: _Run, work_dir: Path, dev: Dev | None) -> None:
    began = time.monotonic() - run.seconds
    logged = saved = time.monotonic()
    figures: list[dict[str, float]] = []
    while (progress := distributed.agreed(run.progress)) < 1:
        step = run.advance(progress)
        now = time.monotonic()
        run.seconds = now - began
        if distributed.rank():
            continue
        figures.append(step)
        looking = dev is not None and _crossed(run)
        if now - logged > LOG_EVERY or looking or run.progress >= 1:
            _log(work_dir, run, figures, now - logged)
            logged, figures = now, []
        if dev is not None and looking:
            _append(work_dir, {"stage": run.stage.name, "samples": run.seen, **run.measure(dev)})
        if now - saved > SAVE_EVERY or looking:
            run.save(work_dir / "checkpoint.pth")
            saved = now


def _crossed(run: _Run) -> bool:
    """Whether the last step led over a multiple of ``dev_every``, or to the end."""
    every = run.stage.dev_every
    step = run.stage.batch * distributed.processes()
    return bool(every) and (run.seen % every < step or run.progress >= 1)


def _log(work_dir: Path, run: _Run, figures: list[dict[str, float]], seconds: float) -> None:
    progress = run.progress
    samples = len(figures) * run.stage.batch * distributed.processes()
    left = run.seconds * (1 - progress) / max(progress, 1e-9)
    row = {
        "stage": run.stage.name,
        "samples": run.seen,
        "minutes": round(run.seconds / 60, 2),
        "eta_minutes": math.ceil(left / 60),
        "samples_per_second": round(samples / max(seconds, 1e-9), 1),
        "lr": round(run.stage.learning_rate(progress), 7),
        **{k: round(sum(f[k] for f in figures) / len(figures), 5) for k in figures[0]},
    }
    _append(work_dir, row)


def _append(work_dir: Path, row: dict[str, Any]) -> None:
    with open(work_dir / METRICS, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
