"""From a training checkpoint to a model folder: .pth, config, ONNX and manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor, nn

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, sha256_of
from vid3d.pose2d.manifest import SCHEMA
from vid3d.training.fitting import write_state
from vid3d.training.networks2d import build_detector, build_pose_model, heatmaps

STRIDES = (8, 16, 32)
OURS = ("name", "licence", "task", "training")  # what MMPose and MMDet do not read
SMALL = 256  # tensors with fewer values stay float32 in ONNX


class RawNetwork(nn.Module):
    """Backbone, neck and head of an MMPose or MMDet model without decoding."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (n,3,H,W) to the head's raw outputs."""
        head = self.model.bbox_head if hasattr(self.model, "bbox_head") else self.model.head
        if hasattr(head, "conv_layers"):
            return (heatmaps(self.model, images),)
        out = head(self.model.extract_feat(images))
        return tuple(t for part in out for t in ([part] if isinstance(part, Tensor) else part))


def _outputs(config: Config) -> list[str]:
    if config.task == "detect2d":
        return [f"{kind}_{stride}" for kind in ("scores", "sides") for stride in STRIDES]
    return ["heatmap"] if config.model.head.type == "HeatmapHead" else ["simcc_x", "simcc_y"]


def input_size(config: Config) -> tuple[int, int]:
    """Width and height of the network's input, as the config's own test pipeline makes it."""
    names = {"Resize": "scale", "TopdownAffine": "input_size"}
    for step in config.test_pipeline:
        if step["type"] in names:
            width, height = step[names[step["type"]]]
            return int(width), int(height)
    raise Vid3dError(f"the test_pipeline has none of {', '.join(names)}: the input size is unknown")


def load_network(config: Config, checkpoint: Path) -> nn.Module:
    """The model of a config with the state of ``checkpoint``, ready to run.

    Takes a stage's result, or a running training's checkpoint (its averaged state).
    """
    build = build_detector if config.task == "detect2d" else build_pose_model
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
    state = saved["averaged"] if "averaged" in saved else saved["state_dict"]
    model = build(config.model)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise Vid3dError(f"{checkpoint} does not fit the config: {reason}") from error
    return model.eval()


def export(config: Config, checkpoint: Path, folder: Path) -> None:
    """Write model.pth, config.py, model.onnx and manifest.json into ``folder``.

    The recipe's `name` and `licence` go into the manifest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = load_network(config, checkpoint)
    _write_pth(model, config, folder / "model.pth")
    plain = Config({k: v for k, v in config.to_dict().items() if k not in OURS})
    header = f'"""Inference config of {config.name}, for MMPose or MMDet."""\n\n# fmt: off\n'
    with atomic_path(folder / "config.py") as path:
        path.write_text(header + plain.pretty_text, encoding="utf-8")
    write_onnx(model, input_size(config), _outputs(config), folder / "model.onnx")
    with atomic_path(folder / "manifest.json") as path:
        path.write_text(json.dumps(_manifest(config, folder), indent=2) + "\n", "utf-8")


def _write_pth(model: nn.Module, config: Config, path: Path) -> None:
    """An ordinary MMPose or MMDet checkpoint with float16 weights."""
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    write_state(path, {"state_dict": state, "meta": {"dataset_meta": _dataset_meta(config)}})


def _dataset_meta(config: Config) -> dict[str, Any]:
    """What MMPose and MMDet want to know of the data, without numpy."""
    if config.task == "detect2d":
        return {"classes": ("person",), "palette": [(220, 20, 60)]}
    from mmpose.datasets.datasets.utils import parse_pose_metainfo

    meta = parse_pose_metainfo({"from_file": "configs/_base_/datasets/coco.py"})
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in meta.items()}


def write_onnx(model: nn.Module, size: tuple[int, int], outputs: list[str], path: Path) -> None:
    """Export with a free batch; weights are stored as float16 and computed with as float32.

    Detectors take any size, so that letterboxes need no padding.
    """
    import onnx

    width, height = size
    names = ["images", *outputs]
    free = {0: "batch", 2: "height", 3: "width"} if hasattr(model, "bbox_head") else {0: "batch"}
    with atomic_path(path) as aside:
        torch.onnx.export(
            RawNetwork(model), (torch.zeros(1, 3, height, width),), str(aside),
            input_names=names[:1], output_names=outputs, opset_version=17, dynamo=False,
            dynamic_axes=dict.fromkeys(names, free),
        )  # fmt: skip
        graph = onnx.load(aside)
        _halve(graph)
        onnx.checker.check_model(graph)
        onnx.save(graph, aside)


def _halve(model: Any) -> None:
    """Store large float32 weights as float16 behind a Cast, which runtimes fold when they load."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < SMALL:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _manifest(config: Config, folder: Path) -> dict[str, Any]:
    """The manifest of the exported files; see ``vid3d.pose2d.manifest``."""
    preprocessor = config.model.data_preprocessor
    pose = config.task == "pose2d"
    files = {"onnx": "model.onnx", "pth": "model.pth", "config": "config.py"}
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "name": config.name,
        "task": "pose" if pose else "detection",
        "files": {
            kind: {"path": path, "sha256": sha256_of(folder / path)} for kind, path in files.items()
        },
        "input": {
            "size": list(input_size(config)),
            "channels": "rgb" if preprocessor.bgr_to_rgb else "bgr",
            "mean": list(preprocessor.mean),
            "std": list(preprocessor.std),
        },
        "decode": _decode(config),
        "outputs": _outputs(config),
        "licence": config.licence,
    }
    if pose:
        return {**manifest, "joint_set": "coco17"}
    return {**manifest, "thresholds": dict(config.training.thresholds)}


def _decode(config: Config) -> dict[str, Any]:
    if config.task == "detect2d":
        return {"kind": "rtmdet", "strides": list(STRIDES), "person_class": 0}
    if config.model.head.type == "HeatmapHead":  # trained through a soft-max over cells
        return {"kind": "heatmap", "refine": "expectation"}
    return {"kind": "simcc", "split_ratio": float(config.model.head.decoder.simcc_split_ratio)}
