"""The official OpenMMLab models that have a name here: addresses, checksums and how to run them.

Addresses are those of the model zoos of MMPose and MMDetection; the eight digits at the end of a
checkpoint's name are the beginning of its SHA-256.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LICENCE = "Apache-2.0; training sets have terms of their own"

_HOST = "https://download.openmmlab.com"
_POSE = f"{_HOST}/mmpose/v1/projects/rtmposev1"
KINDS = ("onnx", "pth")


@dataclass(frozen=True)
class OfficialModel:
    """One official model.

    Attributes:
        task: "detection" or "pose".
        summary: a line for lists.
        checkpoint: address of the .pth.
        pth_sha256: its SHA-256, or the first digits of it.
        config: path of its config inside the mmpose or mmdet package (`package:path`).
        archive: address of the exported model, a .zip; None: there is no export.
        onnx_sha256: of the .onnx inside.
        manifest: input, decode and thresholds.
    """

    task: str
    summary: str
    checkpoint: str
    pth_sha256: str
    config: str
    archive: str | None = None
    onnx_sha256: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of files that it can be had as."""
        return KINDS if self.archive else ("pth",)


def _rtmpose(letter: str, ap: str, stem: str, config: str, onnx_sha256: str) -> OfficialModel:
    return OfficialModel(
        task="pose",
        summary=f"RTMPose-{letter} 256x192, 17 joints, trained on 7 public sets, COCO AP {ap}",
        checkpoint=f"{_POSE}/{stem}.pth",
        pth_sha256=stem.split("-")[-1].split("_")[0],
        config=f"mmpose:.mim/configs/body_2d_keypoint/rtmpose/body8/{config}",
        archive=f"{_POSE}/onnx_sdk/{stem}.zip",
        onnx_sha256=onnx_sha256,
        manifest={
            "input": {
                "size": [192, 256],
                "channels": "rgb",
                "mean": [123.675, 116.28, 103.53],
                "std": [58.395, 57.12, 57.375],
            },
            "decode": {"kind": "simcc"},
        },
    )


def _rtmdet(size: int, **fields: Any) -> OfficialModel:
    manifest = {
        "input": {
            "size": [size, size],
            "channels": "bgr",
            "mean": [103.53, 116.28, 123.675],
            "std": [57.375, 57.12, 58.395],
        },
        "decode": {"kind": "end2end"},
        "thresholds": {"score": 0.35, "iou": 0.6},
    }
    return OfficialModel(task="detection", manifest=manifest, **fields)


MODELS: dict[str, OfficialModel] = {
    "rtmpose-t": _rtmpose(
        "t", "65.9", "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504",
        "rtmpose-t_8xb256-420e_body8-256x192.py",
        "a6c2f6a3896a4d51131d14d7a80a3d08b50f559af5a58a45d5b098aef510a70f",
    ),
    "rtmpose-s": _rtmpose(
        "s", "69.7", "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
        "rtmpose-s_8xb256-420e_body8-256x192.py",
        "9aeb635b83f86aea45cf45d85798f7eba1a162de8e0d721c44e54fe5eebaf47d",
    ),
    "rtmpose-m": _rtmpose(
        "m", "74.9", "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
        "rtmpose-m_8xb256-420e_body8-256x192.py",
        "5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
    ),
    "rtmdet-nano": _rtmdet(
        320,
        summary="RTMDet-nano 320, people only, trained on COCO and Objects365",
        checkpoint=f"{_HOST}/mmpose/v1/projects/rtmpose/"
        "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth",
        pth_sha256="05d8511e",
        config="mmpose:.mim/demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py",
        archive=f"{_POSE}/onnx_sdk/rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.zip",
        onnx_sha256="8297e829ccc5590c8e2d32d5a211f322a0585fb7467eec85eb12c9525b0b95d6",
    ),
    "rtmdet-tiny": _rtmdet(
        640,
        summary="RTMDet-tiny 640, 80 classes of COCO, of which people are used",
        checkpoint=f"{_HOST}/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/"
        "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
        pth_sha256="78e30dcc",
        config="mmdet:.mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    ),
}  # fmt: skip
