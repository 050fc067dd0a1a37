"""rtmlib's detector and pose network on vid3d's ONNX files."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.pose2d.manifest import Manifest
from vid3d.video.frame import Image

INSTALL = "rtmlib is not installed: pip install --no-deps rtmlib tqdm onnx"


class RtmlibPipeline:
    """rtmlib's top-down pipeline on the files of two manifests.

    Args:
        detector: with input, decode and thresholds.
        pose: the same.
        folder: where files with added operators may lie.

    Raises:
        Vid3dError: rtmlib or onnx is not installed, or a decoder has no counterpart in rtmlib.
    """

    def __init__(self, detector: Manifest, pose: Manifest, folder: Path) -> None:
        try:
            from rtmlib.tools.object_detection import YOLOX, RTMDet
            from rtmlib.tools.pose_estimation import RTMPose
        except ImportError as error:
            raise Vid3dError(INSTALL) from error
        from vid3d.bench.rtmlib_files import detector_file, pose_file

        network = YOLOX if detector.decode["kind"] == "yolox" else RTMDet
        with contextlib.redirect_stdout(io.StringIO()):  # rtmlib prints what it loads
            self._detect = network(
                str(detector_file(detector, folder)),
                _size(detector)[::-1],
                nms_thr=detector.iou_threshold,
                score_thr=detector.score_threshold,
                backend="onnxruntime",
            )
            self._pose = RTMPose(str(pose_file(pose, folder)), _size(pose), backend="onnxruntime")

    def detect(self, picture: Image) -> Any:
        """Boxes (N, 4) of people in a BGR picture."""
        return self._detect(picture)

    def pose(self, picture: Image, boxes: np.ndarray) -> tuple[Any, Any]:
        """Keypoints (N, K, 2) and scores (N, K) of people in boxes (N, 4)."""
        return self._pose(picture, boxes)


def _size(manifest: Manifest) -> tuple[int, int]:
    assert manifest.input is not None
    return manifest.input.size
