import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motion_toys import STANDING, make_motion, standing

from vid3d.kinematics import (
    ANGLES,
    AXIS_SHARE,
    angle_spread,
    joint_angles,
    motion_angles,
    unwrapped,
    velocity,
    wrapped,
)
from vid3d.skeleton import H36M17

UP = np.array([0.0, -1.0, 0.0])


def body(**moved):
    """A person who faces the camera (-z; their left is +x), arms hanging, some joints moved."""
    places = {name: np.array([*xy, 0.0]) for name, xy in STANDING.items()}
    for side, x in (("left", 0.17), ("right", -0.17)):
        places[f"{side}_elbow"] = np.array([x, -0.18, 0.0])
        places[f"{side}_wrist"] = np.array([x, 0.07, 0.0])
    for name, place in moved.items():
        assert name in places
        places[name] = np.asarray(place, float)
    return np.stack([places[name] for name in H36M17.joints])


def angles(joints, up=UP):
    return dict(zip(ANGLES, joint_angles(joints, up).tolist(), strict=True))


def check(joints, **expected):
    """Those expected, and zero elsewhere; the plane of a hanging arm is not defined."""
    found = angles(joints)
    for name, value in found.items():
        if name in expected:
            assert value == pytest.approx(expected[name], abs=1e-6), name
        elif name.endswith("shoulder_plane"):
            assert np.isnan(value)
        else:
            assert value == pytest.approx(0, abs=1e-6), name


def test_standing_straight_is_zero():
    check(body())


def test_knee_and_elbow_bend():
    # Shank straight back (+z) from the left knee: 90. Right forearm level forward (-z): 90.
    check(
        body(left_ankle=(0.13, 0.45, 0.45), right_wrist=(-0.17, -0.18, -0.25)),
        left_knee_flexion=90,
        right_elbow_flexion=90,
    )


def test_hip_flexes_forward_and_abducts_outward():
    s = 0.45 * np.sqrt(0.5)
    check(
        body(left_knee=(0.13, s, -s), left_ankle=(0.13, 2 * s, -2 * s)),
        left_hip_flexion=45,
    )
    check(
        body(right_knee=(-0.13, s, s), right_ankle=(-0.13, 2 * s, 2 * s)),
        right_hip_flexion=-45,
    )
    check(
        body(right_knee=(-0.13 - 0.225, 0.45 * np.cos(np.pi / 6), 0),
             right_ankle=(-0.13 - 0.45, 0.9 * np.cos(np.pi / 6), 0)),
        right_hip_abduction=30,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arm", "elevation", "plane"),
    [((1, 0, 0), 90, 0), ((0, 0, -1), 90, 90), ((-1, 0, 0), 90, 180), ((0, 0, 1), 90, -90),
     ((1, 1, 0), 45, 0), ((0, -1, -1), 135, 90), ((0.01, -1, 0), 180 - 0.573, np.nan)],
)  # fmt: skip
def test_shoulder_elevation_and_plane(arm, elevation, plane):
    arm = np.array(arm, float) / np.linalg.norm(arm)
    for side, mirror in (("left", 1), ("right", -1)):
        shoulder = np.array([mirror * 0.17, -0.48, 0])
        arm_there = arm * [mirror, 1, 1]
        joints = body(**{f"{side}_elbow": shoulder + 0.3 * arm_there,
                         f"{side}_wrist": shoulder + 0.55 * arm_there})  # fmt: skip
        found = angles(joints)
        assert found[f"{side}_shoulder_elevation"] == pytest.approx(elevation, abs=0.01)
        difference = wrapped(found[f"{side}_shoulder_plane"] - plane)
        assert np.isnan(plane) == np.isnan(difference)
        assert np.isnan(plane) or abs(difference) < 1e-6


def upper_body(turn):
    """Everything above the hips turned by a matrix about the pelvis."""
    joints = body()
    above = list(range(H36M17.index("spine"), len(H36M17)))
    joints[above] = joints[above] @ np.asarray(turn, float).T
    return joints


def test_trunk_leans_forward_sideways_and_twists():
    c, s = np.cos(np.radians(20)), np.sin(np.radians(20))
    forward = angles(upper_body([[1, 0, 0], [0, c, -s], [0, s, c]]))  # up (-y) goes to -z
    assert forward["trunk_lean"] == pytest.approx(20)
    assert forward["left_hip_flexion"] == pytest.approx(20)
    assert forward["trunk_side"] == pytest.approx(0, abs=1e-6)
    right = angles(upper_body([[c, s, 0], [-s, c, 0], [0, 0, 1]]))  # up goes to -x, their right
    assert right["trunk_side"] == pytest.approx(20)
    assert right["trunk_lean"] == pytest.approx(0, abs=1e-6)
    turned = angles(upper_body([[c, 0, s], [0, 1, 0], [-s, 0, c]]))  # +x goes to -z: forward
    assert turned["trunk_twist"] == pytest.approx(-20)


def test_twist_is_positive_to_the_left():
    # Turning left takes the left shoulder back (+z) and the right one forward.
    found = angles(body(left_shoulder=(0.17, -0.48, 0.1), right_shoulder=(-0.17, -0.48, -0.1)))
    assert found["trunk_twist"] == pytest.approx(np.degrees(np.arctan2(0.1, 0.17)))


def random_rotation(seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


@given(st.integers(0, 10_000))
def test_angles_do_not_depend_on_frame_place_and_size(seed):
    rng = np.random.default_rng(seed)
    joints = body() + rng.normal(0, 0.08, (17, 3))
    turn = random_rotation(seed)
    moved = 1.7 * joints @ turn.T + rng.normal(0, 3, 3)
    found, same = joint_angles(joints, UP), joint_angles(moved, turn @ UP)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(same))
    np.testing.assert_allclose(np.nan_to_num(wrapped(same - found)), 0, atol=1e-6)


@given(st.integers(0, 10_000))
def test_mirrored_people_have_mirrored_angles(seed):
    joints = body() + np.random.default_rng(seed).normal(0, 0.08, (17, 3))
    mirrored = (joints * [-1, 1, 1])[H36M17.flip]
    found, other = angles(joints), angles(mirrored)
    for name, value in found.items():
        twin = other[name.replace("left_", "R").replace("right_", "left_").replace("R", "right_")]
        sign = -1 if name in ("trunk_side", "trunk_twist") else 1
        if np.isfinite(value):
            assert wrapped(value - sign * twin) == pytest.approx(0, abs=1e-6), name


def test_spread_of_a_bent_knee_by_hand():
    # Right angle, segments of 0.45 m: the gradient is 1 / 0.45 rad/m at hip and at ankle, and
    # sqrt(2) / 0.45 at the knee, whose both parts are perpendicular to each other.
    joints = body(left_ankle=(0.13, 0.45, 0.45))
    spread = np.full(17, 0.03)
    found = dict(zip(ANGLES, angle_spread(joints, spread, UP), strict=True))
    by_hand = np.degrees(0.03 * AXIS_SHARE / 0.45 * np.sqrt(1 + 1 + 2))
    assert found["left_knee_flexion"] == pytest.approx(by_hand, rel=1e-4)
    spread[H36M17.index("head")] = np.nan  # no angle needs it
    spread[H36M17.index("right_wrist")] = np.nan
    again = dict(zip(ANGLES, angle_spread(joints, spread, UP), strict=True))
    assert np.isnan(again["right_elbow_flexion"])
    assert again["left_knee_flexion"] == found["left_knee_flexion"]


def test_spread_agrees_with_noise():
    rng = np.random.default_rng(5)
    joints = body(left_ankle=(0.2, 0.6, 0.4), right_knee=(-0.2, 0.3, -0.35),
                  left_elbow=(0.4, -0.4, -0.1), left_wrist=(0.4, -0.6, -0.25),
                  right_elbow=(-0.4, -0.6, 0.1), right_wrist=(-0.4, -0.7, -0.15))  # fmt: skip
    noisy = joints + rng.normal(0, 0.01, (4000, 17, 3))
    ball = np.quantile(np.linalg.norm(noisy - joints, axis=-1), 0.68)
    assert ball * AXIS_SHARE == pytest.approx(0.01, rel=0.02)
    measured = wrapped(joint_angles(noisy, UP) - joint_angles(joints, UP)).std(0)
    predicted = angle_spread(joints, np.full(17, ball), UP)
    np.testing.assert_allclose(predicted, measured, rtol=0.12)


def test_velocity_by_hand():
    times = np.array([0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(velocity(3 * times + 1, times), 3)
    # t^2 with one frame to each side: (t + h)^2 - (t - h)^2 over 2 h = 2 t; ends: one-sided.
    np.testing.assert_allclose(velocity(times**2, times), [0.1, 0.2, 0.4, 0.6, 0.7])
    values = np.array([0, 1, np.nan, 5, np.nan])
    np.testing.assert_allclose(velocity(values, times), [10, 10, np.nan, np.nan, np.nan])
    stack = np.stack([times, 2 * times], -1)[:, None]
    assert velocity(stack, times).shape == (5, 1, 2)
    np.testing.assert_allclose(velocity(stack, times)[:, 0, 1], 2)


@given(st.lists(st.integers(1, 200), min_size=2, max_size=40), st.floats(0.01, 1))
def test_velocity_of_even_change_is_exact_at_any_times(steps, window):
    times = np.cumsum(steps) / 100
    np.testing.assert_allclose(velocity(7 - 2 * times, times, window), -2, atol=1e-6)


def test_velocity_does_not_depend_on_how_long_the_clip_is():
    times = np.arange(400_000) / 60
    values = np.sin(np.pi * times) + 2 * np.sin(2 * np.pi * times / 600)
    whole, end = velocity(values, times)[-2000:], velocity(values[-2000:], times[-2000:])
    np.testing.assert_allclose(whole[20:], end[20:], atol=1e-5)


def test_velocity_is_not_late():
    times = np.arange(100) / 100
    moved = velocity(np.sin(2 * np.pi * times), times, 0.1)
    exact = 2 * np.pi * np.cos(2 * np.pi * times)
    inside = slice(10, -10)
    lag = [np.corrcoef(moved[inside], np.roll(exact, k)[inside])[0, 1] for k in (-1, 0, 1)]
    assert np.argmax(lag) == 1
    np.testing.assert_allclose(moved[inside], exact[inside], atol=0.12)


def test_turns_are_unwrapped_within_runs():
    raw = np.array([170, -175, -160, np.nan, -170, 178])
    np.testing.assert_allclose(unwrapped(raw), [170, 185, 200, np.nan, -170, -182])
    assert wrapped(350.0) == -10


def test_angles_of_a_motion():
    joints = standing(np.array([[[0.0, 4.0]] * 3, [[1.0, 4.0]] * 3]), tilt=30)
    joints[1, 2] = np.nan
    motion = make_motion(joints)
    found = motion_angles(motion)
    assert found.degrees.shape == found.spread.shape == (2, 3, len(ANGLES))
    assert np.isnan(found.degrees[1, 2]).all()
    assert np.isfinite(found.degrees[0]).all()
    assert np.isfinite(found.spread[motion.present]).all()
    lean = list(ANGLES).index("trunk_lean")
    assert found.degrees[0, 0, lean] == pytest.approx(
        0, abs=5
    )  # up as people stand, nearly: cameras are rather level
    ground = {"normal": [0.0, -1.0, 0.0], "height": 1.5, "confidence": 1.0}
    told = motion_angles(make_motion(joints, meta={"fps": 25, "ground": ground}))
    assert abs(told.degrees[0, 0, lean]) == pytest.approx(30, abs=0.1)
