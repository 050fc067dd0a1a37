"""Readers of 2D with 3D: Human3.6M, MPI-INF-3DHP, 3DPW, on files of the published layouts."""

import json
import pickle

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vid3d.camera import Camera
from vid3d.cli import cli
from vid3d.data.mocap import read_mocap
from vid3d.data.pairs import read_pairs
from vid3d.data.readers.building import DATA_SETS, build, find_kind, inspect
from vid3d.data.readers.calibrating import fit_intrinsics, solve_camera
from vid3d.data.readers.mpi_inf_3dhp import TO_H36M17
from vid3d.data.readers.reading import Reading
from vid3d.errors import Vid3dError
from vid3d.skeleton import COCO17, H36M17

RNG = np.random.default_rng(3)
OF_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""The 17 of Human3.6M's 32 joints, by its metadata."""
DIST = (-0.2, 0.25, -0.001, -0.0015, -0.003)


def wander(frames=60, joints=17, size=0.6, seed=0):
    """Joints that wander through a room: (frames, joints, 3) metres, z up."""
    rng = np.random.default_rng(seed)
    way = np.cumsum(rng.normal(0, 0.1, (frames, 1, 3)), axis=0) * [1, 1, 0.2]
    return way + rng.normal(0, size, (frames, joints, 3)) + [0, 0, 1]


def look_at(place, target=(0, 0, 1.0)):
    """World to camera: R, t of a camera at a place."""
    forward = np.subtract(target, place) / np.linalg.norm(np.subtract(target, place))
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    return rotation, -rotation @ np.array(place)


VIEWS = {
    "54138969": (1000, 1002, (5, 0.5, 1.5)), "55011271": (1000, 1000, (0, 5, 1.4)),
    "58860488": (1000, 1000, (-5, 0, 1.6)), "60457274": (1000, 1002, (0.5, -5, 1.5)),
}  # fmt: skip


def h36m(folder, spoil=lambda three, two: None):
    """Files of VideoPose3D's layout, and the JSON of the cameras."""
    fields = {"intrinsics": {}, "extrinsics": {"S1": {}, "S9": {}}}
    three, two = {}, {}
    for seed, (subject, action) in enumerate(
        [("S1", "Walking 1"), ("S1", "Eating"), ("S9", "Greeting"), ("S9", "Posing 1")]
    ):
        world = wander(joints=32, seed=seed)
        three.setdefault(subject, {})[action] = world.astype(np.float32)
        two.setdefault(subject, {})[action] = []
        for number, (name, (_, _, place)) in enumerate(VIEWS.items()):
            rotation, shift = look_at(np.add(place, 0.3 * (subject == "S9")))
            K = [[1145 + number, 0, 512.5], [0, 1143, 515.4], [0, 0, 1]]
            fields["intrinsics"][name] = {"calibration_matrix": K, "distortion": DIST}
            fields["extrinsics"][subject][name] = {
                "R": rotation.tolist(), "t": (1000 * shift[:, None]).tolist(),
            }  # fmt: skip
            seen, _ = cv2.projectPoints(
                world[:, OF_32].reshape(-1, 3), cv2.Rodrigues(rotation)[0], shift, np.array(K),
                np.array(DIST),
            )  # fmt: skip
            longer = np.concatenate([seen.reshape(-1, 17, 2), np.zeros((2, 17, 2))])
            two[subject][action].append(longer.astype(np.float32))
    spoil(three, two)
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=three)
    meta = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": [[4], [1]]}
    np.savez_compressed(folder / "data_2d_h36m_gt.npz", positions_2d=two, metadata=meta)
    (folder / "cameras.json").write_text(json.dumps(fields))
    return three, fields


# --- cameras


def test_intrinsics_come_out_of_pairs():
    camera = Camera.from_focal(1500, 1480, 1017, 1043, (2048, 2048))
    points = wander() + [0, 0, 5]
    fitted, left = fit_intrinsics(points, camera.project(points), (2048, 2048))
    np.testing.assert_allclose(fitted.intrinsics, camera.intrinsics, rtol=1e-9)
    assert left < 1e-6
    with pytest.raises(Vid3dError, match="too few"):
        fit_intrinsics(-points, camera.project(points), (2048, 2048))


def test_a_camera_is_solved_from_the_world():
    rotation, shift = look_at((4, 1, 1.5))
    camera = Camera.from_focal(1145, 1143, 512, 515, (1000, 1002), DIST)
    world = wander()
    seen = camera.project(world @ rotation.T + shift)
    found, turn, move = solve_camera(world, seen, (1000, 1002), "x")
    np.testing.assert_allclose(turn, rotation, atol=1e-4)
    np.testing.assert_allclose(move, shift, atol=0.01)
    np.testing.assert_allclose(found.project(world @ turn.T + move), seen, atol=0.1)
    with pytest.raises(Vid3dError, match=r"x: .*--cameras"):
        solve_camera(world, RNG.permutation(seen.reshape(-1, 2)), (1000, 1002), "x")


# --- Human3.6M


@pytest.mark.parametrize("given", [True, False])
def test_human36m_pairs(tmp_path, given):
    three, fields = h36m(tmp_path)
    reading = Reading(only=("S9",), cameras=tmp_path / "cameras.json" if given else None)
    groups = build([tmp_path], tmp_path / "h36m.pairs.npz", reading=reading)
    assert [(group.name, group.sequences, group.frames) for group in groups] == [("S9", 8, 480)]
    sequences = read_pairs(tmp_path / "h36m.pairs.npz")
    first = sequences[0]
    assert first.name == "S9/Greeting.54138969"
    assert (first.fps, first.camera.frame_size, first.joint_set) == (50, (1000, 1002), "h36m17")
    where = fields["extrinsics"]["S9"]["54138969"]
    there = three["S9"]["Greeting"][:, OF_32] @ np.array(where["R"]).T + np.ravel(where["t"]) / 1000
    tolerance = 1e-4 if given else 0.05
    np.testing.assert_allclose(first.joints3d, there, atol=tolerance)
    for sequence in sequences:  # a pinhole camera: the distortion is out of the 2D
        error = sequence.camera.project(sequence.joints3d) - sequence.keypoints2d
        assert np.abs(error).max() < 0.3
        assert np.median(np.abs(error)) < 0.05
    assert (first.confidence == 1).all()


def test_splits(tmp_path):
    h36m(tmp_path)
    for split, subject in (("train", "S1"), ("test", "S9")):
        groups = build([tmp_path], tmp_path / "a.pairs.npz", reading=Reading(split=split))
        assert [group.name for group in groups] == [subject]
    for reading in (Reading(split="validation"), Reading(split="test", only=("S9",))):
        with pytest.raises(Vid3dError, match="cannot be split by"):
            build([tmp_path], tmp_path / "a.pairs.npz", reading=reading)


def test_human36m_motion(tmp_path):
    three, _ = h36m(tmp_path)
    found, groups = inspect(tmp_path / "data_3d_h36m.npz")
    assert found.name == "h36m"
    assert [(group.name, group.frames) for group in groups] == [("h36m_S1", 120), ("h36m_S9", 120)]
    build([tmp_path], tmp_path / "h36m.npz", reading=Reading(only=("S1/Eating",)))
    (clip,) = read_mocap(tmp_path / "h36m.npz")
    assert (clip.actor, clip.description) == ("h36m_S1", "Eating")
    expected = three["S1"]["Eating"][:, OF_32]
    np.testing.assert_allclose(clip.joints[..., 2], expected[..., 2], atol=3e-4)
    np.testing.assert_allclose(
        clip.joints - clip.joints[:, :1], expected - expected[:, :1], atol=6e-4
    )


def missing_camera(folder):
    fields = json.loads((folder / "cameras.json").read_text())
    del fields["extrinsics"]["S9"]["58860488"]
    (folder / "cameras.json").write_text(json.dumps(fields))
    return Reading(cameras=folder / "cameras.json")


def no_json(folder):
    (folder / "cameras.json").write_text("{}")
    return Reading(cameras=folder / "cameras.json")


def no_true_2d(folder):
    (folder / "data_2d_h36m_gt.npz").rename(folder / "data_2d_h36m_cpn.npz")
    return Reading(detections="cpn")


def no_3d(folder):
    (folder / "data_3d_h36m.npz").unlink()
    return Reading()


H36M_FAULTS = {
    missing_camera: "no camera 58860488 of S9",
    no_json: "not a JSON of Human3.6M's cameras",
    no_true_2d: "no data_2d_h36m_gt.npz .* --cameras",
    no_3d: "no data_3d_h36m.npz .*vision.imar.ro",
    lambda folder: Reading(detections="cpn"): "no data_2d_h36m_cpn.npz",
    lambda folder: Reading(only=("S11",)): "nothing whose name begins with S11",
}


@pytest.mark.parametrize("fault", H36M_FAULTS)
def test_human36m_says_what_is_missing(tmp_path, fault):
    h36m(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    reading = fault(tmp_path)
    with pytest.raises(Vid3dError, match=H36M_FAULTS[fault]):
        build([tmp_path], tmp_path / "out.pairs.npz", "h36m", reading)
    assert "out.pairs.npz" not in {path.name for path in tmp_path.iterdir()} - before


def test_human36m_whose_2d_is_of_something_else(tmp_path):
    def shuffle(three, two):
        whole = two["S1"]["Eating"][0]
        two["S1"]["Eating"][0] = RNG.permutation(whole.reshape(-1, 2)).reshape(whole.shape)
        two["S9"]["Greeting"].pop()

    h36m(tmp_path, shuffle)
    with pytest.raises(
        Vid3dError, match=r"S1, camera 54138969: .*do not belong together|no camera fits"
    ):
        build([tmp_path], tmp_path / "a.pairs.npz")
    with pytest.raises(Vid3dError, match="S9/Greeting has 3 cameras, expected 4"):
        build([tmp_path], tmp_path / "a.pairs.npz", reading=Reading(only=("S9",)))


# --- MPI-INF-3DHP

NAMES_3DHP = (
    "head", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "pelvis", "spine", "nose",
)  # fmt: skip
"""The test joints of the data set by the name of what they are in h36m17."""


def threedhp(folder):
    cameras = {"TS1": Camera.from_focal(1500, 1500, 1017, 1043, (2048, 2048)),
               "TS5": Camera.from_focal(1684, 1673, 940, 560, (1920, 1080))}  # fmt: skip
    test = {}
    for name, camera in cameras.items():
        points = wander(30) + [0, 0, 4]
        pixels = camera.project(points) + 0.01
        shape = (30, 1, 17)  # as MATLAB files come out
        test[name] = {
            "data_2d": pixels.reshape(*shape, 2),
            "data_3d": 1000 * points.reshape(*shape, 3),
            "valid": np.array([1.0] * 10 + [0] * 5 + [1] * 15),
        }  # fmt: skip
    points = wander(20) + [0, 0, 4]
    train = {
        "S3 Seq1": [
            {"0": {"data_2d": cameras["TS1"].project(points), "data_3d": 1000 * points}},
            50,
        ]
    }
    np.savez_compressed(folder / "data_test_3dhp.npz", data=test)
    np.savez_compressed(folder / "data_train_3dhp.npz", data=train)
    return test, cameras


def test_3dhp_joints_are_put_in_order():
    assert [NAMES_3DHP[row] for row in TO_H36M17] == list(H36M17.joints)


def test_3dhp(tmp_path):
    test, cameras = threedhp(tmp_path)
    build([tmp_path], tmp_path / "3dhp.pairs.npz")
    sequences = {sequence.name: sequence for sequence in read_pairs(tmp_path / "3dhp.pairs.npz")}
    assert list(sequences) == ["S3/Seq1.0", "TS1#0", "TS1#1", "TS5#0", "TS5#1"]
    (group,) = build([tmp_path], tmp_path / "b.pairs.npz", reading=Reading(split="train"))
    assert group.name == "S3"
    assert (sequences["S3/Seq1.0"].fps, sequences["TS1#0"].fps) == (50, 25)
    assert (len(sequences["TS1#0"]), len(sequences["TS1#1"])) == (10, 15)
    for name, camera in cameras.items():
        sequence = sequences[f"{name}#1"]
        assert sequence.camera.frame_size == camera.frame_size
        np.testing.assert_allclose(sequence.camera.intrinsics, camera.intrinsics, atol=0.05)
        row = NAMES_3DHP.index("left_knee")
        wanted = test[name]["data_3d"][15:, 0, row] / 1000
        np.testing.assert_allclose(
            sequence.joints3d[:, H36M17.index("left_knee")], wanted, atol=1e-5
        )
        error = sequence.camera.project(sequence.joints3d) - sequence.keypoints2d
        assert np.abs(error).max() < 0.1


def test_3dhp_faults(tmp_path):
    with pytest.raises(Vid3dError, match=r"neither .*vcai\.mpi-inf"):
        build([tmp_path], tmp_path / "a.pairs.npz", "3dhp")
    threedhp(tmp_path)
    with pytest.raises(Vid3dError, match=r"pairs only: name the output NAME\.pairs\.npz"):
        build([tmp_path], tmp_path / "a.npz")
    data = {"TS1": {"data_2d": np.zeros((3, 17, 2)), "data_3d": wander(3) * 1000 + 4000}}
    data["TS1"]["data_2d"][:] = RNG.uniform(0, 2000, (3, 17, 2))
    np.savez(tmp_path / "data_test_3dhp.npz", data=data)
    with pytest.raises(Vid3dError, match=r"pixels beside its 2D.*annot3|no camera shows"):
        build([tmp_path], tmp_path / "a.pairs.npz", reading=Reading(only=("TS",)))
    for wrong in (
        {"TS1": 3},
        [1],
        {"TS1": {"data_3d": 1}},
        {"S1 Seq1": [{"0": {"data_3d": 1}}, 25]},
    ):
        np.savez(tmp_path / "data_test_3dhp.npz", data=wrong)
        with pytest.raises(Vid3dError, match="data_test_3dhp"):
            build([tmp_path / "data_test_3dhp.npz"], tmp_path / "a.pairs.npz", "3dhp")
    assert not (tmp_path / "a.pairs.npz").exists()


# --- 3DPW

COCO18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's 18, by its documentation."""


def threedpw(path, frames=12, **changes):
    rotation, shift = look_at((3, 0, 1.2))
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotation, shift
    people = [wander(frames, 24, seed=seed).reshape(frames, 72) for seed in (1, 2)]
    found = np.zeros((frames, 3, 18))
    found[2:, :2] = np.arange(18) * 10
    found[2:, 2] = np.arange(18) / 20
    valid = np.ones(frames, bool)
    valid[5] = False
    fields = {
        "sequence": "street_00", "jointPositions": people, "poses2d": [found, found],
        "cam_poses": poses, "campose_valid": [valid.astype("i8"), np.ones(frames, bool)],
        "cam_intrinsics": np.array([[1960.0, 0, 540], [0, 1960, 960], [0, 0, 1]]),
        "genders": ["m", "f"],
        "betas": [np.zeros(10)] * 2, "texture_maps": [],
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(fields | changes, 2))
    return people, rotation, shift


def test_3dpw(tmp_path):
    people, rotation, shift = threedpw(tmp_path / "sequenceFiles/test/street_00.pkl")
    build([tmp_path / "sequenceFiles"], tmp_path / "3dpw.pairs.npz")
    sequences = {sequence.name: sequence for sequence in read_pairs(tmp_path / "3dpw.pairs.npz")}
    assert {name: len(one) for name, one in sequences.items()} == {
        "test/street_00.0#0": 5, "test/street_00.0#1": 6, "test/street_00.1": 12,
    }  # fmt: skip
    with pytest.raises(Vid3dError, match="nothing whose name begins with train/"):
        build(
            [tmp_path / "sequenceFiles"], tmp_path / "b.pairs.npz", reading=Reading(split="train")
        )
    unpacked, (group,) = inspect(tmp_path, reading=Reading(split="test"))  # what holds that folder
    assert (unpacked.name, group.name, group.sequences) == ("3dpw", "test", 3)
    second = sequences["test/street_00.1"]
    assert (second.fps, second.camera.frame_size, second.joint_set) == (30, (1080, 1920), "coco17")
    there = people[1].reshape(-1, 24, 3) @ rotation.T + shift
    knee = there[:, 4]  # SMPL's left knee
    np.testing.assert_allclose(second.joints3d[:, H36M17.index("left_knee")], knee, atol=1e-5)
    np.testing.assert_allclose(second.joints3d[:, 0], there[:, 1:3].mean(1), atol=1e-5)
    assert (second.confidence[:2] == 0).all()
    for row, joint in enumerate(COCO17.joints):
        np.testing.assert_allclose(second.keypoints2d[2:, row], COCO18.index(joint) * 10)
        np.testing.assert_allclose(second.confidence[2:, row], COCO18.index(joint) / 20)


@pytest.mark.parametrize(
    "changes",
    [
        {"cam_poses": 1}, {"jointPositions": [np.zeros((3, 7))]}, {"poses2d": []},
        {"cam_intrinsics": np.zeros((2, 2))}, {"campose_valid": None},
    ],
)  # fmt: skip
def test_bad_3dpw_is_one_line(tmp_path, changes):
    threedpw(tmp_path / "a.pkl", **changes)
    with pytest.raises(Vid3dError):
        build([tmp_path], tmp_path / "out.pairs.npz")
    assert not (tmp_path / "out.pairs.npz").exists()


# --- finding and the command


def test_what_lies_where(tmp_path):
    h36m(tmp_path)
    (tmp_path / "p").mkdir()
    threedhp(tmp_path / "p")
    assert find_kind(tmp_path, None).name == "h36m"
    assert find_kind(tmp_path / "p", None).name == "3dhp"
    (tmp_path / "q").mkdir()
    for wrong, words in (
        ((tmp_path / "none", "3dpw"), "no such file or folder.*sequenceFiles.zip"),
        ((tmp_path / "q", None), "no data set that vid3d knows"),
        ((tmp_path / "q", "nonsense"), "expected one of h36m"),
    ):
        with pytest.raises(Vid3dError, match=words):
            find_kind(*wrong)
    said = r"vision|vcai|virtualhumans|body-model|folder of|\.asf|a folder"
    for name, one in DATA_SETS.items():
        output = tmp_path / ("out.npz" if one.motions else "out.pairs.npz")
        with pytest.raises(Vid3dError, match=said):
            build([tmp_path / "q"], output, name)
        assert not output.exists()


def run(*arguments):
    return CliRunner().invoke(cli, ["data", *map(str, arguments)])


def test_the_commands(tmp_path):
    h36m(tmp_path)
    shown = run("info", tmp_path)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines()[0] == f"Human3.6M, VideoPose3D's layout: {tmp_path}"
    assert shown.stdout.splitlines()[3].split() == [
        "all",
        "4",
        "sequences",
        "240",
        "frames",
        "0.08",
        "min",
    ]
    made = run("build", tmp_path, "-o", tmp_path / "new/s9.pairs.npz", "--only", "S9,S11")
    assert made.exit_code == 0, made.output
    assert len(read_pairs(tmp_path / "new/s9.pairs.npz")) == 8
    both = ["build", tmp_path / "new/s9.pairs.npz", tmp_path / "new/s9.pairs.npz"]
    joined = run(*both, "-o", tmp_path / "new/twice.pairs.npz", "--only", "S9/G")
    assert joined.exit_code == 0, joined.output
    assert len(read_pairs(tmp_path / "new/twice.pairs.npz")) == 8
    assert run("info", tmp_path / "new/s9.pairs.npz").stdout.startswith("Pair file of vid3d")
    quiet = run("build", tmp_path, "-o", tmp_path / "new/h36m.npz", "-q")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert run("info", tmp_path / "new/h36m.npz").stdout.startswith("Motion file of vid3d")
    for arguments, status, words in (
        (["build", tmp_path, "-o", tmp_path / "a.txt"], 1, "name it NAME.npz"),
        (["build", tmp_path / "none", "-o", tmp_path / "a.npz"], 1, "no such file"),
        (
            ["build", tmp_path, "-o", tmp_path / "a.npz", "--joints", tmp_path / "no"],
            1,
            "cannot read",
        ),
        (["build", tmp_path], 2, "--output"),
        (["info", tmp_path, "--kind", "x"], 1, "expected one of"),
    ):
        result = run(*arguments)
        assert result.exit_code == status, result.output
        assert len(result.stderr.strip().splitlines()) == 1
        assert words in result.stderr
    (tmp_path / "joints.json").write_text("[1]")
    bad = run("build", tmp_path, "-o", tmp_path / "a.npz", "--joints", tmp_path / "joints.json")
    assert "not an object of names" in bad.stderr
