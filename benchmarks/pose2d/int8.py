"""What eight-bit integers would save a network, and cost it.

    python benchmarks/pose2d/int8.py MODEL VIDEO OUT

Quantises the ONNX file of a detector (static, weights by channel), calibrated on every eighth frame
of VIDEO, prints the times of both on one thread, taking turns, and leaves in OUT a folder that
`--detector` and benchmarks/pose2d/accuracy.py take. Needs the packages onnx and onnxruntime.
"""

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from vid3d.files import sha256_of
from vid3d.video import VideoReader
from vid3d.weights import find_model

EVERY, ROUNDS = 8, 25


class Frames(CalibrationDataReader):
    """Inputs of a detector made of a video's frames."""

    def __init__(self, manifest: dict, video: Path, name: str) -> None:
        self.inputs = self._read(manifest["input"], video, name)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, or None after the last."""
        return next(self.inputs, None)

    @staticmethod
    def _read(spec: dict, video: Path, name: str) -> Iterator[dict[str, np.ndarray]]:
        mean, std = np.float32(spec["mean"]), np.float32(spec["std"])
        with VideoReader(video) as reader:
            factor = min(np.array(spec["size"]) / reader.info.size)
            size = [int(side * factor) // 32 * 32 for side in reader.info.size]
            for frame in reader.frames(EVERY):
                if frame.decoded is not None:
                    picture = (cv2.resize(frame.image, size).astype(np.float32) - mean) / std
                    yield {name: np.ascontiguousarray(picture.transpose(2, 0, 1)[None])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    folder = find_model(given.model)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    source = folder / manifest["files"]["onnx"]["path"]
    given.out.mkdir(parents=True, exist_ok=True)
    prepared, target = given.out / "prepared.onnx", given.out / "model.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    plain = onnxruntime.InferenceSession(source, options)
    name = plain.get_inputs()[0].name
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(str(prepared), str(target), Frames(manifest, given.video, name),
                    per_channel=True, activation_type=QuantType.QUInt8)  # fmt: skip
    prepared.unlink()
    manifest["name"] = given.out.name
    manifest["files"] = {"onnx": {"path": target.name, "sha256": sha256_of(target)}}
    (given.out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    shutil.copy(folder / "README.md", given.out)
    sessions = plain, onnxruntime.InferenceSession(target, options)
    picture = Frames(manifest, given.video, name).get_next()
    seconds = []
    for _ in range(ROUNDS):
        for session in sessions:
            began = time.perf_counter()
            session.run(None, picture)
            seconds.append(time.perf_counter() - began)
    best = [1000 * min(seconds[index::2]) for index in range(2)]
    print(f"float32 {best[0]:.1f} ms, int8 {best[1]:.1f} ms: {best[0] / best[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
