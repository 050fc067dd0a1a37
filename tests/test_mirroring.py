"""The flip test: the pose network asked about people and their mirror images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vid3d.lift_options import LiftOptions
from vid3d.pipeline import Pipeline
from vid3d.pose2d.mirroring import AGREED, MirroringPose, _mirrored_boxes, agreed, mirrored_back
from vid3d.skeleton import COCO17
from vid3d.video import VideoReader

ORDER = COCO17.flip
BOX = np.array([[10.0, 20.0, 30.0, 60.0]])  # four pixels of its longer side are AGREED


class Sided:
    """A network that finds a white dot, as a left or a right wrist by the half it lies in."""

    name, joint_set = "sided", "coco17"

    def __init__(self):
        self.asked = []

    def __call__(self, images, boxes):
        self.asked.append([len(own) for own in boxes])
        return [self._look(image, own) for image, own in zip(images, boxes, strict=True)]

    def _look(self, image, boxes):
        keypoints = np.zeros((len(boxes), 17, 2), np.float32)
        confidence = np.zeros((len(boxes), 17), np.float32)
        for row, (left, top, right, bottom) in enumerate(boxes):
            spots = np.argwhere(image[:, :, 0] == 255)[:, ::-1]
            inside = spots[((spots >= (left, top)) & (spots <= (right, bottom))).all(1)]
            side = "right" if inside[0, 0] < image.shape[1] / 2 else "left"
            joint = COCO17.index(f"{side}_wrist")
            keypoints[row, joint] = inside[0] + (1, 0)  # always a pixel too far to the right
            confidence[row, joint] = 0.8
        return keypoints, confidence


def picture(*dots):
    image = np.zeros((80, 100, 3), np.uint8)
    for x, y in dots:
        image[y, x] = 255
    return image


def test_what_errs_to_one_side_is_put_right():
    network = Sided()
    images = [picture((20, 30)), picture(), picture((70, 40), (90, 10))]
    boxes = [BOX, np.zeros((0, 4)), np.array([[60.0, 30, 80, 50], [85, 0, 95, 25]])]
    first, none, third = MirroringPose(network)(images, boxes)
    assert network.asked == [[1, 0, 2, 1, 2]]  # one call, nobody is not asked about
    assert none[0].shape == (0, 17, 2)
    for (keypoints, confidence), joint, places in [
        (first, "right_wrist", [(20, 30)]),
        (third, "left_wrist", [(70, 40), (90, 10)]),
    ]:
        row = COCO17.index(joint)
        np.testing.assert_allclose(keypoints[:, row], places, atol=1e-4)
        np.testing.assert_allclose(confidence[:, row], 0.8, atol=1e-6)
        assert keypoints.dtype == confidence.dtype == np.float32


def test_a_lift_with_a_flip_test_sees_the_mirror_image_as_the_picture(repo):
    with VideoReader(repo / "samples/two_people.mp4") as reader:
        picture = next(iter(reader)).image
    estimator = Pipeline(LiftOptions(flip_test=True, backend="onnx")).estimator
    assert estimator.name == "vid3d-person + vid3d-pose (flip test)"
    boxes, _ = estimator.detect([picture])[0]
    (keypoints, confidence), mirrored = estimator.pose(
        [picture, np.ascontiguousarray(picture[:, ::-1])],
        [boxes, _mirrored_boxes(boxes, picture.shape[1])],
    )
    back, sure = mirrored_back(mirrored, picture.shape[1], ORDER)
    np.testing.assert_allclose(confidence, sure, atol=0.01)
    assert np.median(np.linalg.norm(keypoints - back, axis=-1)) < 0.5  # pixels
    (alone, _) = estimator.pose.network([picture], [boxes])[0]
    assert np.median(np.linalg.norm(keypoints - alone, axis=-1)) > 0.2


@pytest.mark.parametrize(
    ("apart", "sure", "doubt", "expected"),
    [
        (4.0, 0.6, 0.2, 1.0),  # near: a quarter of the way
        (4.1, 0.6, 0.2, 0.0),  # far: the surer
        (4.1, 0.2, 0.6, 4.1),
        (2.0, 0.0, 0.5, 2.0),  # where one is missing the other counts
        (2.0, 0.5, 0.0, 0.0),
    ],
)
def test_near_answers_are_averaged_and_of_far_ones_the_surer_counts(apart, sure, doubt, expected):
    assert AGREED == 0.1
    one, other = np.zeros((1, 17, 2)), np.zeros((1, 17, 2))
    other[..., 0] = apart
    keypoints, confidence = agreed(
        (one, np.full((1, 17), sure)), (other, np.full((1, 17), doubt)), BOX
    )
    np.testing.assert_allclose(keypoints[..., 0], expected, rtol=1e-6)
    np.testing.assert_allclose(confidence, (sure + doubt) / 2, rtol=1e-6)


def test_missing_joints_need_no_place():
    one, other = np.full((1, 17, 2), np.nan), np.ones((1, 17, 2))
    keypoints, _ = agreed((one, np.zeros((1, 17))), (other, np.ones((1, 17))), BOX)
    np.testing.assert_array_equal(keypoints, 1)


@given(st.integers(1, 4000), st.integers(0, 2**32 - 1))
def test_a_mirror_of_a_mirror_is_the_picture(width, seed):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, 4000, (2, 17, 2)).astype(np.float32), rng.random((2, 17))
    again = mirrored_back(mirrored_back(found, width, ORDER), width, ORDER)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)
