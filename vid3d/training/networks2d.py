"""What the trainings of the 2D networks share: building, stages at one image size, freezing."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from vid3d.errors import Vid3dError
from vid3d.given import whole_number
from vid3d.machine import find_device
from vid3d.pose2d import openmmlab
from vid3d.training.fitting import Stage
from vid3d.training.recipes import made
from vid3d.weights import find_model, read_manifest


@dataclass(frozen=True, kw_only=True)
class ImageStage(Stage):
    """A stage at one input size.

    Attributes:
        size: input width, height in pixels.
        widen: factor on the width of the labels at the start; it falls to 1 over half the stage.
        frozen: last stage of the backbone that no longer learns (0 = stem, -1 = none): early
            layers settle first, and their gradients cost the most (FreezeOut, arXiv 1706.04983).
    """

    size: tuple[int, int]
    widen: float = 1.0
    frozen: int = -1

    @staticmethod
    def of(options: dict[str, Any]) -> ImageStage:
        """The stage that a recipe's entry describes.

        Raises:
            Vid3dError: a field that there is not, or one that is missing.
        """
        plain = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        return made("training.stages", ImageStage, plain)


def random_steps(training: Any, stage: ImageStage) -> Callable[[int], np.random.Generator]:
    """Random numbers by step of a stage, others than those of earlier stages of the same width.

    Raises:
        Vid3dError: `training.seed` is no whole number from 0.
    """
    seed, width = whole_number("training.seed", training["seed"], 0), stage.size[0]
    alike = [each["name"] for each in training["stages"] if each["size"][0] == width]
    again = [alike.index(stage.name)] if stage.name in alike[1:] else []
    return lambda step: np.random.default_rng((seed, width, step, *again))


def freeze(model: Any, last: int) -> None:
    """Freeze the backbone's stem and stages up to ``last``, as MMDetection's option does."""
    model.requires_grad_(True)
    model.backbone.frozen_stages = last
    model.train()


def build_pose_model(model: dict[str, Any]) -> nn.Module:
    """Build an MMPose model from its config dictionary, without downloading anything."""
    openmmlab.prepare()
    from mmpose.registry import MODELS
    from mmpose.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    return _initialised(MODELS.build(model))


def build_detector(model: dict[str, Any]) -> nn.Module:
    """Build an MMDet model from its config dictionary, without downloading anything."""
    openmmlab.prepare()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    return _initialised(MODELS.build(model))


def _initialised(model: Any) -> nn.Module:
    model.init_weights()
    built: nn.Module = model
    return built


def start_from(model: nn.Module, start: str | Path, part: str = "") -> None:
    """Give a model, or a part of it, the weights of another training.

    Args:
        model: to be trained.
        start: a model's name or folder, or a `.pth` file.
        part: name of the part, as `backbone`; the other model may differ in all else.

    Raises:
        Vid3dError: no such model, or weights that do not fit.
    """
    path = find_model(str(start))
    try:
        if path.is_dir():
            path = path / str(read_manifest(path)["files"]["pth"]["path"])
        saved = torch.load(path, map_location="cpu", weights_only=True)
        state = saved["averaged"] if "averaged" in saved else saved["state_dict"]
        mark = f"{part}." if part else ""
        own = {name.removeprefix(mark): v for name, v in state.items() if name.startswith(mark)}
        model.get_submodule(part).load_state_dict(own)
    except (OSError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise Vid3dError(f"cannot start {part or 'it'} from {path}: {reason}") from error


def heatmaps(model: Any, images: Tensor) -> Tensor:
    """Maps (n,K,h,w) of a model with a heat-map head: ``model.head(model.extract_feat(images))``.

    Cheaper where the neck joins strides and the head begins with a 1x1 filter: the filter mixes
    channels, the neck's resizing mixes places, so the order does not matter, and fewer channels
    are left to resize.
    """
    if not _joins_before_filter(model):
        return cast("Tensor", model.head(model.extract_feat(images)))
    features = model.backbone(images)
    levels = [features[index] for index in model.neck.select_index]
    first = model.head.conv_layers[0]
    filters = first.weight.split([level.shape[1] for level in levels], 1)
    mixed = [conv2d(level, part) for level, part in zip(levels, filters, strict=True)]
    size, corners = levels[0].shape[-2:], model.neck.align_corners
    resized = [interpolate(x, size, mode="bilinear", align_corners=corners) for x in mixed[1:]]
    x = sum(resized, mixed[0]) + first.bias[:, None, None]
    return cast("Tensor", model.head.final_layer(model.head.conv_layers[1:](x)))


def _joins_before_filter(model: Any) -> bool:
    """Whether a neck joins strides and does nothing else, and a 1x1 filter comes next."""
    neck: Any = getattr(model, "neck", None)
    first: Any = getattr(model.head.conv_layers, "0", None)
    return (
        getattr(neck, "concat", False)
        and not neck.apply_relu
        and neck.scale_factor == 1
        and isinstance(model.head.deconv_layers, nn.Identity)
        and getattr(first, "kernel_size", None) == (1, 1)
    )


def placed(model: nn.Module) -> nn.Module:
    """The model on the first GPU, else the CPU, with channels last (faster in bfloat16).

    RTMDet lets the norms of several processes agree, which GPUs alone can: on a CPU each has its
    own.
    """
    from mmengine.model.utils import revert_sync_batchnorm

    device = find_device("auto")
    model = (revert_sync_batchnorm(model) if device == "cpu" else model).to(device)
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.ndim == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return model
