import numpy as np
import pytest
import torch

from vid3d.data import bodies, coco
from vid3d.data.mocap import read_mocap
from vid3d.errors import Vid3dError
from vid3d.skeleton import COCO17, H36M17


@pytest.fixture(scope="module")
def posed(shared):
    body = bodies.load_library(shared / "data/bodies")["f_asian_28"]
    clip = read_mocap(shared / "data/mocap/train_fair1.npz")[0].joints[100:112]
    return body, *body.pose_from_h36m17(clip)


def test_coco_keypoints_equal_the_bodys_own(posed):
    body, R, root = posed
    keypoints = bodies.coco_keypoints(body, R, root)
    matrices = body.matrices(R, root)
    for frame in (0, 7):
        np.testing.assert_allclose(keypoints[frame], body.keypoints(matrices[frame]), atol=1e-6)


def test_rig_joints_form_the_skeleton(posed):
    body, R, root = posed
    joints = bodies.rig_joints(body, R, root)
    assert joints.shape == (len(R), 17, 3)
    at = {name: joints[:, i] for i, name in enumerate(H36M17.joints)}
    np.testing.assert_allclose(at["pelvis"], (at["left_hip"] + at["right_hip"]) / 2, atol=1e-9)
    thigh = np.linalg.norm(at["left_knee"] - at["left_hip"], axis=-1)
    np.testing.assert_allclose(thigh, thigh[0], atol=1e-4)
    assert (at["thorax"][:, 1] > at["left_ankle"][:, 1]).all()  # y is up


def test_the_table_predicts_coco_from_h36m(posed):
    body, R, root = posed
    joints = torch.from_numpy(bodies.rig_joints(body, R, root))
    truth = bodies.coco_keypoints(body, R, root)
    offsets = coco.load_offsets()[0].double()
    names = coco.json.loads(coco.TABLE.read_text())["bodies"]
    predicted = coco.coco_from_h36m(joints, offsets[list(names).index("f_asian_28")])
    error = np.linalg.norm(predicted.numpy() - truth, axis=-1)
    assert error.mean() < 0.01
    assert error.max() < 0.05


def test_reserved_bodies_are_not_in_the_table():
    names = coco.json.loads(coco.TABLE.read_text())["bodies"]
    assert len(names) == 11
    assert not set(names) & set(bodies.RESERVED)


def test_face_is_before_the_head_and_limbs_stay():
    joints = torch.zeros(1, 17, 3)
    for name, place in {
        "left_hip": (0.1, 0, 0), "right_hip": (-0.1, 0, 0), "spine": (0, 0.25, 0),
        "thorax": (0, 0.5, 0), "nose": (0, 0.65, 0), "head": (0, 0.78, 0),
        "left_shoulder": (0.2, 0.5, 0), "right_shoulder": (-0.2, 0.5, 0),
        "left_knee": (0.1, -0.4, 0), "right_knee": (-0.1, -0.4, 0),
        "left_ankle": (0.1, -0.8, 0), "right_ankle": (-0.1, -0.8, 0),
    }.items():  # fmt: skip
        joints[0, H36M17.index(name)] = torch.tensor(place)
    keypoints = coco.coco_from_h36m(joints, coco.load_offsets()[0].mean(0))[0]
    at = {name: keypoints[i] for i, name in enumerate(COCO17.joints)}
    assert at["nose"][2] > 0.08  # facing +z
    assert at["left_eye"][0] > 0 > at["right_eye"][0]
    assert torch.equal(at["left_knee"], torch.tensor([0.1, -0.4, 0]))
    assert at["left_ankle"][1] > -0.8


def test_no_bodies_there(tmp_path):
    with pytest.raises(Vid3dError, match=r"body\.py"):
        bodies.load_library(tmp_path)
