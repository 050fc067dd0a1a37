from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.evaluation.identity import count_switches, score_identities
from vid3d.pose2d.people import Look, People
from vid3d.skeleton import COCO17
from vid3d.tracking import (
    Track,
    clean,
    people_of,
    segments,
    select,
    select_people,
    similarity,
    track_people,
)
from vid3d.tracking.association import assign, pairing_costs
from vid3d.tracking.cleaning import find_spikes, find_swaps
from vid3d.tracking.person import Person, Sightings
from vid3d.tracking.similarity import common_share, generalised_iou, oks, sigmas

FRAME_SIZE = (1280, 720)

# A standing adult of height 1 facing the camera, feet at y = 1; COCO order.
STANDING = np.array(
    [
        (0, 0.06), (0.02, 0.05), (-0.02, 0.05), (0.04, 0.06), (-0.04, 0.06), (0.11, 0.19),
        (-0.11, 0.19), (0.15, 0.36), (-0.15, 0.36), (0.17, 0.52), (-0.17, 0.52), (0.08, 0.52),
        (-0.08, 0.52), (0.08, 0.75), (-0.08, 0.75), (0.08, 0.97), (-0.08, 0.97),
    ]
)  # fmt: skip


def standing(x, y=200.0, height=300.0, lean=0.0):
    """Pose (17, 2) with the head above (x, y + height); `lean` turns hands and feet one way."""
    pose = STANDING.copy()
    pose[[7, 9, 8, 10, 13, 15], 0] += lean
    return pose * height + (x, y)


def people(poses, scores=None, confidence=None, ids=None):
    poses = np.array(poses, np.float32).reshape(-1, 17, 2)
    count = len(poses)
    boxes = (
        np.concatenate([poses.min(1) - 10, poses.max(1) + 10], -1) if count else np.zeros((0, 4))
    )
    return People(
        boxes,
        np.full(count, 0.9) if scores is None else scores,
        poses,
        np.full((count, 17), 0.9) if confidence is None else confidence,
        ids,
    )


def looks_of(rows, step=0.2, fps=50):
    """Looks `step` seconds apart; every row is a list of poses or a People."""
    return [
        Look(round(i * step * fps), i * step, row if isinstance(row, People) else people(row))
        for i, row in enumerate(rows)
    ]


def places(tracks, looks):
    """{track id: [x of the nose at every look, None where unseen]}."""
    table = {}
    for track in tracks:
        xs = [None] * len(looks)
        for index, keypoints in zip(track.looks, track.keypoints, strict=True):
            xs[index] = float(keypoints[0, 0])
        table[track.id] = xs
    return table


def test_one_look_gives_everybody_even_if_unsure():
    tracks = track_people(
        looks_of([people([standing(100), standing(500)], scores=[0.4, 0.9])]), FRAME_SIZE
    )
    assert [track.id for track in tracks] == [1, 2]
    assert [track.looks.tolist() for track in tracks] == [[0], [0]]
    assert tracks[0].keypoints[0, 0, 0] == 100  # numbered from left to right


def test_no_looks_and_nobody():
    assert track_people([], FRAME_SIZE) == []
    assert track_people(looks_of([[], []]), FRAME_SIZE) == []


@pytest.mark.parametrize("step", [0.1, 0.2, 0.4])
def test_walker_whose_boxes_do_not_overlap_is_one_track(step):
    # 1.4 m/s of a 1.7 m adult is 0.82 heights a second: 99 pixels in 0.4 s, the box is 122 wide.
    # 2.5 times as fast, the boxes of two looks 0.4 s apart have no overlap at all.
    for speed in (247, 617):
        looks = looks_of([[standing(50 + speed * step * i)] for i in range(5)], step)
        (track,) = track_people(looks, FRAME_SIZE)
        assert track.looks.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("step", [0.1, 0.2, 0.4])
def test_two_people_who_cross_keep_their_identities(step):
    count = int(4 / step) + 1
    rows, left, right = [], [], []
    for i in range(count):
        left.append(200 + 220 * i * step)
        right.append(1080 - 220 * i * step)
        rows.append([standing(left[-1], lean=0.06), standing(right[-1], y=215, lean=-0.06)])
        if abs(left[-1] - right[-1]) < 60:  # behind each other: only the one in front is seen
            rows[-1] = rows[-1][:1]
    looks = looks_of(rows, step)
    tracks = track_people(looks, FRAME_SIZE)
    table = places(tracks, looks)
    assert sorted(table) == [1, 2]
    assert table[1] == pytest.approx(left)
    assert [x for x in table[2] if x is not None] == pytest.approx(
        [x for x, row in zip(right, rows, strict=True) if len(row) == 2]
    )


def sighting(x=500, lean=0.0, y=200.0):
    """One clear sighting."""
    them = people([standing(x, y, lean=lean)])
    every = np.ones(1, bool)
    return Sightings.of(them.boxes, them.keypoints, them.confidence, them.scores, every)


@pytest.mark.parametrize(("miss", "gain"), [(0.1, 1 / 2), (0.34, 1 / 5)])
def test_a_sighting_far_off_is_believed_less(miss, gain):
    # Seen twice at one moment, each time with a variance of 0.08^2: the second counts as much as
    # the first. A miss of 3 deviations (0.34 / 0.08 / root of 2) is twice Huber's 1.5, which makes
    # its variance four times as large.
    person, seen = Person(sighting(), 0, 4.0, "coco17"), sighting()
    person.update(seen, 0, np.array([miss * np.exp(seen.log_sizes[0]), 0]), 4.0)
    assert person.predict(4.0).variance[0] == pytest.approx(0.08**2 * (1 - gain), rel=3e-3)


def test_both_directions_are_predicted_alike():
    person, step = Person(sighting(), 0, 4.0, "coco17"), np.array([30.0, 30.0])
    for i in (1, 2, 3):
        person.update(sighting(500 + 30 * i, y=200 + 30 * i), 0, step, 4.0 + 0.2 * i)
    gone = person.predict(5.0).keypoints - person.predict(4.6).keypoints
    assert gone[0, 0] == pytest.approx(gone[0, 1])
    assert gone[0, 0] > 30


def test_joints_seen_long_ago_may_be_elsewhere():
    person = Person(sighting(), 0, 4.0, "coco17")
    nose, wrist = 2 * 0.026, 2 * 0.062  # COCO's constants
    fresh, old = person.predict(4.0).tolerance, person.predict(9.0).tolerance
    assert fresh[[0, 9]] == pytest.approx([nose, wrist])
    assert old[[0, 9]] == pytest.approx([np.hypot(nose, 0.08), np.hypot(wrist, 0.22)])


def test_without_common_joints_boxes_tell_how_far_somebody_went():
    def half(seen, x):
        them = people([standing(x)])
        confidence = np.where(np.isin(np.arange(17), seen), 0.9, 0.0)[None]
        scores, kept = them.scores, np.ones(1, bool)
        return Sightings.of(them.boxes, them.keypoints, confidence, scores, kept)

    person = Person(half(range(11), 500), 0, 4.0, "coco17")
    legs = half(range(11, 17), 530)
    costs = pairing_costs([person.predict(4.0)], legs)
    assert costs.shift[0, 0] == pytest.approx([30, 0], abs=1e-4)
    # Clear sightings of quality 0.9 x 0.9 x 11/17 and 6/17; half an OKS where nothing is shared.
    size = np.exp(legs.log_sizes[0])
    place = 0.08**2 * (1 + 0.5 * 17 / (0.81 * 6))  # square deviation, in sizes
    far = (30 / size) ** 2 / 2 / place + np.log(place / 0.01)
    width, overlap = 0.34 * 300 + 20, 0.34 * 300 - 10
    assert costs.total[0, 0] == pytest.approx(
        far + 3 * np.log(2) + (1 - overlap / (2 * width - overlap)) / 2, abs=1e-3
    )


def test_a_pose_that_may_be_somebody_elses_does_not_replace_a_fresh_one():
    def lean_at(person, time):
        joints = person.predict(time).keypoints
        return (joints[9, 0] - joints[0, 0]) / 300 - 0.17

    person = Person(sighting(lean=0.1), 0, 0.0, "coco17")
    nowhere = np.zeros(2)
    for time in (0.2, 0.4):  # 0.4 and 0.6 s old at the next look
        person.update(sighting(lean=-0.1), 0, nowhere, time, shared=True)
        assert lean_at(person, time) == pytest.approx(0.1, abs=0.01)
    person.update(sighting(lean=-0.1), 0, nowhere, 0.6, shared=True)  # 0.8 s would be too old
    assert lean_at(person, 0.6) == pytest.approx(-0.1, abs=0.01)


def test_standing_people_are_told_apart_by_pose():
    # Both stand at nearly the same place for all looks, leaning to different sides.
    rows = [
        [standing(300, lean=0.12), standing(312, lean=-0.12)],
        [standing(312, lean=-0.12), standing(300, lean=0.12)],
        [standing(306, lean=0.12), standing(306, lean=-0.12)],
    ]
    tracks = track_people(looks_of(rows), FRAME_SIZE)
    assert len(tracks) == 2
    for track in tracks:
        leans = track.keypoints[:, 9, 0] - track.keypoints[:, 0, 0]
        assert np.ptp(leans) < 1e-3


def test_a_mirror_and_a_poster_are_people_of_their_own_and_disturb_nobody():
    mirror, sides = 640, np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
    xs = [*range(300, 581, 40), *range(540, 299, -40)]  # up to the mirror and back
    poster = standing(1000, y=150, height=120)
    rows = []
    for x in xs:
        walker = standing(x, lean=0.06)
        reflection = (walker * (-1, 1) + (2 * mirror, 0))[sides]
        rows.append([walker, poster, reflection])
    looks = looks_of(rows)
    table = places(track_people(looks, FRAME_SIZE), looks)
    assert sorted(table.values()) == [xs, [2 * mirror - x for x in xs], [1000] * len(xs)]


def test_leaving_and_returning():
    away = [[]] * 7
    walk = [[standing(600)], [standing(600)], *away, [standing(620)], [standing(620)]]
    looks = looks_of(walk)
    (track,) = track_people(looks, FRAME_SIZE)  # 1.4 s unseen, same place and size
    assert track.looks.tolist() == [0, 1, 9, 10]
    # Unseen for 1.4 s, then somebody of another size elsewhere: another person.
    walk[-2:] = [[standing(1100, 100, 500)]] * 2
    assert len(track_people(looks_of(walk), FRAME_SIZE)) == 2
    # Unseen for 3 s: another person, whatever the likeness.
    gone = [[standing(600)], [standing(600)], *([[]] * 15), [standing(600)], [standing(600)]]
    assert len(track_people(looks_of(gone), FRAME_SIZE)) == 2


def test_missed_looks_are_bridged():
    rows = [[standing(100 + 50 * i)] if i not in (3, 4, 7) else [] for i in range(12)]
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert track.looks.tolist() == [0, 1, 2, 5, 6, 8, 9, 10, 11]


def crouching(x, y=200.0, height=300.0):
    """The same person a moment after `standing`, doubled up above the same feet."""
    return (STANDING * (2.2, 0.3) + (0, 0.7)) * height + (x, y)


def test_a_jump_that_nobody_could_foresee_is_no_new_person():
    rows = [[standing(500)]] * 4 + [[crouching(500)], [standing(500)]] * 2
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert track.looks.tolist() == list(range(8))
    # A look later, or with another near by, it may be somebody else.
    missed = [[standing(500)]] * 4 + [[]] + [[crouching(500)]] * 4
    assert len(track_people(looks_of(missed), FRAME_SIZE)) == 2
    both = [[standing(500), standing(700)]] * 4 + [[crouching(500)]] * 4
    assert len(track_people(looks_of(both), FRAME_SIZE)) == 3


def test_person_half_out_of_the_frame():
    # Walks out to the left; joints outside are missing, the box is cut off at the border.
    rows = []
    for i in range(8):
        pose = standing(260 - 45 * i, height=500)
        confidence = np.where(pose[:, 0] > 0, 0.9, 0.0)[None]
        them = people([pose], confidence=confidence)
        rows.append(replace(them, boxes=np.clip(them.boxes, 0, None)))
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    # At the last looks too few joints are left to be a person.
    counts = [(row.confidence > 0).sum() for row in rows]
    assert track.looks.tolist() == [i for i, count in enumerate(counts) if count >= 4]
    assert len(track) >= 6


def test_missing_joints_may_be_nan():
    pose = standing(300)
    pose[:5] = np.nan
    confidence = np.where(np.isnan(pose[:, 0]), 0.0, 0.9)[None]
    rows = []
    for i in range(3):
        them = people([standing(300 + i)], confidence=confidence)
        rows.append(replace(them, keypoints=np.where(np.isnan(pose), np.nan, them.keypoints)))
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert len(track) == 3


def test_two_boxes_on_one_body_are_one_person():
    first = standing(300)
    double = people([first, first + 3], scores=[0.9, 0.7])
    tracks = track_people(looks_of([double] * 3), FRAME_SIZE)
    assert len(tracks) == 1
    np.testing.assert_allclose(tracks[0].keypoints[0], first, rtol=1e-5)


def test_a_crowd_is_compared_person_by_person_not_pair_by_pair(monkeypatch):
    calls = []
    monkeypatch.setattr(similarity, "oks", lambda *given: calls.append(0) or oks(*given))
    crowd = people([standing(100 + 60 * i) for i in range(12)] + [standing(103)])
    looks = (crowd.boxes, crowd.keypoints, crowd.confidence, crowd.scores)
    dropped = similarity.duplicates(*looks, np.full(13, 0.75), "coco17")
    assert dropped.tolist() == [False] * 12 + [True]
    assert len(calls) == 13


def test_weak_sighting_continues_a_track_but_begins_none():
    rows = [[standing(300)], people([standing(310)], scores=[0.2]), [standing(320)]]
    (track,) = track_people(looks_of(rows), FRAME_SIZE)
    assert track.looks.tolist() == [0, 1, 2]
    weak = [people([standing(300)], scores=[0.2])] * 4
    assert track_people(looks_of(weak), FRAME_SIZE) == []


def test_a_doubtful_box_on_a_person_is_better_than_a_sure_one_round_two():
    """One stands above the other in the picture; a sure box round both shows a stretched pose."""
    rows = []
    for i in range(8):
        upper, lower = standing(300 + 25 * i, 100, 200), standing(300 + 25 * i, 260, 220)
        if i not in (4, 5):
            rows.append([upper, lower])
            continue
        both = standing(300 + 25 * i, 100, 380)
        rows.append(people([both, upper, lower], scores=[0.7, 0.3, 0.3]))
    looks = looks_of(rows)
    tracks = track_people(looks, FRAME_SIZE)
    for track, (y, height) in zip(tracks[:2], ((100, 200), (260, 220)), strict=True):
        expected = [standing(300 + 25 * i, y, height) for i in range(8)]
        np.testing.assert_allclose(track.keypoints, expected, atol=1e-3)


def test_ghosts_are_dropped():
    ghost = people([standing(300), standing(900)], scores=[0.9, 0.4])
    few = np.zeros((2, 17))
    few[0], few[1, :3] = 0.9, 0.9
    no_pose = people([standing(300), standing(900)], confidence=few)
    rows = [[standing(300)], ghost, no_pose, [standing(300)]]
    assert [len(track) for track in track_people(looks_of(rows), FRAME_SIZE)] == [4]


def test_a_thing_that_looks_a_little_like_a_person_is_dropped():
    confidence = np.full((2, 17), 0.9)
    confidence[1] = 0.3
    thing = people([standing(300), standing(900)], scores=[0.9, 0.36], confidence=confidence)
    for looks in (9, 1):
        assert len(track_people(looks_of([thing] * looks), FRAME_SIZE)) == 1


def test_irregular_looks():
    times = [0.0, 0.1, 0.5, 0.6, 1.0, 1.05]
    looks = [Look(round(50 * t), t, people([standing(100 + 300 * t)])) for t in times]
    (track,) = track_people(looks, FRAME_SIZE)
    assert len(track) == len(times)


def test_ids_of_a_file_are_kept():
    rows = [
        people([standing(100), standing(900)], ids=[7, 0]),  # many files count from 0
        people([standing(100), standing(900)], ids=[0, 7]),  # the file may know better
        people([], ids=[]),
    ]
    tracks = track_people(looks_of(rows), FRAME_SIZE)
    assert [track.id for track in tracks] == [0, 7]
    assert tracks[0].keypoints[:, 0, 0].tolist() == [900, 100]
    # An unknown identity anywhere: the tracker decides.
    rows[1] = people([standing(100), standing(900)], ids=[3, -1])
    assert [track.id for track in track_people(looks_of(rows), FRAME_SIZE)] == [1, 2]


def test_max_people_and_selection():
    rows = [[standing(100, 100, 500), standing(700, height=200)]] * 2 + [
        [standing(700, height=200)]
    ] * 3
    tracks = track_people(looks_of(rows), FRAME_SIZE)
    assert select(tracks, "largest").id == 1
    assert select(tracks, "longest").id == 2
    assert select(tracks, "1").id == select(tracks, 1).id == 1
    assert [t.id for t in select_people(tracks, max_people=1)] == [2]
    assert [t.id for t in select_people(tracks, person="2")] == [2]
    assert [t.id for t in select_people(tracks, max_people=5)] == [1, 2]
    assert select_people([], person="largest") == []
    with pytest.raises(Vid3dError, match=r"no person '9'.* 1, 2"):
        select(tracks, "9")
    with pytest.raises(Vid3dError, match="nobody"):
        select([], "largest")
    with pytest.raises(Vid3dError, match="expected 1 or more"):
        select_people(tracks, max_people=0)


def test_who_rests_is_seen_at_the_looks_that_were_spared():
    # Somebody at rest for 4.8 s, of whom one look in six was taken; then another walks for 3.2 s.
    times = [1.2 * i for i in range(5)] + [6 + 0.2 * i for i in range(17)]
    looks = [
        Look(i, time, people([standing(200 if i < 5 else 800 + 20 * i)]), still=0 < i < 5)
        for i, time in enumerate(times)
    ]
    tracks = track_people(looks, FRAME_SIZE)
    assert [track.weights.tolist() for track in tracks] == [[1, 6, 6, 6, 6], [1] * 17]
    assert [track.seen for track in tracks] == [25, 17]
    for person in ("longest", "largest"):
        assert select(tracks, person).id == 1
    assert [track.id for track in select_people(tracks, max_people=1)] == [1]


def test_people_of_all_looks_are_gathered_in_one_pass():
    class Once(list):
        """Tracks that may be walked through once: a search at every look takes hours."""

        walked = 0

        def __iter__(self):
            self.walked += 1
            assert self.walked == 1
            return super().__iter__()

    ours, theirs = track_people(looks_of([[standing(100), standing(700)]] * 4), FRAME_SIZE)
    names = "looks", "boxes", "keypoints", "confidence"
    some = replace(theirs, **{name: getattr(theirs, name)[1:3] for name in names})
    them = people_of(Once([ours, some]), 5)
    assert [None if each.ids is None else each.ids.tolist() for each in them] == [
        [1], [1, 2], [1, 2], [1], None,
    ]  # fmt: skip
    np.testing.assert_array_equal(them[1].keypoints[1], theirs.keypoints[1])
    np.testing.assert_allclose(them[1].scores, 0.9)


def _as_table(tracks):
    return [(t.id, t.looks.tolist(), t.keypoints.tolist()) for t in tracks]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_people_and_place_in_the_image_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    start, speed = rng.uniform(100, 900, 4), rng.uniform(-150, 150, 4)
    rows, shuffled, moved = [], [], []
    for i in range(8):
        poses = [
            standing(a + v * 0.2 * i, lean=rng.normal(0, 0.05))
            for a, v in zip(start, speed, strict=True)
            if rng.random() > 0.2
        ]
        scores = rng.uniform(0.15, 1, len(poses)).astype(np.float32)
        order = rng.permutation(len(poses))
        rows.append(people(poses, scores))
        shuffled.append(people([poses[k] for k in order], scores[order]))
        moved.append(people([pose + (64, -32) for pose in poses], scores))
    tracks = track_people(looks_of(rows), FRAME_SIZE)
    assert _as_table(track_people(looks_of(shuffled), FRAME_SIZE)) == _as_table(tracks)
    away = track_people(looks_of(moved), FRAME_SIZE)
    assert [(t.id, t.looks.tolist()) for t in away] == [(t.id, t.looks.tolist()) for t in tracks]


def track_at(looks_seen, keypoints=None, confidence=None):
    count = len(looks_seen)
    if keypoints is None:
        keypoints = np.tile(standing(300), (count, 1, 1))
    return Track(
        1,
        np.array(looks_seen, np.int64),
        np.ones(count, np.int64),
        np.tile(np.array([200, 200, 400, 500], np.float32), (count, 1)),
        keypoints.astype(np.float32),
        np.full((count, 17), 0.9, np.float32) if confidence is None else confidence,
    )


def presence(track, looks, times):
    """(F,) whether the segments hold each frame."""
    present = np.zeros(len(times), bool)
    for segment in segments(track, looks):
        present[segment.frames] = True
    return present


def test_presence_fills_gaps_of_half_a_second():
    looks = looks_of([[]] * 11, step=0.1, fps=10)  # a look at every frame
    times = np.arange(11) / 10
    # Missed at looks 3..7 (five looks, 0.5 s): filled.
    assert presence(track_at([1, 2, 8, 9]), looks, times).tolist() == [False] + [True] * 9 + [False]
    # Missed at looks 3..8 (0.6 s): absent there.
    cut = presence(track_at([1, 2, 9, 10]), looks, times)
    assert np.flatnonzero(cut).tolist() == [1, 2, 9, 10]
    first, second = segments(track_at([1, 2, 9, 10]), looks)
    assert (first.sightings, first.frames) == (slice(0, 2), slice(1, 3))
    assert (second.sightings, second.frames) == (slice(2, 4), slice(9, 11))


def test_presence_between_far_apart_looks_is_whole():
    looks = [Look(frame, frame / 25, people([standing(300)])) for frame in (0, 40, 80, 99)]
    assert presence(track_at([0, 1, 2, 3]), looks, np.arange(100) / 25).all()
    assert presence(track_at([1]), looks, np.arange(100) / 25).sum() == 1
    assert not presence(track_at([]), looks, np.arange(100) / 25).any()


def test_spikes_are_marked_missing_and_motion_is_not():
    looks = looks_of([[]] * 5)
    poses = np.stack([standing(300 + 60 * i) for i in range(5)])
    poses[2, 9] += (400, -200)  # the left wrist flies off and comes back
    poses[3:, 10] += (80, -120)  # the right hand is raised and stays there
    cleaned = clean(track_at(range(5), poses), looks, "coco17")
    expected = np.full((5, 17), 0.9, np.float32)
    expected[2, 9] = 0
    np.testing.assert_array_equal(cleaned.confidence, expected)


def test_spikes_are_measured_by_the_size_that_the_person_has_then():
    # Somebody comes nearer, from 60 to 450 pixels, and waves by 0.6 sizes a look when near.
    size = np.linspace(60, 450, 40)
    points = size[:, None, None] * STANDING[None]
    points[::2, 9, 0] += 0.3 * size[::2]
    points[1::2, 9, 0] -= 0.3 * size[1::2]
    points[5, 10, 1] -= 1.2 * size[5]  # far off a wrist flies away, by more than the body's height
    times = np.arange(40) / 5
    boxes = size.copy()
    boxes[20] *= 3  # a single box may be wrong
    spikes = find_spikes(points, np.full((40, 17), 0.9), times, boxes, "coco17")
    assert np.argwhere(spikes).tolist() == [[5, 10]]


def test_confused_sides_are_exchanged_and_steps_are_not():
    looks = looks_of([[]] * 6)
    poses = np.stack([standing(300 + 60 * i) for i in range(6)])
    for i in (1, 3, 5):  # legs change places at every step
        poses[i, [13, 14, 15, 16]] = poses[i, [14, 13, 16, 15]]
    confidence = np.tile(np.linspace(0.5, 0.9, 17, dtype=np.float32), (6, 1))
    confused, unsure = poses.copy(), confidence.copy()
    for i in (2, 5):
        confused[i], unsure[i] = poses[i][COCO17.flip], confidence[i][COCO17.flip]
    swaps = find_swaps(confused, unsure, np.arange(6) / 5, np.full(6, 170.0), "coco17")
    assert swaps.tolist() == [False, False, True, False, False, False]  # not at the last look
    track = track_at(range(5), confused[:5], unsure[:5])
    cleaned = clean(track, looks, "coco17")
    np.testing.assert_allclose(cleaned.keypoints, poses[:5], rtol=1e-6)
    np.testing.assert_array_equal(cleaned.confidence, confidence[:5])
    assert track.keypoints.dtype == cleaned.keypoints.dtype == np.float32
    # An ear that is never seen says nothing about the others.
    half = unsure.copy()
    half[:, 4] = 0
    swaps = find_swaps(confused, half, np.arange(6) / 5, np.full(6, 170.0), "coco17")
    assert swaps.tolist() == [False, False, True, False, False, False]
    # Sides 43 pixels apart (root mean square over shoulders, hips, eyes and ears) are seen from the
    # side, and no evidence, in somebody of more than 43 / 0.08 = 537 pixels.
    for size, count in ((530.0, 1), (545.0, 0)):
        swaps = find_swaps(confused, unsure, np.arange(6) / 5, np.full(6, size), "coco17")
        assert swaps.sum() == count
    # Somebody who turns round stays turned.
    turned = poses.copy()
    turned[3:] = poses[3:, COCO17.flip]
    assert not find_swaps(turned, confidence, np.arange(6) / 5, np.full(6, 170.0), "coco17").any()


@pytest.mark.parametrize("confused", [[2], [2, 4], [1, 3, 5], [2, 5], [1, 3, 6]])
def test_right_looks_between_confused_ones_are_left_alone(confused):
    poses = np.stack([standing(300)] * 8)
    poses[confused] = poses[confused][:, COCO17.flip]
    swaps = find_swaps(poses, np.full((8, 17), 0.9), np.arange(8) / 5, np.full(8, 170.0), "coco17")
    assert np.flatnonzero(swaps).tolist() == confused


def test_cleaning_leaves_missing_joints_and_short_tracks_alone():
    confidence = np.full((3, 17), 0.9, np.float32)
    confidence[1, 9] = 0
    confidence[:, 4] = 0.01
    poses = np.stack([standing(300)] * 3)
    poses[1, 9] = np.nan
    cleaned = clean(track_at(range(3), poses, confidence), looks_of([[]] * 3), "coco17")
    expected = confidence.copy()
    expected[:, 4] = 0
    np.testing.assert_array_equal(cleaned.confidence, expected)
    short = track_at(range(2))
    np.testing.assert_array_equal(
        clean(short, looks_of([[]] * 2), "coco17").confidence, short.confidence
    )


def test_generalised_iou_by_hand():
    a = np.array([[0, 0, 2, 2.0]])
    b = np.array([[0, 0, 2, 2.0], [1, 0, 3, 2], [4, 0, 6, 2]])
    # Same; half over (2 of 6, hull 6); apart by 2 (union 8, hull 12).
    np.testing.assert_allclose(generalised_iou(a, b), [[1, 1 / 3, -4 / 12]])


def test_common_share_by_hand():
    a = np.array([[0, 0, 2, 2.0], [0, 0, 10, 10]])
    b = np.array([[1, 0, 3, 2.0], [4, 0, 6, 2], [0, 0, 0, 0]])
    np.testing.assert_allclose(common_share(a, b), [[0.5, 0, 0], [1, 1, 0]])


def test_oks_by_hand():
    offsets = np.array([[0, 0], [0.1, 0], [np.nan, np.nan]])
    value = oks(offsets, np.array([1, 1, 0]), np.array([0.1, 0.1, 0.1]))
    assert value == pytest.approx((1 + np.exp(-0.5)) / 2)
    assert oks(offsets, np.zeros(3), np.full(3, 0.1)) == 0
    assert sigmas("coco17")[COCO17.index("left_hip")] == 0.107
    assert sigmas("h36m17").shape == (17,)


def test_assignment_is_global_and_limited():
    # Greedy would take (0, 0) at 1 and be left with 10; the best sum is 2 + 2.
    assert assign(np.array([[1.0, 2], [2, 10]]), 5) == [(0, 1), (1, 0)]
    assert assign(np.array([[1.0, 7], [7, 7]]), 5) == [(0, 0)]
    assert assign(np.zeros((0, 3)), 5) == assign(np.zeros((3, 0)), 5) == []


def test_identity_scores_by_hand():
    assert count_switches([1, 1, -1, 1, 2, 2, 1]) == 2
    # Person 0 is called 5, 5, 6; person 1 is called 6, missed; one false sighting is called 7.
    count = score_identities([0, 1, 0, 1, 0, -1], [5, 6, 5, -1, 6, 7])
    assert (count.true, count.truth, count.named, count.switches) == (3, 5, 5, 1)
    assert count.idf1 == pytest.approx(0.6)
    assert (count.names, count.people) == (3, 2)
    assert (count + count).truth == 10
    assert score_identities([], []).idf1 == 0
