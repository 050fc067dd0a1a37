"""Train a one-class person detector (RTMDet) from labelled image sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from vid3d.data.scenes import Scenes, Tiling
from vid3d.training.distillation2d import Teacher, dense_predictions, distillation_losses
from vid3d.training.distributed import rank
from vid3d.training.export2d import export
from vid3d.training.feeding import Feed
from vid3d.training.fitting import Loss, fit
from vid3d.training.networks2d import (
    ImageStage,
    build_detector,
    freeze,
    placed,
    random_steps,
    start_from,
)
from vid3d.training.pose2d import open_sets
from vid3d.training.recipes import made

BESIDE = 0.25  # weight of the loss on labelled boxes beside a teacher
Heads = tuple[list[Tensor], list[Tensor]]
"""Logits (n,1,h,w) and distances (n,4,h,w) of each stride."""


def _label_losses(
    head: Any, side: int, heads: Heads, boxes: list[Tensor], weight: float
) -> dict[str, Tensor]:
    """MMDet's own losses on labelled boxes, which it assigns to points by itself, weighted."""
    from mmengine.structures import InstanceData

    meta = {"img_shape": (side, side), "pad_shape": (side, side)}
    people = [InstanceData(bboxes=b, labels=b.new_zeros(len(b)).long()) for b in boxes]
    losses = head.loss_by_feat(*heads, people, [meta] * len(people))
    return {name: weight * torch.stack(list(values)).sum() for name, values in losses.items()}


def _stage_loss(model: nn.Module, stage: ImageStage, folders: list[Path], training: Any) -> Loss:
    """The loss of a stage: on labelled boxes, and on what ``training.teacher`` says if given."""
    tiling = made("training.tiling", Tiling, training["tiling"])
    scenes = Scenes(open_sets(folders))
    network: Any = model
    head: Any = network.bbox_head
    mean, std = (getattr(network.data_preprocessor, k).view(1, 3, 1, 1) for k in ("mean", "std"))
    side = stage.size[0]
    strides = [stride[0] for stride in head.prior_generator.strides]
    teacher = Teacher(training["teacher"], strides, side) if training.get("teacher") else None

    random = random_steps(training, stage)

    def draw(step: int) -> tuple[Tensor, list[Tensor]]:
        return scenes.batch(stage.batch, side, tiling, random(step))

    feed = Feed(draw, training["workers"])

    def loss_of(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, boxes = feed(step)
        inputs = ((images.to(mean.device).float() - mean) / std).contiguous(
            memory_format=torch.channels_last
        )
        with torch.autocast(mean.device.type, torch.bfloat16):
            logits, distances = head(network.extract_feat(inputs))
        heads = [v.float() for v in logits], [v.float() for v in distances]
        people = [b.to(mean.device) for b in boxes]
        parts = _label_losses(head, side, heads, people, 1.0 if teacher is None else BESIDE)
        if teacher is not None:
            said = [v.to(mean.device) for v in teacher(images)]
            parts |= distillation_losses(*dense_predictions(head, *heads), *said)
        loss = torch.stack(list(parts.values())).sum()
        return loss, {name: float(value.detach()) for name, value in parts.items()}

    return loss_of


def train(
    config: Config,
    data: list[Path],
    work_dir: Path,
    resume: bool = False,
    start: str | None = None,
) -> None:
    """Run the stages of ``config.training`` on the image sets in ``data``, beginning at ``start``.

    ``work_dir`` receives metrics.jsonl, checkpoint.pth, a ``<stage>.pth`` a stage (averaged
    weights, an MMDet checkpoint), and the folder ``model`` that ``--detector`` takes.
    """
    training = config.training
    torch.manual_seed(int(training["seed"]))
    model = build_detector(config.model)
    if start is not None:
        start_from(model, start)
    if training.get("backbone") and (start is None or training.get("exchange_backbone")):
        start_from(model, training["backbone"], "backbone")
    model = placed(model)
    for options in training["stages"]:
        stage = ImageStage.of(options)
        freeze(model, stage.frozen)
        fit(model, stage, _stage_loss(model, stage, data, training), work_dir, resume)
    if rank() == 0:
        export(config, work_dir / f"{stage.name}.pth", work_dir / "model")
