"""Encoders by kind: the lifter's own, and the published architectures beside it."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from vid3d.errors import Vid3dError
from vid3d.lifter.baselines import (
    MixSTE,
    MixSTEConfig,
    SingleFrame,
    SingleFrameConfig,
    TemporalCNN,
    TemporalCNNConfig,
)
from vid3d.lifter.encoder import Encoder, EncoderConfig
from vid3d.lifter.published.looks import InterpolatedLooks, LooksConfig
from vid3d.lifter.published.uplift import UpliftConfig, UpliftUpsample

AnyEncoderConfig = (
    EncoderConfig
    | SingleFrameConfig
    | TemporalCNNConfig
    | MixSTEConfig
    | UpliftConfig
    | LooksConfig
)

_KINDS: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "vid3d": (EncoderConfig, Encoder),
    "single_frame": (SingleFrameConfig, SingleFrame),
    "temporal_cnn": (TemporalCNNConfig, TemporalCNN),
    "mixste": (MixSTEConfig, MixSTE),
    "uplift_upsample": (UpliftConfig, UpliftUpsample),
    "looks": (LooksConfig, InterpolatedLooks),
}


def encoder_config(fields: Mapping[str, Any]) -> AnyEncoderConfig:
    """The config of an encoder from a recipe or a checkpoint; without `kind` it is our own.

    Raises:
        Vid3dError: no such kind.
    """
    kind = fields.get("kind", "vid3d")
    if kind not in _KINDS:
        raise Vid3dError(f"encoder kind is {kind!r}, expected one of {', '.join(_KINDS)}")
    sizes = {name: value for name, value in fields.items() if name != "kind"}
    made: AnyEncoderConfig = _KINDS[kind][0](**sizes)
    return made


def build_encoder(config: AnyEncoderConfig) -> nn.Module:
    """An untrained encoder: ``(canonical, looks, at, valid) -> Encoded``."""
    return next(module(config) for sizes, module in _KINDS.values() if type(config) is sizes)
