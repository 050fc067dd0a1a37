"""Diffusion heads by kind: the lifter's own, and those of published systems.

What they share is `vid3d.lifter.head.Head`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.lifter.diffusion import DiffusionConfig, DiffusionHead
from vid3d.lifter.encoder import FeatureLayout
from vid3d.lifter.head import Head
from vid3d.lifter.process import HeadConfig
from vid3d.lifter.published.denoiser import DenoiserConfig, PoseDenoiser
from vid3d.lifter.published.gcn import GCNConfig, NoisePredictor

_KINDS: dict[str, tuple[type[Any], Callable[[Any, FeatureLayout], Head]]] = {
    "vid3d": (DiffusionConfig, DiffusionHead),
    "mixste": (DenoiserConfig, PoseDenoiser),
    "gcn": (GCNConfig, NoisePredictor),
}


def head_config(fields: Mapping[str, Any]) -> HeadConfig:
    """The config of a head from a recipe or a checkpoint; without `kind` it is our own.

    Raises:
        Vid3dError: no such kind, or settings that exclude each other.
    """
    kind = fields.get("kind", "vid3d")
    if kind not in _KINDS:
        raise Vid3dError(f"diffusion kind is {kind!r}, expected one of {', '.join(_KINDS)}")
    made: HeadConfig = _KINDS[kind][0](**fields)
    return made


def build_head(config: HeadConfig, layout: FeatureLayout) -> Head:
    """An untrained head for an encoder whose features have a layout."""
    module = next(module for sizes, module in _KINDS.values() if type(config) is sizes)
    return module(config, layout)
