"""Joint sets, files, camera and motion: values by hand, and properties."""

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.camera import LARGEST_SIDE, Camera, solve_translation
from vid3d.errors import Vid3dError
from vid3d.files import as_argument, atomic_path, sha256_of
from vid3d.motion import Motion
from vid3d.motion_schema import Stretch, mean_rate
from vid3d.skeleton import COCO17, H36M17, LIMB_GROUPS, joint_set, limb_groups

SIZE = (1280, 720)


def make_motion(people=2, frames=5, looks=(0, 2, 4), **changes):
    joints = np.random.default_rng(0).normal(size=(people, frames, 17, 3)) + [0, 0, 4]
    present = np.ones((people, frames), bool)
    if people:
        present[0, -1] = False
        joints[0, -1] = np.nan
    fields = dict(
        joints3d=joints,
        present=present,
        spread=np.full((people, frames, 17), 0.05),
        root_spread=np.full((people, frames), 0.1),
        contacts=np.full((people, frames, 2), 0.5),
        keyframes=np.array(looks, np.int64),
        keypoints2d=np.full((people, len(looks), 17, 3), 7.0),
        track_ids=np.arange(people) + 1,
        timestamps=np.arange(frames) / 25,
        intrinsics=Camera.from_fov(55, SIZE).intrinsics,
        frame_size=np.array(SIZE),
        meta={"fps": 25.0, "options": {"seed": 0}},
    )
    return Motion(**(fields | changes))


# --- joint sets


@pytest.mark.parametrize("joints", [H36M17, COCO17])
def test_flip_exchanges_sides_and_is_its_own_inverse(joints):
    for i, j in enumerate(joints.flip):
        assert joints.flip[j] == i
        assert joints.joints[j] == joints.joints[i].replace("left", "L").replace(
            "right", "left"
        ).replace("L", "right")


def test_h36m17_is_in_the_order_of_the_field():
    assert H36M17.left == [4, 5, 6, 11, 12, 13]
    assert H36M17.right == [1, 2, 3, 14, 15, 16]
    assert H36M17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert len(H36M17.bone_pairs) == 6


@pytest.mark.parametrize("joints", [H36M17, COCO17])
def test_limb_groups_hold_every_joint_once(joints):
    groups = limb_groups(joints)
    assert len(groups) == len(LIMB_GROUPS)
    assert sorted(sum(groups, [])) == list(range(17))


def test_unknown_joint_set_names_the_known_ones():
    with pytest.raises(Vid3dError, match="h36m17, coco17"):
        joint_set("smpl")


# --- files


def test_atomic_path_leaves_nothing_behind_on_failure(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []


def test_atomic_path_keeps_the_old_file_until_the_new_is_whole(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with atomic_path(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert sha256_of(target).startswith("11507a0e2f5e69d5")


def test_atomic_path_says_what_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(Vid3dError, match=r"cannot write .*out\.npz"),
        atomic_path(tmp_path / "file" / "out.npz"),
    ):
        pass


def test_atomic_path_passes_on_what_is_not_its_own(tmp_path):
    target = tmp_path / "out.npz"
    with pytest.raises(FileNotFoundError, match=r"read\.txt"), atomic_path(target):
        (tmp_path / "read.txt").read_text()
    with pytest.raises(BrokenPipeError), atomic_path(target):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_atomic_path_leaves_the_umask_to_other_threads(tmp_path, monkeypatch):
    before = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", None)  # the process has one: nobody may touch it
            with atomic_path(tmp_path / "out.txt") as temporary:
                temporary.write_text("whole")
    finally:
        os.umask(before)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("named", [None, "", "file:"])
def test_atomic_path_says_that_the_disk_is_full(tmp_path, named):
    full = "cannot write .*out.npz: No space left on device; check space"
    with pytest.raises(Vid3dError, match=full), atomic_path(tmp_path / "out.npz") as temporary:
        name = () if named is None else (f"{named}{temporary}",)
        raise OSError(errno.ENOSPC, "No space left on device", *name)
    with (
        pytest.raises(Vid3dError, match=r"cannot write .*out\.npz: 10 requested and 0 written"),
        atomic_path(tmp_path / "out.npz"),
    ):
        raise OSError("10 requested and 0 written")  # numpy's
    assert list(tmp_path.iterdir()) == []


def test_atomic_path_says_that_the_temporary_file_is_gone(tmp_path):
    target = tmp_path / "out.npz"
    with pytest.raises(Vid3dError, match=r"cannot write .*out\.npz"), atomic_path(target) as aside:
        aside.unlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_atomic_path_leaves_pipes_and_devices_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Vid3dError, match="a pipe or a device"), atomic_path(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()
    assert len(list(tmp_path.iterdir())) == 1


def test_arguments_can_be_pasted(monkeypatch):
    for system, quoted in (("posix", "'vid3d-base+my clips/a.npz'"),
                           ("nt", '"vid3d-base+my clips/a.npz"')):  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setattr(os, "name", system)
            said = as_argument("vid3d-base+my clips/a.npz"), as_argument("vid3d-base+a.npz")
        assert said == (quoted, "vid3d-base+a.npz")


# --- camera


def test_field_of_view_by_hand():
    camera = Camera.from_fov(90, (200, 100))
    assert camera.intrinsics[0, 0] == pytest.approx(100)
    np.testing.assert_allclose(camera.project([0, 0, 3]), [99.5, 49.5])
    np.testing.assert_allclose(camera.project([1, -0.5, 2]), [149.5, 24.5])
    assert np.isnan(camera.project([0, 0, -1])).all()
    assert camera.fov == pytest.approx(90)
    # 4:3 on 35 mm film: 34.6 mm wide, so that 17.3 mm see 45 degrees to either side.
    assert Camera.from_35mm(17.308, (160, 90)).fov == pytest.approx(90, abs=0.01)
    assert Camera.from_fov(90, (100, 200)).intrinsics[0, 0] == pytest.approx(100)


@given(st.floats(-1, 1), st.floats(-0.6, 0.6), st.floats(0.5, 20), st.booleans())
def test_rays_undo_projection(x, y, z, distorted):
    dist = (-0.1, 0.02, 0.001, -0.001) if distorted else None
    camera = Camera.from_focal(900, 880, 640, 350, SIZE, dist)
    point = np.array([x * z, y * z, z])
    np.testing.assert_allclose(camera.rays(camera.project(point)) * z, point, atol=2e-3 * z)


@pytest.mark.parametrize(
    ("focal", "dist"),
    [
        (700, (-0.3, 0.0, 0.0, 0.0)),  # folds at a slope of 1.05
        (440, (-0.25, 0.07, 0.0005, -0.0005, -0.008)),  # action camera
        (450, (0.5, 0.1, 0.0003, -0.0002, 0.01, 0.9, 0.25, 0.03)),  # rational, phone's wide lens
        (700, (0.15, 0.05, 0.0, 0.0)),  # pincushion
    ],
)
def test_strong_distortion_is_undone_everywhere(focal, dist):
    camera = Camera.from_focal(focal, focal, 480, 270, (960, 540), dist)
    slopes = np.stack(np.meshgrid(np.linspace(-0.85, 0.85, 18), np.linspace(-0.5, 0.5, 11)), -1)
    points = np.concatenate([slopes, np.ones((11, 18, 1))], -1)
    np.testing.assert_allclose(camera.rays(camera.project(points)), points, atol=1e-6)


def test_pixels_that_no_ray_reaches_get_the_outermost():
    """At r (1 - 0.3 r^2) the farthest ray that is seen has r = 1 / sqrt(0.9)."""
    camera = Camera.from_focal(700, 700, 480, 270, (960, 540), (-0.3, 0.0, 0.0, 0.0))
    beyond = camera.rays([[-400.0, 270.0], [480.0, 5000.0], [1500.0, 1290.0]])
    np.testing.assert_allclose(np.linalg.norm(beyond[:, :2], axis=1), 0.9**-0.5, atol=0.03)
    np.testing.assert_allclose(beyond[2, 0], beyond[2, 1])


@pytest.mark.parametrize(
    ("dist", "fold"),
    [
        ((-0.3, 0.0, 0.0, 0.0), 0.9**-0.5),  # r (1 - 0.3 r^2) falls from there on
        ((0.0, 0.0, 0.0, 0.0, 0.0, -0.25, 0.0, 0.0), 2.0),  # r / (1 - r^2 / 4) has no value there
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0), 2.0),  # r / (1 + r^2 / 4) is greatest there
        ((0.1, 0.0, 0.0, 0.0), 9.0),  # never
    ],
)
def test_points_beyond_the_fold_are_not_in_the_picture(dist, fold):
    camera = Camera.from_focal(700, 700, 480, 270, (960, 540), dist)
    assert np.isfinite(camera.project([[0.99 * fold, 0, 1], [0, -1.98 * fold, 2]])).all()
    beyond = camera.project(
        [[1.01 * fold, 0, 1], [0, -2.02 * fold, 2], [0.8 * fold, 0.8 * fold, 1]]
    )
    assert np.isnan(beyond).all() == (fold < 9)


@pytest.mark.parametrize("dist", [None, (-0.1, 0.02, 0.001, -0.001)])
def test_cameras_take_no_points_at_all(dist):
    camera = Camera.from_focal(900, 880, 640, 350, SIZE, dist)
    assert camera.project(np.zeros((2, 0, 3))).shape == (2, 0, 2)
    assert camera.rays(np.zeros((0, 17, 2))).shape == (0, 17, 3)


MATRIX = np.array([[500.0, 7, 320], [0, 510, 240], [0, 0, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Camera(MATRIX.T, (640, 480)), "transposed"),
        (lambda: Camera(2 * MATRIX, (640, 480)), "no matrix fx s cx"),
        (lambda: Camera("abc", (640, 480)), "intrinsics is 'abc', expected an array of numbers"),
        (lambda: Camera(MATRIX, (480, 640, 3)), "frame size is .* expected width and height"),
        (lambda: Camera(MATRIX, (640.5, 480)), "frame size is .* expected width and height"),
        (lambda: Camera(MATRIX, None), "frame size is None"),
        (lambda: Camera(MATRIX, (640, 480), 0.1), "dist has 1 numbers"),
        (lambda: Camera.from_fov("55", (640, 480)), "field of view is '55', expected degrees"),
        (lambda: Camera.from_fov(55, (0, 480)), "frame size is 0 x 480"),
        (lambda: Camera.from_35mm("26", (640, 480)), "focal length is '26'"),
        (lambda: Camera.from_focal("5", 5, 5, 5, (640, 480)), "fx is '5', expected a number"),
        (lambda: Camera(MATRIX, (640, 480)).resized((0, 0)), "frame size is 0 x 0"),
    ],
)
def test_what_is_no_camera(make, message):
    with pytest.raises(Vid3dError, match=message):
        make()


def test_a_camera_is_its_own_and_has_a_value():
    matrix, size = MATRIX.copy(), np.array([640.0, 480.0])  # as OpenCV gives them
    camera = Camera(matrix, size, np.array([[0.1, 0, 0, 0, 0]]))
    matrix[0, 0] = 1
    assert camera.intrinsics[0, 0] == 500
    assert camera.dist == (0.1, 0, 0, 0, 0)
    assert camera.frame_size == (640, 480)
    same = Camera(MATRIX, (640, 480), (0.1, 0, 0, 0, 0))
    assert camera == same
    assert hash(camera) == hash(same)
    assert camera != Camera(MATRIX, (640, 480))
    assert camera != "camera"


def test_resized_camera_keeps_the_skew():
    half = Camera(MATRIX, (640, 480)).resized((320, 240))
    by_hand = [[250, 3.5, 159.75], [0, 255, 119.75], [0, 0, 1]]  # (320.5 * 0.5 - 0.5, ...)
    np.testing.assert_allclose(half.intrinsics, by_hand)
    assert Camera(MATRIX, (640, 480)).resized((640, 480)) == Camera(MATRIX, (640, 480))


def test_resized_camera_sees_the_same_ray():
    camera = Camera.from_focal(900, 900, 600, 300, SIZE)
    half = camera.resized((640, 360))
    # the centre of the old pixel pair (0, 1) is the centre of the new pixel 0
    np.testing.assert_allclose(half.rays([0, 0]), camera.rays([0.5, 0.5]))
    with pytest.raises(Vid3dError, match="another shape"):
        camera.resized((720, 1280))


@settings(max_examples=50)
@given(st.integers(0, 2**31))
def test_solve_root_finds_the_translation_of_exact_keypoints(seed):
    rng = np.random.default_rng(seed)
    camera = Camera.from_fov(rng.uniform(30, 90), SIZE)
    joints = rng.normal(size=(3, 17, 3)) * 0.4
    root = np.stack([rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3), rng.uniform(3, 9, 3)], -1)
    keypoints = camera.project(joints + root[:, None])
    weights = (rng.random((3, 17)) < 0.7).astype(float)
    weights[:, :3] = 1
    keypoints[weights == 0] = np.nan
    np.testing.assert_allclose(camera.solve_root(joints, keypoints, weights), root, atol=1e-5)


def test_solve_translation_needs_two_joints():
    weights = np.zeros((2, 17))
    weights[0, :1] = 1
    weights[1, :2] = 1
    joints = np.random.default_rng(0).normal(size=(2, 17, 3))
    solved = solve_translation(joints, np.zeros((2, 17, 2)), weights)
    assert np.isnan(solved[0]).all()
    assert np.isfinite(solved[1]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "is not valid"),
        ('{"fx": 1}', "'fy'"),
        ('{"fx": -1, "fy": 1, "cx": 0, "cy": 0, "width": 5, "height": 5}', "positive focal"),
    ],
)
def test_bad_camera_files(tmp_path, text, message):
    path = tmp_path / "camera.json"
    path.write_text(text)
    with pytest.raises(Vid3dError, match=message):
        Camera.from_json(path)


def test_camera_file_is_scaled_to_the_video(tmp_path):
    path = tmp_path / "camera.json"
    fields = {"fx": 1000, "fy": 1000, "cx": 639.5, "cy": 359.5, "width": 1280, "height": 720}
    path.write_text(json.dumps(fields))
    assert Camera.from_json(path, (640, 360)).intrinsics[0].tolist() == [500, 0, 319.5]


# --- motion


def test_motion_round_trip_keeps_everything_and_repeats_its_bytes(tmp_path):
    motion = make_motion()
    first, second = motion.save(tmp_path / "a.vid3d.npz"), motion.save(tmp_path / "b.vid3d.npz")
    assert first.read_bytes() == second.read_bytes()
    loaded = Motion.load(first)
    for name in ("joints3d", "present", "spread", "keypoints2d", "timestamps", "track_ids"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(motion, name))
    assert loaded.meta["axes"] == "camera: x right, y down, z forward"
    with np.load(first) as data:
        assert data["joint_names"].tolist() == list(H36M17.joints)
        assert data["keypoint_names"].tolist() == list(COCO17.joints)


def test_motion_of_nobody_and_of_one_frame():
    assert make_motion(people=0).people == 0
    here = dict(joints3d=np.ones((1, 1, 17, 3)), present=np.ones((1, 1), bool))
    motion = make_motion(people=1, frames=1, looks=(0,), meta={}, **here)
    assert motion.fps == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spread": np.zeros((2, 5, 16))}, r"spread has shape \(2, 5, 16\), expected \(2, 5, 17\)"),
        ({"present": np.ones((2, 5), bool)}, "not finite where a person is present"),
        ({"present": np.zeros((2, 5), bool)}, "values where a person is absent"),
        ({"timestamps": np.zeros(5)}, "timestamps do not increase"),
        ({"keypoint_set": "body25"}, "unknown joint set"),
        ({"meta": None}, "meta is NoneType, expected a dict"),
    ],
)
def test_motion_refuses_what_does_not_fit(changes, message):
    with pytest.raises(Vid3dError, match=message):
        make_motion(**changes)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.contacts.__imul__(100), "contacts leaves 0 to 1"),
        (lambda m: m.joints3d.__setitem__((1, 2), np.nan), "not finite where a person is present"),
        (lambda m: m.track_ids.fill(1), "track_ids repeat"),
        (lambda m: m.intrinsics.fill(0), "no camera matrix"),
        (lambda m: m.meta.update(fps=np.float32(25)), "meta does not fit JSON: .* float32"),
        (lambda m: m.meta.update(mine=np.nan), "meta does not fit JSON"),
    ],
)
def test_nothing_is_saved_that_could_not_be_read(tmp_path, spoil, message):
    path = make_motion().save(tmp_path / "a.vid3d.npz")
    motion = Motion.load(path)
    spoil(motion)
    before = path.read_bytes()
    for save in (motion.save, motion.save_json):
        with pytest.raises(Vid3dError, match=message):
            save(path)
    assert path.read_bytes() == before  # the earlier file stays


GROUND = {"normal": [0, -1, 0], "height": 1.5, "confidence": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timestamps": [0, 1, 2, 3, 1e5]}, "lasts 100000 s at 25 frames/s"),
        ({"timestamps": [0, 1, 2, 3, np.inf]}, "timestamps are not finite"),
        ({"frame_size": [0, 480]}, "frame_size"),
        ({"frame_size": [640, LARGEST_SIDE + 1]}, "frame_size"),
        ({"meta": {"fps": 0}}, "meta.fps is 0"),
        ({"meta": {"fps": True}}, "meta.fps is True"),
        ({"meta": {"fps": "25"}}, "meta.fps is '25'"),
        ({"meta": {"fps": 200_000}}, "meta.fps is 200000"),
        ({"meta": {"dist": [0, 0, 0]}}, "coefficients"),
        ({"meta": {"dist": [0, 0, 0, None]}}, "coefficients"),
        ({"meta": {"ground": GROUND | {"normal": [0, -1]}}}, "normal is no direction"),
        ({"meta": {"ground": GROUND | {"normal": [0, -2, 0]}}}, "normal is no direction"),
        ({"meta": {"ground": GROUND | {"normal": [0, 0, 0]}}}, "normal is no direction"),
        ({"meta": {"ground": GROUND | {"normal": "abc"}}}, "normal is no direction"),
        ({"meta": {"ground": GROUND | {"height": None}}}, "meta.ground.height is None"),
        ({"meta": {"ground": [1]}}, "meta.ground is not an object"),
        ({"meta": {"feet": {"slide_before": 1}}}, "meta.feet.slide_after is None"),
        ({"meta": {"smooth": {"dial": 0.3}}}, "meta.smooth.jitter_before is None"),
    ],
)
def test_what_no_lift_makes_is_not_saved(tmp_path, changes, message):
    with pytest.raises(Vid3dError, match=message):
        make_motion(**{"meta": {"fps": 25}} | changes).save(tmp_path / "a.vid3d.npz")


@pytest.mark.parametrize(
    "meta",
    [{}, {"fps": 59.94}, {"ground": GROUND}, {"ground": None, "dist": None}, {"dist": [0.1] * 14}],
)
def test_what_a_lift_may_note_is_read_again(tmp_path, meta):
    loaded = Motion.load(make_motion(meta=meta).save(tmp_path / "a.vid3d.npz"))
    assert loaded.meta.items() >= meta.items()


def test_parts_of_a_stretch_by_hand():
    times = np.arange(5) / 25
    whole = Stretch(10, times, *(np.arange(5) for _ in range(4)))
    for bounds, start, rows in [
        ((12, 14), 12, [2, 3]),
        ((0, 12), 10, [0, 1]),
        ((14, 99), 14, [4]),
        ((0, 99), 10, [0, 1, 2, 3, 4]),
        ((0, 5), 10, []),
        ((20, 30), 20, []),
    ]:
        part = whole.part(*bounds)
        assert (part.start, part.stop, len(part)) == (start, start + len(rows), len(rows))
        for one in (part.joints3d, part.spread, part.root_spread, part.contacts, part.times * 25):
            np.testing.assert_allclose(one, rows)


@pytest.mark.parametrize(
    ("times", "noted", "rate"),
    [
        ([0, 0.04, 0.08, 0.12, 0.16], 25, 25),
        ([0, 0.04, 0.08, 0.12, 0.16], 25.5, 25.5),  # 0.08 frames off
        ([0, 0.04, 0.08, 0.12, 0.16], 26, 25),  # 0.16 off
        ([5, 5.04, 5.08, 5.12, 6], 25, 4),  # the last is shown for long
        ([7], 30, 30),
    ],
)
def test_rates_by_hand(times, noted, rate):
    assert mean_rate(np.array(times, float), noted) == pytest.approx(rate)


def test_motions_can_be_compared():
    motion = make_motion()
    assert motion == motion
    assert motion != make_motion()
    assert {motion: 1}[motion] == 1


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 broken"])
def test_what_is_no_motion_file(tmp_path, content):
    path = tmp_path / "x.vid3d.npz"
    path.write_bytes(content)
    with pytest.raises(Vid3dError, match="not a vid3d motion file"):
        Motion.load(path)


def test_json_holds_null_for_unknown_and_only_present_frames(tmp_path):
    motion = make_motion(spread=np.full((2, 5, 17), np.nan))
    document = json.loads(motion.save_json(tmp_path / "a.json").read_text())
    person = document["people"][0]
    assert person["frames"] == [0, 1, 2, 3]
    assert np.shape(person["joints3d"]) == (4, 17, 3)
    assert person["spread"][0] == [None] * 17
    assert person["keypoints2d"]["frames"] == [0, 2, 4]
