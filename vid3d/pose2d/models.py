"""Finding a 2D model by name or path, whatever form it has on disk."""

from collections.abc import Sequence
from pathlib import Path

from vid3d.errors import Vid3dError
from vid3d.files import expanded, read_json
from vid3d.pose2d import zoo
from vid3d.pose2d.manifest import FILE_NAME, Manifest, load_manifest, parse_manifest
from vid3d.pose2d.official import MODELS
from vid3d.weights import ModelFile, shipped_models, weights_dir

# Normalisation of OpenMMLab's published models, in the order that each network takes channels.
_RGB = {"channels": "rgb", "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
_BGR = {"channels": "bgr", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395]}


def find_model(name: str, task: str, kinds: Sequence[str] = ("onnx", "pth")) -> Manifest:
    """The model called `name`: shipped, an official one, or a path.

    Args:
        name: a shipped name; an official name (downloaded when first used); or the path of a
            folder with manifest.json, a manifest, an .onnx file with a manifest beside it or from
            an official OpenMMLab export, or an MMPose / MMDet config or checkpoint with its
            partner in the same folder.
        task: "detection" or "pose".
        kinds: the first of these that an official model has is downloaded.

    Raises:
        Vid3dError: no such model, it does not fit the task, or its manifest is not valid.
    """
    manifest = _find(name, task, kinds)
    if manifest.task != task:
        option = {"detection": "--detector", "pose": "--pose"}[manifest.task]
        raise Vid3dError(f"{name} is a {manifest.task} model: give it with {option}")
    return manifest


def _find(name: str, task: str, kinds: Sequence[str]) -> Manifest:
    if (weights_dir() / name / FILE_NAME).is_file():
        return load_manifest(weights_dir() / name)
    if name in MODELS:
        kind = next((kind for kind in kinds if kind in MODELS[name].kinds), kinds[0])
        return load_manifest(zoo.fetch(name, kind))
    path = expanded(name)
    if not path.exists():
        known = ", ".join([*shipped_models(), *MODELS])
        raise Vid3dError(f"unknown model {name!r}: neither a path nor one of {known}")
    if path.is_dir():
        return load_manifest(path) if (path / FILE_NAME).is_file() else _pair(path, task)
    if path.suffix == ".json":
        return load_manifest(path)
    if path.suffix in (".py", ".pth"):
        return _pair(path, task)
    if path.suffix == ".onnx":
        return _bare_onnx(path)
    raise Vid3dError(
        f"{path} is no 2D model: expected a folder, a manifest .json, .onnx, or config .py / .pth"
    )


def _pair(path: Path, task: str) -> Manifest:
    """An MMPose or MMDet config and its checkpoint in one folder, without a manifest."""
    folder = path if path.is_dir() else path.parent
    config = path if path.suffix == ".py" else _only(folder, "*.py", path)
    checkpoint = path if path.suffix == ".pth" else _only(folder, "*.pth", path)
    files = {"config": ModelFile(config), "pth": ModelFile(checkpoint)}
    name = folder.name if config.stem == "config" else config.stem
    return Manifest(name=name, task=task, files=files)


def _only(folder: Path, pattern: str, path: Path) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise Vid3dError(
            f"{path} has no manifest.json, and its folder holds {len(found)} files {pattern}: "
            "an MMPose or MMDet model is one config .py and one checkpoint .pth"
        )
    return found[0]


def _bare_onnx(path: Path) -> Manifest:
    """An .onnx file: by the manifest beside it, else by what official exports look like."""
    for beside in (path.with_suffix(".json"), path.parent / FILE_NAME):
        if beside.is_file() and _names(beside, path):
            return load_manifest(beside)
    from vid3d.pose2d.onnx import signature

    shape, outputs = signature(path)
    family = f"{path.parent.name} {path.stem}".lower()
    side = {"path": path.name}
    fields = {"schema": 1, "name": path.stem, "files": {"onnx": side}}
    size = {"size": shape}
    if set(outputs) == {"simcc_x", "simcc_y"} and shape:
        decode = {"kind": "simcc"}
        known = {"task": "pose", "input": {**size, **_RGB}, "decode": decode}
        fields["outputs"] = ["simcc_x", "simcc_y"]
    elif {"dets", "labels"} <= set(outputs) and shape and ("rtmdet" in family or "yolox" in family):
        plain = {"channels": "bgr"}
        norm = _BGR if "rtmdet" in family else plain
        known = {"task": "detection", "input": {**size, **norm}, "decode": {"kind": "end2end"}}
        fields["outputs"] = ["dets", "labels"]
    else:
        raise Vid3dError(
            f"{path} does not say how to feed it (outputs {', '.join(outputs)}): write "
            f"{path.with_suffix('.json').name} beside it, a manifest as in docs/models.md"
        )
    return parse_manifest({**fields, **known}, path)


def _names(manifest: Path, model: Path) -> bool:
    """Whether a JSON file is a manifest that names this model file."""
    try:
        entry = read_json(manifest)["files"]["onnx"]["path"]
        return (manifest.parent / entry).resolve() == model.resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return False
