"""People and things taken for people, by hand and in simulated looks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tracking import FRAME_SIZE, looks_of, people, places, standing

from vid3d.pose2d.people import People
from vid3d.tracking import track_people
from vid3d.tracking.belief import evidence, is_person, limb_disorder


def logit(p):
    return np.log(p / (1 - p))


def together(*groups):
    """The people of several arrays as one look."""
    return People(
        *(
            np.concatenate([getattr(group, name) for group in groups])
            for name in ("boxes", "scores", "keypoints", "confidence")
        )
    )


def evidence_of(them):
    return evidence(them.boxes, them.keypoints, them.confidence, them.scores, "coco17")


def test_evidence_by_hand():
    them = people([standing(300)], scores=[0.6], confidence=np.full((1, 17), 0.7))
    assert evidence_of(them) == pytest.approx([logit(0.6) + logit(0.7)])
    sure = people([standing(300)], scores=[1.0], confidence=np.ones((1, 17)))
    assert evidence_of(sure) == pytest.approx([2 * logit(0.99)])
    assert len(evidence_of(People.none())) == 0


def test_limb_disorder_by_hand():
    # Ten limbs, one of them e^2 times too long: deviations 1.8 once and -0.2 nine times.
    pose = np.zeros((1, 17, 2))  # shoulders at 0; everything else by its share of stature
    for side in (0, 1):
        pose[0, 7 + side] = (0, 186)
        pose[0, 9 + side] = (146, 186)
        pose[0, 11 + side] = (288, 0)
        pose[0, 13 + side] = (288, 245)
        pose[0, 15 + side] = (288 - 246, 245)
    size = np.array([400.0])
    confidence = np.ones((1, 17))
    assert limb_disorder(pose, confidence, size, "coco17") == pytest.approx([0], abs=1e-9)
    pose[0, 15] = (288 - 246 * np.exp(2), 245)
    expected = np.sqrt((1.8**2 + 9 * 0.2**2) / 10)
    assert limb_disorder(pose, confidence, size, "coco17") == pytest.approx([expected])
    # Hidden, maybe not even a number: not judged.
    confidence[0, 15], pose[0, 15] = 0, np.nan
    assert limb_disorder(pose, confidence, size, "coco17") == pytest.approx([0], abs=1e-9)
    confidence[0, 7:] = 0
    assert limb_disorder(pose, confidence, size, "coco17") == [0]


def test_skeletons_that_no_body_shows():
    rng = np.random.default_rng(0)
    wild = standing(300) + rng.normal(0, 1, (17, 2)) * np.where(np.arange(17) % 3, 2, 150)[:, None]
    assert evidence_of(people([wild])) > -np.inf  # odd, but foreshortening can do it
    stretched = standing(300)
    stretched[7:13] = stretched[[5, 6, 5, 6, 5, 6]]  # arms and trunk of no length,
    stretched[[13, 14, 15, 16], 0] += [900, -900, -900, 900]  # legs across the street
    assert evidence_of(people([stretched])) == [-np.inf]
    collapsed = people([standing(300)])
    collapsed.keypoints[:] = collapsed.keypoints[:, :1] + rng.normal(0, 4, (1, 17, 2))
    assert evidence_of(collapsed) == [-np.inf]  # the box speaks of somebody much larger
    elsewhere = replace(people([standing(300)]), boxes=people([standing(600)]).boxes)
    assert evidence_of(elsewhere) == [-np.inf]


def test_the_clearest_quarter_decides():
    assert is_person([-0.3])
    assert not is_person([-0.5])
    assert is_person([-3.0] * 6 + [-0.1, -0.6])  # -0.35 on average
    assert not is_person([-3.0] * 7 + [-0.1])  # -1.55
    assert not is_person([-np.inf] * 4)


def test_who_comes_and_goes_must_be_clearer():
    assert is_person([0.5] * 3, seconds=1.0)  # asked: -0.4 + 2.4 exp(-1) = 0.48
    assert not is_person([0.5] * 3, seconds=0.4)  # 1.21
    assert is_person([1.3] * 3, seconds=0.4)
    clear, unclear = np.full((1, 17), 0.9), np.full((1, 17), 0.6)
    walker = [people([standing(100 + 20 * i)], confidence=clear) for i in range(10)]
    moment = people([standing(900)], scores=[0.5], confidence=unclear)
    rows = [together(them, moment) if i in (4, 5) else them for i, them in enumerate(walker)]
    assert len(track_people(looks_of(rows), FRAME_SIZE)) == 1
    alone = [moment, moment]  # throughout the clip
    assert len(track_people(looks_of(alone), FRAME_SIZE)) == 1


def test_one_look_alone_asks_as_much_as_a_clip_throughout():
    """A chair that the detector takes for somebody, with a confused skeleton, beside a person."""
    chair = people([standing(900)], [0.36], np.full((1, 17), 0.27))  # log odds -1.57
    unclear = people([standing(100)], [0.45], np.full((1, 17), 0.46))  # -0.36
    for count in (1, 2):
        looks = looks_of([together(unclear, chair)] * count)
        (track,) = track_people(looks, FRAME_SIZE)
        assert track.keypoints[0, 0, 0] == 100


def test_more_is_asked_of_who_stands_still():
    assert is_person([0.7] * 9, seconds=9.0, speed=0.2)  # asked: -0.4 + 1.0
    assert not is_person([0.5] * 9, seconds=9.0, speed=0.2)
    assert is_person([0.5] * 9, seconds=9.0, speed=0.3)
    assert is_person([0.5] * 9, seconds=9.0)
    passed_by = [0.3] * 8 + [3.0] * 4
    assert not is_person(passed_by, seconds=9.0, speed=0.2)  # a sign, and people at it
    assert is_person(passed_by, seconds=9.0, speed=0.3)  # somebody who is mostly hidden


@pytest.mark.parametrize(("clarity", "count"), [(0.7, 1), (0.8, 2)])  # log odds 1.7 and 2.8
def test_who_was_seen_once_is_not_taken_to_stand_still(clarity, count):
    # asked: -0.4 + 2.4 for who comes and goes; nothing for a speed that nobody knows
    walker = people([standing(100)])
    passing = people([standing(700)], [clarity], np.full((1, 17), clarity))
    rows = [together(walker, passing) if i == 5 else walker for i in range(11)]
    assert len(track_people(looks_of(rows, step=2.0), FRAME_SIZE)) == count


def test_a_thing_that_stays_is_nobody_and_a_walker_as_unclear_is_somebody():
    rng = np.random.default_rng(3)
    rows = []
    for i in range(30):
        unclear = np.full((1, 17), 0.58)  # with a score of 0.5, log odds of 0.32
        thing = people([standing(900) + rng.normal(0, 2, (17, 2))], [0.5], unclear)
        walker = people([standing(100 + 20 * i)], [0.5], unclear)
        rows.append(together(walker, thing) if i % 10 else walker)
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert len(track) == 30
    assert np.ptp(track.keypoints[:, 0, 0]) > 500


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_people_in_any_view_are_possible(seed):
    """A body turned about the vertical and seen from above or below is never impossible."""
    rng = np.random.default_rng(seed)
    body = np.zeros((17, 3))
    body[:, :2] = standing(0, 0, 1.0)
    body[:, 2] = rng.normal(0, 0.05, 17)
    turn, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(-0.8, 0.8)
    x = body[:, 0] * np.cos(turn) + body[:, 2] * np.sin(turn)
    z = body[:, 2] * np.cos(turn) - body[:, 0] * np.sin(turn)
    y = body[:, 1] * np.cos(tilt) - z * np.sin(tilt)
    them = people([np.stack([x, y], -1) * rng.uniform(60, 900) + 500])
    assert np.isfinite(evidence_of(them)).all()


def ghost(x, rng, clarity=0.28, score=0.4):
    """What a pose network sees in a sign: nearly the same confused, unsure skeleton every look."""
    pose = standing(x, 100, 260) + np.random.default_rng(int(x)).normal(0, 35, (17, 2))
    pose = pose + rng.normal(0, 2, (17, 2))
    confidence = np.clip(rng.normal(clarity, 0.08, (1, 17)), 0.02, 1)
    return people([pose], scores=[score], confidence=confidence)


@pytest.mark.parametrize("step", [0.1, 0.4])
def test_a_sign_among_walkers_is_nobody(step):
    rng = np.random.default_rng(1)
    rows = []
    for i in range(30):
        walkers = people(
            [standing(60 + 80 * step * i), standing(1200 - 90 * step * i)],
            scores=[0.5, 0.45],
            confidence=np.clip(rng.normal(0.55, 0.1, (2, 17)), 0, 1),
        )
        rows.append(together(walkers, ghost(640, rng), ghost(900, rng)))
    tracks = track_people(looks_of(rows, step), FRAME_SIZE)
    assert [len(track) for track in tracks] == [30, 30]


def test_a_person_hidden_most_of_the_time_is_somebody():
    rng = np.random.default_rng(2)
    rows = []
    for i in range(12):
        clear = i % 4 == 0
        confidence = np.full((1, 17), 0.6 if clear else 0.15)
        confidence[0, :5] = 0.6
        score = 0.5 if clear else 0.37
        rows.append(people([standing(300 + 8 * i)], scores=[score], confidence=confidence))
        rows[-1] = together(rows[-1], ghost(1000, rng))
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert len(track) == 12


def test_a_mirror_shows_a_second_person_and_changes_nobody():
    # The reflection is as clear as the walker, moves the other way and has sides exchanged: it
    # cannot be told from a person, but it must not take the walker's name.
    flip = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    rows, walker, image = [], [], []
    for i in range(16):
        pose = standing(200 + 45 * i, lean=0.05 * (-1) ** i)
        mirrored = pose[flip] * (-1, 1) + (1480, 0)  # they meet at x = 740
        walker.append(pose[0, 0])
        image.append(mirrored[0, 0])
        rows.append([pose, mirrored * 0.85 + (740 * 0.15, 60)])
    looks = looks_of(rows)
    table = places(track_people(looks, FRAME_SIZE), looks)
    assert table[1] == pytest.approx(walker)
    assert len(table) == 2


def test_a_poster_stays_and_walkers_pass_it():
    poster = people([standing(640, 150, 200)], scores=[0.6], confidence=np.full((1, 17), 0.6))
    rows, walker = [], []
    for i in range(25):
        walker.append(100 + 45 * i)
        before_it = abs(walker[-1] - 640) < 70
        them = people([standing(walker[-1], 180, 380)])
        rows.append(them if before_it else together(them, poster))
    looks = looks_of(rows)
    table = places(track_people(looks, FRAME_SIZE), looks)
    assert table[1] == pytest.approx(walker)
    assert len(table) == 2


def test_leaving_the_frame_by_halves_and_returning():
    rows, there = [], []
    for i in range(17):
        x = 60 + 40 * abs(i - 4) - 80  # out to the left and back again
        pose = standing(x, height=500)
        seen = pose[:, 0] > 0
        confidence = np.where(seen, 0.8, 0.0)[None]
        them = people([pose], confidence=confidence)
        rows.append(replace(them, boxes=np.clip(them.boxes, 0, None)) if seen.any() else [])
        there.append(seen.sum() >= 4)
    looks = looks_of(rows)
    (track,) = track_people(looks, FRAME_SIZE)
    assert track.looks.tolist() == np.flatnonzero(there).tolist()
