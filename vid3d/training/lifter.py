"""Training of the lifter: the encoder, and the diffusion head on the encoder's residuals.

Batches come from motion alone (`vid3d.data.batches`) and depend on nothing but the seed and the
step, so a run that was killed at any moment and resumed gives the same weights as an unbroken one.
The head learns from the encoder's features without changing them: one pass serves both.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.data.augment import BodyRanges
from vid3d.data.batches import Batch, BatchOptions, Motions, make_batch
from vid3d.data.bending import BendRanges
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import DEV_ACTORS, motion_files, read_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import SCORED
from vid3d.given import whole_number
from vid3d.lifter import checkpoint
from vid3d.lifter.canonical import canonicalise
from vid3d.lifter.checkpoint import LifterConfig, build_networks, check_sizes
from vid3d.lifter.encoder import Block, Encoded
from vid3d.lifter.encoders import encoder_config
from vid3d.lifter.heads import head_config
from vid3d.lifter.process import ddim, diffusion_loss, standardised
from vid3d.lifter.published.text import load_text_encoder
from vid3d.machine import find_device
from vid3d.training.distributed import rank
from vid3d.training.fitting import Stage, fast_precision, fit
from vid3d.training.recipes import made
from vid3d.training.targets import Targets, encoder_losses, make_targets

_DEV_SEED = 1000
_STEPS = 1_000_003
"""Steps of a training that have seeds of their own: more than any takes."""
_MOST_SEED = 2**42
"""So that the seeds of all steps fit 64 bits."""


def encode(encoder: nn.Module, batch: Batch, centred: bool = True) -> tuple[Encoded, Targets]:
    """Run the encoder on a batch; its answer and what it should have said."""
    canonical = canonicalise(batch.looks, centred)
    shown = replace(batch.looks, valid=batch.looks.valid & ~batch.blind[:, None])
    encoded = encoder(canonical, shown, batch.times, batch.valid)
    return encoded, make_targets(batch, canonical)


def _generator(seed: int) -> torch.Generator:
    """A seeded generator on the device that tensors are made on."""
    return torch.Generator(torch.get_default_device()).manual_seed(seed)


def dev_batches(dev: Motions, options: BatchOptions, windows: int) -> list[Batch]:
    """Fixed windows of the dev actors: own bodies, stride 10, nobody cut by the border.

    Cameras and noise are the plain ones, whatever is trained on, so that trainings compare whose
    windows are alike.
    """
    fixed = replace(
        options,
        strides=(10,),
        short=0.0,
        irregular=0.0,
        blind=0.0,
        travelling=0.0,
        occlusions=(),
        backwards=0.0,
        recombined=0.0,
        speed=(1.0, 1.0),
        body=BodyRanges(0, 0, 0, 0),
        bend=BendRanges(),
        camera=CameraRanges(truncated=0.0),
        noise=NoiseLevels(),
    )
    parts = [min(128, windows - start) for start in range(0, windows, 128)]
    return [
        make_batch(dev, size, fixed, _generator(_DEV_SEED + index))
        for index, size in enumerate(parts)
    ]


class Networks(nn.Module):
    """What is trained.

    Args:
        config: of the lifter.
        frozen: the encoder is pre-trained and stays as it is (the wrapper of DiffHPE).
        velocity: weight of the loss of velocities.
    """

    def __init__(self, config: LifterConfig, frozen: bool = False, velocity: float = 0.5) -> None:
        super().__init__()
        built = build_networks(config)
        self.config, self.frozen, self.velocity = config, frozen, velocity
        self.encoder = built.encoder.requires_grad_(not frozen)
        self.diffusion = built.diffusion

    def train(self, mode: bool = True) -> "Networks":
        """Switch dropout and the like; a frozen encoder has none."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def compile_blocks(self) -> None:
        """Compile what transformers are made of, for sequences of any length."""
        torch._dynamo.config.recompile_limit = 64  # of all widths, with and without masks
        for module in self.modules():
            if isinstance(module, Block):
                module.compile(dynamic=True)

    def start_from(self, other: checkpoint.Networks) -> None:
        """Take the weights of another lifter, those of its head if it is of the same kind.

        Raises:
            Vid3dError: they do not fit.
        """
        try:
            self.encoder.load_state_dict(other.encoder.state_dict())
            if self.diffusion is not None and type(self.diffusion) is type(other.diffusion):
                self.diffusion.load_state_dict(other.diffusion.state_dict())
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise Vid3dError(f"cannot start from {other.config.name}: {reason}") from error

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Parts of the loss on a batch; the head's, if there is one, does not reach the encoder."""
        encoded, targets = encode(self.encoder, batch, self.config.centred)
        parts = {} if self.frozen else encoder_losses(encoded, targets, self.velocity)
        if self.diffusion is None:
            return parts
        head = self.diffusion.config
        values, unit = targets.joints, head.unit
        if head.residual:
            values, unit = values - encoded.joints.detach(), encoded.deviation.detach()
        noise = diffusion_loss(
            self.diffusion,
            standardised(values, unit, head.every),
            encoded.features.detach()[:, :: head.every],
            batch.times[:, :: head.every],
            targets.valid[:, :: head.every],
            generator,
            batch.action,
        )
        return parts | {"noise": 0.1 * noise}

    def answer(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Targets]:
        """Joints (B, G, 17, 3) that a batch is answered with at one hypothesis, and the truth."""
        encoded, targets = encode(self.encoder, batch, self.config.centred)
        joints = encoded.refined().joints
        head = self.diffusion
        if head is None or head.config.residual:
            return joints, targets
        config = head.config
        features, times = encoded.features[:, :: config.every], batch.times[:, :: config.every]
        valid = targets.valid[:, :: config.every]
        valid = valid | ~valid.any(1, keepdim=True)
        shape = (*times.shape, 48)

        def clean(noisy: Tensor, level: float) -> Tensor:
            levels = torch.full((len(noisy),), level)
            said = head(config.bound(noisy), levels, features, times, valid)
            return config.clean(said, noisy, *head.schedule(torch.tensor(level)))

        noise = torch.randn(shape, generator=generator)
        drawn = ddim(noise, self.config.steps, head.schedule, clean).unflatten(-1, (16, 3))
        sparse = functional.pad(config.unit * drawn, (0, 0, 1, 0)).flatten(2).transpose(1, 2)
        dense = functional.interpolate(sparse, joints.shape[1], mode="linear", align_corners=True)
        return dense.transpose(1, 2).unflatten(-1, (17, 3)), targets

    @torch.no_grad()
    def measure(self, batches: list[Batch]) -> dict[str, float]:
        """Dev figures: MPJPE of 15 joints at the pelvis in millimetres, and the head's loss.

        Heads that draw whole poses are judged by one hypothesis.
        """
        self.eval()
        total, count, noise = 0.0, 0.0, 0.0
        for index, batch in enumerate(batches):
            joints, targets = self.answer(batch, _generator(index))
            error = (joints - targets.joints).norm(dim=-1)[..., SCORED].mean(-1)
            total += float((error * targets.valid).sum())
            count += float(targets.valid.sum())
            noise += float(self.losses(batch, _generator(index)).get("noise", 0.0))
        self.train()
        figures = {"dev_mpjpe_mm": round(1000 * total / count, 2)}
        if self.diffusion is not None:
            figures["dev_noise"] = round(noise / len(batches), 4)
        return figures


def batch_options(fields: Mapping[str, Any]) -> BatchOptions:
    """Options of batches from a config's plain dicts.

    Raises:
        Vid3dError: a field that there is not.
    """
    parts: dict[str, Callable[..., Any]] = {
        "body": BodyRanges, "bend": BendRanges, "camera": CameraRanges, "noise": NoiseLevels
    }  # fmt: skip
    built: dict[str, Any] = {
        key: made(f"batches.{key}", parts[key], value) if key in parts else value
        for key, value in fields.items()
    }
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in built.items()}
    return made("batches", BatchOptions, plain)


def lifter_config(cfg: Any) -> LifterConfig:
    """The model that a training config describes.

    Raises:
        Vid3dError: a field that there is not, or settings that exclude each other.
    """
    head = cfg.diffusion and made("diffusion", lambda **sizes: head_config(sizes), cfg.diffusion)
    fields = {
        "name": cfg.name,
        "encoder": made("encoder", lambda **sizes: encoder_config(sizes), cfg.encoder),
        "diffusion": head or None,
        "seconds": cfg.batches["seconds"],
        "grid": cfg.batches["grid"],
        "hypotheses": LifterConfig.hypotheses if head else 1,
    }
    config = made("lifting", LifterConfig, {**fields, **cfg.get("lifting", {})})
    try:
        check_sizes(asdict(config))
    except (TypeError, ValueError) as error:
        raise Vid3dError(f"no model is like that: {error}; correct the recipe or --set") from error
    return config


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
    motions = Motions(train)
    return motions, Motions(dev, motions.actions)


def build(cfg: Any, actions: Sequence[str]) -> Networks:
    """The networks of a training config, untrained.

    Args:
        cfg: see `train`.
        actions: that are done in the data, for heads that listen to them; what a text encoder says
            of them is kept in the head.
    """
    config = lifter_config(cfg)
    listens = getattr(config.diffusion, "prompt", "none") != "none"
    if listens and config.diffusion is not None:
        told: Any = {"actions": tuple(actions)}
        config = replace(config, diffusion=replace(config.diffusion, **told))
    options = {name: cfg[name] for name in ("frozen", "velocity") if name in cfg}
    networks = Networks(config, **options)
    if listens and networks.diffusion.prompts.reads:
        networks.diffusion.prompts.learn_texts(load_text_encoder(networks.diffusion.config.text))
    return networks


def train(
    cfg: Any, data: list[Path], work_dir: Path, resume: bool = False, start: str | None = None
) -> Path:
    """Train a lifter as a config says, on the GPU where there is one.

    Args:
        cfg: mmengine Config with `name`, `encoder`, `diffusion`, `batches`, `stage`, `seed`,
            `precision`, `dev_windows` and `data`; if it likes `lifting` (defaults of the lifter),
            `frozen` (the encoder is that of `start` and stays so), `velocity` (weight of its
            loss) and `compiled` (blocks go through torch.compile, which needs a C++ compiler).
        data: folders that hold the motion files.
        work_dir: receives metrics.jsonl, a checkpoint, and the folder `model`.
        resume: go on from the checkpoint in `work_dir`, if there is one.
        start: name or path of a lifter whose weights this training begins with.

    Returns:
        The model's folder.

    Raises:
        Vid3dError: a motion file is missing, the config has a wrong field, an encoder that stays
            as it is comes from nowhere, or the loss is not finite.
    """
    # Tensors made without naming a device, in batches too, land on this one.
    with torch.device(find_device("auto")):
        networks = _train(cfg, data, work_dir, resume, start)
    if rank():
        return work_dir / "model"
    trained = checkpoint.Networks(networks.config, networks.encoder, networks.diffusion)
    checkpoint.write_model(work_dir / "model", trained)
    return work_dir / "model"


def _begun(work_dir: Path, stage: Stage) -> bool:
    """Whether there is something to go on from: a run killed early leaves no checkpoint."""
    return any((work_dir / name).is_file() for name in ("checkpoint.pth", f"{stage.name}.pth"))


def _train(cfg: Any, data: list[Path], work_dir: Path, resume: bool, start: str | None) -> Networks:
    options, stage = batch_options(cfg.batches), made("stage", Stage, cfg.stage)
    seed = whole_number("seed", cfg.seed, -_MOST_SEED, _MOST_SEED)
    windows = whole_number("dev_windows", cfg.dev_windows, 1)
    motions, dev_motions = load_motions(cfg, data)
    dev = dev_batches(dev_motions, options, windows)
    torch.manual_seed(seed)
    networks = build(cfg, motions.actions)
    if cfg.get("compiled"):
        networks.compile_blocks()
    if start is not None:
        networks.start_from(checkpoint.load_networks(start))
    elif networks.frozen and not (resume and _begun(work_dir, stage)):
        raise Vid3dError(f"recipe {cfg.name} wraps a pre-trained lifter: name it with --init-from")

    def loss(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        generator = _generator(seed * _STEPS + step)
        torch.manual_seed(seed * _STEPS + step)  # of dropout
        batch = make_batch(motions, stage.batch, options, generator)
        with fast_precision(cfg.precision):
            parts = networks.losses(batch, generator)
        figures = {name: float(part.detach()) for name, part in parts.items()}
        return torch.stack(list(parts.values())).sum(), figures

    fit(networks, stage, loss, work_dir, resume, lambda: networks.measure(dev))
    return networks
