"""Lifter checkpoints: one safetensors file whose metadata holds schema, config and calibration."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, sha256_of
from vid3d.lifter.diffusion import DiffusionConfig, DiffusionHead
from vid3d.lifter.encoder import Encoder, EncoderConfig
from vid3d.weights import find_model

SCHEMA = 2


@dataclass(frozen=True)
class LifterConfig:
    """Everything besides weights that a lifter is made of.

    Attributes:
        name: of the model.
        encoder: its sizes.
        diffusion: the head's sizes; None for an encoder alone.
        seconds: length of a window.
        grid: seconds between output moments.
        spread: factor k of the spread, fitted on the dev actors.
        root_spread: the same for the root's place.
        hypotheses: default number of hypotheses.
        steps: default number of sampling steps.
        aggregate: default rule.
    """

    name: str
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    diffusion: DiffusionConfig | None = None
    seconds: float = 2.56
    grid: float = 0.08
    spread: float = 1.0
    root_spread: float = 1.0
    hypotheses: int = 8
    steps: int = 3
    aggregate: str = "mean"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "LifterConfig":
        """The inverse of `dataclasses.asdict`."""
        parts = dict(fields)
        parts["encoder"] = EncoderConfig(**parts["encoder"])
        if parts["diffusion"] is not None:
            parts["diffusion"] = DiffusionConfig(**parts["diffusion"])
        return cls(**parts)


@dataclass(frozen=True)
class Networks:
    """A lifter's networks in memory, ready for inference."""

    config: LifterConfig
    encoder: Encoder
    diffusion: DiffusionHead | None
    sha256: str = ""


def build_networks(config: LifterConfig) -> Networks:
    """Untrained networks of a config."""
    encoder = Encoder(config.encoder)
    head = None
    if config.diffusion is not None:
        head = DiffusionHead(config.diffusion, config.encoder.width)
    return Networks(config, encoder, head)


def _state(networks: Networks) -> dict[str, Tensor]:
    state = {f"encoder.{key}": value for key, value in networks.encoder.state_dict().items()}
    if networks.diffusion is not None:
        head = networks.diffusion.state_dict()
        state |= {f"diffusion.{key}": value for key, value in head.items()}
    return state


def save_networks(path: str | Path, networks: Networks) -> None:
    """Write networks as float16 safetensors."""
    state = {
        key: value.detach().cpu().half().contiguous() for key, value in _state(networks).items()
    }
    header = {"format": "vid3d-lifter", "schema": SCHEMA, "config": asdict(networks.config)}
    with atomic_path(path) as temporary:  # one key: several come in random order
        save_file(state, str(temporary), {"vid3d": json.dumps(header)})


def write_model(folder: str | Path, networks: Networks) -> None:
    """Write a model folder: model.safetensors and the manifest that names it."""
    weights = Path(folder) / "model.safetensors"
    save_networks(weights, networks)
    manifest = {
        "schema": 1,
        "name": networks.config.name,
        "task": "lifter",
        "files": {"safetensors": {"path": weights.name, "sha256": sha256_of(weights)}},
    }
    with atomic_path(Path(folder) / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n")


def load_networks(model: str | Path, device: str = "cpu") -> Networks:
    """Networks of a model given by shipped name, folder or safetensors file.

    Raises:
        Vid3dError: no such model, not a lifter, of a later schema, or weights that do not fit.
    """
    path = _weights_file(find_model(str(model)))
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("vid3d", "{}"))
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise Vid3dError(f"cannot read lifter weights {path}: {error}") from error
    if header.get("format") != "vid3d-lifter":
        raise Vid3dError(f"{path} holds no vid3d lifter: choose another --model")
    if header["schema"] != SCHEMA:
        newer = header["schema"] > SCHEMA
        raise Vid3dError(
            f"{path} has lifter schema {header['schema']}, this vid3d reads {SCHEMA}: "
            + ("update vid3d" if newer else "train the model again, or use weights of this version")
        )
    networks = build_networks(LifterConfig.from_dict(header["config"]))
    expected = _state(networks)
    wrong = [k for k in expected if k not in state or state[k].shape != expected[k].shape]
    wrong += [key for key in state if key not in expected]
    if wrong:
        raise Vid3dError(f"{path}: weights do not fit their config ({wrong[0]}); fetch them again")
    for key, value in expected.items():
        value.copy_(state[key])
    for module in (networks.encoder, networks.diffusion):
        if module is not None:
            module.eval().requires_grad_(False).to(torch.device(device))
    return Networks(networks.config, networks.encoder, networks.diffusion, sha256_of(path))


def _weights_file(path: Path) -> Path:
    """The safetensors file of a model folder, or the file itself."""
    if not path.is_dir():
        return path
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        if manifest["task"] != "lifter":
            raise Vid3dError(f"{path} is a {manifest['task']} model, not a lifter")
        return path / str(manifest["files"]["safetensors"]["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Vid3dError(f"{path} has no usable manifest.json ({error})") from error
