"""Lifter checkpoints: one safetensors file whose metadata holds schema, config and calibration."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, expanded, sha256_of
from vid3d.given import real_number, unfit
from vid3d.lifter import lora
from vid3d.lifter.adapters import read_adapter
from vid3d.lifter.aggregation import AGGREGATES
from vid3d.lifter.encoder import EncoderConfig
from vid3d.lifter.encoders import AnyEncoderConfig, build_encoder, encoder_config
from vid3d.lifter.heads import build_head, head_config
from vid3d.lifter.process import HeadConfig
from vid3d.lifter.windows import PLANS
from vid3d.weights import check_model, find_model, read_manifest, split_adapters

SCHEMA = 2


@dataclass(frozen=True)
class LifterConfig:
    """Everything besides weights that a lifter is made of.

    Attributes:
        name: of the model.
        encoder: its kind and sizes.
        diffusion: the head's kind, sizes and noise; None for an encoder alone.
        seconds: length of a window, which the head's moments divide.
        grid: seconds between output moments.
        spread: factor k of the spread by joint set of the looks and sampling steps ("coco17:3"), or
            by steps for every set ("1"), fitted on the dev actors: few steps draw hypotheses that
            lie too close to each other.
        root_spread: the same for the root's place.
        hypotheses: default number of hypotheses.
        steps: default number of sampling steps.
        aggregate: default rule.
        windows: how a track is cut, a name of `PLANS`.
        constant_bones: bones keep their lengths, left and right the same; published systems leave
            them as they come.
        centred: whether people are brought to the middle and to one size before they are lifted
            (`canonicalise`); otherwise they are seen where they are in the picture.
    """

    name: str
    encoder: AnyEncoderConfig = field(default_factory=EncoderConfig)
    diffusion: HeadConfig | None = None
    seconds: float = 2.56
    grid: float = 0.08
    spread: dict[str, float] = field(default_factory=lambda: {"1": 1.0})
    root_spread: dict[str, float] = field(default_factory=lambda: {"1": 1.0})
    hypotheses: int = 20
    steps: int = 3
    aggregate: str = "soft"
    windows: str = "blended"
    constant_bones: bool = True
    centred: bool = True

    def __post_init__(self) -> None:
        for name, known in (("windows", PLANS), ("aggregate", AGGREGATES)):
            if (value := getattr(self, name)) not in known:
                raise Vid3dError(f"{name} is {value!r}, expected one of {', '.join(known)}")
        for name in ("seconds", "grid"):
            if not 0 < real_number(name, value := getattr(self, name)) < math.inf:
                raise unfit(name, value, "seconds, more than 0")
        moments = self.seconds / self.grid
        if self.diffusion is not None and round(moments) % self.every:
            apart = self.every * self.grid
            nearest = max(1, round(moments / self.every)) * apart
            expected = f"{nearest:g}, so that the head's moments, {apart:g} s apart, reach the end"
            raise unfit("seconds", self.seconds, expected)

    @property
    def every(self) -> int:
        """Grid moments from one of the head's to the next."""
        return 2 if self.diffusion is None else self.diffusion.every

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "LifterConfig":
        """The inverse of `dataclasses.asdict`."""
        parts = dict(fields)
        parts["encoder"] = encoder_config(parts["encoder"])
        if parts["diffusion"] is not None:
            parts["diffusion"] = head_config(parts["diffusion"])
        return cls(**parts)


@dataclass(frozen=True)
class Networks:
    """A lifter's networks in memory, ready for inference."""

    config: LifterConfig
    encoder: nn.Module
    diffusion: Any
    sha256: str = ""

    def as_module(self) -> nn.ModuleDict:
        """The networks as one module, which names their layers as checkpoints do."""
        parts: dict[str, nn.Module] = {"encoder": self.encoder}
        if self.diffusion is not None:
            parts["diffusion"] = self.diffusion
        return nn.ModuleDict(parts)


def build_networks(config: LifterConfig) -> Networks:
    """Untrained networks of a config."""
    encoder = build_encoder(config.encoder)
    head = None
    if config.diffusion is not None:
        head = build_head(config.diffusion, config.encoder.layout)
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
        temporary.write_bytes(save(state, {"vid3d": json.dumps(header)}))


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
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load_networks(model: str | Path, device: str = "cpu") -> Networks:
    """Networks of a model given by shipped name, folder or safetensors file, with its adapters.

    Raises:
        Vid3dError: no such model, not a lifter, of a later schema, or weights that do not fit; the
            same of an adapter.
    """
    path = _weights_file(find_model(str(model)))
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("vid3d", "{}"))
            networks = _networks(header, path)
            _check_state(networks, file, path)
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise Vid3dError(f"cannot read lifter weights {path}: {error}") from error
    if bad := [key for key, value in state.items() if not torch.isfinite(value).all()]:
        raise Vid3dError(f"{path} is damaged ({bad[0]} is not finite); fetch it again")
    for key, value in _state(networks).items():
        value.copy_(state[key])
    loaded = replace(networks, sha256=sha256_of(path))
    adapters = split_adapters(str(model))[1]
    adapted = with_adapters(loaded, adapters) if adapters else loaded
    adapted.as_module().eval().requires_grad_(False).to(torch.device(device))
    return adapted


def with_adapters(networks: Networks, paths: Sequence[str | Path]) -> Networks:
    """Networks with adapters merged in, which are changed in place; name and checksum say so.

    Raises:
        Vid3dError: no such adapter, or it belongs to another lifter.
    """
    root, names, sums = networks.as_module(), [networks.config.name], [networks.sha256]
    for path in paths:
        adapter = read_adapter(expanded(path))
        adapter.check_base(networks.config.name, networks.sha256)
        lora.attach(root, adapter.state)
        names.append(adapter.name)
        sums.append(adapter.sha256)
    lora.merge(root)
    digest = hashlib.sha256("+".join(sums).encode()).hexdigest()
    return replace(networks, config=replace(networks.config, name="+".join(names)), sha256=digest)


def _networks(header: Any, path: Path) -> Networks:
    """Untrained networks of the configuration in a file's metadata.

    Raises:
        Vid3dError: no lifter, of a later schema, or a configuration that is wrong.
    """
    if not isinstance(header, dict) or header.get("format") != "vid3d-lifter":
        raise Vid3dError(f"{path} holds no vid3d lifter: choose another --model")
    if (schema := header.get("schema")) != SCHEMA:
        older = isinstance(schema, int) and schema < SCHEMA
        raise Vid3dError(
            f"{path} has lifter schema {str(schema)[:20]}, this vid3d reads {SCHEMA}: "
            + ("take weights of this version, or train them again" if older else "update vid3d")
        )
    try:
        check_sizes(header["config"])
        config = LifterConfig.from_dict(header["config"])
        with torch.random.fork_rng(devices=[]):  # first weights, soon replaced, are drawn
            return build_networks(config)
    except (ArithmeticError, AssertionError, AttributeError, KeyError, RuntimeError, TypeError,
            ValueError, Vid3dError) as error:  # fmt: skip
        raise Vid3dError(f"{path}: its configuration is wrong ({error}); fetch it again") from error


def check_sizes(fields: dict[str, Any]) -> None:
    """Refuse sizes that cannot be, or with which networks would take more than a few gigabytes.

    Args:
        fields: a `LifterConfig` as a dictionary.

    Raises:
        ValueError: such a size.
    """
    _check_parts(fields)
    seconds, grid = fields["seconds"], fields["grid"]
    if not 0 < 0.5 * grid < seconds <= 1000 * grid:
        raise ValueError(f"windows of {seconds} s every {grid} s")


def _check_parts(fields: dict[str, Any]) -> None:
    """The same of a part of it."""
    for name, value in fields.items():
        if isinstance(value, dict):
            _check_parts(value)
        elif isinstance(value, (int, float)):
            most = {"blocks": 32, "ratio": 8}.get(name.rpartition("_")[2], 1024)
            least = 1 if name in ("heads", "width", "hypotheses", "steps") else 0
            if not least <= value <= most:
                raise ValueError(f"{name} is {value!r}")
    if "heads" in fields and fields["width"] % (2 * fields["heads"]):
        heads = fields["heads"]
        raise ValueError(f"heads are {heads!r}, which do not divide the width into even parts")


def _check_state(networks: Networks, file: Any, path: Path) -> None:
    """Compare the names and shapes of a file's tensors with those of its networks.

    Raises:
        Vid3dError: they differ.
    """
    expected = {key: list(value.shape) for key, value in _state(networks).items()}
    found = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
    if wrong := [k for k in {**expected, **found} if expected.get(k) != found.get(k)]:
        raise Vid3dError(f"{path}: weights do not fit their config ({wrong[0]}); fetch them again")


def _weights_file(path: Path) -> Path:
    """The safetensors file of a model folder, checked against its manifest, or the file itself."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise Vid3dError(f"{path} is a pipe or a device; give a folder or a .safetensors file")
    manifest = read_manifest(path)
    if manifest.get("task") != "lifter":
        raise Vid3dError(f"{path} is a {str(manifest.get('task'))[:40]} model, not a lifter")
    found = [file for file in check_model(path) if file.suffix == ".safetensors"]
    if len(found) != 1:
        raise Vid3dError(f"the manifest of {path} names {len(found)} safetensors files, not one")
    return found[0]
