"""The 2D stage behind one interface: images in, people out, whatever network looks."""

from collections.abc import Sequence

from vid3d.errors import Vid3dError
from vid3d.machine import find_device
from vid3d.pose2d.confidence import CalibratedPose
from vid3d.pose2d.manifest import Manifest
from vid3d.pose2d.mirroring import MirroringPose
from vid3d.pose2d.models import find_model
from vid3d.pose2d.networks import Detector, PoseNetwork
from vid3d.pose2d.people import People
from vid3d.pose2d.turning import TurningPose
from vid3d.video.frame import Image

BACKENDS = ("auto", "onnx", "mmpose")


class TopDown:
    """A detector, then a pose network on the crops of its boxes.

    Attributes:
        detect: the detector.
        pose: the pose network.
    """

    def __init__(self, detector: Detector, pose: PoseNetwork) -> None:
        self.name = f"{detector.name} + {pose.name}"
        self.joint_set = pose.joint_set
        self.detect = detector
        self.pose = pose

    def __call__(self, images: Sequence[Image]) -> list[People]:
        """People of each BGR image (H, W, 3) uint8."""
        found = self.detect(images)
        posed = self.pose(images, [boxes for boxes, _ in found])
        return [
            People(boxes, scores, keypoints, confidence)
            for (boxes, scores), (keypoints, confidence) in zip(found, posed, strict=True)
        ]


def load_estimator(
    backend: str = "auto",
    detector: str = "vid3d-person",
    pose: str = "vid3d-pose",
    device: str = "auto",
    flip_test: bool = False,
) -> TopDown:
    """A detector and a pose network, each by shipped or official name or by path.

    Args:
        backend: "onnx" or "mmpose" for both networks; "auto": MMPose on a CUDA device, ONNX on
            the CPU, where the model has the files for it.
        detector: see `models.find_model`.
        pose: the same.
        device: "auto", "cpu", "cuda" or "cuda:N".
        flip_test: whether the pose network is asked about the mirror image too.

    Raises:
        Vid3dError: unknown backend, model or device, or a model without the files it needs.
    """
    device = find_device(device)
    kinds = _kinds(backend, device)
    people, joints = find_networks(backend, detector, pose, device)
    network: PoseNetwork = TurningPose(_pose(joints, kinds, device))
    if flip_test:
        network = MirroringPose(network)
    return TopDown(_detector(people, kinds, device), network)


def find_networks(backend: str, detector: str, pose: str, device: str) -> tuple[Manifest, Manifest]:
    """What `load_estimator` would load, with official models downloaded; arguments as there."""
    kinds = _kinds(backend, find_device(device))
    return find_model(detector, "detection", kinds), find_model(pose, "pose", kinds)


def _detector(manifest: Manifest, kinds: Sequence[str], device: str) -> Detector:
    if _runs_on_onnx(manifest, kinds):
        from vid3d.pose2d.onnx import OnnxDetector

        return OnnxDetector(manifest, device)
    from vid3d.pose2d.mmpose import MMDetDetector

    return MMDetDetector(manifest, device)


def _pose(manifest: Manifest, kinds: Sequence[str], device: str) -> PoseNetwork:
    network: PoseNetwork
    if _runs_on_onnx(manifest, kinds):
        from vid3d.pose2d.onnx import OnnxPose

        network = OnnxPose(manifest, device)
    else:
        from vid3d.pose2d.mmpose import MMPosePose

        network = MMPosePose(manifest, device)
    if manifest.calibration is not None:
        network = CalibratedPose(network, manifest.calibration)
    return network


def _kinds(backend: str, device: str) -> tuple[str, ...]:
    """Kinds of model files to run, best first: what was asked for, or what the device likes."""
    if backend not in BACKENDS:
        raise Vid3dError(f"unknown backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    if backend != "auto":
        return ("onnx",) if backend == "onnx" else ("pth",)
    from vid3d.pose2d.openmmlab import is_installed

    return ("pth", "onnx") if device.startswith("cuda") and is_installed() else ("onnx", "pth")


def _runs_on_onnx(manifest: Manifest, kinds: Sequence[str]) -> bool:
    return next((kind for kind in kinds if kind in manifest.files), kinds[0]) == "onnx"
