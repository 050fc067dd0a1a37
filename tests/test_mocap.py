import importlib.util

import numpy as np
import pytest

from vid3d.data import bodies
from vid3d.data.mocap import MotionClip, motion_files, read_mocap
from vid3d.data.virtual_pairs import make_pairs
from vid3d.errors import Vid3dError


def write_compact(path, clips, unit=0.0005):
    """Encode clips of whole multiples of the unit, as the format's description says."""
    steps = np.concatenate([np.rint(joints / unit).astype(np.int64) for joints in clips])
    steps = steps.reshape(len(steps), -1)
    differences = np.diff(steps, axis=0, prepend=0).astype(np.int16)
    code = ((differences << 1) ^ (differences >> 15)).astype(np.uint16)
    offsets = np.cumsum([0] + [len(joints) for joints in clips])
    names = np.array([f"clip{i}" for i in range(len(clips))])
    np.savez(path, lo=(code & 255).astype(np.uint8).T, hi=(code >> 8).astype(np.uint8).T,
             unit=unit, offsets=offsets, clips=names, actors=names, descs=names)  # fmt: skip


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    clips = [rng.integers(-9000, 9000, (n, 17, 3)) * 0.0005 for n in (4, 1, 7)]
    write_compact(tmp_path / "a.npz", clips)
    read = read_mocap(tmp_path / "a.npz")
    assert [clip.name for clip in read] == ["clip0", "clip1", "clip2"]
    for clip, joints in zip(read, clips, strict=True):
        np.testing.assert_allclose(clip.joints, joints, atol=1e-4)


def test_unreadable(tmp_path):
    with pytest.raises(Vid3dError, match="cannot read"):
        read_mocap(tmp_path / "absent.npz")
    np.savez(tmp_path / "b.npz", lo=1)
    with pytest.raises(Vid3dError, match="not a compact"):
        read_mocap(tmp_path / "b.npz")


@pytest.mark.parametrize(
    "damage",
    [
        {"clips": np.array(["one"])},
        {"lo": np.zeros((50, 5), np.uint8)},
        {"offsets": np.array([0, 4, 3, 5])},
        {"offsets": np.array([0, 2, 4])},
        {"offsets": np.array([1, 2, 5])},
        {"offsets": np.zeros(0, int)},
    ],
)
def test_damaged_files_end_in_one_line(tmp_path, damage):
    write_compact(tmp_path / "a.npz", [np.zeros((2, 17, 3)), np.zeros((3, 17, 3))])
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "b.npz", **{**arrays, **damage})
    with pytest.raises(Vid3dError, match=r"b\.npz is not a compact motion-capture file"):
        read_mocap(tmp_path / "b.npz")


def test_files_are_found_in_folders(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one/a.npz").touch()
    (tmp_path / "b.npz").touch()
    folders = [tmp_path, tmp_path / "one"]
    assert motion_files(folders, ["a", "b"]) == [tmp_path / "one/a.npz", tmp_path / "b.npz"]
    assert motion_files(folders, ["a", "b"], ["a"]) == [tmp_path / "b.npz"]
    with pytest.raises(Vid3dError, match=r"c\.npz"):
        motion_files(folders, ["c"])


def test_real_files_read_as_their_own_reader_does(shared):
    folder = shared / "data/mocap"
    spec = importlib.util.spec_from_file_location("reader", folder / "reader.py")
    reader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reader)
    for clip, (name, actor, _, joints) in zip(
        read_mocap(folder / "train_fair1.npz"), reader.load(folder / "train_fair1.npz"), strict=True
    ):
        assert (clip.name, clip.actor) == (name, actor)
        np.testing.assert_array_equal(clip.joints, joints)


def test_pairs_project_onto_their_keypoints():
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(17, 3)) * [0.2, 0.2, 0.4] + [0, 0, 1]
    clip = MotionClip("stands", "a", "stands", np.tile(pose, (60, 1, 1)).astype(np.float32))
    first, second = make_pairs([clip], "h36m17", seed=1, seconds=0.6)
    assert (first.name, len(first), second.name) == ("stands@0", 30, "stands@30")
    error = np.linalg.norm(first.camera.project(first.joints3d) - first.keypoints2d, axis=-1)
    size = np.ptp(first.camera.project(first.joints3d[0]), axis=0).max()
    assert np.median(error[first.confidence > 0]) < 0.03 * size
    again = make_pairs([clip], "h36m17", seed=1, seconds=0.6)[0]
    np.testing.assert_array_equal(first.keypoints2d, again.keypoints2d)


def test_pairs_of_bodies(shared):
    body = bodies.load_library(shared / "data/bodies")["f_asian_28"]
    clip = read_mocap(shared / "data/mocap/train_fair1.npz")[0]
    clip = MotionClip(clip.name, clip.actor, "", clip.joints[100:130])
    (pair,) = make_pairs([clip], "coco17", seed=2, bodies=[body])
    assert pair.joint_set == "coco17"
    projected = pair.camera.project(pair.joints3d)
    size = np.ptp(projected[0], axis=0).max()
    wrists = np.linalg.norm(pair.keypoints2d[:, 9] - projected[:, 13], axis=-1)
    assert np.median(wrists[pair.confidence[:, 9] > 0]) < 0.05 * size
