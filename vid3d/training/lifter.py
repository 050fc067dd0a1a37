"""Training of the lifter: the encoder, then the diffusion head on the frozen encoder.

Batches come from motion alone (`vid3d.data.batches`) and depend on nothing but the seed and the
step, so a run that was killed at any moment and resumed gives the same weights as an unbroken one.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from vid3d.data.augment import BodyRanges
from vid3d.data.batches import Batch, BatchOptions, Motions, make_batch
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import DEV_ACTORS, motion_files, read_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import Canonical, canonicalise, interpolation, rotations
from vid3d.lifter.checkpoint import LifterConfig, Networks, write_model
from vid3d.lifter.diffusion import DiffusionConfig, DiffusionHead, diffusion_loss
from vid3d.lifter.encoder import Encoded, Encoder, EncoderConfig
from vid3d.skeleton import H36M17
from vid3d.training.fitting import Phase, Schedule, fit

SCORED = [i for i, joint in enumerate(H36M17.joints) if joint not in ("nose", "head")]
_DEV_SEED = 1000


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


def encoder_losses(encoded: Encoded, targets: Targets) -> dict[str, Tensor]:
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


@torch.no_grad()
def _frozen(encoder: Encoder, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Residual (B, G, 51) of the encoder on a batch, its features, and valid moments."""
    encoded, targets = encode(encoder, batch)
    return (targets.joints - encoded.joints).flatten(2), encoded.features, targets.valid


def _generator(seed: int) -> torch.Generator:
    """A seeded generator on the device that tensors are made on."""
    return torch.Generator(torch.get_default_device()).manual_seed(seed)


def dev_batches(dev: Motions, options: BatchOptions, windows: int) -> list[Batch]:
    """Fixed windows of the dev actors: own bodies, stride 10, nobody cut by the border."""
    fixed = replace(
        options,
        strides=(10,),
        short=0.0,
        irregular=0.0,
        speed=(1.0, 1.0),
        body=BodyRanges(0, 0, 0, 0),
        camera=replace(options.camera, truncated=0.0),
    )
    parts = [min(128, windows - start) for start in range(0, windows, 128)]
    return [
        make_batch(dev, size, fixed, _generator(_DEV_SEED + index))
        for index, size in enumerate(parts)
    ]


def encoder_phase(encoder: Encoder, draw: Callable[[int], Batch], dev: list[Batch]) -> Phase:
    """Train the encoder; the dev figure is root-relative MPJPE over 15 joints in millimetres."""

    def losses(step: int) -> dict[str, Tensor]:
        return encoder_losses(*encode(encoder, draw(step)))

    @torch.no_grad()
    def measure() -> dict[str, float]:
        total, count = 0.0, 0.0
        for batch in dev:
            encoded, targets = encode(encoder, batch)
            error = (encoded.joints - targets.joints).norm(dim=-1)[..., SCORED].mean(-1)
            total += float((error * targets.valid).sum())
            count += float(targets.valid.sum())
        return {"dev_mpjpe_mm": round(1000 * total / count, 2)}

    return Phase("encoder", encoder, losses, measure)


def diffusion_phase(
    encoder: Encoder, head: DiffusionHead, draw: Callable[[int], Batch], dev: list[Batch]
) -> Phase:
    """Train the head on the residuals of the frozen encoder, measured first for their size."""
    encoder.eval().requires_grad_(False)
    measured = [_frozen(encoder, draw(-1 - index)) for index in range(8)]
    residuals = torch.cat([residual[valid] for residual, _, valid in measured])
    # Outliers would set the size of everything: a quantile instead of the deviation.
    head.deviation.copy_(residuals.abs().quantile(0.68, 0).clamp_min(0.005))

    def loss(batch: Batch, seed: int) -> dict[str, Tensor]:
        residual, features, valid = _frozen(encoder, batch)
        generator = _generator(seed)
        return {"noise": diffusion_loss(head, residual, features, batch.times, valid, generator)}

    def losses(step: int) -> dict[str, Tensor]:
        return loss(draw(step), step)

    @torch.no_grad()
    def measure() -> dict[str, float]:
        parts = [float(loss(batch, index)["noise"]) for index, batch in enumerate(dev)]
        return {"dev_noise": round(sum(parts) / len(parts), 4)}

    return Phase("diffusion", head, losses, measure)


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


def lifter_config(cfg: Any) -> LifterConfig:
    """The model that a training config describes."""
    return LifterConfig(
        name=cfg.name,
        encoder=EncoderConfig(**cfg.encoder),
        diffusion=DiffusionConfig(**cfg.diffusion),
        seconds=cfg.batches["seconds"],
        grid=cfg.batches["grid"],
    )


def load_motions(cfg: Any, data: Iterable[str | Path]) -> tuple[Motions, Motions]:
    """Motions to train on, and the dev actors' among the same files."""
    files = motion_files(data, cfg.data["files"], cfg.data["skipped"])
    clips = [clip for path in files for clip in read_mocap(path)]
    dev = [clip for clip in clips if clip.actor in DEV_ACTORS]
    train = [clip for clip in clips if clip.actor not in DEV_ACTORS]
    if not dev or not train:
        raise Vid3dError(f"the motion files {files} hold no clip of a dev actor, or none besides")
    return Motions(train), Motions(dev)


def train(cfg: Any, data: list[Path], work_dir: Path, resume: bool = False) -> Path:
    """Train a lifter as a config says, on the GPU where there is one.

    Args:
        cfg: mmengine Config with `name`, `encoder`, `diffusion`, `batches`, `encoder_schedule`,
            `diffusion_schedule`, `dev_windows` and `data`.
        data: folders that hold the motion files.
        work_dir: receives metrics.jsonl, a checkpoint a phase, and the folder `model`.
        resume: go on from the checkpoints in `work_dir`, if there are any.

    Returns:
        The model's folder.

    Raises:
        Vid3dError: a motion file is missing, or the loss is not finite.
    """
    # Tensors made without naming a device, in batches too, land on this one.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        networks = _train(cfg, data, work_dir, resume)
    write_model(work_dir / "model", networks)
    return work_dir / "model"


def _train(cfg: Any, data: list[Path], work_dir: Path, resume: bool) -> Networks:
    options = batch_options(cfg.batches)
    motions, dev_motions = load_motions(cfg, data)
    dev = dev_batches(dev_motions, options, cfg.dev_windows)
    schedules = [Schedule(**cfg.encoder_schedule), Schedule(**cfg.diffusion_schedule)]
    torch.manual_seed(schedules[0].seed)
    encoder = Encoder(EncoderConfig(**cfg.encoder))
    head = DiffusionHead(DiffusionConfig(**cfg.diffusion), cfg.encoder["width"])

    def drawer(schedule: Schedule) -> Callable[[int], Batch]:
        def draw(step: int) -> Batch:
            generator = _generator(schedule.seed * 1_000_003 + step)
            return make_batch(motions, schedule.batch, options, generator)

        return draw

    first = encoder_phase(encoder, drawer(schedules[0]), dev)
    fit(first, schedules[0], work_dir, resume)
    second = diffusion_phase(encoder, head, drawer(schedules[1]), dev)
    fit(second, schedules[1], work_dir, resume)
    return Networks(lifter_config(cfg), encoder, head)
