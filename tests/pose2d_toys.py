"""Tiny RTMDet and RTMPose networks with random weights, as model folders with .pth and .onnx."""

import json
from pathlib import Path

import torch

DETECTOR_SIZE = 128
POSE_SIZE = (96, 128)


def rtmpose(folder: Path) -> Path:
    """A pose model folder; its peaks lie apart from the runners-up."""
    mim = _mim("mmpose") / "configs/body_2d_keypoint/rtmpose/body8"
    config = _config(mim / "rtmpose-t_8xb256-420e_body8-256x192.py")
    width, height = POSE_SIZE
    config.codec.input_size = config.model.head.decoder.input_size = POSE_SIZE
    config.model.backbone.update(widen_factor=0.125, init_cfg=None)
    config.model.head.update(
        in_channels=128, input_size=POSE_SIZE, in_featuremap_size=(width // 32, height // 32)
    )
    config.model.head.gau_cfg.hidden_dims = 64
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == "TopdownAffine":
            step.input_size = POSE_SIZE
    network = _random(config, "mmpose")
    manifest = {
        "task": "pose",
        "joint_set": "coco17",
        "input": {
            "size": list(POSE_SIZE),
            "channels": "rgb",
            "mean": [123.675, 116.28, 103.53],
            "std": [58.395, 57.12, 57.375],
        },
        "decode": {"kind": "simcc", "confidence_scale": 0.05},
    }
    outputs = ("simcc_x", "simcc_y")
    return _save(folder, config, network, torch.zeros(2, 3, height, width), outputs, manifest)


def rtmdet(folder: Path) -> Path:
    """A detector folder."""
    mim = _mim("mmpose") / "demo/mmdetection_cfg"
    config = _config(mim / "rtmdet_nano_320-8xb32_coco-person.py")
    size = (DETECTOR_SIZE, DETECTOR_SIZE)
    config.model.backbone.update(widen_factor=0.125, deepen_factor=0.167, init_cfg=None)
    config.model.neck.update(in_channels=[32, 64, 128], out_channels=32)
    config.model.bbox_head.update(in_channels=32, feat_channels=32)
    for step in config.test_dataloader.dataset.pipeline:
        if step.type == "Resize":
            step.scale = size
        if step.type == "Pad":
            step.size = size
    network = _random(config, "mmdet")
    _tame(network)
    manifest = {
        "task": "detection",
        "input": {
            "size": list(size),
            "channels": "bgr",
            "mean": [103.53, 116.28, 123.675],
            "std": [57.375, 57.12, 58.395],
        },
        "decode": {"kind": "rtmdet"},
        "thresholds": {"score": 0.75, "iou": 0.5},
    }
    outputs = tuple(f"{kind}_{stride}" for kind in ("cls", "bbox") for stride in (8, 16, 32))
    image = torch.zeros(2, 3, DETECTOR_SIZE, DETECTOR_SIZE)
    return _save(folder, config, _Heads(network), image, outputs, manifest)


def _tame(network):
    """Scale the last layers so that scores spread over 0..1 and boxes over the image."""
    generator = torch.Generator().manual_seed(6)
    image = torch.randn(1, 3, DETECTOR_SIZE, DETECTOR_SIZE, generator=generator)
    head = network.bbox_head
    with torch.no_grad():
        scores, _ = head(network.extract_feat(image))
        spread = torch.cat([score.flatten() for score in scores]).std()
        for cls, reg in zip(head.rtm_cls, head.rtm_reg, strict=True):
            cls.weight.mul_(1 / spread)
            cls.bias.zero_()
            reg.weight.mul_(0.5 / spread)
            reg.bias.fill_(2.0)


class _Heads(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        scores, boxes = self.network.bbox_head(self.network.extract_feat(image))
        return (*scores, *boxes)


def _mim(package):
    import importlib.util

    return Path(importlib.util.find_spec(package).submodule_search_locations[0]) / ".mim"


def _config(path):
    from vid3d.pose2d.openmmlab import prepare

    prepare()
    from mmengine.config import Config

    return Config.fromfile(path)


def _random(config, scope):
    """The network with weights that spread, so that maxima are clear."""
    from mmengine.registry import MODELS, DefaultScope

    generator = torch.Generator().manual_seed(5)
    with DefaultScope.overwrite_default_scope(scope):
        network = MODELS.build(config.model).eval()
    with torch.no_grad():
        for value in network.parameters():
            fan = max(value[0].numel(), 1)
            value.copy_(torch.randn(value.shape, generator=generator) * (2 / fan) ** 0.5)
        for name, value in network.named_buffers():
            if name.endswith("running_var"):
                value.fill_(1.0)
    return network


def _save(folder, config, network, example, outputs, manifest):
    folder.mkdir(parents=True)
    fields = config.to_dict()  # config.dump formats with yapf, which takes seconds
    parts = ("default_scope", "dataset_type", "model", "test_dataloader")
    text = "".join(f"{part} = {fields.get(part)!r}\n" for part in parts)
    (folder / "config.py").write_text(text)
    inner = getattr(network, "network", network)
    torch.save({"state_dict": inner.state_dict(), "meta": {}}, folder / "model.pth")
    exported = network if inner is not network else _Forward(network)
    torch.onnx.export(
        exported,
        (example,),
        folder / "model.onnx",
        dynamo=False,
        opset_version=17,
        input_names=["input"],
        output_names=list(outputs),
        dynamic_axes={name: {0: "batch"} for name in ("input", *outputs)},
    )
    names = {"onnx": "model.onnx", "pth": "model.pth", "config": "config.py"}
    files = {kind: {"path": name} for kind, name in names.items()}
    text = json.dumps({"schema": 1, "name": folder.name, "files": files, **manifest})
    (folder / "manifest.json").write_text(text)
    return folder


class _Forward(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        return self.network.head(self.network.extract_feat(image))
