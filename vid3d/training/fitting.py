"""The loop that trains the lifter: AdamW, WSD, EMA, exact resume, metrics as JSON lines."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: optimiser steps.
        batch: windows a step.
        lr: peak learning rate, after `warmup` steps; the last `decay` share falls linearly to 0.
        warmup: steps.
        decay: share of the steps.
        weight_decay: of matrices.
        clip: largest gradient norm.
        ema: decay of the averaged weights.
        seed: of everything.
        log_every: steps between lines of metrics.
        dev_every: steps between dev evaluations and checkpoints.
    """

    steps: int
    batch: int = 32
    lr: float = 1e-3
    warmup: int = 150
    decay: float = 0.35
    weight_decay: float = 0.03
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    log_every: int = 50
    dev_every: int = 250

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, a plateau, a linear fall (WSD, Hu et al. 2024)."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, (step + 1) / self.warmup, max(0.0, left))


@dataclass(frozen=True)
class Task:
    """What is trained, and how its loss and its dev figures come about.

    Attributes:
        model: to train.
        losses: weighted parts of the loss of one step; depends on nothing but the step.
        dev: figures on the dev actors, of the averaged weights.
    """

    model: nn.Module
    losses: Callable[[int], dict[str, Tensor]]
    dev: Callable[[], dict[str, float]]


class Run:
    """The state of a training run: everything that a checkpoint holds."""

    def __init__(self, task: Task, schedule: Schedule) -> None:
        self.task, self.schedule = task, schedule
        parameters = list(task.model.parameters())
        groups: list[dict[str, Any]] = [
            {
                "params": [p for p in parameters if p.ndim > 1],
                "weight_decay": schedule.weight_decay,
            },
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
        self.averaged = {k: v.detach().clone() for k, v in task.model.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def advance(self) -> dict[str, float]:
        """One optimiser step; the parts of the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate(self.step)
        losses = self.task.losses(self.step)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise Vid3dError(f"the loss is not finite at step {self.step}: lower lr and resume")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.task.model.parameters(), self.schedule.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(self.schedule.ema, self.step / (self.step + 20))
        for name, value in self.task.model.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)
        return {name: float(part.detach()) for name, part in losses.items()}

    def dev(self) -> dict[str, float]:
        """Dev figures of the averaged weights."""
        model = self.task.model
        current = {key: value.detach().clone() for key, value in model.state_dict().items()}
        model.load_state_dict(self.averaged)
        figures = self.task.dev()
        model.load_state_dict(current)
        return figures

    def save(self, path: Path) -> None:
        """Write a checkpoint; it replaces the old one whole or not at all."""
        state = {
            "model": self.task.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averaged": self.averaged,
            "step": self.step,
            "seconds": self.seconds,
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=torch.get_default_device(), weights_only=True)
        self.task.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.averaged, self.step = state["averaged"], state["step"]
        self.seconds = state["seconds"]


def fit(task: Task, schedule: Schedule, work_dir: Path, resume: bool) -> None:
    """Train a task to its end and leave the averaged weights in its model.

    Writes `metrics.jsonl` and `checkpoint.pth` into `work_dir`. With `resume` it goes on
    from that checkpoint, and gives what an unbroken run would have given.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    checkpoint = work_dir / "checkpoint.pth"
    run = Run(task, schedule)
    if resume and checkpoint.is_file():
        run.load(checkpoint)
    began = time.monotonic() - run.seconds
    totals: dict[str, float] = {}
    while run.step < schedule.steps:
        for name, value in run.advance().items():
            totals[name] = totals.get(name, 0.0) + value / schedule.log_every
        run.seconds = time.monotonic() - began
        if run.step % schedule.log_every == 0:
            _append(work_dir, _progress(run) | {k: round(v, 5) for k, v in totals.items()})
            totals = {}
        if run.step % schedule.dev_every == 0 or run.step == schedule.steps:
            _append(work_dir, _progress(run) | run.dev())
            run.save(checkpoint)
    task.model.load_state_dict(run.averaged)


def _progress(run: Run) -> dict[str, Any]:
    speed = run.step / max(run.seconds, 1e-9)
    left = (run.schedule.steps - run.step) / max(speed, 1e-9)
    return {
        "step": run.step,
        "minutes": round(run.seconds / 60, 2),
        "eta_minutes": math.ceil(left / 60),
        "windows_per_second": round(speed * run.schedule.batch, 1),
        "lr": round(run.schedule.learning_rate(run.step), 7),
    }


def _append(work_dir: Path, row: dict[str, Any]) -> None:
    with open(work_dir / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
