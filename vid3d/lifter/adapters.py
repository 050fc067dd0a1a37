"""Adapter files: what a lifter learnt of one kind of video, to be stacked on the lifter it is of.

A safetensors file of less than 1 MB. Tensors: `LAYER.down` (r, in) and `LAYER.up` (out, r) of each
adapted projection, and `encoder.head.joints` (17, 3), metres in the canonical frame. The metadata
holds one JSON object `vid3d`: format, schema, name, the base's name and sha256, and what it was
made from.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, sha256_of

FORMAT, SCHEMA = "vid3d-adapter", 1
_LARGEST = 16_000_000
"""Numbers in an adapter; more is none."""


@dataclass(frozen=True)
class Adapter:
    """An adapter.

    Attributes:
        name: of it.
        base: name of the lifter that it belongs to.
        base_sha256: of that lifter's weights.
        state: its tensors, see `vid3d.lifter.lora`.
        about: what it was made from and what it was measured to do, as JSON holds it.
        sha256: of the file.
    """

    name: str
    base: str
    base_sha256: str
    state: Mapping[str, Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def rank(self) -> int:
        """r; 0 where there is a bias alone."""
        return next((len(v) for k, v in self.state.items() if k.endswith(".down")), 0)

    def check_base(self, name: str, sha256: str) -> None:
        """See that it belongs to a lifter.

        Raises:
            Vid3dError: it does not.
        """
        if sha256 != self.base_sha256:
            raise Vid3dError(
                f"adapter {self.name} belongs to {self.base} ({self.base_sha256[:12]}), not to "
                f"{name} ({sha256[:12]}): give that model, or adapt this one anew"
            )


def write_adapter(path: str | Path, adapter: Adapter) -> None:
    """Write an adapter; the file appears whole or not at all."""
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "name": adapter.name,
        "base": {"name": adapter.base, "sha256": adapter.base_sha256},
        "about": dict(adapter.about),
    }
    state = {key: value.detach().cpu().float().contiguous() for key, value in adapter.state.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(state, {"vid3d": json.dumps(header)}))


def read_adapter(path: str | Path) -> Adapter:
    """An adapter from its file.

    Raises:
        Vid3dError: no such file, no adapter, of a later schema, or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("vid3d", "{}"))
            if not isinstance(header, dict) or header.get("format") != FORMAT:
                raise Vid3dError(f"{path} is no adapter: make one with `vid3d adapt`")
            if header.get("schema") != SCHEMA:
                raise Vid3dError(
                    f"{path} has adapter schema {str(header.get('schema'))[:20]}, this vid3d reads "
                    f"{SCHEMA}: update vid3d"
                )
            names = list(file.keys())
            shapes = [file.get_slice(name).get_shape() for name in names]
            if sum(torch.Size(shape).numel() for shape in shapes) > _LARGEST:
                raise ValueError("far too large for an adapter")
            state = {name: file.get_tensor(name).float() for name in names}
        base = header["base"]
        found = Adapter(
            str(header["name"]),
            str(base["name"]),
            str(base["sha256"]),
            state,
            dict(header.get("about", {})),
            sha256_of(path),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise Vid3dError(f"cannot read adapter {path}: {error}") from error
    if bad := [key for key, value in state.items() if not torch.isfinite(value).all()]:
        raise Vid3dError(f"adapter {path} is damaged ({bad[0]} is not finite); make it anew")
    return found
