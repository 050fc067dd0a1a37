from dataclasses import replace

import numpy as np
import pytest

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence, read_pairs, write_pairs
from vid3d.errors import Vid3dError


def sequence(name="walk", frames=3, with_3d=True):
    rng = np.random.default_rng(frames)
    return PairSequence(
        name=name,
        keypoints2d=rng.uniform(0, 640, (frames, 17, 2)).astype(np.float32),
        confidence=rng.uniform(0, 1, (frames, 17)).astype(np.float32),
        joint_set="coco17",
        joints3d=rng.normal(size=(frames, 17, 3)).astype(np.float32) if with_3d else None,
        camera=Camera.from_fov(60, (640, 480)),
        fps=29.97,
    )


def test_round_trip(tmp_path):
    written = [sequence("one", 3), sequence("two", 5, with_3d=False)]
    write_pairs(tmp_path / "a.pairs.npz", written)
    read = read_pairs(tmp_path / "a.pairs.npz")
    assert [s.name for s in read] == ["one", "two"]
    assert [len(s) for s in read] == [3, 5]
    assert read[0].fps == 29.97
    assert read[0].joint_set == "coco17"
    assert read[0].camera.frame_size == (640, 480)
    np.testing.assert_allclose(read[0].camera.intrinsics, written[0].camera.intrinsics, rtol=1e-6)
    np.testing.assert_array_equal(read[0].keypoints2d, written[0].keypoints2d)
    np.testing.assert_array_equal(read[0].joints3d, written[0].joints3d)
    assert read[1].joints3d is None


def test_optional_fields_have_defaults(tmp_path):
    keypoints = np.ones((2, 17, 2))
    keypoints[0, 3] = np.nan
    fields = {"keypoints2d": keypoints, "intrinsics": np.eye(3), "frame_size": [4, 3], "fps": 25}
    np.savez(tmp_path / "b.pairs.npz", **{f"00000/{k}": v for k, v in fields.items()})
    (read,) = read_pairs(tmp_path / "b.pairs.npz")
    assert (read.joint_set, read.name) == ("h36m17", "00000")
    assert read.confidence[0, 3] == 0
    assert read.confidence[1, 3] == 1


@pytest.mark.parametrize(
    "field", [{"confidence": np.ones((3, 16))}, {"joints3d": np.ones((2, 17, 3))}, {"fps": 0.0}]
)
def test_wrong_arrays_are_named(field):
    with pytest.raises(Vid3dError, match="walk"):
        replace(sequence(), **field)


def test_unreadable_files(tmp_path):
    with pytest.raises(Vid3dError, match="cannot read"):
        read_pairs(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(Vid3dError, match="not a pair file"):
        read_pairs(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", **{"00000/keypoints2d": np.ones((2, 17, 2))})
    with pytest.raises(Vid3dError, match="not a pair file"):
        read_pairs(tmp_path / "other.npz")
    np.savez(tmp_path / "empty.npz", a=1)
    with pytest.raises(Vid3dError, match="no sequence"):
        read_pairs(tmp_path / "empty.npz")
    with pytest.raises(Vid3dError, match="no sequence"):
        write_pairs(tmp_path / "none.npz", [])
    assert not (tmp_path / "none.npz").exists()
