"""The loop that the 2D trainings share: AdamW, warm-up and cosine, EMA, metrics, checkpoints."""

from __future__ import annotations

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

WARM_UP = 0.03  # share of a stage
LOG_EVERY, SAVE_EVERY = 20.0, 60.0  # seconds


@dataclass(frozen=True)
class Stage:
    """One stretch of training at one input size.

    samples  images to see in all
    minutes  wall-clock limit (0 = none); the learning rate follows whichever is nearer its end
    batch    images a step
    lr       peak learning rate
    size     input width, height in pixels
    widen    factor on the width of the labels at the start; it falls to 1 over half the stage
    frozen   last stage of the backbone that no longer learns (0 = stem, -1 = none): early
             layers settle first, and their gradients cost the most (FreezeOut, arXiv 1706.04983)
    """

    name: str
    samples: int
    batch: int
    lr: float
    size: tuple[int, int]
    minutes: float = 0.0
    weight_decay: float = 0.05
    ema: float = 0.998
    clip: float = 35.0
    widen: float = 1.0
    frozen: int = -1

    def progress(self, seen: int, seconds: float) -> float:
        """Share of the stage that is done, 0..1."""
        timed = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(1.0, max(seen / self.samples, timed))

    def learning_rate(self, progress: float) -> float:
        """Linear warm-up, then a cosine down to 2 % of the peak."""
        if progress < WARM_UP:
            return self.lr * (progress / WARM_UP + 1e-3)
        cosine = 0.5 + 0.5 * math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))
        return self.lr * (0.02 + 0.98 * cosine)


Step = Callable[[int, float], tuple[Tensor, dict[str, float]]]
"""(step, progress) -> mean loss of that step's batch, and figures to log."""


def freeze(model: Any, last: int) -> None:
    """Freeze the backbone's stem and stages up to ``last``, as MMDetection's option does."""
    model.requires_grad_(True)
    model.backbone.frozen_stages = last
    model.train()


def initialised(model: Any) -> nn.Module:
    """A model from an OpenMMLab registry with its initial weights drawn."""
    model.init_weights()
    built: nn.Module = model
    return built


def placed(model: nn.Module) -> nn.Module:
    """The model on the first GPU, else the CPU, with channels last (faster in bfloat16)."""
    model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return model


def average(target: dict[str, Tensor], source: dict[str, Tensor], decay: float) -> None:
    """Move the averaged state ``target`` towards ``source``; integers are copied."""
    for name, value in source.items():
        if value.is_floating_point():
            target[name].lerp_(value, 1 - decay)
        else:
            target[name].copy_(value)


def _optimizer(model: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for _, p in named if p.ndim > 1]
    vectors = [p for _, p in named if p.ndim <= 1]  # norms and biases: no decay
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.lr, foreach=True)


@dataclass
class _Run:
    """What a checkpoint holds."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    averaged: dict[str, Tensor]
    seen: int = 0
    steps: int = 0
    seconds: float = 0.0

    def save(self, path: Path, stage: str) -> None:
        with atomic_path(path) as aside:
            torch.save(
                {
                    "stage": stage,
                    "model": self.model.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "averaged": self.averaged,
                    "counters": [self.seen, self.steps, self.seconds],
                },
                aside,
            )

    def load(self, path: Path, stage: str) -> None:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["stage"] != stage:
            return
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for name, value in saved["averaged"].items():
            self.averaged[name].copy_(value)
        self.seen, self.steps, self.seconds = saved["counters"]


def run_stage(
    model: nn.Module,
    stage: Stage,
    loss_of: Step,
    work_dir: Path,
    resume: bool,
) -> dict[str, Tensor]:
    """Train ``model`` for one stage and return its averaged state.

    ``loss_of`` makes the batch of a step; it must draw it from the step's number alone, so that a
    resumed run goes on as if it had not stopped. ``work_dir``
    receives metrics.jsonl, checkpoint.pth (every minute) and ``<stage>.pth`` at the end. With
    ``resume`` a finished stage is read back and an unfinished one goes on from its checkpoint.
    """
    done, checkpoint = work_dir / f"{stage.name}.pth", work_dir / "checkpoint.pth"
    if resume and done.is_file():
        return torch.load(done, map_location="cpu", weights_only=True)["state_dict"]
    start = {k: v.detach().clone() for k, v in model.state_dict().items()}
    run = _Run(model, _optimizer(model, stage), start)
    if resume and checkpoint.is_file():
        run.load(checkpoint, stage.name)
    _train(run, stage, loss_of, work_dir)
    with atomic_path(done) as aside:
        torch.save({"state_dict": run.averaged, "meta": {"stage": stage.name}}, aside)
    return run.averaged


def _train(run: _Run, stage: Stage, loss_of: Step, work_dir: Path) -> None:
    work_dir.mkdir(parents=True, exist_ok=True)
    run.model.train()
    began = time.monotonic() - run.seconds
    logged = saved = time.monotonic()
    figures: list[dict[str, float]] = []
    while (progress := stage.progress(run.seen, run.seconds)) < 1:
        lr = stage.learning_rate(progress)
        figures.append(_step(run, stage, lr, progress, loss_of))
        now = time.monotonic()
        run.seconds = now - began
        if now - logged > LOG_EVERY:
            row = {
                "stage": stage.name,
                "samples": run.seen,
                "progress": round(progress, 4),
                "lr": round(lr, 7),
                "images_per_second": round(len(figures) * stage.batch / (now - logged), 1),
                **{k: round(sum(f[k] for f in figures) / len(figures), 4) for k in figures[0]},
            }
            _append(work_dir / "metrics.jsonl", row)
            logged, figures = now, []
        if now - saved > SAVE_EVERY:
            run.save(work_dir / "checkpoint.pth", stage.name)
            saved = now


def _step(run: _Run, stage: Stage, lr: float, progress: float, loss_of: Step) -> dict[str, float]:
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    loss, figures = loss_of(run.steps, progress)
    if not torch.isfinite(loss):
        raise Vid3dError(
            f"the loss of stage {stage.name} is not finite at step {run.steps}; "
            "lower its learning rate and resume"
        )
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), stage.clip, foreach=True)
    run.optimizer.step()
    run.steps += 1
    run.seen += stage.batch
    warm = (1 + run.steps) / (10 + run.steps)
    average(run.averaged, run.model.state_dict(), min(stage.ema, warm))
    return {"loss": float(loss.detach()), **figures}


def _append(path: Path, row: dict[str, Any]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
