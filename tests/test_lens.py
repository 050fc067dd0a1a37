"""The lens of a camera that turns: found in corners, in pictures, and used where nobody knew it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_egomotion import NOBODY, SIZE, degrees_between, panorama, picture, turn

import vid3d
from vid3d.camera import Camera
from vid3d.info import describe_motion
from vid3d.motion import Motion
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.video import VideoWriter
from vid3d.video.egomotion import Egomotion
from vid3d.video.lens import LensFinder
from vid3d.video.setting import setting_of

__all__ = ["panorama"]


def shown(finder, camera, turns, rng, noise=0.1, way=0.0):
    """Show corners of a scene 3 to 12 m away to a camera that turns, and goes a way between."""
    rays = camera.rays(rng.uniform(0, 1, (120, 2)) * camera.frame_size)
    points = rays * rng.uniform(3, 12, (120, 1))
    for turned in turns:
        eye = rng.normal(0, way, 3)
        before, after = camera.project(points), camera.project((points - eye) @ turned)
        seen = np.isfinite(after).all(-1)
        seen &= ((after >= 0) & (after < camera.frame_size)).all(-1)
        before, after = (
            side[seen] + rng.normal(0, noise, (seen.sum(), 2)) for side in (before, after)
        )
        finder.add(turned, before, after, camera.frame_size)


@settings(max_examples=30, deadline=None)
@given(
    fov=st.floats(30, 110),
    angles=st.lists(
        st.tuples(st.floats(4, 12), st.floats(-6, 6), st.floats(-5, 5)), min_size=6, max_size=9
    ),
    seed=st.integers(0, 99),
)
def test_the_lens_shows_in_corners(fov, angles, seed):
    """Within 3 percent of the focal length, with a tenth of a pixel of noise of 320 wide."""
    finder, rng = LensFinder(), np.random.default_rng(seed)
    camera = Camera.from_fov(fov, (320, 180))
    angles = [(degrees * fov / 60, *others) for degrees, *others in angles]
    shown(finder, camera, [turn(*one) for one in angles], rng, noise=0.1)
    assert finder.fov is not None
    focal = Camera.from_fov(finder.fov, camera.frame_size).intrinsics[0, 0]
    assert focal == pytest.approx(camera.intrinsics[0, 0], rel=0.03)


@pytest.mark.parametrize("barrel", [-0.1, -0.03, 0.05])
def test_a_lens_that_bends_lines_is_not_taken_for_another(barrel):
    """Without fitting that, 65 degrees would be 56 where the coefficient is -0.1."""
    finder, rng = LensFinder(), np.random.default_rng(3)
    ideal = Camera.from_fov(65, (320, 180))
    camera = Camera(ideal.intrinsics, ideal.frame_size, (barrel, 0.0, 0.0, 0.0))
    shown(finder, camera, [turn(yaw, yaw / 5) for yaw in range(2, 12)], rng, noise=0.05)
    assert finder.fov == pytest.approx(65, abs=1)


def test_zoomed_pictures_tell_the_lens_of_the_first():
    finder, rng = LensFinder(), np.random.default_rng(0)
    camera = Camera.from_fov(60, (320, 180))
    K = camera.intrinsics.copy()
    K[[0, 1], [0, 1]] *= 1.5
    zoomed = Camera(K, camera.frame_size)
    points = zoomed.rays(rng.uniform(0, 1, (120, 2)) * zoomed.frame_size)
    for yaw in (3, 4, 5, 6, 7, 8):
        finder.add(
            turn(yaw), zoomed.project(points), zoomed.project(points @ turn(yaw)), (320, 180), 1.5
        )
    assert finder.fov == pytest.approx(60, abs=0.05)


@pytest.mark.parametrize("way", [0.3, 1.0])
def test_of_a_camera_that_travels_nothing_is_said(way):
    finder, rng = LensFinder(), np.random.default_rng(1)
    turns = [turn(*rng.uniform(-4, 4, 3)) for _ in range(20)]
    shown(finder, Camera.from_fov(80, (320, 180)), turns, rng, way=way)
    assert finder.fov is None


def test_what_was_found_is_dropped_where_the_camera_walks_off():
    finder, rng = LensFinder(), np.random.default_rng(4)
    camera = Camera.from_fov(80, (320, 180))
    shown(finder, camera, [turn(yaw, 1) for yaw in range(2, 12)], rng)
    assert finder.fov == pytest.approx(80, abs=1)
    shown(finder, camera, [turn(yaw, 1) for yaw in np.arange(8, 20, 0.5)], rng, way=0.5)
    assert finder.fov is None


def test_small_turns_and_roll_tell_nothing():
    finder, rng = LensFinder(), np.random.default_rng(2)
    turns = [turn(0.3 * rng.normal(), 0.2 * rng.normal(), 20 * rng.normal()) for _ in range(20)]
    shown(finder, Camera.from_fov(80, (320, 180)), turns, rng)
    assert finder.fov is None


@pytest.mark.parametrize("fov", [30, 75, 100])
def test_of_pictures_the_lens_is_found_and_turns_with_it(panorama, fov):
    camera, egomotion = Camera.from_fov(fov, SIZE), Egomotion()
    yaws = [*np.arange(0, 16, 1.5), *np.arange(15, -10, -2.0)]
    views = [egomotion.see(picture(panorama, turn(yaw, yaw / 8), camera), NOBODY) for yaw in yaws]
    assert views[0].fov is None
    assert views[-1].fov == pytest.approx(fov, rel=0.01)
    found = Camera.from_fov(views[-1].fov, SIZE)
    for yaw, view in list(zip(yaws, views, strict=True))[1:]:
        assert not view.cut
        assert view.shift is not None
        turned = setting_of(view.shift, found).turn  # through a guessed lens at first
        assert degrees_between(turned, turn(yaw, yaw / 8)) < 2


def test_who_knows_the_lens_is_believed(panorama):
    camera, egomotion = Camera.from_fov(75, SIZE), Egomotion(60.0)
    for yaw in np.arange(0, 16, 1.5):
        view = egomotion.see(picture(panorama, turn(yaw), camera), NOBODY)
    assert view.fov is None


@pytest.fixture(scope="module")
def pan(panorama, tmp_path_factory):
    """A clip of 3 s of nobody, by a camera with 75 degrees that turns by 15."""
    camera, path = Camera.from_fov(75, SIZE), tmp_path_factory.mktemp("pan") / "pan.mp4"
    with VideoWriter(path, 10, SIZE) as writer:
        for frame in range(31):
            image = picture(panorama, turn(frame / 2), camera)
            writer.write(cv2.GaussianBlur(image, (0, 0), 1), frame / 10)
    return path


def test_a_lens_that_nobody_knows_is_found_by_lifting(pan, tmp_path):
    motion = vid3d.lift(pan, stride=2)
    assert motion.camera.fov == pytest.approx(75, abs=1.5)
    assert motion.meta["lens"] == "found"
    path = tmp_path / "pan.vid3d.npz"
    motion.save(path)
    assert "found by how it moves" in dict(describe_motion(path))["camera"]
    again = vid3d.lift(pan, fov=70, stride=2)
    assert again.camera.fov == pytest.approx(70)
    assert "lens" not in again.meta


def test_a_lens_that_was_found_is_in_keypoint_files(pan, tmp_path):
    path = tmp_path / "pan.json"
    Pipeline(LiftOptions(stride=2)).detect(pan, path)
    motion: Motion = vid3d.lift(keypoints=path)
    assert motion.camera.fov == pytest.approx(vid3d.lift(pan, stride=2).camera.fov, abs=1e-5)
