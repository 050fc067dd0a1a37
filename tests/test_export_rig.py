import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vid3d.export.closed_form import clamped, closed_form
from vid3d.export.figure import capsule, figure
from vid3d.export.inverse_kinematics import MARGIN, WINDOW, Poses, distances, solve
from vid3d.export.rig import JOINTS, NAMES, fit_rig, height, rig_of
from vid3d.export.rotations import (
    euler_zxy,
    exponential,
    frame,
    from_swing_twist,
    logarithm,
    shortest,
    swing_twist,
    unit,
)
from vid3d.export.take import _bridge
from vid3d.skeleton import H36M17

LENGTHS = {"left_hip": 0.1, "left_knee": 0.42, "left_ankle": 0.42, "spine": 0.24, "thorax": 0.25,
           "nose": 0.12, "head": 0.12, "left_shoulder": 0.16, "left_elbow": 0.28,
           "left_wrist": 0.25}  # fmt: skip
RIG = rig_of({**LENGTHS, **{k.replace("left", "right"): v for k, v in LENGTHS.items()}})
vectors = st.tuples(*[st.floats(-3, 3)] * 3).map(np.array)
directions = st.tuples(st.floats(-np.pi, np.pi), st.floats(-1, 1)).map(
    lambda s: np.array([*(np.sqrt(1 - s[1] ** 2) * np.array([np.cos(s[0]), np.sin(s[0])])), s[1]])
)
quick = settings(max_examples=40, deadline=None)


def still(frames=1):
    return np.tile(np.eye(3), (frames, len(JOINTS), 1, 1))


def pose(**degrees):
    """One T-pose with some joints turned: name=(x, y, z) as a rotation vector in degrees."""
    rotations = still()
    for name, vector in degrees.items():
        rotations[0, NAMES.index(name)] = exponential(np.radians(vector))
    return rotations


def walk(frames=50, rate=30.0):
    """Joints (F, 17, 3) of a made-up gait within all limits."""
    time = np.arange(frames) / rate
    rotations = still(frames)
    for side, sign in (("Left", 1), ("Right", -1)):
        phase = sign * np.sin(2 * np.pi * time)
        turns = {
            "UpLeg": [-0.4 * phase, 0 * phase, 0 * phase],
            "Leg": [0.5 + 0.4 * phase, 0 * phase, 0 * phase],
            "Arm": [0 * phase, 0.3 * phase, -sign * (1.2 + 0 * phase)],
            "ForeArm": [0 * phase, -sign * (0.6 + 0.3 * phase), 0 * phase],
        }
        for name, parts in turns.items():
            rotations[:, NAMES.index(side + name)] = exponential(np.stack(parts, -1))
    rotations[:, 0] = exponential(np.outer(time, [0, 2.0, 0]))
    root = np.outer(time, [0.5, 0, 1.0]) + [0, 0.9, 0]
    return RIG.h36m(rotations, root), rotations


@quick
@given(directions, directions)
def test_shortest_rotation(start, to):
    turn = shortest(start, to)
    np.testing.assert_allclose(turn @ start, to, atol=1e-7)
    assert np.linalg.norm(logarithm(turn)) == pytest.approx(
        np.arctan2(np.linalg.norm(np.cross(start, to)), start @ to), abs=1e-6
    )


def test_shortest_of_opposites():
    np.testing.assert_allclose(shortest([0, 1, 0], [0, -1, 0]) @ [0, 1, 0], [0, -1, 0], atol=1e-9)


@quick
@given(vectors, directions)
def test_swing_and_twist_compose(rotvec, axis):
    turn = exponential(rotvec)[None]
    swing, twist = swing_twist(turn, axis)
    np.testing.assert_allclose(from_swing_twist(swing, twist, axis), turn, atol=1e-6)
    assert abs(swing[0] @ axis) < 1e-6  # a swing is across its bone
    assert abs(twist[0]) <= np.pi + 1e-9


def test_hand_worked_swing_twist_and_euler():
    turn = exponential([0, 0, np.pi / 2]) @ exponential([np.radians(30), 0, 0])
    swing, twist = swing_twist(turn[None], [1, 0, 0])
    np.testing.assert_allclose(swing[0], [0, 0, np.pi / 2], atol=1e-9)
    assert np.degrees(twist[0]) == pytest.approx(30)
    np.testing.assert_allclose(euler_zxy(turn[None]), [[90, 30, 0]], atol=1e-9)


def test_euler_angles_do_not_jump():
    turns = exponential(np.outer(np.linspace(0, 4 * np.pi, 60), [0, 1, 0]))
    assert np.abs(np.diff(euler_zxy(turns), axis=0)).max() < 15


@pytest.mark.parametrize("first", [0, 100, -250])
@pytest.mark.parametrize("aside", [0.0, 4.0])
def test_euler_angles_pass_the_gimbal_lock(first, aside):
    bent = first + np.arange(0, 400, 10.0)  # as a knee does, and as one who turns a somersault
    angles = np.stack([np.full(40, aside), bent, np.full(40, -aside)], -1)
    turns = Rotation.from_euler("ZXY", angles, degrees=True)
    found = euler_zxy(turns.as_matrix())
    again = Rotation.from_euler("ZXY", found, degrees=True)
    np.testing.assert_allclose(again.as_matrix(), turns.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(np.diff(found, axis=0), np.diff(angles, axis=0), atol=1e-6)


@quick
@given(vectors, vectors)
@example(np.array([-1e-9, 0, 0]), np.array([0, 0, 1.0]))
@example(np.array([1.0, 0, 0]), np.array([0, -1e-9, 0]))
@example(np.zeros(3), np.zeros(3))
def test_frames_are_rotations_whatever_they_are_made_of(x, y):
    turn = frame(x, y)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) == pytest.approx(1, abs=1e-6)


def test_rest_pose_stands_upright_arms_out():
    joints = dict(zip(H36M17.joints, RIG.h36m(still(), np.zeros((1, 3)))[0], strict=True))
    np.testing.assert_allclose(joints["left_ankle"], [0.1, -0.84, 0], atol=1e-9)
    np.testing.assert_allclose(joints["right_wrist"], [-0.69, 0.49, 0], atol=1e-9)
    np.testing.assert_allclose(joints["head"], [0, 0.73, 0], atol=1e-9)
    np.testing.assert_allclose(joints["spine"], [0, 0.24, 0], atol=1e-9)
    assert height(RIG) == pytest.approx(1.57 / (1 - 0.039))


def test_elbows_and_knees_bend_the_right_way():
    bent = {"LeftForeArm": (0, -90, 0), "RightForeArm": (0, 90, 0),
            "LeftLeg": (90, 0, 0), "RightLeg": (90, 0, 0)}  # fmt: skip
    rotations = pose(**bent)
    np.testing.assert_allclose(clamped(rotations), rotations)  # all of it is allowed
    joints = dict(zip(H36M17.joints, RIG.h36m(rotations, np.zeros((1, 3)))[0], strict=True))
    for side in ("left", "right"):
        forearm = joints[f"{side}_wrist"] - joints[f"{side}_elbow"]
        shin = joints[f"{side}_ankle"] - joints[f"{side}_knee"]
        np.testing.assert_allclose(forearm, [0, 0, 0.25], atol=1e-9)  # forward
        np.testing.assert_allclose(shin, [0, 0, -0.42], atol=1e-9)  # backward
    wrong = clamped(pose(LeftLeg=(-30, 0, 0), RightForeArm=(0, -20, 0)))
    np.testing.assert_allclose(wrong, still(), atol=1e-9)


def test_bone_lengths_are_medians_of_both_sides():
    joints, _ = walk()
    joints[0] *= 5  # one broken frame
    weights = np.ones(joints.shape[:2])
    np.testing.assert_allclose(fit_rig(joints, weights).offsets, RIG.offsets, atol=1e-9)


def test_twist_rule():
    """The chest turned by 40 degrees: half of it is the spine's; a bent elbow shows the arm's."""
    rotations = pose(Spine=(0, 20, 0), Spine1=(0, 20, 0), LeftArm=(50, 0, 0),
                     LeftForeArm=(0, -90, 0))  # fmt: skip
    found, root = closed_form(RIG.h36m(rotations, np.ones((1, 3))))
    np.testing.assert_allclose(root, np.ones((1, 3)))
    for name in ("Hips", "Spine", "Spine1", "LeftShoulder"):
        joint = NAMES.index(name)
        np.testing.assert_allclose(found[0, joint], rotations[0, joint], atol=1e-6)
    _, twist = swing_twist(found[:, NAMES.index("LeftArm")], [1, 0, 0])
    assert np.degrees(twist[0]) == pytest.approx(50, abs=15)  # rest counts a little as well


def test_a_possible_motion_is_found_again():
    joints, rotations = walk()
    poses = solve(RIG, joints, np.full(joints.shape[:2], 0.03), 30.0)
    assert 1000 * distances(RIG, poses, joints).max() < 8
    assert 1000 * distances(RIG, poses, joints).mean() < 2
    knee = NAMES.index("LeftLeg")
    off = logarithm(np.swapaxes(poses.rotations[:, knee], 1, 2) @ rotations[:, knee])
    assert np.degrees(np.abs(off)).max() < 3


def test_sure_joints_are_kept_and_unsure_ones_follow():
    joints, _ = walk()
    broken, spread = joints.copy(), np.full(joints.shape[:2], 0.02)
    wrist, elbow = H36M17.index("left_wrist"), H36M17.index("left_elbow")
    broken[20, wrist] = 2 * broken[20, elbow] - broken[20, wrist]  # folded back for one frame
    spread[20, wrist] = 2.0
    poses = solve(RIG, broken, spread, 30.0)
    away = np.linalg.norm(RIG.h36m(poses.rotations, poses.root) - joints, axis=-1)
    assert away[20, wrist] < 0.05
    assert away[:, elbow].max() < 0.02


def test_limits_hold_whatever_comes_in():
    rng = np.random.default_rng(0)
    joints, _ = walk(12)
    joints += rng.normal(0, 0.15, joints.shape)
    poses = solve(fit_rig(joints), joints, np.full(joints.shape[:2], np.nan), 30.0)
    np.testing.assert_allclose(clamped(poses.rotations), poses.rotations, atol=1e-6)
    assert np.isfinite(poses.root).all()


def test_windows_meet_without_a_seam(monkeypatch):
    import vid3d.export.inverse_kinematics as solver

    joints, _ = walk(60)
    spread = np.full(joints.shape[:2], 0.03)
    whole = solve(RIG, joints, spread, 30.0)
    assert WINDOW > 60 > MARGIN / 2
    monkeypatch.setattr(solver, "WINDOW", 25)
    monkeypatch.setattr(solver, "MARGIN", 15)
    parts = solve(RIG, joints, spread, 30.0)
    apart = RIG.h36m(whole.rotations, whole.root) - RIG.h36m(parts.rotations, parts.root)
    assert np.abs(apart).max() < 2e-3


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_spans(frames):
    joints, _ = walk(frames)
    poses = solve(RIG, joints, np.full(joints.shape[:2], np.nan), 30.0)
    assert isinstance(poses, Poses)
    assert distances(RIG, poses, joints).max() < 0.02


@pytest.mark.parametrize("lost", [["left_knee", "left_ankle"], ["right_elbow"], H36M17.joints])
def test_bones_without_length(lost):
    """Joints that lie on the one above them show no direction, and are no error."""
    joints, _ = walk(5)
    for name in lost:
        joints[:, H36M17.index(name)] = joints[:, H36M17.parents[H36M17.index(name)]]
    rig = fit_rig(joints)
    poses = solve(rig, joints, np.full(joints.shape[:2], np.nan), 30.0)
    assert np.isfinite(distances(rig, poses, joints)).all()


@quick
@given(vectors, vectors, st.floats(0.01, 0.5))
def test_capsules(start, end, radius):
    points, normals = capsule(start, end, radius)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    along = unit(end - start)
    share = np.clip((points - start) @ along, 0, np.linalg.norm(end - start))
    nearest = start + share[:, None] * along
    np.testing.assert_allclose(np.linalg.norm(points - nearest, axis=1), radius, atol=1e-6)


def test_figure_stands_on_its_soles():
    shape = figure(RIG)
    assert np.ptp(shape.points[:, 1]) == pytest.approx(height(RIG), abs=2e-3)
    left = shape.points[shape.faces["left"].ravel()]
    assert left[:, 0].min() > -0.06  # the person's left is +x
    toes = shape.points[shape.joints == NAMES.index("LeftFoot")]
    assert toes[:, 2].max() > 0.15 > 0.08 > -toes[:, 2].min()  # longer ahead than behind


def test_gaps_are_bridged_within_the_limits():
    """From -140 to 140 degrees of swing a shoulder goes through rest, not round the back."""
    degrees = np.array([-140, np.nan, np.nan, np.nan, 140])
    rotations, arm = still(5), NAMES.index("LeftArm")
    rotations[:, arm] = exponential(np.radians(np.outer(np.nan_to_num(degrees), [0, 0, 1])))
    rotations[:, 0] = exponential(np.radians(np.outer([170, 0, 0, 0, 190], [0, 1, 0])))
    present, root = np.isfinite(degrees), np.outer(np.arange(5.0), [1, 0, 2])
    rotations[~present] = root[~present] = np.nan
    _bridge(rotations, root, present)
    np.testing.assert_allclose(clamped(rotations), rotations, atol=1e-9)
    turned = np.degrees(logarithm(rotations[:, arm]))
    np.testing.assert_allclose(turned, np.outer([-140, -70, 0, 70, 140], [0, 0, 1]), atol=1e-9)
    hips = np.degrees(logarithm(rotations[1:3, 0]))  # free: the shortest way
    np.testing.assert_allclose(np.abs(hips), np.outer([175, 180], [0, 1, 0]), atol=1e-6)
    np.testing.assert_allclose(root, np.outer(np.arange(5.0), [1, 0, 2]))
