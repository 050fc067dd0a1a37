"""Train a top-down pose network with a SimCC or heat-map head from labelled image sets.

The network is an ordinary MMPose model, trained at half the input size first and carried over to
the full size (progressive resizing), which on a CPU sees three times as many people a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn
from torch.nn import functional

from vid3d.data.crops import (
    Augmentation,
    PoseCrops,
    heatmap_labels,
    simcc_labels,
    target_weights,
)
from vid3d.data.labelled_images import LABELS, LabelledImages
from vid3d.errors import Vid3dError
from vid3d.pose2d.decode import SHARPNESS
from vid3d.training.distributed import rank
from vid3d.training.export2d import export
from vid3d.training.feeding import Feed
from vid3d.training.fitting import Loss, fit
from vid3d.training.networks2d import (
    ImageStage,
    build_pose_model,
    freeze,
    heatmaps,
    placed,
    random_steps,
    start_from,
)
from vid3d.training.recipes import made

FLATTENED = "head.mlp.1.weight"  # (hidden, rows * columns) of the last feature map


def model_at(model: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """The same model for another input size; a SimCC head keeps the number of its bins."""
    changed = Config(dict(model=model)).model.to_dict()
    head = changed["head"]
    codec = {**head["decoder"], "input_size": size}
    if "heatmap_size" in codec:
        stride = head["decoder"]["input_size"][0] // codec["heatmap_size"][0]
        codec["heatmap_size"] = (size[0] // stride, size[1] // stride)
    else:
        split = head["simcc_split_ratio"] * head["input_size"][0] / size[0]
        head["input_size"] = size
        head["in_featuremap_size"] = (size[0] // 32, size[1] // 32)
        head["simcc_split_ratio"] = codec["simcc_split_ratio"] = split
    head["decoder"] = codec
    return dict(changed)


def config_at(config: Config, size: tuple[int, int]) -> Config:
    """The same recipe with a network, and crops in its test pipelines, of another input size."""
    changed = {**config.to_dict(), "model": model_at(config.model, size)}
    for pipeline in (changed["test_pipeline"], changed["test_dataloader"]["dataset"]["pipeline"]):
        for step in pipeline:
            if "input_size" in step:
                step["input_size"] = size
    return Config(changed)


def carry_over(
    state: dict[str, Tensor], old: tuple[int, int], new: tuple[int, int]
) -> dict[str, Tensor]:
    """State of a model at input size ``old`` (width, height) for the size ``new``.

    Only the matrix of a SimCC head that reads the flattened feature map depends on the size: it
    is interpolated over the map, and scaled so that the sum over more cells stays the same.
    """
    if FLATTENED not in state:
        return state
    (wo, ho), (wn, hn) = ((w // 32, h // 32) for w, h in (old, new))
    maps = state[FLATTENED].reshape(-1, 1, ho, wo)
    grown = functional.interpolate(maps, (hn, wn), mode="bilinear", align_corners=False)
    gain = float(ho * wo) / (hn * wn)
    return {**state, FLATTENED: (grown * gain).reshape(-1, hn * wn)}


def open_sets(folders: list[Path]) -> list[LabelledImages]:
    """Every finished image set in ``folders``, at any depth, in the order of their names."""
    found = sorted({p.parent for f in folders for p in f.rglob(LABELS)})
    if not found:
        raise Vid3dError(
            f"no image set in {', '.join(map(str, folders))}; "
            "prepare one with vid3d.data.people2d or vid3d.data.synthetic"
        )
    return [LabelledImages.open(folder) for folder in found]


def _simcc(network: Any, inputs: Tensor) -> Any:
    """Both distributions of a SimCC head, which bfloat16 would be too coarse for."""
    with torch.autocast(inputs.device.type, torch.bfloat16):
        features = network.extract_feat(inputs)
    return network.head(tuple(f.float() for f in features))


def _heatmaps(network: Any, inputs: Tensor) -> Tensor:
    with torch.autocast(inputs.device.type, torch.bfloat16):
        return heatmaps(network, inputs).float()


def _simcc_loss(
    head: Any, predicted: Any, points: Tensor, trust: Tensor, widen: float
) -> tuple[Tensor, Tensor]:
    """MMPose's own loss of a SimCC head, and the places (n,17,2) in crop pixels."""
    size, split = head.input_size, head.simcc_split_ratio
    sigma = [widen * value for value in head.decoder.sigma]
    weights = target_weights(points, trust, size)
    labels = simcc_labels(points, size, split, (sigma[0], sigma[1]))
    loss = head.loss_module(predicted, labels, weights) * weights.shape[1] / weights.sum()
    return loss * 100, torch.stack([p.argmax(-1) / split for p in predicted], -1)


def _heatmap_loss(
    head: Any, predicted: Tensor, points: Tensor, trust: Tensor, widen: float
) -> tuple[Tensor, Tensor]:
    """Loss of a heat-map head, and the places (n,17,2) in crop pixels.

    Cross-entropy of the soft-max over all cells, sharpened as SimCC's is, learns places quickly;
    the squared error makes a peak's height the confidence.
    """
    size = head.decoder.input_size
    rows, columns = predicted.shape[2:]
    stride = size[1] // rows
    weights = target_weights(points, trust, size)
    labels = heatmap_labels(points, size, stride, head.decoder.sigma * widen).flatten(2)
    flat = predicted.flatten(2)
    entropy = -((SHARPNESS * labels).softmax(-1) * (SHARPNESS * flat).log_softmax(-1)).sum(-1)
    squared = ((flat - labels) ** 2).sum(-1)
    best = flat.argmax(-1)
    places = torch.stack([best % columns, best // columns], -1) * stride
    return ((entropy + 0.5 * squared) * weights).sum() / weights.sum(), places


def _stage_loss(model: nn.Module, stage: ImageStage, folders: list[Path], training: Any) -> Loss:
    """The loss that ``fit`` wants."""
    aug = made("training.augmentation", Augmentation, training["augmentation"])
    crops = PoseCrops(open_sets(folders), training["nobody"])
    network: Any = model
    mean, std = (getattr(network.data_preprocessor, k).view(1, 3, 1, 1) for k in ("mean", "std"))
    simcc = hasattr(network.head, "cls_x")
    predict, judge = (_simcc, _simcc_loss) if simcc else (_heatmaps, _heatmap_loss)

    random = random_steps(training, stage)

    def draw(step: int) -> tuple[Tensor, Tensor, Tensor]:
        return crops.batch(stage.batch, stage.size, aug, random(step))

    feed = Feed(draw, training["workers"])

    def loss_of(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        images, points, trust = (tensor.to(mean.device) for tensor in feed(step))
        inputs = ((images.float().flip(1) - mean) / std).contiguous(
            memory_format=torch.channels_last
        )
        widen = stage.widen ** max(0.0, 1 - 2 * progress)
        predicted = predict(network, inputs)
        loss, places = judge(network.head, predicted, points, trust, widen)
        hit = (places - points).norm(dim=-1) < 0.05 * stage.size[1]
        good = (trust > 0.4) & (target_weights(points, trust, stage.size) > 0.4)
        return loss, {"accuracy": float((hit & good).sum() / good.sum().clamp(min=1))}

    return loss_of


def train(
    config: Config,
    data: list[Path],
    work_dir: Path,
    resume: bool = False,
    start: str | None = None,
) -> None:
    """Run the stages of ``config.training`` on the image sets in ``data``, beginning at ``start``.

    ``work_dir`` receives metrics.jsonl, checkpoint.pth, a ``<stage>.pth`` a stage (averaged weights
    of the model at that stage's size, an MMPose checkpoint), and the folder ``model`` that
    ``--pose`` takes, for crops of the last stage's size.
    """
    training = config.training
    torch.manual_seed(int(training["seed"]))
    state: dict[str, Tensor] | None = None
    previous: tuple[int, int] | None = None
    for options in training["stages"]:
        stage = ImageStage.of(options)
        model = build_pose_model(model_at(config.model, stage.size))
        model = placed(model)
        if state is None and start is not None:
            start_from(model, start)
        if state is not None and previous is not None:
            model.load_state_dict(carry_over(state, previous, stage.size))
        freeze(model, stage.frozen)
        fit(model, stage, _stage_loss(model, stage, data, training), work_dir, resume)
        state, previous = model.state_dict(), stage.size
    if rank() == 0:
        export(config_at(config, stage.size), work_dir / f"{stage.name}.pth", work_dir / "model")
