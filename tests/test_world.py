import importlib.util
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lifter_toys import motion

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import bone_lengths
from vid3d.info import describe
from vid3d.kinematics import ANGLES, joint_angles
from vid3d.motion import Motion
from vid3d.motion_schema import from_camera, runs
from vid3d.skeleton import H36M17
from vid3d.world import (
    Ground,
    estimate_ground,
    find_stances,
    foot_slides,
    ground_of,
    jitters,
    lag,
    settle,
    smoothed,
)
from vid3d.world.balance import MASS, centre_of_mass, unit, uprightness
from vid3d.world.fit import (
    Footing,
    _chance,
    _first_guesses,
    _Problem,
    assumed_ground,
    fit,
    fit_ground,
)
from vid3d.world.footlock import Anchor, _root_shift, anchor_place, lock_feet, steps
from vid3d.world.ground import ANKLE_HEIGHT, CAMERA_UP, level_axes
from vid3d.world.legs import LEGS, move_ankle
from vid3d.world.smoothing import cutoff, trust
from vid3d.world.spline import smooth_series
from vid3d.world.stances import ANKLES, Stance, foot_stands, standing

FPS = 25
# A standing person with the floor at y = 0, y up, facing z; metres.
STANDING = {
    "pelvis": (0, 0.94, 0), "right_hip": (-0.13, 0.94, 0), "right_knee": (-0.13, 0.5, 0.03),
    "right_ankle": (-0.13, 0.085, -0.05), "left_hip": (0.13, 0.94, 0),
    "left_knee": (0.13, 0.5, 0.03), "left_ankle": (0.13, 0.085, -0.05), "spine": (0, 1.17, 0),
    "thorax": (0, 1.4, 0), "nose": (0, 1.5, 0), "head": (0, 1.65, 0),
    "left_shoulder": (0.17, 1.38, 0), "left_elbow": (0.2, 1.1, 0), "left_wrist": (0.2, 0.85, 0),
    "right_shoulder": (-0.17, 1.38, 0), "right_elbow": (-0.2, 1.1, 0),
    "right_wrist": (-0.2, 0.85, 0),
}  # fmt: skip
BODY = np.array([STANDING[name] for name in H36M17.joints])


def camera_frame(world, tilt=0.0, height=1.6):
    """World points (..., 3), y up, z towards the camera, seen `tilt` degrees down."""
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    down = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return ((world - [0, height, 0]) * [1, -1, -1]) @ down.T


def true_up(tilt):
    return np.array([0, -np.cos(np.radians(tilt)), -np.sin(np.radians(tilt))])


def make_motion(joints, contacts=0.95, fps=FPS, **changes):
    joints = np.asarray(joints, float)
    people, frames = joints.shape[:2]
    camera = Camera.from_fov(60, (1280, 720))
    fields = {
        "joints3d": joints,
        "present": np.isfinite(joints[:, :, 0, 0]),
        "spread": np.full((people, frames, 17), 0.02),
        "root_spread": np.full((people, frames), 0.05),
        "contacts": np.broadcast_to(contacts, (people, frames, 2)),
        "keyframes": np.array([0]),
        "keypoints2d": np.full((people, 1, 17, 3), np.nan),
        "track_ids": np.arange(1, people + 1),
        "timestamps": np.arange(frames) / fps,
        "intrinsics": camera.intrinsics,
        "frame_size": np.array([1280, 720]),
    }
    return Motion(**(fields | changes))


def standers(places, frames=30, **options):
    """People (P, F, 17, 3) who stand still at (P, 2) places (x, distance) before a camera."""
    world = np.stack([BODY + [x, 0, -z] for x, z in places])
    return np.repeat(camera_frame(world, **options)[:, None], frames, axis=1)


def slider(drift=0.4, frames=50):
    """One stander (F, 17, 3) whose whole body drifts away from the camera at `drift` m/s."""
    joints = standers([(0.3, 4)], frames)[0]
    return joints + drift * (np.arange(frames) / FPS)[:, None, None] * [0, 0, 1]


# Balance


def test_masses_add_up_and_thighs_weigh_most():
    assert MASS.sum() == pytest.approx(1)
    assert MASS.argmax() in H36M17.indices(["pelvis", "thorax"])
    assert MASS[H36M17.index("left_hip")] == pytest.approx(0.1 * (1 - 0.433))


def test_centre_of_mass_of_a_stander_is_at_the_pelvis():
    # 55 to 57 % of stature for adults with arms down (Winter 2009).
    assert centre_of_mass(BODY)[1] / 1.7 == pytest.approx(0.56, abs=0.03)
    assert centre_of_mass(BODY)[0] == pytest.approx(0)


def test_a_stander_balances_over_the_feet():
    up = uprightness(BODY)
    assert np.degrees(np.arctan2(np.linalg.norm(up[[0, 2]]), up[1])) < 1


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(0.5, 2))
def test_uprightness_does_not_depend_on_place(x, y, z, scale):
    moved = uprightness(BODY + [x, y, z])
    np.testing.assert_allclose(moved, uprightness(BODY), atol=1e-9)
    # Only the constant reach of the feet does not grow with the body.
    grown = np.linalg.norm(uprightness(BODY * scale))
    assert grown == pytest.approx(scale * np.linalg.norm(uprightness(BODY)), rel=0.08)


# Stances


def test_runs_by_hand():
    mask = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1], bool)
    assert runs(mask) == [(0, 2), (4, 5), (6, 9)]
    assert runs(np.zeros(3, bool)) == []


def test_standing_needs_conviction_and_duration():
    times = np.arange(12) / 25
    certain = [0.1, 0.5, 0.7, 0.5, 0.5, 0.1, 0.9, 0.1, 0.5, 0.5, 0.5, 0.5]
    # 1-4 reaches 0.6 and lasts 0.12 s; 6 is one frame; 8-11 is never convincing.
    assert standing(certain, times) == [(1, 5)]
    assert standing([np.nan] * 12, times) == []


def test_three_frames_at_25_a_second_are_a_stance_wherever_they_lie():
    times = np.arange(1000) / 25  # 0.08 s but for how it is rounded
    assert all(standing([0.9] * 3, times[i : i + 3]) == [(0, 3)] for i in range(998))


def test_a_foot_that_moves_does_not_stand():
    times = np.arange(10) / FPS
    still = np.tile([[0.1, 1, 4], [0.3, 1, 4]], (10, 1, 1)).astype(float)
    moving = still + times[:, None, None] * [1.5, 0, 0]
    contacts = np.full((10, 2), 0.8)
    assert (foot_stands(contacts, still, times) > 0.9).all()
    assert (foot_stands(contacts, moving, times) < 0.3).all()
    deep = still * (1 + 0.2 * times[:, None, None])  # along the ray: the picture does not tell
    assert (foot_stands(contacts, deep, times) > 0.8).all()
    running = still + times[:, None, None] * [4, 0, 0]  # more than a contact that is sure outweighs
    assert (foot_stands(np.ones((10, 2)), running, times) < 0.1).all()


def test_stances_are_counted_from_the_first_frame_of_the_clip():
    joints = standers([(0, 4)], 40)
    joints[0, :10] = np.nan
    contacts = np.full((1, 40, 2), 0.01)
    contacts[0, 15:30, 1] = 0.95
    assert find_stances(make_motion(joints, contacts)) == [Stance(0, 1, 15, 30)]


# Floor and gravity


@pytest.mark.parametrize("tilt", [-10, 0, 15, 35, 60])
def test_floor_under_people_who_stand_about(tilt):
    places = [(-1, 4), (1, 5), (0, 6.5), (2, 7)]
    motion = make_motion(standers(places, tilt=tilt, height=2.5))
    ground = estimate_ground(motion)
    assert np.degrees(np.arccos(ground.normal @ true_up(tilt))) < 1
    assert ground.height == pytest.approx(2.5, abs=0.05)
    assert ground.confidence > 0.3


def test_a_stage_may_be_higher_than_the_camera(tmp_path):
    joints = standers([(-1, 6), (1, 7), (0, 8)], tilt=-10, height=-0.8)
    settled = settle(make_motion(joints, meta={"axes": "a", "units": "u"}))
    ground = ground_of(settled)
    assert np.degrees(np.arccos(ground.normal @ true_up(-10))) < 1
    assert ground.height == pytest.approx(-0.8, abs=0.1)
    np.testing.assert_allclose(
        ground.above(settled.joints3d[:, :, ANKLES]), ANKLE_HEIGHT, atol=0.02
    )
    card = dict(describe(str(settled.save(tmp_path / "stage.vid3d.npz"))))
    assert f"camera {-ground.height:.2f} m below, looks 10 degrees up" in card["floor"]


def test_wrong_depth_of_one_person_does_not_tilt_the_floor():
    joints = standers([(-1, 4), (1, 5), (0, 6.5), (2, 7)], tilt=25, height=3)
    joints[1] *= 1.12
    ground, factors = fit_ground(make_motion(joints))
    assert np.degrees(np.arccos(ground.normal @ true_up(25))) < 2
    assert factors[1] / factors[[0, 2, 3]].mean() == pytest.approx(1 / 1.12, abs=0.03)


@pytest.mark.parametrize("people", [50, 51])
def test_people_beyond_the_first_fifty_are_put_on_their_floor(people):
    places = np.random.default_rng(0).uniform((-4, 4), (4, 12), (people, 2))
    joints = standers([tuple(place) for place in places], tilt=10, height=2)
    joints[-1] *= 1.12
    _, factors = fit_ground(make_motion(joints))
    assert factors[-1] / factors[:-1].mean() == pytest.approx(1 / 1.12, abs=0.04)


def test_a_person_on_a_box_is_left_there():
    joints = standers([(-1, 4), (1, 5), (0, 6.5), (2, 7)], tilt=10, height=2)
    joints[2] += true_up(10) * 1.5
    ground, _ = fit_ground(make_motion(joints))
    assert np.degrees(np.arccos(ground.normal @ true_up(10))) < 2
    assert ground.height == pytest.approx(2, abs=0.1)


def footing(up, root, places):
    """What somebody tells who stood at places (N, 3) and whose body points up so."""
    told = Footing()
    told.places = [np.array([place, (0, 0, 0)]) for place in places]
    told._moments = [np.tile([*up, *root, root[1] + 0.9], (20, 1)).astype(np.float32)]
    return told


def test_a_roof_and_the_lawn_before_it_are_no_slope():
    people = [
        footing((0.03, -1, -0.08), (-1.1, -1.1, 7.9), [(-1.1, -0.3, 8.3), (-1.3, -0.3, 8.4)]),
        footing((0, -1, 0.06), (-0.6, 0.9, 7), [(x, 1.75, 6.9) for x in (1.9, -0.5, -1.2, -2)]),
        footing((0.65, -0.76, 0), (1.3, 1.1, 8.1), []),  # crouches
    ]
    ground, _ = fit(people, np.ones(3, bool))
    assert np.degrees(np.arccos(ground.normal @ true_up(0))) < 5
    assert ground.height == pytest.approx(1.8, abs=0.2)


def problem(feet, owners, bodies=((0, -1, 0),)):
    """What people with scales of 6 % and such feet tell, all bodies seen straight ahead."""
    rays, scales = np.tile([0.0, 0.0, 1.0], (len(bodies), 1)), np.full(max(owners) + 1, 0.06)
    places = np.stack([np.array(feet, float), np.zeros((len(feet), 3))], 1)  # feet, cameras
    return _Problem(CAMERA_UP, places, np.array(owners), scales, np.array(bodies, float), rays)


def test_a_fit_begins_under_all_the_lowest_and_the_highest():
    levels = [1.5, 1.5, 1.5, 1.0, 2.0]
    starts = problem([(0, level, 5) for level in levels], [0, 0, 0, 1, 2]).starts()
    np.testing.assert_allclose(
        starts, [[0, 0, ANKLE_HEIGHT + level, 0, 0, 0] for level in (1.5, 2.0, 1.0)]
    )
    near = problem([(0, 1.5, 5), (0, 1.52, 5)], [0, 1]).starts()
    np.testing.assert_allclose(near, [[0, 0, ANKLE_HEIGHT + 1.51, 0, 0]])


def test_derivatives_of_the_loss():
    loss = problem([(0, 1.5, 5), (1, 1.5, 5)], [0, 0], [(0, -1, 0), (0.1, -0.99, 0)]).loss
    squares, step = np.linspace(0.1, 9, 2 + 4 + 1 + 2), 1e-4
    np.testing.assert_array_equal(loss(np.zeros(9))[0], 0)
    value, slope, bend = loss(squares)
    more, less = loss(squares + step), loss(squares - step)
    np.testing.assert_allclose(slope, (more[0] - less[0]) / (2 * step), rtol=1e-6)
    np.testing.assert_allclose(bend, (more[1] - less[1]) / (2 * step), rtol=1e-6, atol=1e-9)
    # Two feet by Cauchy's, two bodies either way by soft L1, one scale and two angles squared.
    assert value[1] == pytest.approx(np.log(1 + squares[1]))
    assert value[5] == pytest.approx(2 * (np.sqrt(1 + squares[5]) - 1))
    assert value[6] == squares[6]


def test_nobody_is_believed_to_stand_upside_down():
    hanging, leaning = np.array([0, 1.0, 0]), unit(np.array([0.6, -0.8, 0]))
    np.testing.assert_array_equal(_first_guesses(np.stack([hanging])), [CAMERA_UP])
    guesses = _first_guesses(np.stack([leaning, leaning]))
    np.testing.assert_allclose(guesses, [leaning, CAMERA_UP])


def test_one_person_tells_up_by_balance():
    ground = estimate_ground(make_motion(standers([(0.5, 4)], tilt=20)))
    assert np.degrees(np.arccos(ground.normal @ true_up(20))) < 2
    several = estimate_ground(make_motion(standers([(-1, 4), (1, 5), (0, 7)], tilt=20)))
    assert ground.confidence < several.confidence


def test_known_height_is_kept_and_others_follow():
    joints = standers([(-1, 4), (1, 4)], tilt=45, height=3)
    joints[1] *= 1.1
    _, factors = fit_ground(make_motion(joints), sized=[1])
    assert factors[0] == 1
    assert factors[1] == pytest.approx(1 / 1.1, abs=0.04)


def test_without_stances_the_floor_is_an_assumption():
    motion = make_motion(standers([(0, 4)], height=1.6), contacts=0.01)
    ground = estimate_ground(motion)
    assert ground.confidence == 0
    np.testing.assert_array_equal(ground.normal, [0, -1, 0])
    assert ground.height == pytest.approx(1.6, abs=1e-5)
    joints = standers([(0, 4)], height=1.6)
    joints[..., ANKLES[0], 1] -= 0.3  # on one leg: the other foot is on the floor
    assert estimate_ground(make_motion(joints, contacts=0.01)).height == pytest.approx(
        1.6, abs=1e-5
    )
    nobody = make_motion(np.full((0, 5, 17, 3), np.nan))
    assert estimate_ground(nobody).confidence == 0
    assert assumed_ground(nobody).height == 1.5


def test_confidence_by_hand():
    # Slopes known to 5 degrees each way: 1 - exp(-1/2) of tilts are nearer than that. A height of
    # 2 m known to 20 cm: 68 % are nearer than 10 %.
    jacobian = np.diag([1 / np.radians(5), 1 / np.radians(5), 1 / 0.2])
    assert _chance(jacobian, -2.0) == pytest.approx(0.3935 * 0.6827, abs=1e-4)


def test_ground_in_a_file_is_believed(tmp_path):
    ground = Ground(np.array([0, -0.8, -0.6]), 2.25, 0.5)
    motion = make_motion(standers([(0, 4)]), meta={"ground": ground.to_meta()})
    read = ground_of(Motion.load(motion.save(tmp_path / "m.vid3d.npz")))
    np.testing.assert_allclose(read.normal, ground.normal, atol=1e-6)
    assert (read.height, read.confidence) == (2.25, 0.5)


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(0.1, 9),
       st.sampled_from("yz"), st.sampled_from(["floor", "camera"]))  # fmt: skip
def test_to_world_is_rigid_and_levels_the_floor(roll, pitch, height, up, origin):
    normal = np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), np.sin(pitch)])
    ground = Ground(normal, height, 1.0)
    rotation, shift = ground.to_world(up, origin)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)
    axis = "xyz".index(up)
    on_floor = -height * normal + level_axes(normal).T @ [1.3, -0.4]
    level = 0 if origin == "floor" else -height
    assert (rotation @ on_floor + shift)[axis] == pytest.approx(level, abs=1e-9)
    assert shift[axis] == (height if origin == "floor" else 0)  # where the camera is
    np.testing.assert_allclose(rotation @ normal, np.eye(3)[axis], atol=1e-9)


def test_to_world_by_hand():
    upright = Ground(np.array([0.0, -1.0, 0.0]), 1.5, 1.0)
    rotation, shift = upright.to_world("y", "floor")
    np.testing.assert_allclose(rotation @ [1, 2, 3] + shift, [1, -0.5, -3])
    rotation, shift = upright.to_world("z", "camera")
    np.testing.assert_allclose(rotation @ [1, 2, 3] + shift, [1, 3, -2])
    with pytest.raises(ValueError, match="up is 'x'"):
        upright.to_world("x")


# The smoother


def test_gain_is_half_at_the_cutoff_and_phase_is_zero():
    times = np.arange(400) / 50
    for hertz in (1.0, 3.0, 6.0):
        wave = np.sin(2 * np.pi * 3 * times)
        smooth = smooth_series(wave, np.ones(400), times, hertz)
        gain = 1 / (1 + (3 / hertz) ** 6)
        np.testing.assert_allclose(smooth[100:300], gain * wave[100:300], atol=0.02)


@given(st.integers(0, 10**6), st.floats(0.5, 8))
@settings(max_examples=30)
def test_parabolas_pass_at_any_times_with_any_weights(seed, hertz):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.005, 0.1, 40))
    values = np.stack([1 + 2 * times, 3 * times**2 - times], -1)
    smooth = smooth_series(values, rng.uniform(0.1, 5, 40), times, hertz)
    np.testing.assert_allclose(smooth, values, atol=1e-4)


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_smoothing_backwards_is_the_same(seed):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.01, 0.06, 30))
    values, weights = rng.normal(size=30), rng.uniform(0.2, 5, 30)
    there = smooth_series(values, weights, times, 3.0)
    back = smooth_series(values[::-1], weights[::-1], -times[::-1], 3.0)[::-1]
    np.testing.assert_allclose(there, back, atol=1e-7)


@pytest.mark.parametrize("frames", range(4, 13))
def test_short_series_minimise_what_the_docstring_says(frames):
    """Also those with fewer derivatives than a derivative has terms; solved densely here."""
    rng = np.random.default_rng(frames)
    times = np.cumsum(rng.uniform(0.02, 0.06, frames))
    values, weights = rng.normal(size=(frames, 2)), rng.uniform(0.2, 5, frames)
    derivative = np.eye(frames)
    for level in (1, 2, 3):
        span = (times[level:] - times[:-level]) / level
        derivative = np.diff(derivative, axis=0) / span[:, None]
    derivative *= np.sqrt((times[3:] - times[:-3]) / 3)[:, None]
    mass = np.diag(weights * np.gradient(times))
    penalty = (2 * np.pi * 3.0) ** -6 * derivative.T @ derivative
    expected = np.linalg.solve(mass + penalty, mass @ values)
    np.testing.assert_allclose(smooth_series(values, weights, times, 3.0), expected, atol=1e-8)


def test_no_weight_interpolates_whatever_the_value():
    times = np.arange(20) / 25
    values = 2 * times + 1
    weights = np.ones(20)
    values[7], weights[7] = np.nan, 0
    assert smooth_series(values, weights, times, 3.0)[7] == pytest.approx(2 * times[7] + 1)


@pytest.mark.parametrize(
    "gaps",
    [
        np.full(4000, 1 / 960),
        np.where(np.arange(300) // 20 % 3 == 1, 1 / 90_000, 1 / 30),  # frames a tick apart
        np.where(np.arange(300) % 40 == 39, 2.0, 1e-4),
    ],
    ids=["960 a second", "bursts", "bursts and pauses"],
)
@pytest.mark.parametrize("hertz", [8.0, 3.9, 0.7])
def test_what_stands_still_stays_at_any_times(gaps, hertz):
    times = np.cumsum(gaps)
    smooth = smooth_series(np.full(len(times), 8.0), np.ones(len(times)), times, hertz)
    np.testing.assert_allclose(smooth, 8, atol=1e-6)


def test_rate_does_not_matter():
    for rate in (25, 240):
        times = np.arange(4 * rate) / rate
        smooth = smooth_series(np.sin(2 * np.pi * 2 * times), np.ones(len(times)), times, 2.0)
        assert smooth[rate : 3 * rate].max() == pytest.approx(0.5, abs=0.02)


# The dial


def shaken(frames=100, noise=0.01, seed=0):
    rng = np.random.default_rng(seed)
    joints = standers([(0.2, 4)], frames)
    joints += 0.3 * np.sin(2 * np.pi * 0.8 * np.arange(frames) / FPS)[:, None, None] * [1, 0, 0]
    return make_motion(joints), make_motion(joints + rng.normal(0, noise, joints.shape))


def test_dial_takes_jitter_and_no_time():
    clean, noisy = shaken()
    last = jitters(noisy)[0]
    for dial in (0.2, 0.4, 0.7):
        calm = smoothed(noisy, dial)
        assert jitters(calm)[0] < last
        last = jitters(calm)[0]
        assert abs(lag(clean, calm)) < 0.002
    error = np.abs(noisy.joints3d - clean.joints3d).mean()
    assert np.abs(smoothed(noisy, 0.5).joints3d - clean.joints3d).mean() < error
    assert smoothed(noisy, 0) is noisy
    np.testing.assert_allclose([cutoff(0), cutoff(0.5), cutoff(1)], [8, np.sqrt(8 * 0.7), 0.7])


def test_dial_keeps_bones_gaps_and_the_input():
    turn = 0.3 * np.sin(np.arange(100) / FPS * 9)
    c, s, zero, one = np.cos(turn), np.sin(turn), np.zeros(100), np.ones(100)
    nodding = np.stack([one, zero, zero, zero, c, -s, zero, s, c], -1).reshape(100, 1, 3, 3)
    joints = camera_frame((nodding @ BODY[..., None])[..., 0] - [0, 0, 4])[None]
    joints[0, 40:60] = np.nan
    joints[0, 60:] += 1.0
    gap = make_motion(joints)
    before = gap.joints3d.copy()
    calm = smoothed(gap, 0.8)
    np.testing.assert_array_equal(gap.joints3d, before)
    assert np.isnan(calm.joints3d[0, 40:60]).all()
    here = gap.present[0]
    np.testing.assert_allclose(
        bone_lengths(calm.joints3d[0, here], H36M17), bone_lengths(joints[0, here], H36M17),
        atol=1e-5,
    )  # fmt: skip
    alone = make_motion(joints[:, :40])
    np.testing.assert_allclose(smoothed(alone, 0.8).joints3d, calm.joints3d[:, :40], atol=1e-5)


def test_dial_out_of_range():
    with pytest.raises(Vid3dError, match=r"smooth is 1\.5"):
        smoothed(shaken(10)[1], 1.5)


def test_off_is_no_truth_value():
    with pytest.raises(Vid3dError, match="floor is 'off', expected True or False"):
        settle(shaken(10)[1], floor="off")


def test_trust_by_hand():
    np.testing.assert_allclose(trust(np.array([0.02, 0.04, 0.02, np.nan])), [1, 0.25, 1, 0.2])
    np.testing.assert_allclose(trust(np.array([0.02, 0, np.inf, 0.02])), [1, 0.2, 0.2, 1])
    np.testing.assert_array_equal(trust(np.full(3, np.nan)), 1)


def test_lag_finds_a_delay():
    clean, _ = shaken(150)
    late = replace(clean, joints3d=np.concatenate(
        [clean.joints3d[:, :2], clean.joints3d[:, :-2]], axis=1))  # fmt: skip
    assert lag(clean, late) == pytest.approx(2 / FPS, abs=0.004)
    assert lag(late, clean) == pytest.approx(-2 / FPS, abs=0.004)
    assert lag(clean, clean) == pytest.approx(0, abs=0.001)


# Feet


def test_slide_by_hand():
    joints = slider(0.4)[None]
    motion = make_motion(joints)
    slides = foot_slides(motion, find_stances(motion), np.array([0.0, -1.0, 0.0]))
    assert slides[0] == pytest.approx(0.4, abs=1e-4)
    assert np.isnan(foot_slides(motion, [], np.array([0.0, -1.0, 0.0]))).all()


def test_locked_feet_stand_and_bones_keep_their_lengths():
    joints, times = slider(0.3), np.arange(50) / FPS
    ground = Ground(np.array([0.0, -1.0, 0.0]), 1.6, 1.0)
    locked = lock_feet(joints, [(0, 0, 50), (1, 0, 50)], times, ground)
    step = np.linalg.norm(np.diff(locked[5:-5, ANKLES], axis=0), axis=-1) * FPS
    assert step.mean() < 0.05
    np.testing.assert_allclose(
        bone_lengths(locked, H36M17), bone_lengths(joints, H36M17), atol=1e-9
    )
    np.testing.assert_allclose(ground.above(locked[25, ANKLES]), ANKLE_HEIGHT, atol=0.02)


def test_locking_does_not_pop():
    joints, times = slider(0.3, frames=100), np.arange(100) / FPS
    locked = lock_feet(joints, [(0, 20, 45), (1, 50, 80)], times, None)
    moved = locked - joints
    jump = np.linalg.norm(np.diff(moved, n=2, axis=0), axis=-1).max()
    # The right foot is wanted 0.26 m from where the left was, five frames later.
    assert jump < 0.03
    assert np.abs(moved).max() > 0.03


@pytest.mark.parametrize("foot", [0, 1])
def test_only_the_foot_that_stands_is_held(foot):
    times = np.arange(50) / FPS
    joints = standers([(0.3, 4)], 50)[0] + 0.2 * times[:, None, None] * [1, 0, 0]
    locked = lock_feet(joints, [(foot, 19, 32)], times, None)
    speeds = np.abs(np.diff(locked[19:32, ANKLES, 0], axis=0)).mean(0) * FPS
    assert speeds[foot] < 0.04
    assert speeds[1 - foot] == pytest.approx(0.2, abs=0.02)


def test_the_root_follows_in_depth_more_than_across():
    """Least squares, solved densely here: a pull of 1 towards the anchor, of 10 and of 0.01 towards
    where the root was, across the line of sight and along it.
    """
    frames = 12
    times = np.arange(frames) / FPS
    joints = standers([(0, 4)], frames)[0]
    joints -= joints[:, :1] * [1, 1, 0]  # straight ahead: axes of sight are those of the camera
    shift = np.array([0.1, 0.0, 0.2])
    found = _root_shift(joints, [Anchor(0, 3, 7, joints[0, ANKLES[0]] + shift)], times)
    stands = np.isin(np.arange(frames), [3, 4, 5, 6])
    bend = np.diff(np.eye(frames), n=2, axis=0) * FPS**2
    for axis, pull in ((0, 10), (1, 10), (2, 0.01)):
        normal = np.diag(stands + pull) + (2 * np.pi * 1.5) ** -4 * bend.T @ bend
        expected = np.linalg.solve(normal, stands * shift[axis])
        np.testing.assert_allclose(found[:, axis], expected, atol=1e-9)


def test_nothing_stands_nothing_moves():
    joints = slider()
    np.testing.assert_array_equal(lock_feet(joints, [], np.arange(50) / FPS, None), joints)


def test_anchor_lies_on_the_median_ray_towards_the_floor():
    ground = Ground(np.array([0.0, -1.0, 0.0]), 1.6, 1.0)
    foot = np.tile([0.4, 1.6 - ANKLE_HEIGHT, 4.0], (9, 1))
    np.testing.assert_allclose(anchor_place(foot, ground), foot[0])
    deep = anchor_place(foot * 1.03, ground)
    assert foot[0, 2] < deep[2] < 1.03 * foot[0, 2]
    np.testing.assert_allclose(deep / deep[2], foot[0] / foot[0, 2])
    # Seen 4.12 m away to 3 %; the floor at 4 m to 4 cm of height, over 0.37875 m of it a metre.
    assert deep[2] == pytest.approx(4.0524, abs=1e-4)
    on_a_chair = foot + [0, -0.9, 0]
    np.testing.assert_allclose(anchor_place(on_a_chair, ground), on_a_chair[0], atol=0.01)


def test_a_stance_is_cut_where_the_foot_was_set_down_again():
    foot = np.tile([0.0, 1.5, 4.0], (40, 1))
    foot[23:, 0] += 0.5
    assert steps(foot, np.arange(40) / FPS, offset=100) == [(100, 123), (123, 140)]
    assert steps(foot[:20], np.arange(20) / FPS) == [(0, 20)]


@given(st.lists(st.floats(-0.4, 0.4), min_size=3, max_size=3), st.sampled_from([0, 1]))
def test_move_ankle_reaches_or_stretches(shift, foot):
    joints = camera_frame(BODY + [0, 0, -4])[None]
    moved = move_ankle(joints, foot, np.array([shift]))
    np.testing.assert_allclose(bone_lengths(moved, H36M17), bone_lengths(joints, H36M17), atol=1e-9)
    hip, _, ankle = H36M17.indices(
        [f"{('left', 'right')[foot]}_{n}" for n in ("hip", "knee", "ankle")]
    )
    wanted = joints[0, ankle] + shift
    missing = np.linalg.norm(moved[0, ankle] - wanted)
    reach = np.linalg.norm(wanted - joints[0, hip])
    assert missing == pytest.approx(
        max(0, reach - np.linalg.norm(moved[0, ankle] - joints[0, hip])), abs=1e-6
    )
    others = [j for j in range(17) if j not in (ankle, ankle - 1)]
    np.testing.assert_array_equal(moved[:, others], joints[:, others])


def test_a_knee_does_not_snap_where_the_leg_is_too_short():
    """Asked 8 cm down and back within two seconds, of which the leg has 4 and a half: the knee
    turns by less than a degree a frame, in place of 4 at once as it leaves its limit.
    """
    body = camera_frame(BODY + [0, 0, -4])
    bent = move_ankle(body[None], 0, np.array([[0, -0.04, 0]]))
    seconds = np.linspace(0, 2, 101)
    shift = 0.04 * (1 - np.cos(np.pi * seconds))[:, None] * [0, 1, 0]
    moved = move_ankle(np.repeat(bent, 101, 0), 0, shift)
    knee = joint_angles(moved, [0, -1, 0])[:, list(ANGLES).index("left_knee_flexion")]
    assert np.abs(np.diff(knee)).max() < 1
    assert knee.min() < knee[0] - 15


@pytest.mark.parametrize("foot", [0, 1])
def test_a_straight_leg_bends_forward(foot):
    body = BODY * [1, 1, 0]  # a thigh of 0.44 m, a shin of 0.415 m, in one line
    joints = camera_frame(body - [0, 0, 4])[None]
    moved = move_ankle(joints, foot, np.array([[0, -0.05, 0]])) - joints
    # 0.805 m are left from hip to ankle: the knee is 0.4158 m below the hip, 0.144 m before it.
    knee = H36M17.index(("left_knee", "right_knee")[foot])
    np.testing.assert_allclose(moved[0, knee], [0, 0.4158 - 0.44, -0.144], atol=1e-4)


def test_a_knee_that_stretches_stays_in_its_plane():
    joints = camera_frame(BODY * [1, 1, 0] - [0, 0, 4])[None]
    hip, knee, ankle = LEGS[0]
    joints[0, knee] += [0.15, 0, 0]  # bow-legged: the plane is that of the picture
    moved = move_ankle(joints, 0, np.array([[0, 0.01, 0]]))
    np.testing.assert_allclose(moved[0, [hip, knee, ankle], 2], 4, atol=1e-12)
    assert joints[0, hip, 0] < moved[0, knee, 0] < joints[0, knee, 0]


def test_move_ankle_by_nothing_changes_nothing():
    joints = camera_frame(BODY + [0, 0, -4])[None]
    np.testing.assert_allclose(move_ankle(joints, 0, np.zeros((1, 3))), joints, atol=1e-12)


# All together


def test_a_camera_of_the_benchmark_sees_people(repo):
    path = repo / "benchmarks/world/scenes.py"
    spec = importlib.util.spec_from_file_location("world_scenes", path)
    scenes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenes)
    world = np.stack([motion(20, seed=seed).joints for seed in range(2)])
    seen = scenes.see(world, torch.Generator().manual_seed(0))
    assert [len(one) for one in seen] == [20, 20]
    up, offset = scenes.floor_of(world, np.stack([one.joints3d for one in seen]))
    height = seen[0].joints3d @ up + offset
    np.testing.assert_allclose(height, world[0][..., 2], atol=1e-3)


def test_settle_says_what_it_did():
    joints = np.concatenate([slider(0.3)[None], standers([(1, 5), (-1, 6)], 50)])
    rng = np.random.default_rng(0)
    motion = make_motion(joints + rng.normal(0, 0.003, joints.shape))
    settled = settle(motion)
    meta = settled.meta
    assert meta["feet"]["slide_after"] < 0.6 * meta["feet"]["slide_before"]
    assert meta["smooth"]["jitter_after"] < meta["smooth"]["jitter_before"]
    assert abs(meta["smooth"]["lag"]) < 0.002
    assert set(meta["ground"]) == {"normal", "height", "confidence"}
    assert motion.meta == {}
    np.testing.assert_array_equal(settled.contacts, motion.contacts)
    again = settle(motion)
    np.testing.assert_array_equal(settled.joints3d, again.joints3d)


def test_floor_off_leaves_camera_space():
    motion = make_motion(slider()[None])
    np.testing.assert_array_equal(settle(motion, smooth=0, floor=False).joints3d, motion.joints3d)
    assert "ground" not in settle(motion, floor=False).meta
    np.testing.assert_array_equal(settle(motion, floor=False).joints3d, smoothed(motion).joints3d)


def test_settle_with_nobody_and_with_a_single_frame():
    nobody = make_motion(np.full((1, 5, 17, 3), np.nan))
    assert settle(nobody).meta == {}
    assert settle(make_motion(np.zeros((0, 5, 17, 3)))).people == 0
    single = settle(make_motion(standers([(0, 4)], frames=1)))
    assert single.meta["ground"]["confidence"] == 0


def test_feet_that_never_stand_are_not_said_to_be_locked():
    settled = settle(make_motion(standers([(0, 4)], 50), contacts=0.01))
    assert "ground" in settled.meta
    assert "feet" not in settled.meta


def two_shots():
    """Two people before a level camera, then two before one that looks 25 degrees down."""
    joints = np.full((4, 80, 17, 3), np.nan)
    joints[:2, :50] = standers([(-1, 4), (1, 5)], 50)
    joints[2:, 50:] = standers([(-1, 4), (1, 5)], tilt=25)
    return make_motion(joints, meta={"cuts": [2.0]})


def test_shots_of_a_film_without_a_floor_are_settled_each_by_itself():
    settled = settle(two_shots(), smooth=0)
    level = camera_frame(np.stack([BODY + [-1, 0, -4], BODY + [1, 0, -5]]))
    for joints in (settled.joints3d[:2, 0], settled.joints3d[2:, 50]):
        np.testing.assert_allclose(joints, level, atol=0.03)
    eyes = from_camera(settled, settled.joints3d[:, 50:], slice(50, 80))
    np.testing.assert_allclose(eyes[2:], two_shots().joints3d[2:, 50:], atol=0.03)
    again = settle(settled, smooth=0)  # on one floor by now
    np.testing.assert_array_equal(again.camera_rotation, settled.camera_rotation)
    np.testing.assert_allclose(again.joints3d, settled.joints3d, atol=0.03)


def test_no_plane_is_fitted_to_shots_of_several_cameras():
    assert ground_of(two_shots()).confidence == 0
    assert ground_of(replace(two_shots(), meta={})).confidence > 0
    assert ground_of(settle(two_shots())).confidence > 0.1


@pytest.mark.parametrize(("distance", "stands"), [(20, False), (100, True)])
def test_far_away_depths_may_be_less_steady(distance, stands):
    joints = slider(1.5) + [0, 0, distance - 4]
    assert ("feet" in settle(make_motion(joints[None])).meta) == stands


def test_a_moving_camera_is_left_alone():
    motion = make_motion(slider(2.5)[None])
    settled = settle(motion, smooth=0)
    assert settled.meta["ground"]["confidence"] == 0
    np.testing.assert_array_equal(settled.joints3d, motion.joints3d)


def test_card_of_a_settled_motion(tmp_path):
    motion = make_motion(standers([(-1, 4), (1, 5)], tilt=20), meta={"axes": "a", "units": "u"})
    for name, one in (("lifted", motion), ("settled", settle(motion))):
        card = dict(describe(str(one.save(tmp_path / f"{name}.vid3d.npz"))))
        assert "looks 20 degrees down" in card["floor"]
        assert "0.00-1.16 s (30 frames)" in card["person 1"]
        assert "1.6" in card["person 1"]
        assert ("cm/s" in card["feet"]) == (name == "settled")
        assert ("estimated now" in card["floor"]) == (name == "lifted")
