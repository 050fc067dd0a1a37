"""`vid3d bench pose2d`: the onnx backend against its bare sessions and against rtmlib.

One person in a 1080p picture: detection, then the pose in the box where the person is, whatever a
network makes of a drawing, so that all do the same work. `session` is the network alone, on an
input made before; `vid3d` does what a look does: from the BGR picture to boxes and joints in its
pixels. rtmlib runs the same ONNX files; where it cannot read a network's outputs, the file gets the
missing operators at its end, as OpenMMLab's own exports have them (`rtmlib_files`).
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from vid3d.bench.rtmlib_pipeline import RtmlibPipeline
from vid3d.bench.timing import Timing, compare, take_turns
from vid3d.errors import Vid3dError
from vid3d.pose2d.manifest import Manifest
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import OnnxDetector, OnnxPose
from vid3d.pose2d.preprocess import crops, whole_images
from vid3d.video.frame import Image

FRAME_SIZE = (1920, 1080)
OVERHEAD, RIVAL = 1.15, 0.9
"""Highest good ratios: to the bare session, and to rtmlib."""


def bench_pose2d(
    detector: str = "vid3d-person", pose: str = "vid3d-pose", rounds: int = 50
) -> tuple[list[Timing], str | None]:
    """Times of detector and pose network on the CPU; and why there is no rtmlib line, or None.

    Raises:
        Vid3dError: a model is unknown or has no onnx file.
    """
    boxes = find_model(detector, "detection", ("onnx",))
    joints = find_model(pose, "pose", ("onnx",))
    picture, box = one_person()
    calls, against = _own(boxes, joints, picture, box)
    missing = None
    with TemporaryDirectory() as folder:
        try:
            rival = RtmlibPipeline(boxes, joints, Path(folder))
            calls["rtmlib"] = lambda: (rival.detect(picture), rival.pose(picture, box))
        except Vid3dError as error:
            missing = str(error)
        times = take_turns(calls, rounds)
    return compare(times, against), missing


def one_person() -> tuple[Image, np.ndarray]:
    """A 1080p picture with one person drawn in it, and the person's box (1, 4)."""
    width, height = FRAME_SIZE
    shade = np.linspace(90, 160, height, dtype=np.float32)[:, None, None]
    picture = np.ascontiguousarray(np.broadcast_to(shade, (height, width, 3)).astype(np.uint8))
    limbs = {
        ((960, 520), (915, 740)): 46, ((915, 740), (905, 940)): 38, ((960, 520), (1005, 740)): 46,
        ((1005, 740), (1020, 940)): 38, ((960, 330), (960, 520)): 120, ((905, 330), (860, 560)): 32,
        ((1015, 330), (1060, 560)): 32, ((960, 270), (960, 320)): 40,
    }  # fmt: skip
    for (start, end), thick in limbs.items():
        cv2.line(picture, start, end, (60, 40, 130), thick, cv2.LINE_AA)
    cv2.circle(picture, (960, 230), 46, (120, 150, 200), -1, cv2.LINE_AA)
    return picture, np.array([[840.0, 180.0, 1080.0, 965.0]], np.float32)


def _own(
    detector: Manifest, pose: Manifest, picture: Image, box: np.ndarray
) -> tuple[dict[str, Callable[[], Any]], dict[str, dict[str, float]]]:
    """What is timed of ours, and what it is compared with."""
    detect, posed = OnnxDetector(detector), OnnxPose(pose)
    whole, _ = whole_images([picture], detect.network.spec, detect.multiple)
    crop, _ = crops([picture], [box], posed.network.spec)
    calls: dict[str, Callable[[], Any]] = {
        "detector session": lambda: detect.network.bare(whole),
        "detector": lambda: detect([picture]),
        "pose session": lambda: posed.network.bare(crop),
        "pose": lambda: posed([picture], [box]),
        "vid3d": lambda: (detect([picture]), posed([picture], [box])),
    }
    against = {
        "detector": {"detector session": OVERHEAD},
        "pose": {"pose session": OVERHEAD},
        "vid3d": {"rtmlib": RIVAL},
    }
    return calls, against
