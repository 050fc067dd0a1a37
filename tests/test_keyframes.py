"""Looks that motion asks for, and boxes carried between detections."""

from types import SimpleNamespace

import numpy as np
import pytest

from vid3d.errors import Vid3dError
from vid3d.pose2d.carrying import CarryingEstimator
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.people import People
from vid3d.video.change import change, moved_outside, shrunk
from vid3d.video.frame import Display, Frame
from vid3d.video.keyframes import AutoStride, looks

FPS, SIZE, STRIDE = 50, (1280, 720), 10
BODY = np.stack([np.linspace(-30, 30, 17), np.linspace(-90, 90, 17)], -1)


def picture(*centres, size=(320, 180)):
    """BGR picture with a bright body, 15 x 45 pixels, at each centre."""
    image = np.full((size[1], size[0], 3), 80, np.uint8)
    for x, y in centres:
        image[y - 22 : y + 23, x - 7 : x + 8] = 220
    return image


def person(x, y):
    keypoints = (BODY + [x, y])[None]
    box = np.array([[x - 30, y - 90, x + 30, y + 90]])
    return People(box, np.array([0.9]), keypoints, np.full((1, 17), 0.9))


def looked_at(places, drawn=lambda x: picture((x, 90))):
    """Frames that a body at these columns (of 320) is looked at, and which ended a rest."""
    stride, chosen, still = AutoStride(SIZE, STRIDE), [], []
    frames = (
        Frame(i, i / FPS, SimpleNamespace(picture=drawn(x)), Display(SIZE))
        for i, x in enumerate(places)
    )
    for frame, is_look in looks(frames, stride):
        if is_look:
            still.append(stride.spared)
            stride.saw(frame.time, person(4 * places[frame.index], 360))
            chosen.append(frame.index)
            assert frame.decoded is not None
    return np.array(chosen), np.array(still)


@pytest.fixture(autouse=True)
def small_copies(monkeypatch):
    small = lambda frame: shrunk(frame.decoded.picture)  # noqa: E731
    monkeypatch.setattr("vid3d.video.keyframes.shrunk_frame", small)


def test_rest_is_looked_at_seldom_and_motion_often():
    rest, still = looked_at([160] * 350)
    np.testing.assert_array_equal(rest, [*range(0, 349, 60), 349])
    np.testing.assert_array_equal(still, rest > 0)
    _, still = looked_at([160] * (STRIDE + 1))
    assert not still.any()  # the last frame is the next look: nothing was spared before it
    moving, still = looked_at(list(range(40, 190)))
    np.testing.assert_array_equal(moving, [*range(0, 150, STRIDE), 149])
    assert not still.any()


@pytest.mark.parametrize("start", [90, 93, 99, 100])
def test_looks_around_a_motion_are_those_of_the_fixed_stride(start):
    frames, still = looked_at([60] * start + list(range(62, 182, 2)))
    last = (start - 1) // STRIDE * STRIDE  # of rest
    np.testing.assert_array_equal(frames[:-1], [0, 60, *range(last, start + 59, STRIDE)])
    np.testing.assert_array_equal(still, (frames > 0) & (frames <= last))


def test_a_drift_below_the_noise_of_single_steps_is_seen():
    def blurred(x):
        row = 80 + 140 * np.exp(-(((np.arange(320) - x) / 12) ** 2))
        return np.broadcast_to(row[None, :, None], (180, 320, 3)).astype(np.uint8)

    drift = 100 + 0.15 * np.arange(150)
    assert change(shrunk(blurred(drift[0])), shrunk(blurred(drift[1]))).max() == 0
    frames, _ = looked_at(drift, blurred)
    np.testing.assert_array_equal(frames[2:], [*range(2 * STRIDE, 150, STRIDE), 149])


def test_change_by_hand():
    before, now = np.array([[10, 10, 10]], np.uint8), np.array([[10, 13, 65]], np.uint8)
    np.testing.assert_allclose(change(before, now), [[0, 0, 51 / 255]])


def test_motion_outside_of_boxes():
    before, now = shrunk(picture((60, 90))), shrunk(picture((75, 90)))
    around = np.array([[20.0, 25, 34, 47]])
    elsewhere = np.array([[80.0, 25, 94, 47]])
    assert not moved_outside(before, now, around)
    assert moved_outside(before, now, elsewhere)
    assert moved_outside(before, now, np.zeros((0, 4)))


class Toy:
    """A detector that finds everybody, and a pose network that finds who is near its box."""

    name, joint_set = "toy", "coco17"

    def __init__(self):
        self.places, self.calls = [(100, 90)], 0

    def detect(self, images):
        self.calls += 1
        boxes = np.array([[x - 8, y - 24, x + 8, y + 24] for x, y in self.places], np.float32)
        return [(boxes.reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))]

    def pose(self, images, boxes):
        joints, confidence = [], []
        for box in boxes[0]:
            centre = (box[:2] + box[2:]) / 2
            far = [np.linalg.norm(np.array(place) - centre) for place in self.places]
            near = int(np.argmin(far))
            joints.append(BODY / 4 + self.places[near])
            confidence.append(np.full(17, 0.9 if far[near] < 20 else 0.1))
        shape = (len(joints), 17)
        return [(np.reshape(joints, (*shape, 2)), np.reshape(confidence, shape))]


@pytest.fixture
def toy():
    return Toy()


def carrying(toy, every):
    top_down = TopDown.__new__(TopDown)
    top_down.name, top_down.joint_set = toy.name, toy.joint_set
    top_down.detect, top_down.pose = toy.detect, toy.pose
    return CarryingEstimator(top_down, every)


def look(estimator, toy, index, *places):
    toy.places = list(places)
    return estimator.look(picture(*places), 0.2 * index)


def test_boxes_follow_the_poses(toy):
    estimator = carrying(toy, 3)
    for index in range(6):
        people = look(estimator, toy, index, (100 + 6 * index, 90))
        centre = (people.boxes[0, :2] + people.boxes[0, 2:]) / 2
        np.testing.assert_allclose(centre, [100 + 6 * index, 90], atol=1)
    assert estimator.detections == toy.calls == 2


def test_a_box_keeps_its_size_where_too_few_joints_are_sure(toy):
    # Of somebody behind a table four joints of the head are sure at the detection, then three.
    whole, sure = toy.pose, iter([4, 3, 3, 4])

    def half_hidden(images, boxes):
        ((joints, _),) = whole(images, boxes)
        return [(joints, np.where(np.arange(17) < next(sure), 0.9, 0.15)[None])]

    toy.pose = half_hidden
    estimator = carrying(toy, 100)
    for index in range(4):
        people = look(estimator, toy, index, (100, 90))
        np.testing.assert_allclose(people.boxes, [[92, 66, 108, 114]], atol=1e-3)
    assert estimator.detections == 1


def test_lost_people_newcomers_and_collisions_are_detected_at_once(toy):
    for second in ([(250, 90)], [(100, 90), (220, 90)]):
        estimator = carrying(toy, 100)
        look(estimator, toy, 0, (100, 90))
        people = look(estimator, toy, 1, *second)
        assert estimator.detections == 2
        assert len(people) == len(second)
    estimator = carrying(toy, 100)
    look(estimator, toy, 0, (100, 90), (112, 90))
    look(estimator, toy, 1, (106, 90))  # two boxes on one body
    assert estimator.detections == 2


def test_an_empty_picture_stays_empty_until_something_moves(toy):
    estimator = carrying(toy, 100)
    assert len(look(estimator, toy, 0)) == 0
    assert len(look(estimator, toy, 1)) == 0
    assert estimator.detections == 1
    assert len(look(estimator, toy, 2, (100, 90))) == 1


def test_detect_every_must_be_positive(toy):
    with pytest.raises(Vid3dError, match="detect_every is 0"):
        carrying(toy, 0)
