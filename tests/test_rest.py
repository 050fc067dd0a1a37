"""Looks left out at rest come back for the lifter, and only those."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vid3d.pose2d.coco_json import clip_from_coco, coco_from_clip
from vid3d.pose2d.people import KeypointClip, Look, People
from vid3d.streaming.pieces import Cutter, Sighting
from vid3d.tracking.rest import looks_counted, settled, with_rests


def standing(looks):
    """A figure of joints in a slanted line, (looks, 17, 2)."""
    joint = np.arange(17, dtype=np.float32)
    return np.tile(np.stack([joint, 10 * joint], -1), (looks, 1, 1))


def test_a_rest_is_filled_in_a_straight_line():
    keypoints = standing(3)
    keypoints += np.array([0, 3, 9], np.float32)[:, None, None]
    confidence = np.full((3, 17), 0.9, np.float32)
    confidence[1] = 0.6
    filled = with_rests(keypoints, confidence, np.array([1.0, 1.6, 2.2]), np.array([0, 1, 0]) > 0)
    points, sure, times = filled
    np.testing.assert_allclose(times, [1.0, 1.2, 1.4, 1.6, 2.2])
    np.testing.assert_allclose(points[:, 0, 0], [0, 1, 2, 3, 9], atol=1e-6)
    np.testing.assert_allclose(sure[:, 5], [0.9, 0.8, 0.7, 0.6, 0.9], atol=1e-6)
    assert points.dtype == sure.dtype == np.float32


def test_a_joint_that_one_side_lacks_stays_where_the_other_has_it():
    keypoints = standing(3)
    keypoints[1, 4] = keypoints[2, 6] = np.nan
    confidence = np.full((3, 17), 0.9, np.float32)
    confidence[1, 4] = confidence[2, 6] = 0
    rested = np.array([False, True, False])
    points, sure, times = with_rests(keypoints, confidence, np.array([0.0, 0.8, 1.0]), rested)
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(sure[:, 4], 0.9, rtol=1e-6)
    np.testing.assert_allclose(points[:5, 4, 1], 40)
    assert sure[5, 6] == 0  # somebody moved before this one


def test_rests_as_long_as_the_usual_spacing_are_filled_already():
    confidence = np.full((3, 17), 0.9, np.float32)
    times = np.array([0.0, 0.2, 0.25])  # a fifth of a second, and the last frame soon after
    points, _, filled = with_rests(standing(3), confidence, times, np.array([0, 1, 1]) > 0)
    np.testing.assert_allclose(filled, times)
    np.testing.assert_allclose(points, standing(3))


def test_a_joint_that_two_looks_lack_is_not_guessed_between():
    keypoints, confidence = standing(3), np.full((3, 17), 0.9, np.float32)
    keypoints[1:, 4], confidence[1:, 4] = 0, 0  # a network's answer for what it does not see
    rested = np.array([False, True, True])
    points, sure, times = with_rests(keypoints, confidence, np.array([0.0, 0.4, 0.8]), rested)
    np.testing.assert_allclose(times, [0, 0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(points[sure[:, 4] > 0, 4], [[4, 40]] * 4)  # from the look before
    assert sure[4, 4] == 0


def test_of_two_places_of_a_resting_joint_the_surer_stays():
    keypoints = standing(3)  # 16 pixels wide and 160 high, so sizes of 61 with the margins
    keypoints[1, 4] += [0, 7]  # more than a tenth of that
    keypoints[1, 7] += [5, 0]  # less
    keypoints[2, 9] += [70, 0]
    confidence = np.full((3, 17), 0.9, np.float32)
    confidence[1] = 0.8
    points, sure = settled(keypoints, confidence, np.array([True, True, False]))
    expected = standing(3)
    expected[1, 7] += [5, 0]
    expected[2, 9] += [70, 0]
    np.testing.assert_allclose(points, expected)
    assert sure[1, 4] == confidence[0, 4]
    assert sure[1, 7] == confidence[1, 7]
    confidence[1] = 1.0
    points, sure = settled(keypoints, confidence, np.array([True, True, False]))
    np.testing.assert_allclose(points[:2, 4, 1], 47)
    np.testing.assert_allclose(sure[0], np.where(np.arange(17) == 4, 1.0, 0.9), rtol=1e-6)


@given(
    arrays(np.float64, st.integers(1, 12), elements=st.floats(0.02, 3.0)).flatmap(
        lambda gaps: st.tuples(st.just(gaps), arrays(np.bool_, len(gaps)))
    )
)
def test_what_was_seen_stays_and_times_rise(drawn):
    gaps, rested = drawn
    times = np.cumsum(gaps)
    keypoints = standing(len(times))
    keypoints += np.linspace(0, 4, len(times), dtype=np.float32)[:, None, None]
    confidence = np.full((len(times), 17), 0.5, np.float32)
    points, sure, filled = with_rests(keypoints, confidence, times, rested)
    kept = np.searchsorted(filled, times - 1e-9)
    np.testing.assert_allclose(filled[kept], times)
    np.testing.assert_array_equal(points[kept], keypoints)
    assert (np.diff(filled) > 0).all()
    assert (sure == 0.5).all()
    if not rested[1:].any():
        assert len(filled) == len(times)


def test_a_look_that_missed_the_person_ends_the_rest():
    cutter = Cutter(1, "coco17")
    for look, still in ((0, True), (1, True), (3, True), (4, False)):
        box, keypoints = np.array([0, 0, 50, 100], np.float32), np.zeros((17, 2), np.float32)
        sure = np.full(17, 0.9, np.float32)
        cutter.add(Sighting(look, look * 10, 0.5 * look, box, keypoints, sure, 5000.0, still))
    np.testing.assert_array_equal(cutter.end().rested, [True, True, False, False])


def test_a_sighting_counts_the_looks_that_were_spared_before_it():
    rested = np.array([True, True, True, False, True])
    times = np.array([0.0, 0.2, 1.2, 2.2, 2.25])  # a fifth of a second each, and at least one
    assert looks_counted(times, rested).tolist() == [1, 1, 5, 1, 1]


def test_a_keypoint_file_keeps_what_was_still():
    looks = [Look(0, 0.0, People.none()), Look(40, 0.8, People.none(), still=True)]
    document = coco_from_clip(KeypointClip("a", looks, "coco17", 50, 50.0))
    assert [look.still for look in clip_from_coco(document, "a").looks] == [False, True]
