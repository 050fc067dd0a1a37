"""The whole chain on small clips: both backends, keypoint files, options and what they change."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from video_toys import make

import vid3d
from vid3d.camera import Camera
from vid3d.data.pairs import read_pairs, write_pairs
from vid3d.errors import Vid3dError
from vid3d.evaluation.result import evaluate_result
from vid3d.export.clock import is_steady
from vid3d.machine import find_device
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.keypoint_files import read_keypoints
from vid3d.skeleton import H36M17
from vid3d.stature import height_factors, stature
from vid3d.video.container import CAPTURE_TAG

# Joints of a person with thighs of 0.4, shins of 0.4, and 0.25 + 0.25 + 0.1 + 0.15 from pelvis to
# head top: (0.8 + 0.75) / 0.961 = 1.613 m tall.
STANDING = {
    "right_hip": (-0.1, 0), "right_knee": (-0.1, 0.4), "right_ankle": (-0.1, 0.8),
    "left_hip": (0.1, 0), "left_knee": (0.1, 0.4), "left_ankle": (0.1, 0.8),
    "pelvis": (0, 0), "spine": (0, -0.25), "thorax": (0, -0.5), "nose": (0, -0.6),
    "head": (0, -0.75), "left_shoulder": (0.2, -0.45), "left_elbow": (0.2, -0.2),
    "left_wrist": (0.2, 0), "right_shoulder": (-0.2, -0.45), "right_elbow": (-0.2, -0.2),
    "right_wrist": (-0.2, 0),
}  # fmt: skip


def standing(frames=1):
    joints = np.array([[*STANDING[name], 0.0] for name in H36M17.joints])
    return np.repeat(joints[None], frames, 0)


def reprojection(motion):
    """Median pixels between the projected 3D and the 2D of limbs, which both sets have."""
    pairs = {"left_knee": 13, "right_knee": 14, "left_elbow": 7, "right_elbow": 8}
    points = motion.camera.project(motion.joints3d[:, motion.keyframes])
    found = [
        np.linalg.norm(
            points[:, :, H36M17.index(name)] - motion.keypoints2d[:, :, coco, :2], axis=-1
        )
        for name, coco in pairs.items()
    ]
    return float(np.nanmedian(found))


@pytest.fixture(scope="module")
def tiny(repo):
    return repo / "tests/data/tiny.mp4"


@pytest.fixture(scope="module")
def truth(repo):
    return read_pairs(repo / "tests/data/tiny.pairs.npz")


@pytest.fixture(scope="module")
def keypoints(repo):
    return repo / "tests/data/tiny.pairs.npz"


@pytest.mark.parametrize("backend", ["onnx", "mmpose"])
def test_both_backends_find_both_people_of_the_tiny_clip(tiny, truth, backend):
    if backend == "mmpose":
        pytest.importorskip("mmpose", reason="OpenMMLab is not installed")
    motion = vid3d.lift(tiny, backend=backend, max_people=2)
    report = evaluate_result(motion, truth)
    assert report.switches == 0
    assert report.found_share > 0.9
    assert reprojection(motion) < 10  # of 270 pixels
    assert motion.keyframes[[0, -1]].tolist() == [0, 44]


@pytest.mark.parametrize(("backend", "stride"), [("onnx", 10), ("mmpose", 10), ("onnx", None)])
def test_the_sample_keeps_its_promise(repo, backend, stride):
    """Both people found for at least 95 % of the frames and no switch, on the shipped weights."""
    if backend == "mmpose":
        pytest.importorskip("mmpose", reason="OpenMMLab is not installed")
    motion = vid3d.lift(repo / "samples/two_people.mp4", backend=backend, stride=stride)
    report = evaluate_result(motion, read_pairs(repo / "samples/two_people.pairs.npz"))
    assert min(person.found_share for person in report.people) >= 0.95
    assert report.switches == 0
    assert report.overall.mpjpe < 125


def test_the_same_seed_gives_the_same_file_and_another_seed_another(tiny, tmp_path):
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        motion = vid3d.lift(tiny, seed=seed, hypotheses=3, steps=1)
        files.append(motion.save(tmp_path / f"{name}.npz").read_bytes())
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_keypoint_file_lifts_each_sequence_as_a_clip(keypoints, truth):
    pipeline = Pipeline(LiftOptions(keypoints=keypoints))
    clips = list(pipeline.observe())
    assert [clip.name for clip in clips] == [sequence.name for sequence in truth]
    for clip, sequence in zip(clips, truth, strict=True):
        motion = pipeline.lift(clip)
        assert motion.people == 1
        assert motion.present.all()
        np.testing.assert_allclose(motion.intrinsics, sequence.camera.intrinsics, rtol=1e-6)
        errors = evaluate_result(motion, [sequence]).overall
        assert errors.mpjpe < 150


def test_lift_refuses_a_file_of_several_sequences(keypoints):
    with pytest.raises(Vid3dError, match="several sequences"):
        vid3d.lift(keypoints=keypoints)


def test_nothing_to_lift():
    with pytest.raises(Vid3dError, match="give a video or a file of keypoints"):
        vid3d.lift()


def test_detect_writes_what_lift_reads(tiny, tmp_path):
    pipeline = Pipeline(LiftOptions(stride=15, max_people=2))
    people = pipeline.detect(tiny, tmp_path / "seen.json")
    (clip,) = read_keypoints(tmp_path / "seen.json")
    assert [look.frame for look in clip.looks] == [0, 15, 30, 44]
    direct = vid3d.lift(tiny, stride=15, max_people=2)
    again = vid3d.lift(tiny, keypoints=tmp_path / "seen.json", stride=15)
    assert people == again.people == direct.people
    np.testing.assert_array_equal(again.keyframes, direct.keyframes)
    np.testing.assert_allclose(again.joints3d, direct.joints3d, atol=0.02)


def test_stature_by_hand():
    joints = standing(3)
    assert stature(joints) == pytest.approx(1.55 / 0.961)
    joints[1] *= 5  # one frame of three that went wrong
    assert stature(joints) == pytest.approx(1.55 / 0.961)


def test_factors_of_known_heights_by_hand():
    ids, statures = [3, 5], [1.6, 2.0]
    assert height_factors(ids, statures, {}) == [1, 1]
    assert height_factors(ids, statures, {5: 2.2}) == pytest.approx([1, 1.1])
    assert height_factors(ids, statures, {3: 1.76, None: 1.0}) == pytest.approx([1.1, 0.5])
    with pytest.raises(Vid3dError, match=r"person 4, but the people chosen are \[3, 5\]"):
        height_factors(ids, statures, {7: 1.7, 4: 1.7, None: 1.7})


def test_height_scales_about_the_camera(keypoints, tmp_path, truth):
    write_pairs(tmp_path / "one.pairs.npz", truth[:1])
    one = tmp_path / "one.pairs.npz"
    plain = vid3d.lift(keypoints=one, floor=False)  # feet stand still by metres, not by shares
    tall = vid3d.lift(keypoints=one, floor=False, height={None: 2.0})
    assert stature(tall.joints3d[0]) == pytest.approx(2.0, rel=1e-5)
    np.testing.assert_allclose(
        tall.camera.project(tall.joints3d), plain.camera.project(plain.joints3d), atol=0.01
    )
    with pytest.raises(Vid3dError, match="person 7"):
        vid3d.lift(keypoints=tmp_path / "one.pairs.npz", height={7: 2.0})


def test_start_and_end_keep_the_videos_own_times(tiny):
    motion = vid3d.lift(tiny, start=0.5, end=1.0, max_people=1)
    assert motion.timestamps[0] == pytest.approx(0.5, abs=0.02)
    assert motion.timestamps[-1] == pytest.approx(1.0, abs=0.02)
    assert motion.keyframes[[0, -1]].tolist() == [0, motion.frames - 1]


def test_a_part_of_a_variable_rate_has_the_rate_of_its_own_frames(tmp_path):
    stamps = [*range(0, 1000, 50), *range(1000, 1300, 10)]  # a second at 20, then slow motion
    path = make(tmp_path / "slow.mp4", stamps=stamps)
    motion = vid3d.lift(path, start=1.0, floor=False)
    assert motion.meta["fps"] == pytest.approx(100, rel=1e-3)
    assert is_steady(motion)
    whole = vid3d.lift(path)
    assert whole.fps == pytest.approx((whole.frames - 1) / whole.timestamps[-1], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"fov": 70.0}, 70),
        ({"intrinsics": (240.0, 240.0, 239.5, 134.5)}, 90),
        ({"camera": Camera.from_fov(40, (960, 540))}, 40),
        ({}, 55),
    ],
)
def test_camera_options(tiny, options, expected):
    motion = vid3d.lift(tiny, end=0.0, **options)
    assert motion.camera.fov == pytest.approx(expected, abs=0.01)
    assert motion.frames == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride is 0"),
        ({"stride": True}, "stride is True"),
        ({"stride": "5"}, "stride is '5'"),
        ({"hypotheses": 2.5}, "hypotheses is 2.5"),
        ({"fov": 50.0, "intrinsics": (1.0, 1.0, 1.0, 1.0)}, "exclude each other"),
        ({"height": {None: 17.0}}, "between 0.3 and 3"),
        ({"model": "nonsense"}, "unknown model 'nonsense'"),
        ({"start": math.inf}, "start is inf"),
        ({"end": math.inf}, "end is inf"),
        ({"start": 3, "end": 2}, "end is 2 s, start 3 s"),
        ({"intrinsics": [[1.0, 0.0, 0.0]] * 3}, "expected fx, fy, cx, cy"),
        ({"intrinsics": 500.0}, "expected fx, fy, cx, cy"),
        ({"fov": "55"}, "fov is '55', expected degrees"),
        ({"start": "1"}, "start is '1', expected seconds"),
        ({"smooth": None}, "smooth is None, expected 0 to 1"),
        ({"height": "1.8"}, "height is '1.8', expected metres"),
        ({"height": {"1": 1.8}}, "a track id of height is '1'"),
        ({"detect_every": None}, "detect_every is None, expected a whole number"),
        ({"seed": 2**63}, "seed is 9223372036854775808, expected a whole number"),
        ({"floor": "off"}, "floor is 'off', expected True or False"),
        ({"flip_test": 1}, "flip_test is 1, expected True or False"),
        ({"aggregate": "median"}, "aggregate is 'median', expected one of soft"),
        ({"pose": None}, "pose is None, expected the path"),
        ({"camera": np.eye(3)}, "camera is array"),
        ({"person": ["1"]}, "person is"),
        ({"backend": b"onnx"}, "backend is b'onnx', expected text"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(Vid3dError, match=message):
        Pipeline(LiftOptions(**options))


def test_whole_numbers_may_be_numpys():
    five, three = np.int64(5), np.array(3, np.uint8)
    options = LiftOptions(stride=five, detect_every=three, steps=np.int32(2), seed=np.int64(7))
    assert options == LiftOptions(stride=5, detect_every=3, steps=2, seed=7)
    assert json.loads(json.dumps(options.to_meta()))["stride"] == 5
    with pytest.raises(Vid3dError, match=r"steps is .*0.* expected a whole number"):
        LiftOptions(steps=np.int64(0))
    with pytest.raises(Vid3dError, match=r"stride is .*5\.0.* expected a whole number"):
        LiftOptions(stride=np.float64(5))


def test_other_values_may_be_numpys_and_torchs():
    given = dict(fov=np.float32(60), start=np.array(0.5), end=torch.tensor(2.0), smooth=np.int64(1))
    options = LiftOptions(
        **given, height={np.int64(2): np.float32(1.5)}, floor=np.bool_(False), person=np.int64(7),
        device=torch.device("cpu"),
    )  # fmt: skip
    assert options == LiftOptions(
        fov=60.0, start=0.5, end=2.0, smooth=1.0, height={2: 1.5}, floor=False, person="7",
        device="cpu",
    )  # fmt: skip
    assert json.loads(json.dumps(options.to_meta()))["height"] == {"2": 1.5}
    matrix = LiftOptions(intrinsics=np.array([500, 500, 320, 240], np.float32)).to_meta()
    assert json.loads(json.dumps(matrix))["intrinsics"] == [500, 500, 320, 240]
    assert find_device(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("video", [5, ["a.mp4"], b"a.mp4"])
def test_what_is_no_path_of_a_video(video):
    with pytest.raises(Vid3dError, match=r"video is .* expected the path of one file"):
        vid3d.lift(video)


def test_files_may_be_text_or_paths_and_a_height_a_number():
    options = LiftOptions(keypoints="a.json", camera="c.json", model=Path("vid3d-base"), height=1.8)
    assert options.keypoints == Path("a.json")
    assert options.camera == Path("c.json")
    assert options.model == "vid3d-base"
    assert options.height == {None: 1.8}
    with pytest.raises(Vid3dError, match="field of view is 0"):
        LiftOptions(fov=0.0).camera_of(None, (640, 480))


def test_results_name_networks_without_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b").touch()
    absolute = LiftOptions(pose=f"{tmp_path}/pose", model=f"vid3d-base+{tmp_path}/a+b").to_meta()
    relative = LiftOptions(pose="pose", model="vid3d-base+a+b").to_meta()
    assert absolute == relative  # batches make paths absolute
    assert (relative["pose"], relative["model"]) == ("pose", "vid3d-base+a+b")


def test_person_and_max_people(tiny):
    assert vid3d.lift(tiny, stride=20, person="largest").people == 1
    assert vid3d.lift(tiny, stride=20, max_people=1).people == 1
    with pytest.raises(Vid3dError, match="99"):
        vid3d.lift(tiny, stride=20, person="99")


def test_saved_motion_is_what_was_lifted(tiny, tmp_path):
    motion = vid3d.lift(tiny, stride=20)
    loaded = Motion.load(motion.save(tmp_path / "a.vid3d.npz"))
    assert loaded.meta["options"]["stride"] == 20
    assert loaded.meta["source"]["name"] == "tiny.mp4"
    assert "/" not in loaded.meta["source"]["name"]


def test_slow_motion_of_a_phone_is_told(tmp_path):
    told = []

    class Listening(Monitor):
        def warn(self, text):
            told.append(text)

    tagged = {"container": {"movflags": "use_metadata_tags"}, "tags": {CAPTURE_TAG: "240.000000"}}
    slow = make(tmp_path / "slow.mp4", frames=3, **tagged)
    Pipeline(LiftOptions(), Listening()).detect(slow, tmp_path / "slow.json")
    assert [text for text in told if "filmed at 240 frames/s and plays at 25" in text] == told
    assert len(told) == 1
