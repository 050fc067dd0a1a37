"""The onnx backend: detectors and pose networks on onnxruntime."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.machine import usable_cores
from vid3d.pose2d import decode
from vid3d.pose2d.manifest import InputSpec, Manifest
from vid3d.pose2d.people import JOINTS
from vid3d.pose2d.preprocess import clipped, crops, to_image, whole_images
from vid3d.video.frame import Image

BATCH = 32
"""Most pictures in one run of a network whose batch is free: bounds memory."""

MOST_THREADS = 8
"""Networks this small have too little work in a layer for more; the cores serve decoding."""

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
"""What networks may take pictures as, by onnxruntime's names."""


class Network:
    """One ONNX file in a session, run in batches of a size that it takes."""

    def __init__(self, manifest: Manifest, device: str) -> None:
        if manifest.input is None:
            raise Vid3dError(f"model {manifest.name} has no onnx file; use --backend mmpose")
        self.name = manifest.name
        self.spec: InputSpec = manifest.input
        self._session = _session(manifest.file("onnx"), device)
        source, *others = self._session.get_inputs()
        if others or source.type not in _FLOATS:
            taken = ", ".join(f"{each.name} {each.type}" for each in (source, *others))
            raise Vid3dError(
                f"model {self.name} takes {taken}, expected pictures of floats and nothing else: "
                "export it like that"
            )
        self._input, self._type = source.name, _FLOATS[source.type]
        self._batch = source.shape[0] if isinstance(source.shape[0], int) else None
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = list(manifest.outputs) or names
        if missing := set(self._outputs) - set(names):
            raise Vid3dError(
                f"model {self.name} has no output {missing.pop()!r}, as its manifest says, "
                f"but {', '.join(names)}"
            )
        given = tuple(side if isinstance(side, int) else None for side in source.shape[:0:-1])
        self.any_size = given[:2] == (None, None)
        wanted = (*self.spec.size, 3)
        if len(given) != 3 or any(g not in (None, w) for g, w in zip(given, wanted, strict=True)):
            raise Vid3dError(
                f"model {self.name} takes input {source.shape}, its manifest says 3 channels of "
                f"{self.spec.size[0]} x {self.spec.size[1]}"
            )

    def __call__(self, pictures: NDArray[np.float32]) -> list[NDArray[np.floating]]:
        """Outputs for pictures (B, 3, H, W), each (B, ...)."""
        parts = list(self.runs(pictures))
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def runs(self, pictures: NDArray[np.float32]) -> Iterator[list[NDArray[np.floating]]]:
        """Outputs run by run: other widths than the batch may differ between them."""
        return map(self._run, self._chunks(pictures))

    def bare(self, pictures: NDArray[np.float32]) -> list[NDArray[np.floating]]:
        """The session alone, for a batch that it takes as it is: what benchmarks compare with."""
        return list(self._session.run(self._outputs, {self._input: self._fed(pictures)}))

    def _chunks(self, pictures: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        size = self._batch or BATCH
        for start in range(0, len(pictures), size):
            yield pictures[start : start + size]

    def _run(self, chunk: NDArray[np.float32]) -> list[NDArray[np.floating]]:
        missing = (self._batch or 0) - len(chunk)
        full = np.pad(chunk, ((0, missing), (0, 0), (0, 0), (0, 0))) if missing > 0 else chunk
        try:
            outputs = self._session.run(self._outputs, {self._input: self._fed(full)})
        except Exception as error:  # onnxruntime's errors share no base class
            raise Vid3dError(
                f"model {self.name} cannot be run on {full.shape} ({_reason(error)})"
            ) from error
        return [_single(output[: len(chunk)]) for output in outputs]

    def _fed(self, pictures: NDArray[np.float32]) -> NDArray[np.floating]:
        return pictures.astype(self._type, copy=False)

    def misfit(self, error: Exception) -> Vid3dError:
        """The error to raise where outputs are not what the manifest's decoder takes."""
        return Vid3dError(
            f"model {self.name}: its outputs {', '.join(self._outputs)} do not fit the decode "
            f"field of its manifest ({error})"
        )


class OnnxDetector:
    """Person boxes of whole images.

    Args:
        manifest: of the model.
        device: "cpu", "cuda" or "cuda:N".
        padded: letterboxes as large as the manifest says, even if the network takes any size.

    Attributes:
        network: the ONNX file in its session.
        multiple: see `preprocess.whole_images`.
    """

    def __init__(self, manifest: Manifest, device: str = "cpu", padded: bool = False) -> None:
        self.name = manifest.name
        self._manifest = manifest
        self.network = Network(manifest, device)
        strides = manifest.decode.get("strides", ())
        tight = self.network.any_size and not padded
        self.multiple = max(strides, default=None) if tight else None

    def __call__(
        self, images: Sequence[Image]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Boxes (N, 4) in image pixels and scores (N,) of each image."""
        if not images:
            return []
        pictures, scales = whole_images(images, self.network.spec, self.multiple)
        height, width = pictures.shape[2:]
        found: list[tuple[Any, Any]] = []
        try:
            for outputs in self.network.runs(pictures):
                boxes, scores = decode.boxes_of(outputs, self._manifest.decode, (width, height))
                found += zip(boxes, scores, strict=True)
            return [self._people(*each) for each in zip(found, scales, images, strict=True)]
        except (IndexError, ValueError) as error:
            raise self.network.misfit(error) from error

    def _people(
        self, found: tuple[Any, Any], scale: NDArray[np.float32], image: Image
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        manifest, (boxes, scores) = self._manifest, found
        boxes = boxes.clip(0, np.tile(self.network.spec.size, 2))
        kept = decode.suppress(boxes, scores, manifest.score_threshold, manifest.iou_threshold)
        return clipped(boxes[kept] / np.tile(scale, 2), scores[kept].clip(0, 1), image)


class OnnxPose:
    """Joints of people whose boxes are known.

    Attributes:
        network: the ONNX file in its session.
    """

    def __init__(self, manifest: Manifest, device: str = "cpu") -> None:
        self.name = manifest.name
        self.joint_set = "h36m17" if manifest.joint_set == "h36m17" else "coco17"
        self._decode = dict(manifest.decode)
        self.network = Network(manifest, device)

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Keypoints (N, 17, 2) in image pixels and confidence (N, 17) of each image."""
        seen = [(image, box) for image, own in zip(images, boxes, strict=True) for box in own]
        keypoints = np.zeros((len(seen), JOINTS, 2), np.float32)
        confidence = np.zeros((len(seen), JOINTS), np.float32)
        for start in range(0, len(seen), BATCH):  # so many crops at a time, however many people
            some = slice(start, start + BATCH)
            keypoints[some], confidence[some] = self._joints(*zip(*seen[some], strict=True))
        ends = pairwise(accumulate((len(own) for own in boxes), initial=0))
        return [(keypoints[start:end], confidence[start:end]) for start, end in ends]

    def _joints(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Keypoints (N, 17, 2) and confidence (N, 17) of N people: an image and a box (4,) each."""
        pictures, maps = crops(images, [box[None] for box in boxes], self.network.spec)
        outputs = self.network(pictures)
        try:
            points, confidence = decode.joints_of(outputs, self._decode, self.network.spec.size)
        except (IndexError, ValueError) as error:
            raise self.network.misfit(error) from error
        return to_image(points, maps), confidence


def signature(path: Path) -> tuple[list[int] | None, list[str]]:
    """Input size [width, height] (None where it is free) and output names of an ONNX file.

    Raises:
        Vid3dError: it is not an ONNX model.
    """
    session = _session(path, "cpu")
    shape = session.get_inputs()[0].shape
    size = [shape[3], shape[2]] if len(shape) == 4 else []
    fixed = size and all(isinstance(side, int) for side in size)
    return size if fixed else None, [output.name for output in session.get_outputs()]


def _single(output: NDArray[Any]) -> NDArray[Any]:
    """Half floats as float32, so that decoding rounds nothing more."""
    return output.astype(np.float32) if output.dtype == np.float16 else output


def _reason(error: Exception) -> str:
    """What onnxruntime says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _session(path: Path, device: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(usable_cores(), MOST_THREADS)
    options.inter_op_num_threads = 1
    # threads that spin while they wait steal time from decoding and drawing
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    providers = _providers(device, onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base class
        raise Vid3dError(
            f"{path} is not an ONNX model that can be run ({_reason(error)})"
        ) from error


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    """What runs a session on a device, best first: the GPU where onnxruntime knows it, the CPU."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or "CUDAExecutionProvider" not in available:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
