import numpy as np
import pytest

from vid3d.errors import Vid3dError
from vid3d.pose2d.people import KeypointClip, Look, People, boxes_around


def people(count=2, **changes):
    fields = {
        "boxes": np.zeros((count, 4)),
        "scores": np.ones(count),
        "keypoints": np.ones((count, 17, 2)),
        "confidence": np.full((count, 17), 0.5),
        "ids": np.arange(count),
        **changes,
    }
    return People(**fields)


def test_types_are_made_uniform():
    two = people()
    assert len(two) == 2
    assert {two.boxes.dtype, two.scores.dtype, two.keypoints.dtype} == {np.dtype("f4")}
    assert two.ids.dtype == np.int64
    assert len(People.none()) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keypoints": np.ones((2, 16, 2))}, r"keypoints have shape \(2, 16, 2\)"),
        ({"boxes": np.zeros((2, 5))}, "boxes of people have shape"),
        ({"scores": np.zeros(3)}, "scores of people have shape"),
        ({"ids": [1]}, "ids of people have shape"),
        ({"confidence": np.full((2, 17), 1.2)}, "outside 0 to 1"),
        ({"confidence": np.full((2, 17), np.nan)}, "outside 0 to 1"),
        ({"keypoints": np.full((2, 17, 2), np.nan)}, "not a finite number"),
    ],
)
def test_wrong_arrays_are_refused(changes, words):
    with pytest.raises(Vid3dError, match=words):
        people(**changes)


def test_missing_joints_may_hold_anything():
    people(keypoints=np.full((2, 17, 2), np.nan), confidence=np.zeros((2, 17)))


def test_boxes_around_by_hand():
    keypoints = np.full((2, 17, 2), np.nan)
    confidence = np.zeros((2, 17))
    keypoints[0, :2] = [[10, 20], [30, 120]]
    confidence[0, :2] = 1
    assert boxes_around(keypoints, confidence).tolist() == [[8, 10, 32, 130], [0, 0, 0, 0]]


def clip(*frames, **changes):
    looks = [Look(frame, frame / 10, People.none()) for frame in frames]
    fields = {"name": "c", "looks": looks, "joint_set": "coco17", "frames": 10, **changes}
    return KeypointClip(**fields)


def test_clip_says_what_it_does_not_know():
    with pytest.raises(Vid3dError, match="do not say their fps: give the video"):
        _ = clip(0).fps
    with pytest.raises(Vid3dError, match="do not say the size of the images"):
        _ = clip(0).frame_size


def test_timestamps_follow_the_looks():
    looks = [Look(2, 1.0, People.none()), Look(4, 2.0, People.none())]
    times = clip(looks=looks, frames=7, rate=10.0).timestamps
    np.testing.assert_allclose(times, [0.8, 0.9, 1.0, 1.5, 2.0, 2.1, 2.2])
    np.testing.assert_allclose(clip(rate=10.0, frames=3).timestamps, [0, 0.1, 0.2])


def test_clips_out_of_order_are_refused():
    for frames in ((3, 1), (2, 2)):
        with pytest.raises(Vid3dError, match="order of their frames"):
            clip(*frames)
    with pytest.raises(Vid3dError, match="beyond the clip's 10 frames"):
        clip(10)
    with pytest.raises(Vid3dError, match="frame rate is 0"):
        clip(0, rate=0)
