"""The same network through both backends, and stand-in networks on real people."""

import json
import shutil

import numpy as np
import pytest

from vid3d.errors import Vid3dError
from vid3d.pose2d.estimator import load_estimator
from vid3d.pose2d.openmmlab import is_installed
from vid3d.pose2d.people import People
from vid3d.skeleton import COCO17

# OpenMMLab and the export warn about their own age
pytestmark = pytest.mark.filterwarnings("ignore")
needs_openmmlab = pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny networks gain nothing from threads that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Folders of a tiny detector and a tiny pose network, each with .pth and .onnx."""
    pytest.importorskip("onnx")
    import pose2d_toys

    folder = tmp_path_factory.mktemp("toys")
    return str(pose2d_toys.rtmdet(folder / "detector")), str(pose2d_toys.rtmpose(folder / "pose"))


def noise(height, width, seed):
    import cv2

    small = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@needs_openmmlab
def test_both_backends_agree(toys):
    images = [noise(200, 300, 0), noise(240, 160, 1), noise(96, 128, 2)]
    onnx = load_estimator("onnx", *toys, device="cpu")
    mmpose = load_estimator("mmpose", *toys, device="cpu")
    assert onnx.joint_set == mmpose.joint_set == "coco17"
    assert onnx.name == "detector + pose"
    total = 0
    for by_onnx, by_mmpose in zip(onnx(images), mmpose(images), strict=True):
        assert len(by_onnx) == len(by_mmpose)
        np.testing.assert_allclose(by_onnx.boxes, by_mmpose.boxes, atol=0.5)
        np.testing.assert_allclose(by_onnx.scores, by_mmpose.scores, atol=1e-3)
        np.testing.assert_allclose(by_onnx.confidence, by_mmpose.confidence, atol=0.02)
        # random networks have close runners-up: a joint may jump, most may not
        apart = np.abs(by_onnx.keypoints - by_mmpose.keypoints).max(-1)
        assert (apart < 1).mean() > 0.99
        total += len(by_onnx)
    assert total > 10


@needs_openmmlab
def test_batches_do_not_change_the_result(toys, monkeypatch):
    from vid3d.pose2d import onnx

    images = [noise(200, 300, 0), np.zeros((20, 30, 3), np.uint8), noise(240, 160, 1)]
    estimator = load_estimator("auto", *toys, device="cpu")
    whole = estimator(images)
    monkeypatch.setattr(onnx, "BATCH", 3)
    for together, single in zip(whole, [estimator([image])[0] for image in images], strict=True):
        np.testing.assert_allclose(together.boxes, single.boxes, atol=1e-2)
        np.testing.assert_allclose(together.keypoints, single.keypoints, atol=1e-2)
    assert estimator([]) == []


@needs_openmmlab
def test_checkpoint_and_config_that_do_not_fit(toys, tmp_path):
    detector, pose = toys
    shutil.copy(f"{pose}/config.py", tmp_path)
    shutil.copy(f"{detector}/model.pth", tmp_path)
    with pytest.raises(Vid3dError, match="does not fit the config"):
        load_estimator("mmpose", detector, str(tmp_path), "cpu")
    (tmp_path / "config.py").write_text(
        "model = dict(type='TopdownPoseEstimator', backbone=dict(type='None'))\n"
    )
    with pytest.raises(Vid3dError, match="is not a config that this mmpose can build"):
        load_estimator("mmpose", detector, str(tmp_path), "cpu")


def decoded_as(pose, folder, **decode):
    """A copy of a pose model whose manifest says this of its outputs."""
    shutil.copytree(pose, folder)
    fields = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**fields, "decode": decode}))
    return str(folder)


@needs_openmmlab
def test_mmpose_decodes_after_the_manifest(toys, tmp_path):
    pose = decoded_as(toys[1], tmp_path / "pose", kind="simcc", split_ratio=4.0,
                      confidence_scale=0.02)  # fmt: skip
    by_onnx, by_mmpose = (
        load_estimator(backend, toys[0], pose, "cpu")([noise(200, 300, 0)])[0]
        for backend in ("onnx", "mmpose")
    )
    np.testing.assert_allclose(by_mmpose.confidence, by_onnx.confidence, atol=0.02)
    assert (np.abs(by_onnx.keypoints - by_mmpose.keypoints) < 1).mean() > 0.95


@needs_openmmlab
def test_mmpose_outputs_that_do_not_fit_the_manifest(toys, tmp_path):
    pose = decoded_as(toys[1], tmp_path / "pose", kind="heatmap")
    estimator = load_estimator("mmpose", toys[0], pose, "cpu")
    with pytest.raises(Vid3dError, match="RTMCCHead do not fit the decode field"):
        estimator([noise(200, 300, 0)])


@needs_openmmlab
def test_config_and_checkpoint_alone_are_a_model(toys, tmp_path):
    for model, name in zip(toys, ("detector", "pose"), strict=True):
        (tmp_path / name).mkdir()
        for file in ("config.py", "model.pth"):
            shutil.copy(f"{model}/{file}", tmp_path / name)
    paths = str(tmp_path / "detector"), str(tmp_path / "pose")
    people = load_estimator("auto", *paths, device="cpu")([noise(200, 300, 0)])[0]
    assert isinstance(people, People)


@needs_openmmlab
def test_networks_that_regress_joints(toys, tmp_path):
    """DeepPose and RLE heads call the number of their joints `num_joints`."""
    import pose2d_toys
    import torch
    from mmengine.config import Config

    fields = Config.fromfile(f"{toys[1]}/config.py").to_dict()
    fields["model"]["neck"] = {"type": "GlobalAveragePooling"}
    fields["model"]["head"] = {
        "type": "RLEHead", "in_channels": 128, "num_joints": 17,
        "decoder": {"type": "RegressionLabel", "input_size": pose2d_toys.POSE_SIZE},
    }  # fmt: skip
    network = pose2d_toys._random(Config(fields), "mmpose")
    (tmp_path / "config.py").write_text("".join(f"{k} = {v!r}\n" for k, v in fields.items()))
    torch.save(network.state_dict(), tmp_path / "model.pth")
    estimator = load_estimator("mmpose", toys[0], str(tmp_path), "cpu")
    people = estimator([noise(200, 300, 0)])[0]
    assert estimator.joint_set == "coco17"
    assert len(people)


@needs_openmmlab
def test_people_are_the_class_of_that_name(toys, tmp_path):
    """A detector of other data sets has people as another class than COCO's first."""
    import torch

    from vid3d.pose2d.mmpose import MMDetDetector
    from vid3d.pose2d.models import find_model

    shutil.copy(f"{toys[0]}/config.py", tmp_path)
    saved = torch.load(f"{toys[0]}/model.pth", weights_only=True)

    def found(**meta):
        torch.save({**saved, "meta": meta}, tmp_path / "model.pth")
        [(boxes, _)] = MMDetDetector(find_model(str(tmp_path), "detection"))([noise(200, 300, 0)])
        return len(boxes)

    first = found()
    assert first
    assert found(dataset_meta={"classes": ("Person", "bicycle")}) == first
    assert found(CLASSES=("walker",)) == first  # the only class there is
    assert not found(dataset_meta={"CLASSES": ("bicycle", "person")})
    with pytest.raises(Vid3dError, match=r"of the 2 classes .* cat the first, none"):
        found(CLASSES=("cat", "dog"))


@needs_openmmlab
def test_joints_of_another_data_set_are_not_taken_for_cocos(toys, tmp_path):
    shutil.copy(f"{toys[1]}/model.pth", tmp_path)
    with open(f"{toys[1]}/config.py", encoding="utf-8") as config:
        text = config.read()
    (tmp_path / "config.py").write_text(
        f"{text}test_dataloader['dataset'].pop('metainfo', None)\n"
        "dataset_type = 'PoseTrack18Dataset'\n"
    )
    with pytest.raises(Vid3dError, match=r"PoseTrack18Dataset, whose joints .*head_bottom"):
        load_estimator("mmpose", toys[0], str(tmp_path), "cpu")


@needs_openmmlab
def test_a_network_that_cannot_be_run_is_named(toys, monkeypatch):
    from mmdet.models.dense_heads import RTMDetSepBNHead

    def missing(*given, **options):
        raise NotImplementedError("mmcv operator 'x' needs the compiled mmcv")

    estimator = load_estimator("mmpose", *toys, "cpu")
    monkeypatch.setattr(RTMDetSepBNHead, "forward", missing)
    with pytest.raises(Vid3dError, match=r"detector cannot be run by this mmdet .*operator 'x'"):
        estimator([noise(200, 300, 0)])


# ---------------------------------------------------------------- stand-ins on real people


@pytest.fixture
def stand_in(repo, shared, tmp_path):
    """Makes a model out of a stand-in's manifest and weights; returns its path."""

    def make(name):
        for model in (shared / "models").glob("*.onnx"):
            if not (tmp_path / model.name).exists():
                (tmp_path / model.name).symlink_to(model)
        return str(shutil.copy(repo / f"tests/data/manifests/{name}.json", tmp_path))

    return make


@pytest.fixture(scope="module")
def frame(shared):
    """Two men side by side; the right one faces the camera."""
    av = pytest.importorskip("av")
    with av.open(str(shared / "data/videos/two_people_contact.mp4")) as container:
        for index, image in enumerate(container.decode(video=0)):
            if index == 20:
                return image.to_ndarray(format="bgr24")
    raise AssertionError("the clip is shorter than 20 frames")


@pytest.mark.parametrize(
    ("detector", "pose"),
    [
        ("rtmdet-nano-320", "tinypose"),
        ("rtmdet-nano-320", "tinypose-simcc"),
        ("yolox-nano", "tinypose"),
        ("picodet-s-320", "tinypose"),
    ],
)
def test_stand_ins_find_upright_people(stand_in, frame, detector, pose):
    estimator = load_estimator("onnx", stand_in(detector), stand_in(pose), "cpu")
    (people,) = estimator([frame])
    assert len(people) == 2
    order = np.argsort(people.boxes[:, 0])
    for keypoints, box in zip(people.keypoints[order], people.boxes[order], strict=True):
        at = dict(zip(COCO17.joints, keypoints, strict=True))
        assert at["nose"][1] < at["left_shoulder"][1] < at["left_hip"][1] < at["left_ankle"][1]
        assert (keypoints > box[:2] - 30).all()
        assert (keypoints < box[2:] + 30).all()
    facing = dict(zip(COCO17.joints, people.keypoints[order[1]], strict=True))
    for joint in ("shoulder", "hip", "knee"):  # his right is on our left
        assert facing[f"right_{joint}"][0] < facing[f"left_{joint}"][0]
    assert people.confidence.mean() > 0.6


def test_simcc_stand_in_is_near_the_refined_heat_map(stand_in, frame):
    boxes = [np.array([[900.0, 240, 1140, 880]])]
    from vid3d.pose2d.models import find_model
    from vid3d.pose2d.onnx import OnnxPose

    (dark, _), (simcc, _) = (
        OnnxPose(find_model(stand_in(name), "pose"))([frame], boxes)[0]
        for name in ("tinypose", "tinypose-simcc")
    )
    apart = np.linalg.norm(dark - simcc, axis=-1)[0]
    assert np.median(apart) < 5
    assert apart.max() < 20
