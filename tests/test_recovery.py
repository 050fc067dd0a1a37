"""People whom the detector misses are found where they are expected, and nobody else is."""

from dataclasses import replace

import numpy as np
import pytest

from vid3d.pose2d.people import People
from vid3d.pose2d.recovery import SCORE, Recovery
from vid3d.pose2d.watching import watch

IMAGE = np.zeros((480, 640, 3), np.uint8)
# a person of 40 x 120 pixels, joints from the middle of the box
BODY = np.stack([np.tile([-20, 0, 20], 6)[:17], np.linspace(-60, 60, 17)], -1)
BOX = np.array([-24, -66, 24, 66])


def people(*places, sure=0.9):
    """What a detector finds: people at (x, y)."""
    at = np.reshape(places, (-1, 2)).astype(np.float32)
    return People(
        BOX + np.tile(at, 2),
        np.full(len(at), 0.8, np.float32),
        BODY + at[:, None],
        np.full((len(at), 17), sure, np.float32),
    )


class Network:
    """A pose network that sees whoever is nearest to the middle of a box."""

    name, joint_set = "toy", "coco17"

    def __init__(self, *there, sure=0.9):
        self.there, self.sure, self.asked = list(there), sure, []

    def __call__(self, images, boxes):
        found = []
        for each in boxes:
            middles = (each[:, :2] + each[:, 2:]) / 2
            self.asked += [tuple(float(v) for v in middle) for middle in middles]
            apart = np.linalg.norm(middles[:, None] - np.array(self.there), axis=-1)
            at = np.array(self.there, np.float32)[apart.argmin(1)]
            found.append((BODY + at[:, None], np.full((len(at), 17), self.sure, np.float32)))
        return found


def after_walking(network, steps=3, start=(100, 240)):
    """A recovery that has seen a person go right by 10 pixels every fifth of a second."""
    recovery = Recovery(network)
    for step in range(steps):
        whole = people((start[0] + 10 * step, start[1]))
        assert recovery.complete(IMAGE, step / 5, whole) is whole
    assert network.asked == []
    return recovery


def test_a_missed_person_is_looked_for_where_they_should_be():
    network = Network((131, 240))
    found = after_walking(network).complete(IMAGE, 0.6, People.none())
    (asked,) = network.asked
    assert asked == pytest.approx((120 + 50 * (1 - np.exp(-0.2)), 240), abs=1e-3)  # fading speed
    np.testing.assert_allclose(found.keypoints[0], BODY + [131, 240], atol=1e-4)
    np.testing.assert_allclose(found.boxes[0], BOX + np.tile([131, 240], 2), atol=1e-3)
    assert found.scores.tolist() == [np.float32(SCORE)]


def test_who_runs_is_expected_where_they_run_to():
    # 125 pixels a second: 23 in a fifth of one, as the speed fades. Joints may be 0.36 sizes off
    # that, 29 pixels.
    for off, count in ((26, 1), (32, 0), (-26, 1), (-32, 0)):
        network = Network((125 + 22.7 + off, 240))
        recovery = Recovery(network)
        for step in range(2):
            recovery.complete(IMAGE, step / 5, people((100 + 25 * step, 240)))
        assert len(recovery.complete(IMAGE, 0.4, People.none())) == count


def test_a_box_too_far_from_where_somebody_should_be_is_somebody_else():
    # Expected at 129; a box of somebody may be 0.36 sizes of 80 pixels away from there.
    for off, asked in ((26, 0), (32, 1)):
        network = Network((129, 240))
        after_walking(network).complete(IMAGE, 0.6, people((129 + off, 240)))
        assert len(network.asked) == asked


def test_one_box_around_two_people_keeps_both():
    network = Network((230, 240), (270, 240))
    recovery = Recovery(network)
    for step in range(2):
        recovery.complete(IMAGE, step / 5, people((230, 240), (270, 240)))
    found = recovery.complete(IMAGE, 0.4, people((231, 240)))
    np.testing.assert_allclose(found.keypoints[:, 1, 0], [231, 270], atol=1e-4)
    assert found.scores[0] > 0.5 > found.scores[1]


def merged(sure):
    """One box around people at 230 and 270, whose pose lies between them."""
    one = people((250, 240), sure=sure)
    return replace(one, boxes=one.boxes + np.array([-24, 0, 24, 0], np.float32))


def embraced(network, sure):
    """What is found in one box around two people who stood side by side."""
    recovery = Recovery(network)
    for step in range(2):
        recovery.complete(IMAGE, step / 5, people((230, 240), (270, 240)))
    return recovery.complete(IMAGE, 0.4, merged(sure))


def test_two_who_share_a_box_are_seen_apart():
    found = embraced(Network((230, 240), (270, 240)), sure=0.6)
    np.testing.assert_allclose(np.sort(found.keypoints[:, 1, 0]), [230, 270], atol=1e-4)
    np.testing.assert_allclose(np.sort(found.boxes[:, 0]), [230 - 24, 270 - 24], atol=1e-4)
    assert sorted(found.scores.tolist()) == [np.float32(SCORE), np.float32(0.8)]


def test_two_who_share_a_box_for_long_stay_two():
    network = Network((230, 240), (270, 240))
    recovery = Recovery(network)
    for step in range(2):
        recovery.complete(IMAGE, step / 5, people((230, 240), (270, 240)))
    found = [len(recovery.complete(IMAGE, 0.4 + i / 5, merged(0.6))) for i in range(25)]
    assert found == [2] * 25  # five seconds


def test_two_who_share_a_box_stay_as_they_were_seen_if_the_network_cannot_part_them():
    for network, sure in (
        (Network((250, 240)), 0.6),  # it sees the same body in both boxes
        (Network((230, 240), (270, 240), sure=0.55), 0.6),  # less sure than of the one between
        (Network((230, 240), (270, 240)), 0.95),  # that one is as clear as they were
    ):
        found = embraced(network, sure)
        assert 250 in found.keypoints[:, 1, 0].tolist()


@pytest.mark.parametrize(
    ("network", "why"),
    [
        (Network((131, 240), sure=0.5), "not as sure as before"),
        (Network((230, 240)), "too far from where they should be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_the_person_is_left(network, why):
    assert len(after_walking(network).complete(IMAGE, 0.6, People.none())) == 0
    assert len(network.asked) == 1


def test_nobody_is_seen_twice():
    network = Network((262, 240))
    recovery = Recovery(network)
    for step in range(2):
        recovery.complete(IMAGE, step / 5, people((230, 240), (262, 240)))
    found = recovery.complete(IMAGE, 0.4, people((262, 240)))
    assert len(network.asked) == 1  # for the other one, whose box shows the same body
    assert len(found) == 1


@pytest.mark.parametrize("steps", [1, 2])
def test_one_box_is_not_enough(steps):
    network = Network((120, 240))
    after_walking(network, steps).complete(IMAGE, steps / 5, People.none())
    assert len(network.asked) == (steps == 2)


def test_the_unclear_are_not_looked_for():
    network = Network((100, 240))
    recovery = Recovery(network)
    for step in range(3):
        recovery.complete(IMAGE, step / 5, people((100, 240), sure=0.4))
    assert len(recovery.complete(IMAGE, 0.6, People.none())) == 0
    assert network.asked == []


def test_who_left_the_picture_is_not_looked_for():
    network = Network((650, 240))
    after_walking(network, start=(620, 240)).complete(IMAGE, 0.6, People.none())
    assert network.asked == []


def test_looking_ends_after_a_while():
    still = Network((120, 240))
    recovery = after_walking(still)
    found = [len(recovery.complete(IMAGE, 0.65 + i / 5, People.none())) for i in range(12)]
    assert found == [1] * 9 + [0] * 3  # two seconds after the last box, at 0.4 s
    gone = Network((500, 100))
    recovery = after_walking(gone)
    for i in range(12):
        recovery.complete(IMAGE, 0.65 + i / 5, People.none())
    assert len(gone.asked) == 3  # up to 0.7 s


def test_the_next_look_asks_however_far_away_it_is():
    network = Network((121, 240))
    recovery = after_walking(network)
    assert len(recovery.complete(IMAGE, 1.6, People.none())) == 1  # 1.2 s after the last look
    assert len(recovery.complete(IMAGE, 2.5, People.none())) == 0  # 2.1 s after the last box


@pytest.mark.parametrize("detect_every", [1, 2])
def test_every_look_is_completed(detect_every):
    class Frame:
        def __init__(self, index):
            self.index, self.time, self.image = index, index / 5, IMAGE

    class Estimator:
        name, joint_set = "toy", "coco17"
        pose = Network((200, 240))
        seen = 0

        def __call__(self, images):
            self.seen += len(images)
            numbers = range(self.seen - len(images), self.seen)
            return [People.none() if i == 2 else people((200, 240)) for i in numbers]

    frames = [Frame(index) for index in range(9)]
    looks = list(watch(frames, Estimator(), 1, detect_every))
    assert [len(look.people) for look in looks] == [1] * 9
    scores = [look.people.scores[0] for look in looks]
    assert scores.count(np.float32(SCORE)) == detect_every  # until the next detection
