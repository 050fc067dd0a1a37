"""ONNX files as rtmlib reads them: the same network, with operators at its end where needed.

rtmlib decodes SimCC poses, YOLOX rows, and boxes that an export has suppressed already. RTMDet's
raw heads get MMDeploy's ending (decoding and non-maximum suppression inside the file); heat maps
become their maxima along rows and columns, at two bins a pixel, as SimCC has them.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.pose2d.manifest import Manifest

MOST_BOXES = 100


def pose_file(manifest: Manifest, folder: Path) -> Path:
    """A file with SimCC outputs: the manifest's own, or one written to `folder`."""
    path = manifest.file("onnx")
    if manifest.decode["kind"] == "simcc":
        return path
    assert manifest.input is not None
    ending = _Ending(path)
    maps = manifest.outputs[0] if manifest.outputs else ending.outputs[0]
    people = ending.add("Slice", ending.add("Shape", maps), *map(ending.constant, ([0], [2])))
    width, height = (2 * side for side in manifest.input.size)
    for axis, plane, name in ((2, [1, width], "simcc_x"), (3, [height, 1], "simcc_y")):
        highest = ending.add("ReduceMax", maps, keepdims=1, axes=[axis])
        size = ending.add("Concat", people, ending.constant(plane), axis=0)
        fine = ending.add("Resize", highest, "", "", size, mode="linear")
        ending.add("Squeeze", fine, ending.constant([axis]), output=name)
    return ending.save(folder / "pose.onnx", ["simcc_x", "simcc_y"])


def detector_file(manifest: Manifest, folder: Path) -> Path:
    """A file with boxes that rtmlib reads: the manifest's own, or one written to `folder`.

    Raises:
        Vid3dError: rtmlib has nothing like the manifest's decoder.
    """
    path, kind = manifest.file("onnx"), manifest.decode["kind"]
    if kind in ("yolox", "end2end"):
        return path
    ending = _Ending(path)
    names = list(manifest.outputs) or ending.outputs
    strides = manifest.decode.get("strides", ())
    if kind != "rtmdet" or len(names) != 2 * len(strides):
        raise Vid3dError(f"rtmlib has no decoder for the outputs of {manifest.name}")
    scores, sides = (
        ending.add("Concat", *[ending.add("Reshape", name, ending.constant([0, 0, -1]))
                               for name in part], axis=2)
        for part in (names[: len(strides)], names[len(strides) :])
    )  # fmt: skip
    person = ending.constant([manifest.decode["person_class"]])
    scores = ending.add("Sigmoid", ending.add("Gather", scores, person, axis=1))
    sides = ending.add("Transpose", sides, perm=[0, 2, 1])
    boxes = _boxes(ending, sides, _points(manifest))
    limits = [
        np.array([value], np.float32)
        for value in (manifest.iou_threshold, manifest.score_threshold)
    ]
    chosen = ending.add("NonMaxSuppression", boxes, scores, ending.constant([MOST_BOXES]),
                        *map(ending.constant, limits))  # fmt: skip
    rows = ending.add("Gather", chosen, ending.constant([2]), axis=1)
    rows = ending.add("Squeeze", rows, ending.constant([1]))
    kept = ending.add("Gather", boxes, rows, axis=1)
    best = ending.add("Gather", ending.add("Transpose", scores, perm=[0, 2, 1]), rows, axis=1)
    ending.add("Concat", kept, best, axis=2, output="dets")
    return ending.save(folder / "detector.onnx", ["dets"])


def _points(manifest: Manifest) -> np.ndarray:
    """(1, n, 2) where the cells of all strides lie, in input pixels."""
    assert manifest.input is not None
    width, height = manifest.input.size
    points = []
    for stride in manifest.decode["strides"]:
        y, x = np.mgrid[: height // stride, : width // stride]
        points.append(stride * np.stack([x, y], -1).reshape(-1, 2))
    return np.concatenate(points)[None].astype(np.float32)


def _boxes(ending: "_Ending", sides: str, points: np.ndarray) -> str:
    axis, cells = ending.constant([2]), ending.constant(points)
    low, high = (
        ending.add("Slice", sides, ending.constant([a]), ending.constant([b]), axis)
        for a, b in ((0, 2), (2, 4))
    )
    return ending.add(
        "Concat", ending.add("Sub", cells, low), ending.add("Add", cells, high), axis=2
    )


class _Ending:
    """Operators added to the end of an ONNX file."""

    def __init__(self, path: Path) -> None:
        try:
            import onnx
        except ImportError as error:
            raise Vid3dError("the comparison with rtmlib needs onnx: pip install onnx") from error
        self._onnx = onnx
        self._model: Any = onnx.load(str(path))
        self._count = 0
        self.outputs = [output.name for output in self._model.graph.output]

    def _name(self) -> str:
        self._count += 1
        return f"ending_{self._count}"

    def constant(self, value: Any) -> str:
        """A constant; whole numbers as int64."""
        name = self._name()
        tensor = self._onnx.numpy_helper.from_array(np.asarray(value), name)
        self._model.graph.initializer.append(tensor)
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """An operator; returns the name of its output."""
        name = output or self._name()
        node = self._onnx.helper.make_node(operator, list(inputs), [name], **attributes)
        self._model.graph.node.append(node)
        return name

    def save(self, path: Path, outputs: list[str]) -> Path:
        """Write the file with these outputs alone."""
        del self._model.graph.output[:]
        for name in outputs:
            value = self._onnx.helper.make_tensor_value_info(
                name, self._onnx.TensorProto.FLOAT, None
            )
            self._model.graph.output.append(value)
        self._onnx.save(self._model, str(path))
        return path
