import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.evaluation.matching import match_people
from vid3d.evaluation.result import SCORED, evaluate_result
from vid3d.motion import Motion

FPS, FRAMES = 50.0, 20
CAMERA = Camera.from_fov(55, (1280, 720))

# A standing adult in the camera frame (y down), pelvis at the origin, h36m17 order.
BODY = np.array(
    [
        (0, 0, 0), (-0.1, 0, 0), (-0.1, 0.45, 0), (-0.1, 0.87, 0), (0.1, 0, 0), (0.1, 0.45, 0),
        (0.1, 0.87, 0), (0, -0.25, 0), (0, -0.5, 0), (0, -0.6, -0.1), (0, -0.75, 0),
        (0.18, -0.45, 0), (0.2, -0.17, 0), (0.2, 0.08, 0), (-0.18, -0.45, 0), (-0.2, -0.17, 0),
        (-0.2, 0.08, 0),
    ]
)  # fmt: skip


def walker(start, velocity=0.0, depth=5.0, frames=FRAMES):
    """(F, 17, 3) joints of a body moving sideways, in metres a second."""
    place = np.zeros((frames, 1, 3))
    place[:, 0, 0] = start + velocity * np.arange(frames) / FPS
    place[..., 2] = depth
    return BODY + place


def truth_of(joints, name="a", confidence=None, camera=CAMERA, fps=FPS):
    return PairSequence(
        name=name,
        keypoints2d=camera.project(joints).astype(np.float32),
        confidence=np.ones(joints.shape[:2], np.float32) if confidence is None else confidence,
        joint_set="h36m17",
        joints3d=joints.astype(np.float32),
        camera=camera,
        fps=fps,
    )


def motion_of(joints, ids=None, looks=(0, 10, 19), timestamps=None):
    """A Motion of people (P, F, 17, 3), NaN where absent."""
    joints = np.asarray(joints, np.float32)
    count, frames = joints.shape[:2]
    present = np.isfinite(joints).all((-1, -2))
    return Motion(
        joints3d=np.where(present[..., None, None], joints, np.nan),
        present=present,
        spread=np.full((count, frames, 17), np.nan),
        root_spread=np.full((count, frames), np.nan),
        contacts=np.full((count, frames, 2), np.nan),
        keyframes=np.array(looks),
        keypoints2d=np.full((count, len(looks), 17, 3), np.nan),
        track_ids=np.arange(1, count + 1) if ids is None else np.array(ids),
        timestamps=np.arange(frames) / FPS if timestamps is None else timestamps,
        intrinsics=CAMERA.intrinsics,
        frame_size=np.array(CAMERA.frame_size),
    )


def test_the_truth_itself_has_no_error():
    a, b = walker(-1), walker(1)
    report = evaluate_result(motion_of([b, a], ids=[7, 3]), [truth_of(a), truth_of(b, "b")])
    assert [p.tracks for p in report.people] == [[3], [7]]
    assert report.found_share == 1
    assert report.switches == 0
    assert report.unmatched_tracks == []
    assert report.overall.frames == 2 * FRAMES
    for value in (report.overall.mpjpe, report.overall.p_mpjpe, report.overall.mrpe):
        assert value == pytest.approx(0, abs=1e-3)


def test_a_truth_without_joints_that_are_not_scored_counts():
    truth = truth_of(walker(0))
    truth.joints3d[:, [9, 10]] = np.nan  # nose and head
    report = evaluate_result(motion_of([walker(0) + (0.03, 0, 0.04)]), [truth])
    assert report.people[0].visible == report.overall.frames == FRAMES
    assert report.overall.mrpe == pytest.approx(50, abs=1e-3)


def test_errors_by_hand():
    truth = walker(0)
    result = truth + (0.03, 0, 0.04)  # the root is off by 50 mm, the pose by nothing
    result[:, 16, 0] += 0.15  # right wrist: 150 mm over 15 joints
    result[:, 10] += 0.5  # the head is not scored
    result[10] = truth[10]  # one of the three looks is exact
    report = evaluate_result(motion_of([result]), [truth_of(truth)])
    assert report.at_looks.mpjpe == pytest.approx(10 * 2 / 3, abs=1e-3)
    assert report.at_looks.mrpe == pytest.approx(50 * 2 / 3, abs=1e-3)
    assert report.between_looks.mpjpe == pytest.approx(10, abs=1e-3)
    assert report.between_looks.frames == FRAMES - 3
    assert report.overall.mpjpe == pytest.approx(9.5, abs=1e-3)


def test_p_mpjpe_ignores_rotation_and_scale():
    truth = walker(0)
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0.0]])
    result = 0.98 * (BODY @ turn.T) + truth[:, :1]
    report = evaluate_result(motion_of([result]), [truth_of(truth)])
    assert report.overall.p_mpjpe == pytest.approx(0, abs=1e-2)
    assert report.overall.mpjpe > 50


def test_p_mpjpe_is_the_mean_distance_after_the_best_alignment():
    rng = np.random.default_rng(0)
    truth = walker(0)
    result = truth + rng.normal(0, 0.05, truth.shape)
    pose, true = (one[:, SCORED] - one[:, SCORED].mean(1, keepdims=True) for one in (result, truth))
    distances = []
    for p, t in zip(pose, true, strict=True):
        rotation, scale = orthogonal_procrustes(p, t)
        distances.append(np.linalg.norm(scale / (p**2).sum() * p @ rotation - t, axis=1).mean())
    report = evaluate_result(motion_of([result]), [truth_of(truth)])
    assert report.overall.p_mpjpe == pytest.approx(1000 * np.mean(distances), abs=1e-2)


def test_nobody_is_ever_visible():
    report = evaluate_result(
        motion_of([walker(0)]), [truth_of(walker(0), confidence=np.zeros((FRAMES, 17), np.float32))]
    )
    assert report.found_share is None
    assert report.text().splitlines()[1].split() == ["a", "0", "-", "0", "-", "-", "-", "-"]


def test_somebody_who_was_not_found():
    a, b = walker(-1), walker(1)
    report = evaluate_result(motion_of([a]), [truth_of(a), truth_of(b, "b")])
    lost = report.people[1]
    assert (lost.visible, lost.found, lost.tracks) == (FRAMES, 0, [])
    assert lost.errors.mpjpe is None
    assert report.found_share == 0.5
    # Nobody found at all.
    nobody = evaluate_result(motion_of(np.zeros((0, FRAMES, 17, 3))), [truth_of(a)])
    assert nobody.found_share == 0
    assert nobody.overall.mpjpe is None
    assert "0.0 %" in nobody.text()


def test_a_person_of_nobody_is_named():
    a, ghost = walker(-1), walker(2)
    report = evaluate_result(motion_of([a, ghost], ids=[4, 9]), [truth_of(a)])
    assert report.unmatched_tracks == [9]
    assert "tracks of nobody: 9" in report.text()


def test_a_swap_is_one_switch_for_each():
    a, b = walker(-1), walker(1)
    first, second = a.copy(), b.copy()
    first[10:], second[10:] = b[10:], a[10:]
    report = evaluate_result(motion_of([first, second]), [truth_of(a), truth_of(b, "b")])
    assert [p.switches for p in report.people] == [1, 1]
    assert [p.tracks for p in report.people] == [[1, 2], [2, 1]]
    assert report.switches == 2
    assert report.found_share == 1


def test_a_broken_track_is_a_switch_and_a_gap_is_none():
    a = walker(0)
    broken = np.stack([a, a])
    broken[0, 8:], broken[1, :12] = np.nan, np.nan
    report = evaluate_result(motion_of(broken), [truth_of(a)])
    assert report.switches == 1
    assert report.people[0].found == 16
    gap = a.copy()
    gap[8:12] = np.nan
    report = evaluate_result(motion_of([gap]), [truth_of(a)])
    assert report.switches == 0
    assert report.found_share == 0.8


def test_crossing_people_keep_their_matches():
    # They pass through each other's place in the image; who is who stays clear from the tracks.
    a, b = walker(-0.2, 1.0), walker(0.2, -1.0, depth=5.3)
    report = evaluate_result(motion_of([a, b]), [truth_of(a), truth_of(b, "b")])
    assert report.switches == 0
    assert report.found_share == 1


def test_too_far_away_is_not_found():
    a = walker(0)
    aside = a + (1.0, 0, 0)
    report = evaluate_result(motion_of([aside]), [truth_of(a)])
    assert report.found_share == 0
    assert report.unmatched_tracks == [1]


def test_invisible_frames_do_not_count():
    a = walker(0)
    confidence = np.ones((FRAMES, 17), np.float32)
    confidence[:5, :9] = 0  # 8 of 17 joints are left: not visible
    confidence[5, :8] = 0  # 9 are
    absent = a.copy()
    absent[-2:] = np.nan  # the truth does not know where the person is
    report = evaluate_result(motion_of([a]), [truth_of(absent, confidence=confidence)])
    assert report.people[0].visible == FRAMES - 7
    assert report.people[0].found == FRAMES - 7


def test_truth_is_resampled_to_the_result():
    fine = walker(-0.5, 1.0, frames=2 * FRAMES)
    offset = 0.25 / FPS  # between the truth's frames
    times = offset + 2 * np.arange(FRAMES - 1) / FPS
    joints = walker(-0.5 + offset, 2.0, frames=FRAMES - 1)
    report = evaluate_result(motion_of([joints], looks=(0, 18), timestamps=times), [truth_of(fine)])
    assert report.overall.mrpe == pytest.approx(0, abs=1e-2)
    # A result that goes on after the end of the truth is not judged there.
    short = truth_of(walker(0, frames=5))
    assert evaluate_result(motion_of([walker(0)]), [short]).people[0].visible == 5


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(3)), st.permutations(range(3)))
def test_order_of_people_does_not_matter(order, truth_order):
    bodies = [walker(-1.2, 0.5), walker(0, depth=6), walker(1.2, -0.5, depth=4)]
    truth = [truth_of(bodies[i], str(i)) for i in truth_order]
    motion = motion_of([bodies[i] + 0.01 for i in order], ids=[i + 1 for i in order])
    report = evaluate_result(motion, truth)
    assert [p.tracks for p in report.people] == [[i + 1] for i in truth_order]
    assert report.overall.mrpe == pytest.approx(10 * np.sqrt(3), abs=1e-2)


def test_matching_prefers_the_nearest_and_holds_it():
    square = np.array([(0, 0), (10, 0), (10, 10), (0, 10.0)])
    truth = np.stack([square[None].repeat(3, 0)])
    found = np.stack([truth[0] + (1, 0), truth[0] + (2, 0)])
    found[0, 1] += (3, 0)  # now the farther one, but still within half the size of 10
    found[0, 2] += (5, 0)  # now outside: the other takes over
    visible = np.ones((1, 3), bool)
    assert match_people(truth, visible, found).tolist() == [[0, 0, 1]]


def test_a_track_that_was_taken_over_is_not_claimed_back():
    square = np.array([(0, 0), (10, 0), (10, 10), (0, 10.0)])
    truth = np.stack([square[None].repeat(3, 0), square[None].repeat(3, 0) + 1])
    visible = np.array([[True, False, True], [False, True, True]])
    assert match_people(truth, visible, truth[:1]).tolist() == [[0, -1, -1], [-1, 0, 0]]


def test_matching_many_tracks_takes_little_memory():
    truth = CAMERA.project(np.stack([walker(-1.0, frames=500), walker(1.0, frames=500)]))
    found = np.full((40, *truth.shape[1:]), np.nan)
    found[3], found[30] = truth[1], truth[0]
    tracemalloc.start()
    matched = match_people(truth, np.ones(truth.shape[:2], bool), found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (matched == [[30], [3]]).all()
    assert peak < found.nbytes / 2


def test_report_as_json_and_text():
    a = walker(0)
    report = evaluate_result(motion_of([a + 0.01]), [truth_of(a, "walker")])
    data = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert data["people"][0]["name"] == "walker"
    assert data["people"][0]["found_share"] == 1
    assert data["overall"]["mrpe"] == pytest.approx(17.32, abs=0.01)
    assert data["joints"] == SCORED == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16]
    lines = report.text().splitlines()
    assert lines[0].split() == ["frames", "found", "switches", "MPJPE", "P-MPJPE", "MRPE", "tracks"]
    figures = ["20", "100.0", "%", "0", "0.0", "0.0", "17.3"]
    assert lines[1].split() == ["walker", *figures, "1"]
    assert lines[2].split() == ["all", *figures]
    assert len({len(line) for line in lines[:2]}) == 1


def test_unfit_truth():
    motion = motion_of([walker(0)])
    flat = truth_of(walker(0))
    object.__setattr__(flat, "joints3d", None)
    with pytest.raises(Vid3dError, match="no 3D joints"):
        evaluate_result(motion, [flat])
    with pytest.raises(Vid3dError, match="no people"):
        evaluate_result(motion, [])
    small = truth_of(walker(0), camera=Camera.from_fov(55, (640, 360)))
    with pytest.raises(Vid3dError, match=r"1280 x 720 .* 640 x 360"):
        evaluate_result(motion, [small])


def test_people_whom_a_lens_shows_in_part_are_found():
    """Rays of more than 1 / sqrt(3.6), a slope of 0.53, do not reach the picture of this lens."""
    dist = (-1.2, 0.0, 0.0, 0.0)
    camera = Camera(CAMERA.intrinsics, CAMERA.frame_size, dist)
    joints = walker(2.5)
    assert 9 <= np.isfinite(camera.project(joints[0])).all(-1).sum() < 17
    motion = replace(motion_of([joints]), meta={"fps": FPS, "dist": list(dist)})
    (person,) = evaluate_result(motion, [truth_of(joints, camera=camera)]).people
    assert (person.visible, person.found) == (FRAMES, FRAMES)
