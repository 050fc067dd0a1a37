"""Training of the lifter's encoder: batches from motion alone, EMA, exact resume, JSON lines.

Batches depend on nothing but the seed and the step, so a run that was killed at any moment and
resumed gives the same weights as one that was not.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.data.augment import BodyRanges
from vid3d.data.batches import Batch, BatchOptions, Motions, make_batch
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import DEV_ACTORS, motion_files, read_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.lifter.canonical import Canonical, canonicalise, interpolation, rotations
from vid3d.lifter.encoder import Encoded, Encoder, EncoderConfig
from vid3d.skeleton import H36M17

SCORED = [i for i, joint in enumerate(H36M17.joints) if joint not in ("nose", "head")]


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
        dev_windows: windows of the dev actors a stride.
    """

    steps: int = 6000
    batch: int = 32
    lr: float = 1e-3
    warmup: int = 200
    decay: float = 0.35
    weight_decay: float = 0.03
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0
    log_every: int = 50
    dev_every: int = 400
    dev_windows: int = 256

    def learning_rate(self, step: int) -> float:
        """Linear warm-up, a plateau, a linear fall (WSD, Hu et al. 2024)."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, (step + 1) / self.warmup, max(0.0, left))


@dataclass(frozen=True)
class Targets:
    """What the encoder should say about a batch, canonical frame; see `Encoded`."""

    joints: Tensor
    coco: Tensor
    root: Tensor
    contacts: Tensor
    valid: Tensor


def make_targets(batch: Batch, canonical: Canonical) -> Targets:
    """Turn a batch's truth into the frame R(t) that the noisy looks define."""
    weights, _ = interpolation(batch.looks.times, batch.looks.valid, batch.times)
    rotation = rotations(weights @ canonical.angles)[:, :, None]
    absolute = (rotation @ batch.joints[..., None])[..., 0]
    coco = (rotation @ batch.coco[..., None])[..., 0]
    root = absolute[:, :, :1]
    depth, scale = root[:, :, 0, 2:].clamp_min(0.1), canonical.scale[:, None, None]
    place = torch.cat([root[:, :, 0, :2] / depth / scale, torch.log(depth * scale)], -1)
    usable = batch.valid & batch.looks.valid.any(1, keepdim=True)
    return Targets(absolute - root, coco - root, place, batch.contacts, usable)


def encoder_losses(encoded: Encoded, targets: Targets, times: Tensor) -> dict[str, Tensor]:
    """Weighted parts of the loss, metres where that makes sense.

    Position: mean per-joint distance (nose and head half: their definition is loose). Velocity:
    the same of differences between successive output moments (MixSTE's MPJVE).
    """
    weight = torch.ones(17)
    weight[H36M17.indices(["nose", "head"])] = 0.5
    valid = targets.valid.float()
    both = valid[:, 1:] * valid[:, :-1]

    def mean(values: Tensor, mask: Tensor) -> Tensor:
        return (values * mask).sum() / mask.sum().clamp_min(1)

    error = encoded.joints - targets.joints
    root = (encoded.root - targets.root).abs()
    contact = functional.binary_cross_entropy_with_logits(
        encoded.contacts, targets.contacts, reduction="none"
    )
    return {
        "joints": mean((error.norm(dim=-1) * weight).mean(-1), valid),
        "velocity": 0.5 * mean((error[:, 1:] - error[:, :-1]).norm(dim=-1).mean(-1), both),
        "coco": 0.3 * mean((encoded.coco - targets.coco).norm(dim=-1).mean(-1), valid),
        "root": 0.15 * mean(root[..., :2].sum(-1), valid) + 0.2 * mean(root[..., 2], valid),
        "contacts": 0.005 * mean(contact.mean(-1), valid),
    }


def encode(encoder: Encoder, batch: Batch) -> tuple[Encoded, Targets]:
    """Run the encoder on a batch; its answer and what it should have said."""
    canonical = canonicalise(batch.looks)
    encoded = encoder(canonical, batch.looks, batch.times, batch.valid)
    return encoded, make_targets(batch, canonical)


def dev_error(encoder: Encoder, motions: Motions, options: BatchOptions, windows: int) -> float:
    """Root-relative MPJPE in millimetres over 15 joints, on fixed windows at stride 10."""
    fixed = replace(
        options,
        strides=(10,),
        short=0.0,
        irregular=0.0,
        speed=(1.0, 1.0),
        body=BodyRanges(0, 0, 0, 0),
        camera=replace(options.camera, truncated=0.0),
    )
    total, count = 0.0, 0.0
    with torch.inference_mode():
        for part in range(0, windows, 128):
            generator = torch.Generator().manual_seed(1000 + part)
            batch = make_batch(motions, min(128, windows - part), fixed, generator)
            encoded, targets = encode(encoder, batch)
            error = (encoded.joints - targets.joints).norm(dim=-1)[..., SCORED].mean(-1)
            total += float((error * targets.valid).sum())
            count += float(targets.valid.sum())
    return 1000 * total / count


class Run:
    """The state of a training run: everything that a checkpoint holds."""

    def __init__(self, encoder: Encoder, schedule: Schedule) -> None:
        self.encoder, self.schedule = encoder, schedule
        matrices = [p for p in encoder.parameters() if p.ndim > 1]
        vectors = [p for p in encoder.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": schedule.weight_decay},
                  {"params": vectors, "weight_decay": 0.0}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.98))
        self.averaged = {k: v.detach().clone() for k, v in encoder.state_dict().items()}
        self.step = 0
        self.seconds = 0.0

    def advance(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; the parts of the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.schedule.learning_rate(self.step)
        encoded, targets = encode(self.encoder, batch)
        losses = encoder_losses(encoded, targets, batch.times)
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            raise Vid3dError(f"the loss is not finite at step {self.step}: lower lr and resume")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.encoder.parameters(), self.schedule.clip)
        self.optimiser.step()
        self.step += 1
        decay = min(self.schedule.ema, self.step / (self.step + 20))
        for name, value in self.encoder.state_dict().items():
            self.averaged[name].lerp_(value, 1 - decay)
        return {name: float(part.detach()) for name, part in losses.items()}

    def save(self, path: Path) -> None:
        """Write a checkpoint; it replaces the old one whole or not at all."""
        state = {"encoder": self.encoder.state_dict(), "optimiser": self.optimiser.state_dict(),
                 "averaged": self.averaged, "step": self.step, "seconds": self.seconds}  # fmt: skip
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.encoder.load_state_dict(state["encoder"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.averaged, self.step = state["averaged"], state["step"]
        self.seconds = state["seconds"]


def batch_options(fields: Mapping[str, Any]) -> BatchOptions:
    """Options of batches from a config's plain dicts."""
    parts: dict[str, Callable[..., Any]] = {
        "body": BodyRanges, "camera": CameraRanges, "noise": NoiseLevels
    }  # fmt: skip
    built: dict[str, Any] = {
        key: parts[key](**value) if key in parts else value for key, value in fields.items()
    }
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in built.items()}
    return BatchOptions(**plain)


def load_motions(cfg: Any, data: Iterable[str | Path]) -> tuple[Motions, Motions]:
    """Motions to train on, and the dev actors' among the same files."""
    files = motion_files(data, cfg.data["files"], cfg.data.get("skipped", ()))
    clips = [clip for path in files for clip in read_mocap(path)]
    dev_actors = tuple(cfg.data.get("dev_actors", DEV_ACTORS))
    dev = [clip for clip in clips if clip.actor in dev_actors]
    train = [clip for clip in clips if clip.actor not in dev_actors]
    if not dev or not train:
        raise Vid3dError(f"no clip of the dev actors {dev_actors} or none besides them in {files}")
    return Motions(train), Motions(dev)


def train(cfg: Any, data: list[Path], work_dir: Path, resume: bool = False) -> Path:
    """Train the encoder as a config says.

    Args:
        cfg: mmengine Config with `encoder`, `batches`, `schedule` and `data`.
        data: folders that hold the motion files.
        work_dir: receives metrics.jsonl and checkpoint.pth.
        resume: go on from the checkpoint in `work_dir`, if there is one.

    Returns:
        The checkpoint.
    """
    schedule, options = Schedule(**cfg.schedule), batch_options(cfg.batches)
    torch.manual_seed(schedule.seed)
    run = Run(Encoder(EncoderConfig(**cfg.encoder)), schedule)
    motions, dev = load_motions(cfg, data)
    checkpoint = work_dir / "checkpoint.pth"
    work_dir.mkdir(parents=True, exist_ok=True)
    if resume and checkpoint.is_file():
        run.load(checkpoint)
    _loop(run, motions, dev, options, work_dir)
    run.save(checkpoint)
    return checkpoint


def _loop(run: Run, motions: Motions, dev: Motions, options: BatchOptions, work_dir: Path) -> None:
    schedule = run.schedule
    began = time.monotonic() - run.seconds
    totals: dict[str, float] = {}
    while run.step < schedule.steps:
        generator = torch.Generator().manual_seed(schedule.seed * 1_000_003 + run.step)
        batch = make_batch(motions, schedule.batch, options, generator)
        for name, value in run.advance(batch).items():
            totals[name] = totals.get(name, 0.0) + value
        run.seconds = time.monotonic() - began
        if run.step % schedule.log_every == 0:
            row = {key: round(value / schedule.log_every, 5) for key, value in totals.items()}
            _append(work_dir, _progress(run) | row)
            totals = {}
        if run.step % schedule.dev_every == 0:
            averaged = Encoder(run.encoder.config)
            averaged.load_state_dict(run.averaged)
            error = dev_error(averaged, dev, options, schedule.dev_windows)
            _append(work_dir, _progress(run) | {"dev_mpjpe_mm": round(error, 2)})
            run.save(work_dir / "checkpoint.pth")


def _progress(run: Run) -> dict[str, Any]:
    speed = run.step / max(run.seconds, 1e-9)
    left = (run.schedule.steps - run.step) / max(speed, 1e-9)
    return {
        "step": run.step,
        "minutes": round(run.seconds / 60, 2),
        "eta_minutes": math.ceil(left / 60),
        "lr": round(run.schedule.learning_rate(run.step), 7),
    }


def _append(work_dir: Path, row: dict[str, Any]) -> None:
    with open(work_dir / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
