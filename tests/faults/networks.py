"""Weights and manifests: the lifter's safetensors, 2D networks as ONNX and as checkpoints."""

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import numpy as np

from faults.bytes import TENTHS, Touch, cut, noise, pickled, pipe, scrambled
from faults.case import Case, Expected
from faults.keypoints import PAIRS
from vid3d.weights import weights_dir

LIFTER = weights_dir() / "vid3d-base/model.safetensors"
LIFT = (f"lift --keypoints {PAIRS} --model {{input}} -o {{out}}",)
FIND = "lift tests/data/tiny.mp4 -o {{out}} --no-render --{0} {{input}}"
BOMB = 1 << 40


def _lifter(path: Path) -> Any:
    from vid3d.lifter.checkpoint import load_networks

    return load_networks(path)


def _network(task: str) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        from vid3d.pose2d.models import find_model
        from vid3d.pose2d.onnx import Network

        return Network(find_model(str(path), task), "cpu")

    return read


def _case(
    group: str,
    name: str,
    make: Callable[[Path], Any],
    read: Callable[[Path], Any],
    commands: tuple[str, ...],
    expected: Expected = "refused",
) -> Case:
    def made(folder: Path) -> Path:
        path = folder / name
        make(path)
        return path

    return Case(group, name, made, read, commands, expected)


# ------------------------------------------------------------------ the lifter


@cache
def _parts() -> tuple[dict[str, Any], bytes]:
    """Header and tensors of the shipped lifter (safetensors: length, JSON, bytes)."""
    content = LIFTER.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _written(path: Path, header: Any, tensors: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)
    return path


def _with(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    """Writes the lifter with another `vid3d` entry in its metadata."""

    def make(path: Path) -> None:
        header, tensors = _parts()
        entry = json.loads(header["__metadata__"]["vid3d"])
        entry = change(entry) or entry
        text = entry if isinstance(entry, str) else json.dumps(entry)
        _written(path, {**header, "__metadata__": {"vid3d": text}}, tensors)

    return make


def lifters() -> Iterator[Case]:
    """Files of the lifter."""
    group = "lifter weights"

    def one(name: str, make: Callable[[Path], Any], expected: Expected = "refused") -> Case:
        return _case(group, f"{name}.safetensors", make, _lifter, LIFT, expected)

    yield one("good", lambda p: copy(LIFTER, p), "right")
    for tenth in TENTHS:
        yield one(f"cut at {tenth} tenths", lambda p, n=tenth: cut(copy(LIFTER, p), n))
    for name, make in {
        "noise": noise,
        "pickle": pickled,
        "torch pickle": _torch,
        "pipe": pipe,
        "empty": Path.touch,
        "missing": lambda p: None,
        "text": lambda p: p.write_text("hello"),
    }.items():
        yield one(name, make)
    yield one("header of an exabyte", lambda p: p.write_bytes(struct.pack("<Q", 1 << 60) + b"{}"))
    yield one("deep header", lambda p: _written(p, b'{"a":' * 50_000, b""))
    yield one(
        "tensor beyond the end",
        lambda p: _written(
            p, {"a": {"dtype": "F32", "shape": [BOMB], "data_offsets": [0, 4 * BOMB]}}, b""
        ),
    )
    yield one(
        "without metadata",
        lambda p: _written(
            p, {k: v for k, v in _parts()[0].items() if k != "__metadata__"}, _parts()[1]
        ),
    )
    yield one("not finite", lambda p: _written(p, _parts()[0], _spoiled()))
    configs: dict[str, Callable[[dict[str, Any]], Any]] = {
        "metadata that is no JSON": lambda e: "{",
        "deep metadata": lambda e: "[" * 100_000,
        "metadata a list": lambda e: "[]",
        "another format": lambda e: e.update(format="x"),
        "schema 99": lambda e: e.update(schema=99),
        "schema of text": lambda e: e.update(schema="x" * 9999),
        "no config": lambda e: e.pop("config") and e,
        "config a list": lambda e: e.update(config=[]),
        "encoder of a trillion": lambda e: e["config"]["encoder"].update(width=BOMB),
        "a billion blocks": lambda e: e["config"]["encoder"].update(blocks=10**9),
        "no heads": lambda e: e["config"]["encoder"].update(heads=0),
        "a width of -1": lambda e: e["config"]["encoder"].update(width=-1),
        "a width of text": lambda e: e["config"]["encoder"].update(width="wide"),
        "another width": lambda e: e["config"]["encoder"].update(width=128),
        "an unknown field": lambda e: e["config"].update(surprise=1),
        "a grid of 0": lambda e: e["config"].update(grid=0),
        "a grid of NaN": lambda e: e["config"].update(grid=float("nan")),
        "windows of years": lambda e: e["config"].update(seconds=1e8),
    }
    for name, change in configs.items():
        yield one(name, _with(change))


def _torch(path: Path) -> None:
    import torch

    torch.save({"state_dict": Touch(path.parent / "canary")}, path)


def _spoiled() -> bytes:
    tensors = np.frombuffer(_parts()[1], np.float16).copy()
    tensors[1000] = np.nan
    return tensors.tobytes()


# ------------------------------------------------------------------ manifests


def _folder(path: Path, task: str = "lifter") -> Path:
    """A copy of a shipped model's folder."""
    name = {"lifter": "vid3d-base", "pose": "vid3d-pose", "detector": "vid3d-person"}[task]
    return Path(copytree(weights_dir() / name, path))


def _file(path: Path, task: str) -> Path:
    """The manifest of a copy of a shipped model's folder."""
    return _folder(path, task) / "manifest.json"


def _manifest(task: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        file = _file(path, task)
        fields = json.loads(file.read_text())
        change(fields)
        file.write_text(json.dumps(fields))

    return make


def _path(kind: str, path: str) -> Callable[[dict[str, Any]], Any]:
    """Lets a manifest name another file, without a checksum."""
    return lambda fields: fields["files"].update({kind: {"path": path}})


def manifests() -> Iterator[Case]:
    """Manifests of lifters and of 2D networks."""
    group = "manifests"
    outside = {
        "outside": "../other/model",
        "absolute": "/etc/hostname",
        "absolute on Windows": "C:\\model",
        "up and back": "x/../../y",
    }
    for task, kind, read, commands in (
        ("lifter", "safetensors", _lifter, LIFT),
        ("pose", "onnx", _network("pose"), (FIND.format("pose"),)),
    ):

        def one(
            name: str,
            make: Callable[[Path], Any],
            task: str = task,
            read: Any = read,
            commands: tuple[str, ...] = commands,
        ) -> Case:
            return _case(group, f"{task}, {name}", make, read, ("info {input}", *commands))

        for name, path in outside.items():
            yield one(name, _manifest(task, _path(kind, path)))
        yield one("missing file", _manifest(task, _path(kind, "none")))
        yield one("files a list", _manifest(task, lambda f: f.update(files=[1])))
        yield one("a file of text", _manifest(task, lambda f: f.update(files={"onnx": "x"})))
        yield one("no files", _manifest(task, lambda f: f.pop("files")))
        suffix = {"safetensors": "safetensors", "onnx": "onnx"}[kind]
        yield one(
            "another byte in the weights",
            lambda p, t=task, s=suffix: scrambled(_folder(p, t) / f"model.{s}", 3, 1),
        )
        for name, text in {
            "cut": '{"task": "pose',
            "a list": "[]",
            "deep": "[" * 100_000,
            "empty": "",
        }.items():
            yield one(name, lambda p, t=task, x=text: _file(p, t).write_text(x))
        if task == "lifter":  # of a 2D model config and checkpoint alone are enough
            yield one("no manifest", lambda p, t=task: _file(p, t).unlink())


# ------------------------------------------------------------------ 2D networks


def networks() -> Iterator[Case]:
    """ONNX files, and checkpoints with code in them."""
    group = "2D networks"
    for task, model in (("pose", "vid3d-pose"), ("detector", "vid3d-person")):
        kind = "pose" if task == "pose" else "detection"
        commands = (FIND.format(task),)

        def one(
            name: str,
            spoil: Callable[[Path], Any],
            task: str = task,
            kind: str = kind,
            commands: tuple[str, ...] = commands,
            model: str = model,
        ) -> Case:
            def spoiled(path: Path) -> None:
                copy(weights_dir() / model / "model.onnx", path)
                spoil(path)

            return _case(group, f"{task}, {name}.onnx", spoiled, _network(kind), commands)

        for tenth in (1, 3, 5, 7, 9):
            yield one(f"cut at {tenth} tenths", lambda p, n=tenth: cut(p, n))
        for name, make in {
            "noise": noise,
            "pickle": pickled,
            "empty": lambda p: p.write_bytes(b""),
            "weights outside": _external,
            "vast": _vast,
        }.items():
            yield one(name, make)
    mmpose = ("lift tests/data/tiny.mp4 --backend mmpose --pose {input} -o {out} --no-render",)
    for name, spoil in {
        "checkpoint with code": _torch_in,
        "checkpoint a pickle": _pickle_in,
        "checkpoint cut": lambda f: cut(f / "model.pth", 5),
        "checkpoint of noise": lambda f: noise(f / "model.pth"),
    }.items():
        yield _case(group, name, lambda p, s=spoil: _pth(p, s), _checkpoint, mmpose)


def _external(path: Path) -> None:
    """An ONNX file whose weights lie in a file outside its folder."""
    import onnx

    secret = path.parent.parent / "secret"
    secret.write_bytes(bytes(4))
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=1)
    for key, value in {"location": "../secret", "offset": "0", "length": "4"}.items():
        tensor.external_data.add(key=key, value=value)
    _model(path, [onnx.helper.make_node("Add", ["x", "w"], ["y"])], [tensor])


def _vast(path: Path) -> None:
    """An ONNX file that makes a tensor of four terabytes out of nothing."""
    import onnx

    shape = onnx.numpy_helper.from_array(np.array([BOMB], np.int64), "s")
    nodes = [
        onnx.helper.make_node("ConstantOfShape", ["s"], ["c"]),
        onnx.helper.make_node("Add", ["x", "c"], ["y"]),
    ]
    _model(path, nodes, [shape])


def _model(path: Path, nodes: list[Any], constants: list[Any]) -> None:
    from onnx import TensorProto, helper

    places = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph(nodes, "g", places[:1], places[1:], constants)
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(helper.make_model(graph, opset_imports=opset).SerializeToString())


def _pth(path: Path, spoil: Callable[[Path], Any]) -> None:
    """The pose network's config and checkpoint without a manifest, the checkpoint spoiled."""
    path.mkdir()
    for name in ("config.py", "model.pth"):
        copy(weights_dir() / "vid3d-pose" / name, path)
    spoil(path)


def _torch_in(folder: Path) -> None:
    import torch

    torch.save({"state_dict": {}, "meta": Touch(folder.parent / "canary")}, folder / "model.pth")


def _pickle_in(folder: Path) -> None:
    content = pickle.dumps({"state_dict": Touch(folder.parent / "canary")})
    (folder / "model.pth").write_bytes(content)


def _checkpoint(path: Path) -> Any:
    from vid3d.pose2d.openmmlab import load_checkpoint

    return load_checkpoint(path / "model.pth")


NETWORKS: list[Case] = [*lifters(), *manifests(), *networks()]
