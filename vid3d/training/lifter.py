"""Training of the lifter: the encoder, and the diffusion head on the encoder's residuals.

Batches come from motion alone (`vid3d.data.batches`) and depend on nothing but the seed and the
step, so a run that was killed at any moment and resumed gives the same weights as an unbroken one.
The head learns from the encoder's features without changing them: one pass serves both.
"""

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
from vid3d.evaluation.metrics import SCORED
from vid3d.lifter import checkpoint
from vid3d.lifter.canonical import Canonical, canonicalise, interpolation, rotations
from vid3d.lifter.checkpoint import LifterConfig, build_networks
from vid3d.lifter.diffusion import EVERY, DiffusionConfig, diffusion_loss, standardised
from vid3d.lifter.encoder import Encoded
from vid3d.lifter.encoders import encoder_config
from vid3d.skeleton import H36M17
from vid3d.training.distributed import rank
from vid3d.training.fitting import Stage, fast_precision, fit

_DEV_SEED = 1000


@dataclass(frozen=True)
class Targets:
    """What the encoder should say about a batch, canonical frame; see `Encoded`.

    `valid` (B, G) says which moments count, `weight` how much: of a window without looks nothing
    but the deviation can be learnt, and its errors would drown all others.
    """

    joints: Tensor
    coco: Tensor
    root: Tensor
    contacts: Tensor
    valid: Tensor
    weight: Tensor


_BLIND_WEIGHT = 0.1


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
    weight = usable * torch.where(batch.blind, _BLIND_WEIGHT, 1.0)[:, None]
    return Targets(absolute - root, coco - root, place, batch.contacts, usable, weight)


def encoder_losses(encoded: Encoded, targets: Targets) -> dict[str, Tensor]:
    """Weighted parts of the loss, metres where that makes sense.

    Position: mean per-joint distance (nose and head half: their definition is loose). Velocity:
    the same of differences between successive output moments (MixSTE's MPJVE). Deviation: negative
    logarithm of a Gaussian's likelihood of errors as they are; it does not move the joints.
    """
    weight = torch.ones(17)
    weight[H36M17.indices(["nose", "head"])] = 0.5
    valid = targets.weight
    both = valid[:, 1:] * valid[:, :-1]

    def mean(values: Tensor, mask: Tensor) -> Tensor:
        return (values * mask).sum() / mask.sum().clamp_min(1)

    error = encoded.joints - targets.joints
    unlikely = (0.5 * (error.detach() / encoded.deviation) ** 2 + encoded.deviation.log())[:, :, 1:]
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
        "deviation": 0.03 * mean(unlikely.mean((-1, -2)), targets.valid.float()),
    }


def encode(encoder: nn.Module, batch: Batch) -> tuple[Encoded, Targets]:
    """Run the encoder on a batch; its answer and what it should have said."""
    canonical = canonicalise(batch.looks)
    shown = replace(batch.looks, valid=batch.looks.valid & ~batch.blind[:, None])
    encoded = encoder(canonical, shown, batch.times, batch.valid)
    return encoded, make_targets(batch, canonical)


def _generator(seed: int) -> torch.Generator:
    """A seeded generator on the device that tensors are made on."""
    return torch.Generator(torch.get_default_device()).manual_seed(seed)


def dev_batches(dev: Motions, options: BatchOptions, windows: int) -> list[Batch]:
    """Fixed windows of the dev actors: own bodies, stride 10, nobody cut by the border.

    Cameras and noise are the plain ones, whatever is trained on, so that trainings compare.
    """
    fixed = replace(
        options,
        strides=(10,),
        short=0.0,
        irregular=0.0,
        blind=0.0,
        recombined=0.0,
        speed=(1.0, 1.0),
        body=BodyRanges(0, 0, 0, 0),
        camera=CameraRanges(truncated=0.0),
        noise=NoiseLevels(),
    )
    parts = [min(128, windows - start) for start in range(0, windows, 128)]
    return [
        make_batch(dev, size, fixed, _generator(_DEV_SEED + index))
        for index, size in enumerate(parts)
    ]


class Networks(nn.Module):
    """What is trained."""

    def __init__(self, config: LifterConfig) -> None:
        super().__init__()
        built = build_networks(config)
        self.config = config
        self.encoder = built.encoder
        self.diffusion = built.diffusion

    def start_from(self, other: checkpoint.Networks) -> None:
        """Take the weights of another lifter.

        Raises:
            Vid3dError: they do not fit.
        """
        try:
            self.encoder.load_state_dict(other.encoder.state_dict())
            if self.diffusion is not None and other.diffusion is not None:
                self.diffusion.load_state_dict(other.diffusion.state_dict())
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise Vid3dError(f"cannot start from {other.config.name}: {reason}") from error

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Parts of the loss on a batch; the head's, if there is one, does not reach the encoder."""
        encoded, targets = encode(self.encoder, batch)
        parts = encoder_losses(encoded, targets)
        if self.diffusion is None:
            return parts
        error = (targets.joints - encoded.joints).detach()
        noise = diffusion_loss(
            self.diffusion,
            standardised(error, encoded.deviation.detach()),
            encoded.features.detach()[:, ::EVERY],
            batch.times[:, ::EVERY],
            targets.valid[:, ::EVERY],
            generator,
        )
        return parts | {"noise": 0.1 * noise}

    @torch.no_grad()
    def measure(self, batches: list[Batch]) -> dict[str, float]:
        """Dev figures: MPJPE of 15 joints at the pelvis in millimetres, and the head's loss."""
        self.eval()
        total, count, noise = 0.0, 0.0, 0.0
        for index, batch in enumerate(batches):
            encoded, targets = encode(self.encoder, batch)
            error = (encoded.joints - targets.joints).norm(dim=-1)[..., SCORED].mean(-1)
            total += float((error * targets.valid).sum())
            count += float(targets.valid.sum())
            noise += float(self.losses(batch, _generator(index)).get("noise", 0.0))
        self.train()
        figures = {"dev_mpjpe_mm": round(1000 * total / count, 2)}
        if self.diffusion is not None:
            figures["dev_noise"] = round(noise / len(batches), 4)
        return figures


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
        encoder=encoder_config(cfg.encoder),
        diffusion=DiffusionConfig(**cfg.diffusion) if cfg.diffusion else None,
        seconds=cfg.batches["seconds"],
        grid=cfg.batches["grid"],
        hypotheses=LifterConfig.hypotheses if cfg.diffusion else 1,
    )


def load_motions(cfg: Any, data: Iterable[str | Path]) -> tuple[Motions, Motions]:
    """Motions to train on, and the dev actors' (the recipe's `data.dev`) among the same files."""
    files = motion_files(data, cfg.data["files"], cfg.data["skipped"])
    clips = [clip for path in files for clip in read_mocap(path)]
    kept = tuple(cfg.data.get("dev") or DEV_ACTORS)
    dev = [clip for clip in clips if clip.actor in kept]
    train = [clip for clip in clips if clip.actor not in kept]
    if not dev or not train:
        actors = ", ".join(sorted({clip.actor for clip in clips})[:8])
        raise Vid3dError(
            f"the motion files hold no clip of a dev actor ({', '.join(kept)}), or none besides: "
            f"name some of {actors} with --set data.dev=[NAME]"
        )
    return Motions(train), Motions(dev)


def train(
    cfg: Any, data: list[Path], work_dir: Path, resume: bool = False, start: str | None = None
) -> Path:
    """Train a lifter as a config says, on the GPU where there is one.

    Args:
        cfg: mmengine Config with `name`, `encoder`, `diffusion`, `batches`, `stage`, `seed`,
            `precision`, `dev_windows` and `data`.
        data: folders that hold the motion files.
        work_dir: receives metrics.jsonl, a checkpoint, and the folder `model`.
        resume: go on from the checkpoint in `work_dir`, if there is one.
        start: name or path of a lifter whose weights this training begins with.

    Returns:
        The model's folder.

    Raises:
        Vid3dError: a motion file is missing, or the loss is not finite.
    """
    # Tensors made without naming a device, in batches too, land on this one.
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        networks = _train(cfg, data, work_dir, resume, start)
    if rank():
        return work_dir / "model"
    trained = checkpoint.Networks(networks.config, networks.encoder, networks.diffusion)
    checkpoint.write_model(work_dir / "model", trained)
    return work_dir / "model"


def _train(cfg: Any, data: list[Path], work_dir: Path, resume: bool, start: str | None) -> Networks:
    options, stage = batch_options(cfg.batches), Stage(**cfg.stage)
    motions, dev_motions = load_motions(cfg, data)
    dev = dev_batches(dev_motions, options, cfg.dev_windows)
    torch.manual_seed(cfg.seed)
    networks = Networks(lifter_config(cfg))
    if start is not None:
        networks.start_from(checkpoint.load_networks(start))

    def loss(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        generator = _generator(cfg.seed * 1_000_003 + step)
        batch = make_batch(motions, stage.batch, options, generator)
        with fast_precision(cfg.precision):
            parts = networks.losses(batch, generator)
        figures = {name: float(part.detach()) for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum(), figures

    fit(networks, stage, loss, work_dir, resume, lambda: networks.measure(dev))
    return networks
