import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.motion import Motion
from vid3d.stature import stature
from vid3d.tracking import Track, continuation, continuations, joined
from vid3d.tracking.association import assign
from vid3d.tracking.continuation import End, Tracklet, _cost, _tracklet, step_cost

FPS = 25

# h36m17, metres from the pelvis, standing, y down: stature 1.73 / (1 - 0.039).
BODY = np.array(
    [
        (0, 0, 0), (-0.13, 0, 0), (-0.13, 0.43, 0), (-0.13, 0.86, 0), (0.13, 0, 0), (0.13, 0.43, 0),
        (0.13, 0.86, 0), (0, -0.24, 0), (0, -0.48, 0), (0, -0.68, 0), (0, -0.87, 0),
        (0.17, -0.45, 0), (0.2, -0.17, 0), (0.2, 0.08, 0), (-0.17, -0.45, 0), (-0.2, -0.17, 0),
        (-0.2, 0.08, 0),
    ]
)  # fmt: skip


def motion_of(paths, scales=None, root_spread=0.0):
    """People by {frame: root (3,)}; each has its own scale of the body."""
    frames = 1 + max(max(path) for path in paths)
    joints = np.full((len(paths), frames, 17, 3), np.nan, np.float32)
    for person, path in enumerate(paths):
        scale = 1.0 if scales is None else scales[person]
        for frame, root in path.items():
            joints[person, frame] = np.asarray(root) + scale * BODY
    present = np.isfinite(joints[:, :, 0, 0])
    return Motion(
        joints3d=joints,
        present=present,
        spread=np.full(joints.shape[:3], np.nan),
        root_spread=np.where(present, root_spread, np.nan),
        contacts=np.full((*present.shape, 2), np.nan),
        keyframes=np.arange(0),
        keypoints2d=np.zeros((len(paths), 0, 17, 3)),
        track_ids=np.arange(1, len(paths) + 1),
        timestamps=np.arange(frames) / FPS,
        intrinsics=np.eye(3),
        frame_size=(1280, 720),
    )


def walk(start, stop, x, speed=0.0, z=5.0):
    """Frames start..stop-1 along x at `speed` metres a second, at x when the clip begins."""
    return {f: (x + speed * f / FPS, 0, z) for f in range(start, stop)}


def test_ends_by_hand():
    motion = motion_of([walk(10, 40, 0, speed=1.5)], root_spread=0.2)
    last = _tracklet(motion, 0).last
    assert last.time == pytest.approx(39 / FPS)
    assert last.place == pytest.approx([1.5 * 39 / FPS, 0, 5], abs=1e-6)
    assert last.velocity == pytest.approx([1.5, 0, 0], abs=1e-4)
    assert last.spread == pytest.approx(0.2)
    assert _tracklet(motion, 0).first.time == pytest.approx(10 / FPS)
    # What was before the last half second is over: who stood for a second and walks for one.
    stood = walk(0, 25, 0) | {f: (1.5 * (f - 25) / FPS, 0, 5) for f in range(25, 50)}
    ends = _tracklet(motion_of([stood]), 0)
    assert ends.first.velocity == pytest.approx([0, 0, 0], abs=1e-4)
    assert ends.last.velocity == pytest.approx([1.5, 0, 0], abs=1e-4)


def test_statures_that_differ_cost_by_hand():
    # Two statures lifted with deviations of 8 % each: a ratio of 16 % is one half of (0.16^2 / 2 /
    # 0.08^2), whoever of the two is the taller.
    here, there = (
        End(0.0, np.array([0.0, 0, 5]), np.zeros(3), 0.3),
        End(1.0, np.array([0.0, 0, 5]), np.zeros(3), 0.3),
    )
    for ratio in (np.exp(0.16), np.exp(-0.16)):
        one, other = Tracklet(here, here, 1.7), Tracklet(there, there, 1.7 * ratio)
        assert _cost(one, other) == pytest.approx(step_cost(here, there) + 1)


def test_cost_of_a_step_by_hand():
    # Both stand still, 1 s apart; errors at 5 m: 0.65 for wandering, 0.25 for place at each end.
    here = End(0.0, np.array([0.0, 0, 4.5]), np.zeros(3), 0.3)
    behind = End(1.0, np.array([0.0, 0, 5.5]), np.zeros(3), 0.4)
    across = 0.65**2 + 2 * 0.25**2
    along = across + 0.3**2 + 0.4**2
    volume = (2 * np.log(across / 0.25) + np.log(along / 0.25)) / 2
    assert step_cost(here, behind) == pytest.approx(1 / (2 * along) + volume)
    # Across the ray, which goes through the middle, the same metre is less likely.
    here = End(0.0, np.array([-0.5, 0, 5]), np.zeros(3), 0.3)
    beside = End(1.0, np.array([0.5, 0, 5]), np.zeros(3), 0.4)
    assert step_cost(here, beside) == pytest.approx(1 / (2 * across) + volume)
    # A walker is expected to go on: 1.2 m/s for 1 s, fading, is 0.76 m.
    walker = End(0.0, np.array([0.0, 0, 5]), np.array([1.2, 0, 0]), 0.3)
    onward = End(1.0, np.array([1.2 * (1 - np.exp(-1)), 0, 5]), np.array([1.2, 0, 0]), 0.4)
    assert step_cost(walker, onward) == pytest.approx(volume, abs=1e-2)


def test_stature_of_the_body():
    assert stature(BODY[None]) == pytest.approx(1.73 / 0.961)


def test_walker_who_was_lost_goes_on():
    motion = motion_of([walk(0, 30, 0, 1.3), walk(60, 90, 0, 1.3)])
    assert continuations(motion) == [(0, 1)]
    # Away in the other direction at once, 4 s later, or another body: somebody else.
    assert continuations(motion_of([walk(0, 30, 0, 1.3), walk(60, 90, -6.2, 1.3)])) == []
    assert continuations(motion_of([walk(0, 30, 0, 1.3), walk(130, 160, 0, 1.3)])) == []
    assert continuations(motion_of([walk(0, 30, 0, 1.3), walk(60, 90, 0, 1.3)], [1, 0.7])) == []


def test_two_who_cross_are_told_apart_by_depth():
    # Same place in the image when they meet at x = 0, 1.8 m apart in depth; both break there.
    near = [walk(0, 45, -2, 1.0, z=4.0), walk(60, 100, -2, 1.0, z=4.0)]
    far = [walk(0, 45, 2.9, -1.45, z=5.8), walk(60, 100, 2.9, -1.45, z=5.8)]
    motion = motion_of([near[0], far[0], near[1], far[1]])
    assert continuations(motion) == [(0, 2), (1, 3)]


def test_two_rivals_are_left_alone():
    # Two beginnings, equally good: nobody can say.
    twins = [walk(0, 30, 0), walk(45, 80, -0.3), walk(45, 80, 0.3)]
    assert continuations(motion_of(twins)) == []


def test_overlap_is_no_continuation_and_chains_are_joined():
    assert continuations(motion_of([walk(0, 30, 0), walk(20, 60, 0)])) == []
    motion = motion_of([walk(0, 30, 0), walk(80, 99, 0), walk(40, 70, 0)])
    assert continuations(motion) == [(0, 2), (2, 1)]
    assert continuations(motion_of([walk(0, 5, 0)])) == []


def test_a_busy_street_is_joined_group_by_group(monkeypatch):
    """Somebody new every second, 4 m from the last; every tenth is lost and found again."""
    shapes = []
    monkeypatch.setattr(
        continuation,
        "assign",
        lambda costs, limit: shapes.append(costs.shape) or assign(costs, limit),
    )
    tracklets = []
    for second in range(30):
        spot = (second - 3 if second % 10 == 3 else second) % 9
        place = np.array([4.0 * spot, 0, 5])
        ends = [End(second + wait, place, np.zeros(3), 0.1) for wait in (0.0, 2.0)]
        tracklets.append(Tracklet(*ends, 1.7))
    assert continuation.continued(tracklets) == [(0, 3), (10, 13), (20, 23)]
    assert shapes == [(1, 1)] * 3  # nobody else could be meant


def track(number, looks):
    count = len(looks)
    points = np.full((count, 17, 2), number, np.float32)
    ones = np.ones((count, 17))
    return Track(number, np.array(looks), 2 * ones[:, 0], np.zeros((count, 4)), points, ones)


def test_joined_tracks_keep_the_first_id():
    tracks = [track(1, [0, 1]), track(2, [0, 1, 2]), track(3, [4, 5]), track(7, [8])]
    whole = joined(tracks, [(0, 2), (2, 3)])
    assert [t.id for t in whole] == [1, 2]
    assert whole[0].looks.tolist() == [0, 1, 4, 5, 8]
    assert whole[0].keypoints[:, 0, 0].tolist() == [1, 1, 3, 3, 7]
    assert whole[0].boxes.shape == (5, 4)
    assert whole[0].confidence.shape == (5, 17)
    assert whole[0].weights.tolist() == [2] * 5
    assert [t.looks.tolist() for t in joined(tracks, [])] == [t.looks.tolist() for t in tracks]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_people_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    paths = []
    for _ in range(5):
        start = int(rng.integers(0, 80))
        x, speed, z = rng.uniform(-3, 3), rng.uniform(-1.5, 1.5), rng.uniform(3, 8)
        paths.append(walk(start, start + int(rng.integers(3, 30)), x, speed, z))
    order = rng.permutation(5)
    pairs = continuations(motion_of(paths))
    shuffled = continuations(motion_of([paths[i] for i in order]))
    assert sorted((int(order[a]), int(order[b])) for a, b in shuffled) == pairs
    assert all(max(paths[a]) < min(paths[b]) for a, b in pairs)
