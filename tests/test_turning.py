"""People who are not upright: what the pose network is shown, and what counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vid3d.data.labelled_images import ImageLabels
from vid3d.data.people2d import asked_again
from vid3d.pose2d import turning
from vid3d.pose2d.turning import Turned, TurningPose
from vid3d.skeleton import COCO17

SHOULDERS = [COCO17.index(f"{side}_shoulder") for side in ("left", "right")]


class Compass:
    """A network that knows people by a white head on a grey body, and is sure of upright ones."""

    name, joint_set = "compass", "coco17"

    def __init__(self):
        self.asked = []

    def __call__(self, images, boxes):
        self.asked.append(sum(map(len, boxes)))
        return [self._look(image, own) for image, own in zip(images, boxes, strict=True)]

    def _look(self, image, boxes):
        keypoints = np.zeros((len(boxes), 17, 2), np.float32)
        confidence = np.full((len(boxes), 17), 0.3, np.float32)
        for row, (left, top, right, bottom) in enumerate(boxes):
            spots = np.argwhere(image[:, :, 0] == 255)[:, ::-1]
            inside = ((spots >= (left, top)) & (spots <= (right, bottom))).all(1)
            if not inside.any():
                continue
            head = spots[inside].mean(0)
            keypoints[row] = (left + right) / 2, (top + bottom) / 2
            keypoints[row, SHOULDERS] = keypoints[row, 0] = head
            confidence[row] = 0.9 if head[1] < top + 0.2 * (bottom - top) else 0.4
        return keypoints, confidence


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(turning, "SMALLEST", 20)


def test_people_with_few_pixels_are_left_alone(monkeypatch):
    monkeypatch.setattr(turning, "SMALLEST", 51)
    network, image = Compass(), picture((70, 68))
    TurningPose(network)([image], [np.array([(60, 20, 80, 70)], float)])
    assert network.asked == [1]
    TurningPose(network)([image], [np.array([(60, 20, 80, 71)], float)])
    assert network.asked == [1, 1, 3]


def picture(head, size=(90, 160)):
    image = np.full((*size, 3), 40, np.uint8)
    image[head[1] - 1 : head[1] + 2, head[0] - 1 : head[0] + 2] = 255
    return image


@pytest.mark.parametrize(
    ("box", "head", "asked"),
    [
        ((60, 20, 80, 70), (70, 22), 0),  # upright
        ((60, 20, 80, 70), (70, 68), 3),  # on the head
        ((50, 40, 100, 60), (52, 50), 3),  # lying, the head at the left
        ((50, 40, 100, 60), (98, 50), 3),
        ((0, 0, 20, 50), (10, 48), 3),  # in a corner
        ((130, 65, 160, 90), (158, 80), 3),
    ],
)
def test_people_are_seen_whichever_side_is_up(box, head, asked):
    network = Compass()
    ((keypoints, confidence),) = TurningPose(network)([picture(head)], [np.array([box], float)])
    assert network.asked == ([1, asked] if asked else [1])
    assert keypoints.dtype == confidence.dtype == np.float32
    np.testing.assert_allclose(confidence, 0.9, rtol=1e-6)
    np.testing.assert_allclose(keypoints[0, 0], head, atol=1e-4)
    np.testing.assert_allclose(keypoints[0, 1], np.reshape(box, (2, 2)).mean(0), atol=1e-4)


def test_nobody_stays_nobody_and_others_stay_as_they_are():
    network = Compass()
    boxes = np.array([(60, 20, 80, 70), (100, 20, 120, 70), (10, 10, 30, 60)], float)
    image = picture((70, 22))
    image[67:70, 109:112] = 255
    found = TurningPose(network)([image, image[:5, :5]], [boxes, np.zeros((0, 4))])
    alone = Compass()([image], [boxes])[0]
    assert network.asked == [3, 6]
    np.testing.assert_array_equal(found[0][0][[0, 2]], alone[0][[0, 2]])
    np.testing.assert_array_equal(found[0][1][[0, 2]], alone[1][[0, 2]])
    np.testing.assert_allclose(found[0][0][1, 0], (110, 68), atol=1e-4)
    assert found[1][0].shape == (0, 17, 2)


def test_a_turned_pose_must_be_clearer_by_far(monkeypatch):
    monkeypatch.setattr(turning, "CLEARER", 0.51)
    ((_, confidence),) = TurningPose(Compass())(
        [picture((70, 68))], [np.array([(60, 20, 80, 70)], float)]
    )
    np.testing.assert_allclose(confidence, 0.4, rtol=1e-6)


def test_a_turned_pose_must_be_clear_and_not_upright(monkeypatch):
    box, image = np.array([(60, 20, 80, 120)], float), picture((70, 118), (160, 160))

    def confidence_of(said):
        class Wrong(Compass):  # the shoulders are where the feet are
            def _look(self, image, boxes):
                keypoints, confidence = super()._look(image, boxes)
                if said == "upright":
                    keypoints[:, SHOULDERS] = boxes[:, :2] + boxes[:, 2:] - keypoints[:, 0]
                return keypoints, confidence * (0.5 if said == "faint" else 1)

        return float(TurningPose(Wrong())([image], [box])[0][1].mean())

    assert confidence_of("right") == pytest.approx(0.9)
    assert confidence_of("upright") == pytest.approx(0.4)
    assert confidence_of("faint") == pytest.approx(0.2)  # 0.45 would be clearer by far


@given(
    st.integers(0, 3),
    st.tuples(st.floats(0, 150), st.floats(0, 80)),
    st.tuples(st.floats(3, 80), st.floats(3, 80)),
)
def test_turned_pixels_lie_where_they_are_said_to(quarters, corner, sides):
    rows, columns = np.mgrid[:90, :160]
    image = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)
    box = np.concatenate([corner, np.add(corner, sides)])
    part = Turned(image, box, quarters)
    y, x = np.mgrid[: part.image.shape[0], : part.image.shape[1]]
    spots = part.back(np.stack([x, y], -1).reshape(-1, 2))
    np.testing.assert_allclose(spots[:, ::-1], part.image[..., :2].reshape(-1, 2), atol=1e-9)
    corners = part.back(part.box.reshape(2, 2))
    np.testing.assert_allclose(np.sort(corners, 0), box.reshape(2, 2), atol=1e-9)


def test_labels_of_people_on_their_head_are_made_again():
    boxes = np.array([(60, 20, 80, 70), (100, 20, 120, 70), (10, 10, 30, 60)], np.float32)
    weights = np.full((3, 17), 0.4, np.float32)
    weights[2] = 0  # a pose that must not be used
    labels = ImageLabels(boxes, np.array([False, True, False]), np.ones((3, 17, 2)), weights)
    image = picture((70, 68))
    image[67:70, 109:112] = image[57:60, 19:22] = 255
    better = asked_again(image, labels, Compass())
    np.testing.assert_allclose(better.keypoints[0, 0], (70, 68), atol=1e-4)
    np.testing.assert_allclose(better.weights[0], 0.9, rtol=1e-6)
    np.testing.assert_array_equal(better.keypoints[1:], labels.keypoints[1:])
    np.testing.assert_array_equal(better.weights[1:], labels.weights[1:])
    assert (labels.weights[0] == np.float32(0.4)).all()  # not in place
