"""Turns and zooms of a camera: found in pictures, taken out of looks, kept beside the result."""

import json
from array import array
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from motion_toys import BODY, make_motion, standing, walk
from scipy.spatial.transform import Rotation

import vid3d
from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.clips import Clip, _thinned, clips_of_keypoints
from vid3d.errors import Vid3dError
from vid3d.evaluation.result import evaluate_result
from vid3d.export.clock import steady
from vid3d.export.glb import write as write_glb
from vid3d.export.space import export_space
from vid3d.export.take import Take
from vid3d.info import describe_motion
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.motion_schema import filmed, from_camera, largest_turn, largest_zoom, moved, moves_of
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.coco_json import clip_from_coco, coco_from_clip
from vid3d.pose2d.keypoint_files import read_keypoints, write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, People
from vid3d.render.overlay import Overlay
from vid3d.render.page.codec import decode
from vid3d.render.page.data import page_data
from vid3d.steadying import Steadying
from vid3d.tracking import track_people
from vid3d.video import VideoReader, VideoWriter
from vid3d.video.dissolve import fine, is_mixture
from vid3d.video.egomotion import WIDEST, Egomotion
from vid3d.video.scenery import between_bars
from vid3d.video.setting import MOST_ZOOM, Setting, agreed_zoom, setting_of

SIZE = (640, 360)
CAMERA = Camera.from_fov(ASSUMED_FOV, SIZE)
NOBODY = np.zeros((0, 4))


def turn(yaw=0.0, pitch=0.0, roll=0.0):
    """A rotation (3, 3) in degrees: to the right, up, clockwise."""
    return Rotation.from_euler("yxz", [yaw, pitch, roll], degrees=True).as_matrix()


@pytest.fixture(scope="module")
def panorama():
    """A picture of the world (1800, 3600, 3), a tenth of a degree a pixel."""
    random = np.random.default_rng(0)
    coarse = cv2.resize(random.integers(0, 255, (90, 180, 3), np.uint8), (3600, 1800))
    fine = cv2.resize(random.integers(0, 60, (600, 1200, 3), np.uint8), (3600, 1800))
    return cv2.add(coarse // 2, fine)


def picture(panorama, rotation, camera=CAMERA, zoom=1.0):
    """What a camera sees whose rays a rotation takes to the world's; zoom of all or each pixel."""
    width, height = camera.frame_size
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    x, y, z = np.moveaxis(camera.rays(camera.zoomed(grid, 1 / zoom)) @ rotation.T, -1, 0)
    across = np.degrees(np.arctan2(x, z)) * 10 + 1800
    down = np.degrees(np.arctan2(y, np.hypot(x, z))) * 10 + 900
    return cv2.remap(panorama, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR)


def degrees_between(found, true):
    return np.degrees(Rotation.from_matrix(found @ np.transpose(true)).magnitude())


def told(egomotion, image, boxes=NOBODY, camera=CAMERA):
    """The turn of a camera that does not zoom."""
    setting = set_at(egomotion, image, boxes, camera)
    assert setting.zoom == 1
    return setting.turn


def set_at(egomotion, image, boxes=NOBODY, camera=CAMERA):
    shift = egomotion.see(image, boxes).shift
    return Setting(np.eye(3)) if shift is None else setting_of(shift, camera)


def test_turns_in_all_directions_are_found(panorama):
    egomotion = Egomotion()
    for angles in [(0, 0, 0), (3, 0, 0), (3, 2, 0), (-2, 2, 4), (2, 0, 1), (0, 0, 0)]:
        found = told(egomotion, picture(panorama, turn(*angles)))
        assert degrees_between(found, turn(*angles)) < 0.06


def test_a_long_pan_adds_up_little(panorama):
    egomotion = Egomotion()
    for yaw in [*np.arange(0, 33, 3.0), *np.arange(33, -1, -3.0)]:
        found = told(egomotion, picture(panorama, turn(yaw)))
        assert degrees_between(found, turn(yaw)) < 0.2


def test_beyond_the_widest_turn_the_view_is_dragged_along(panorama):
    egomotion = Egomotion()
    for yaw in np.arange(0, 70, 4.0):
        found = told(egomotion, picture(panorama, turn(yaw)))
    assert degrees_between(found, turn(np.degrees(WIDEST))) < 0.5
    back = told(egomotion, picture(panorama, turn(yaw - 10)))
    assert degrees_between(back, turn(np.degrees(WIDEST) - 10)) < 0.5


@pytest.mark.parametrize("fov", [40, 75])
@pytest.mark.parametrize("known", [True, False])
def test_of_an_unknown_lens_the_turn_is_nearly_right(panorama, fov, known):
    camera = Camera.from_fov(fov, SIZE)
    egomotion = Egomotion(fov) if known else Egomotion()
    told(egomotion, picture(panorama, turn(), camera), camera=camera)
    found = told(egomotion, picture(panorama, turn(4, 1), camera), camera=camera)
    assert degrees_between(found, turn(4, 1)) < (0.06 if known else 0.35)


def test_zooms_are_found_and_turns_beside_them(panorama):
    egomotion = Egomotion()
    for zoom, yaw in [
        (1, 0),
        (1.03, 0),
        (1.1, 1),
        (1.25, 3),
        (1.6, 4),
        (1.4, 2),
        (1, 0),
        (0.8, -3),
    ]:
        found = set_at(egomotion, picture(panorama, turn(yaw, yaw / 2), zoom=zoom))
        assert found.zoom == pytest.approx(zoom, rel=4e-3)
        assert degrees_between(found.turn, turn(yaw, yaw / 2)) < 0.1


def test_a_camera_that_only_zooms_has_not_turned_at_all(panorama):
    egomotion = Egomotion()
    for zoom in (1, 1.1, 1.2, 1.4):
        found = set_at(egomotion, picture(panorama, turn(), zoom=zoom))
    assert found.zoom == pytest.approx(1.4, rel=4e-3)
    np.testing.assert_allclose(found.turn, np.eye(3), atol=1e-9)


def test_quick_zooms_are_no_cuts(panorama):
    egomotion = Egomotion()
    for zoom, yaw in [(1, 0), (1.6, 0), (1, 3), (0.6, 0), (1.1, -2)]:
        view = egomotion.see(picture(panorama, turn(yaw), zoom=zoom), NOBODY)
        found = Setting(np.eye(3)) if view.shift is None else setting_of(view.shift, CAMERA)
        assert not view.cut
        assert found.zoom == pytest.approx(zoom, rel=6e-3)
        assert degrees_between(found.turn, turn(yaw)) < 0.2


def test_beyond_the_longest_lens_the_view_is_dragged_along(panorama):
    wide = Camera.from_fov(120, SIZE)
    egomotion, zooms = Egomotion(120), [*np.geomspace(1, 12, 24), 9]
    for zoom in zooms:
        found = set_at(egomotion, picture(panorama, turn(), wide, zoom), camera=wide)
    assert found.zoom == pytest.approx(MOST_ZOOM * 9 / 12, rel=0.03)


def test_coming_nearer_is_no_zoom(panorama):
    egomotion, random = Egomotion(), np.random.default_rng(0)
    metres = np.kron(random.uniform(4, 12, (6, 10)), np.ones((60, 64)))
    for way in np.arange(0, 1.2, 0.2):
        image = picture(panorama, turn(), zoom=metres / (metres - way))
        assert set_at(egomotion, image).zoom == 1


@given(st.tuples(*[st.floats(-15, 15)] * 3), st.floats(0.5, 4), st.floats(35, 90))
def test_rotation_and_zoom_of_points(angles, zoom, fov):
    camera, random = Camera.from_fov(fov, SIZE), np.random.default_rng(0)
    rotation, before = turn(*angles), random.uniform((0, 0), SIZE, (90, 2))
    there = camera.rays(before)
    after = camera.zoomed(camera.project(there @ rotation), zoom)
    here = camera.rays(after)[:70]
    here[60:] += random.normal(0, 0.05, (10, 3)) * [1, 1, 0]  # things that move
    there = there / np.linalg.norm(there, axis=-1, keepdims=True)
    found, agreed = agreed_zoom(here, there[:70], 1e-3)
    assert found.zoom == pytest.approx(zoom, rel=1e-3)
    assert degrees_between(found.turn, rotation) < 0.03
    assert agreed[:60].all()


def test_a_camera_that_stands_has_not_turned_at_all(panorama):
    egomotion, random = Egomotion(), np.random.default_rng(1)
    still = picture(panorama, turn()).astype(int)
    for look in range(8):
        image = still + random.normal(0, 8, still.shape) + 3 * look  # noise, and more light
        image[100:220, 60 * look : 60 * look + 120] = 200 - 20 * look  # somebody not detected
        assert egomotion.see(np.clip(image, 0, 255).astype(np.uint8), NOBODY) == (None, False, None)


def test_people_are_not_background(panorama):
    egomotion = Egomotion()
    for look in range(5):
        image = picture(panorama, turn(2.0 * look))
        box = np.array([[150 + 20 * look, 0, 450 + 20 * look, 360]])
        person = picture(panorama, turn(100, 20))[:, :300]
        image[:, box[0, 0] : box[0, 2]] = person  # moves with the picture's own coordinates
        found = told(egomotion, image, box)
        assert degrees_between(found, turn(2.0 * look)) < 0.15


def captioned(image):
    """A picture with two lines of subtitles, as a film is edited."""
    shown = image.copy()
    for line, height in (("and then we come back", 305), ("to the middle of the room", 340)):
        for colour, thickness in ((0, 5), (255, 2)):
            cv2.putText(shown, line, (70, height), 0, 1.2, (colour,) * 3, thickness)
    return shown


@pytest.mark.parametrize("first", [0, 3])
def test_captions_are_no_background(panorama, first):
    """They stay where they are while the camera turns, from the beginning or later on."""
    egomotion = Egomotion(ASSUMED_FOV)
    for look in range(12):
        true = turn(1.5 * look, 0.3 * look)
        image = picture(panorama, true)
        found = told(egomotion, captioned(image) if look >= first else image)
        assert degrees_between(found, true) < 0.1


def test_a_bus_that_fills_the_middle_is_no_turn(panorama):
    """What stays beside it are no captions: they are too much."""
    egomotion, street = Egomotion(ASSUMED_FOV), picture(panorama, turn(40))
    for look in range(8):
        image = street.copy()
        image[80:280] = picture(panorama, turn(2.0 * look))[80:280]
        np.testing.assert_array_equal(told(egomotion, image), np.eye(3))


def test_quick_turns_are_found_by_the_shift_of_the_whole_picture(panorama):
    egomotion = Egomotion()
    for yaw in (0, 12, 0, -14, -2):  # between looks a fifth of a second apart
        found = told(egomotion, picture(panorama, turn(yaw, yaw / 6)))
        assert degrees_between(found, turn(yaw, yaw / 6)) < 0.1


def test_what_hides_the_background_for_a_while_loses_nothing(panorama):
    egomotion, everything = Egomotion(), np.array([[0, 0, 640, 360]])
    told(egomotion, picture(panorama, turn()))
    told(egomotion, picture(panorama, turn(3)))
    for look in range(4):
        image = picture(panorama, turn(90 + 15 * look))
        assert degrees_between(told(egomotion, image, everything), turn(3)) < 0.1
    found = told(egomotion, picture(panorama, turn(5)))
    assert degrees_between(found, turn(5)) < 0.1


def test_a_view_that_comes_back_is_known_again(panorama):
    egomotion = Egomotion()
    for yaw in np.arange(0, 36, 4.0):  # far enough for two more references
        told(egomotion, picture(panorama, turn(yaw)))
    found = told(egomotion, picture(panorama, turn(1, 1)))  # nothing of the look before is in it
    assert degrees_between(found, turn(1, 1)) < 0.1


def test_a_cut_is_a_beginning(panorama):
    egomotion = Egomotion()
    views = [egomotion.see(picture(panorama, turn(yaw)), NOBODY) for yaw in (0, 4, 150, 153)]
    assert [view.cut for view in views] == [False, False, True, False]
    assert views[2].shift is None
    assert degrees_between(setting_of(views[3].shift, CAMERA).turn, turn(3)) < 0.06


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("shown", [np.s_[:, 220:420], np.s_[130:230]])
def test_bars_hide_no_cut(panorama, level, shown):
    egomotion, views = Egomotion(), []
    for yaw in (0, 2, 150, 152):
        image = np.full((360, 640, 3), level, np.uint8)
        image[shown] = picture(panorama, turn(yaw))[shown]
        views.append(egomotion.see(image, NOBODY))
    assert [view.cut for view in views] == [False, False, True, False]
    assert degrees_between(setting_of(views[3].shift, CAMERA).turn, turn(2)) < 0.1


def test_bars_end_in_straight_lines_and_leave_a_picture():
    every, random = np.s_[0:90, 0:160], np.random.default_rng(0)
    upright, wide, lit, line = (np.full((90, 160), 16, np.uint8) for _ in range(4))
    upright[:, 60:100] = random.integers(40, 255, (90, 40))
    wide[30:60] = random.integers(40, 255, (30, 160))
    cv2.ellipse(lit, (80, 45), (15, 40), 0, 0, 360, 200, -1)  # somebody in the dark
    line[40:50] = 200  # a tenth of the picture
    assert between_bars(upright) == between_bars(upright, upright) == np.s_[0:90, 61:99]
    assert between_bars(wide) == np.s_[31:59, 0:160]
    assert between_bars(upright, wide) == every  # neither's bars are both's
    assert between_bars(lit) == between_bars(line) == between_bars(line.T)[::-1] == every


@pytest.mark.parametrize("looks", [1, 3, 8])
def test_a_dissolve_is_one_cut_towards_its_end(panorama, looks):
    first, last = (picture(panorama, turn(yaw)) for yaw in (0, 120))
    shares = np.clip(np.arange(-8, looks + 9) / (looks + 1), 0, 1)
    egomotion = Egomotion()
    cuts = [
        egomotion.see(cv2.addWeighted(first, 1 - share, last, share, 0), NOBODY).cut
        for share in shares
    ]
    assert sum(cuts) == 1
    assert shares[cuts.index(True)] > 0.4
    assert cuts.index(True) < 8 + looks + 3


class HardCuts(Egomotion):
    """Tells hard cuts alone."""

    def _dissolved(self, now):
        return False


@settings(max_examples=10, deadline=None)
@example(50.0, 16.0, 1.296875)  # so quick that the last look is taken for a hard cut
@given(st.floats(-60, 60), st.floats(-20, 20), st.floats(1, 1.3))
def test_turns_and_zooms_are_no_dissolves(panorama, yaw, pitch, zoom):
    """Degrees and zoom a second, at five looks a second."""
    told = Egomotion(), HardCuts()
    for look in range(12):
        to = turn(yaw * look / 5, pitch * np.sin(look / 5))
        image = picture(panorama, to, zoom=zoom ** (look / 5))
        both = [egomotion.see(image, NOBODY).cut for egomotion in told]
        assert both[0] == both[1]


def test_a_mixture():
    """Three parts of one picture and seven of another; shares, likeness and rest are seen to."""
    random = np.random.default_rng(0)
    first, last = (cv2.GaussianBlur(random.uniform(0, 255, (120, 160)), (0, 0), 1) for _ in "ab")
    free = np.full(first.shape, 255, np.uint8)

    def mixed(middle, before=first, after=last):
        return is_mixture(fine(before), fine(middle), fine(after), free)

    assert mixed(0.3 * first + 0.7 * last)
    assert not mixed(first)
    assert not mixed(last)
    assert not mixed(0.3 * first + 0.7 * np.roll(last, 5, 1))
    assert not mixed(0.5 * first, after=np.zeros_like(last))  # to black
    assert not mixed(first, after=first + 1)  # nothing happens
    free[:] = 0
    assert not mixed(0.3 * first + 0.7 * last)


def test_lights_and_somebody_near_are_no_cuts(panorama):
    egomotion, seen = Egomotion(), []
    for look in range(6):
        image = picture(panorama, turn(0.5 * look))
        image = image // 3 if look % 2 else image  # a lamp
        if look == 4:  # somebody steps before the lens
            image[:, 30:610] = picture(panorama, turn(100, 20))[:, :580]
        box = np.array([[30, 0, 610, 360]]) if look == 4 else NOBODY
        seen.append(egomotion.see(image, box).cut)
    assert not any(seen)


@pytest.mark.parametrize("level", [0, 255])
def test_a_flash_is_no_cut_and_a_fade_is_one(panorama, level):
    egomotion = Egomotion()
    empty = np.full((360, 640, 3), level, np.uint8)
    shown = [picture(panorama, turn(yaw)) for yaw in (0, 2, 3, 120)]
    views = [shown[0], shown[1], empty, shown[2], empty, empty, shown[3]]
    seen = [egomotion.see(image, NOBODY) for image in views]
    assert [view.cut for view in seen] == [False] * 6 + [True]
    assert degrees_between(setting_of(seen[3].shift, CAMERA).turn, turn(3)) < 0.1


@pytest.mark.parametrize("level", [0, 255])
def test_fading_up_at_the_beginning_is_no_cut(panorama, level):
    egomotion = Egomotion()
    shown = [picture(panorama, turn(yaw)) for yaw in (0, 2, 4, 120)]
    empty = np.full((360, 640, 3), level, np.uint8)
    half = cv2.addWeighted(shown[0], 0.5, empty, 0.5, 0)
    seen = [egomotion.see(image, NOBODY) for image in (empty, empty, half, *shown)]
    assert [view.cut for view in seen] == [False] * 6 + [True]
    assert degrees_between(setting_of(seen[5].shift, CAMERA).turn, turn(4)) < 0.1


def test_the_light_does_not_turn_the_camera(panorama):
    egomotion = Egomotion()
    for look, gain in enumerate((1, 0.6, 0.4, 1.2, 0.5)):
        image = np.clip(gain * picture(panorama, turn(2.0 * look)) + 10 * look, 0, 255)
        found = told(egomotion, image.astype(np.uint8))
        assert degrees_between(found, turn(2.0 * look)) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (1921, 1080)])
def test_pictures_of_any_size(panorama, size):
    egomotion, image = Egomotion(), cv2.resize(picture(panorama, turn()), size)
    assert egomotion.see(image, NOBODY) == (None, False, None)
    egomotion.see(image[:, ::-1], NOBODY)
    egomotion.see(255 - image, NOBODY)
    assert egomotion.see(np.zeros((90, 50, 3), np.uint8), NOBODY) == (None, True, None)


@given(st.tuples(*[st.floats(-25, 25)] * 3), st.floats(30, 90))
def test_the_rotation_of_a_homography_made_of_one(angles, fov):
    camera = Camera.from_fov(fov, SIZE)
    rotation = turn(*angles)
    homography = camera.intrinsics @ rotation @ np.linalg.inv(camera.intrinsics)
    np.testing.assert_allclose(setting_of(3.7 * homography, camera).turn, rotation, atol=1e-9)


@given(st.tuples(*[st.floats(-25, 25)] * 3), st.floats(0.3, 6), st.floats(30, 90))
def test_the_zoom_of_a_homography_made_with_one(angles, zoom, fov):
    camera, setting = Camera.from_fov(fov, SIZE), Setting(turn(*angles), zoom)
    found = setting_of(2.5 * setting.homography(camera), camera)
    if abs(np.log(zoom)) > 5e-3:
        assert found.zoom == pytest.approx(zoom, rel=1e-9)
        np.testing.assert_allclose(found.turn, setting.turn, atol=1e-9)
    other = Camera.from_fov(55, SIZE)  # a wrong lens makes no zoom of a turn
    assert setting_of(Setting(turn(*angles)).homography(camera).round(9), other).zoom == 1


def look_at(joints, rotation, frame=0, camera=CAMERA, zoom=1.0):
    """A look at one person, joints (17, 3) of a still camera, by one that is turned and zoomed.

    rotation takes rays of the turned camera to those of the still one.
    """
    points = camera.zoomed(camera.project(joints @ rotation), zoom)[None].astype(np.float32)
    box = np.concatenate([points.min(1), points.max(1)], -1)
    people = People(box, np.ones(1), points, np.full((1, 17), 0.9))
    at_rest = np.array_equal(rotation, np.eye(3)) and zoom == 1
    shift = Setting(rotation, zoom).homography(camera)
    return Look(frame, frame / 25, people, shift=None if at_rest else shift)


def begun():
    """Has seen a first look, from which turns count."""
    steadying = Steadying(CAMERA)
    steadying.steadied(Look(0, 0.0, People.none()))
    return steadying


@pytest.mark.parametrize("zoom", [1, 1.7, 0.6])
def test_people_are_put_where_a_still_camera_sees_them(zoom):
    body, rotation = BODY + [0.2, 0.3, 5], turn(5, -2, 3)
    still, seen = look_at(body, np.eye(3)), look_at(body, rotation, zoom=zoom)
    steadying = Steadying(CAMERA)
    assert steadying.steadied(still) is still
    steadied = steadying.steadied(seen)
    np.testing.assert_allclose(steadied.people.keypoints, still.people.keypoints, atol=1e-3)
    np.testing.assert_allclose(steadied.people.boxes, still.people.boxes, atol=25)  # upright again
    assert steadied.shift is None  # nobody takes it out twice
    pictured = steadying.pictured(steadied.people.keypoints, np.array([1]))
    np.testing.assert_allclose(pictured, seen.people.keypoints, atol=1e-3)
    points = still.people.keypoints
    np.testing.assert_array_equal(steadying.pictured(points, np.array([0])), points)


def test_ten_degrees_by_hand():
    # Straight ahead of a camera that turned to the right by ten degrees is f tan(10) to the right.
    steadying = begun()
    middle = np.full((1, 17, 2), [319.5, 179.5], np.float32)
    seen = People(np.array([[300, 160, 340, 200]]), np.ones(1), middle, np.ones((1, 17)))
    shift = CAMERA.intrinsics @ turn(10) @ np.linalg.inv(CAMERA.intrinsics)
    steadied = steadying.steadied(Look(1, 0.04, seen, shift=shift)).people
    expected = [319.5 + CAMERA.intrinsics[0, 0] * np.tan(np.radians(10)), 179.5]
    np.testing.assert_allclose(steadied.keypoints[0, 3], expected, atol=1e-3)


def test_twice_the_focal_length_by_hand():
    # At twice the focal length things are twice as far from the middle, (319.5, 179.5).
    np.testing.assert_allclose(CAMERA.zoomed([[329.5, 179.5]], 2), [[339.5, 179.5]])
    points = np.full((1, 17, 2), [339.5, 159.5], np.float32)
    seen = People(np.array([[319.5, 139.5, 359.5, 179.5]]), np.ones(1), points, np.ones((1, 17)))
    shift = [[0.5, 0, 159.75], [0, 0.5, 89.75], [0, 0, 1]]
    steadying = Steadying(CAMERA)
    steadied = steadying.steadied(Look(0, 0.0, seen, shift=np.array(shift))).people
    np.testing.assert_allclose(steadied.keypoints[0, 3], [329.5, 169.5], atol=1e-3)
    np.testing.assert_allclose(steadied.boxes[0], [319.5, 159.5, 339.5, 179.5], atol=1e-3)
    assert steadying.zooms([0.0], np.zeros(1)) == pytest.approx([2])


def test_what_a_still_camera_could_not_see_is_missing():
    points = np.full((1, 17, 2), [319.5, 179.5], np.float32)
    points[0, 0] = 1e4, 179.5  # nearly at a right angle: behind the still camera
    seen = People(np.array([[0, 0, 1e4, 200]]), np.ones(1), points, np.ones((1, 17)))
    shift = CAMERA.intrinsics @ turn(39) @ np.linalg.inv(CAMERA.intrinsics)
    people = begun().steadied(Look(1, 0.04, seen, shift=shift)).people
    assert people.confidence[0].tolist() == [0] + [1] * 16
    assert np.isfinite(people.boxes).all()


def test_between_looks_the_camera_turns_evenly():
    steadying = Steadying(CAMERA)
    body = BODY + [0, 0, 5]
    for frame, yaw in ((0, 0), (10, 8), (20, 8)):
        steadying.steadied(look_at(body, turn(yaw), frame))
    found = steadying.rotations([0, 0.4, 0.8], np.array([-1, 0, 0.1, 0.2, 0.6, 2]))
    expected = [turn(yaw).T for yaw in (0, 0, 2, 4, 8, 8)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32
    assert (steadying.zooms([0, 0.4, 0.8], np.array([0, 0.3])) == 1).all()


def test_a_camera_that_travels_does_not_zoom():
    body = BODY + [0, 0, 5]
    steadying = Steadying(CAMERA, zooms=False)
    steadied = steadying.steadied(look_at(body, turn(5), zoom=1.5))
    assert (steadying.zooms([0], np.zeros(2)) == 1).all()
    wider = Steadying(CAMERA).steadied(look_at(body, turn(5), zoom=1.5))
    heights = [np.ptp(look.people.keypoints[0, :, 1]) for look in (steadied, wider)]
    assert heights[0] / heights[1] == pytest.approx(1.5, rel=0.02)


def test_between_looks_the_logarithm_of_the_zoom_is_even():
    steadying = Steadying(CAMERA)
    for frame, zoom in ((0, 1), (10, 4), (20, 2)):
        steadying.steadied(look_at(BODY + [0, 0, 5], np.eye(3), frame, zoom=zoom))
    found = steadying.zooms([0, 0.4, 0.8], np.array([-1, 0, 0.2, 0.4, 0.6, 2]))
    np.testing.assert_allclose(found, [1, 1, 2, 4, 8**0.5, 2], rtol=1e-6)
    assert found.dtype == np.float32


def seen_by(steadying, yaws, cut, zooms=None):
    """Looks of a camera turned by degrees, steadied; the film is cut at one of them."""
    zooms = np.ones(len(yaws)) if zooms is None else zooms
    looks = [
        look_at(BODY + [0, 0, 5], turn(yaw), 12 * i, zoom=zoom)
        for i, (yaw, zoom) in enumerate(zip(yaws, zooms, strict=True))
    ]
    return [steadying.steadied(replace(look, cut=i == cut)) for i, look in enumerate(looks)]


def test_turns_count_from_the_first_look_of_each_shot():
    # As out of a file of which the first looks, and the first one after the cut, are left out.
    steadying = Steadying(CAMERA)
    looks = seen_by(steadying, (10, 12, 0, 7, 4), cut=3)
    found = steadying.rotations(np.arange(5.0), np.arange(5.0))
    np.testing.assert_allclose(found, [turn(yaw).T for yaw in (0, 2, -10, 0, -3)], atol=1e-6)
    for look, yaw in zip(looks, (10, 10, 10, 7, 7), strict=True):
        expected = look_at(BODY + [0, 0, 5], turn(yaw)).people.keypoints
        np.testing.assert_allclose(look.people.keypoints, expected, atol=1e-3)
        assert look.shift is None


def test_looks_without_people_are_steadied_too():
    looks = [replace(look_at(BODY + [0, 0, 5], turn(9), i), people=People.none()) for i in (0, 1)]
    steadying = Steadying(CAMERA)
    assert [steadying.steadied(look).shift for look in looks] == [None, None]


def test_a_camera_stands_between_the_last_look_of_a_shot_and_the_first_of_the_next():
    steadying = Steadying(CAMERA)
    seen_by(steadying, (0, 8, 0, 4), cut=2, zooms=(1, 4, 1, 2.25))
    looked, times = [0, 0.5, 1.0, 1.5], np.array([0.25, 0.5, 0.75, 0.99, 1.0, 1.25, 9])
    found = steadying.rotations(looked, times)
    np.testing.assert_allclose(found, [turn(y).T for y in (4, 8, 8, 8, 0, 2, 4)], atol=1e-6)
    zooms = steadying.zooms(looked, times)
    np.testing.assert_allclose(zooms, [2, 4, 4, 4, 1, 1.5, 2.25], rtol=1e-6)


def test_a_camera_that_stands_is_no_rotation():
    steadying = Steadying(CAMERA)
    steadying.steadied(look_at(BODY + [0, 0, 5], np.eye(3)))
    np.testing.assert_array_equal(steadying.rotations([0.0], np.arange(3.0)), [np.eye(3)] * 3)


def test_a_camera_that_swings_breaks_no_track():
    body = BODY + [-0.75, 0.3, 6]
    looks = [look_at(body, turn(14 * (i % 2)), 5 * i) for i in range(12)]
    (track,) = track_people(looks, SIZE, "h36m17")
    seen = np.stack([look.people.keypoints[0] for look in looks])
    np.testing.assert_array_equal(track.keypoints, seen)  # where the pictures show them
    untold = [replace(look, shift=None) for look in looks]
    assert len(track_people(untold, SIZE, "h36m17")) > 1


def test_turns_are_taken_out_by_the_lens_that_is_known(tmp_path, monkeypatch):
    """Two who stand, before a phone's widest lens that pans past them."""
    lens = Camera.from_fov(108, SIZE)
    looks = []
    for i in range(8):
        seen = [look_at(BODY + [x, 0, 4], turn(10 * i), 5 * i, lens) for x in (2, 4)]
        parts = ("boxes", "scores", "keypoints", "confidence")
        them = [np.concatenate([getattr(one.people, part) for one in seen]) for part in parts]
        looks.append(replace(seen[0], people=People(*them)))
    assert len(track_people(looks, SIZE, "h36m17", lens)) == 2
    assert len(track_people(looks, SIZE, "h36m17")) > 2
    video = tmp_path / "a.mp4"
    video.write_text("")
    times, told = array("d", np.arange(36) / 25), [replace(look, fov=108.0) for look in looks]
    stated = Clip("a", lambda _: iter(looks), times, 25.0, SIZE, "h36m17", lens, video, "")
    found = replace(stated, looks=lambda _: iter(told), camera=None)
    for clip in (stated, found):
        monkeypatch.setattr(Pipeline, "observe", lambda *_, clip=clip: [clip])
        assert Pipeline(LiftOptions()).detect(video, tmp_path / "a.json") == 2


def test_the_largest_is_who_is_largest_in_the_pictures(tmp_path):
    # Somebody 5 m ahead, then somebody at 6 m, 50 degrees aside: the steady view makes their box
    # 1 / cos(50)^3 = 3.8 times as large, in the pictures it has (5 / 6)^2 = 0.7 of the other's.
    bodies = [BODY + [0, 0, 5]] * 6 + [(BODY + [0, 0, 6]) @ turn(50).T] * 6
    looks = [look_at(body, turn(50 * (i > 5)), 5 * i) for i, body in enumerate(bodies)]
    looks = [
        replace(look, people=replace(look.people, ids=np.array([1 + (i > 5)])))
        for i, look in enumerate(looks)
    ]
    path = tmp_path / "clip.json"
    write_keypoints(path, KeypointClip("clip", looks, "h36m17", 56, 25.0, SIZE))
    assert vid3d.lift(keypoints=path, person="largest").track_ids.tolist() == [1]


@pytest.fixture
def clip():
    """A person who walks to the right; the camera follows."""
    bodies = BODY + np.stack([np.linspace(-1, 1, 9), np.full(9, 0.5), np.full(9, 5)], -1)[:, None]
    looks = [look_at(body, turn(2.0 * i), 5 * i) for i, body in enumerate(bodies)]
    return KeypointClip("clip", looks, "h36m17", 41, 25.0, SIZE)


def test_a_video_of_a_camera_that_turns(repo, tmp_path):
    source = repo / "tests/data/tiny.mp4"
    with VideoReader(source) as reader:
        camera = Camera.from_fov(ASSUMED_FOV, reader.info.size)
        K, size = camera.intrinsics, reader.info.size
        with VideoWriter(tmp_path / "turns.mp4", reader.info.fps, size) as writer:
            for frame in reader:
                warp = K @ turn(frame.index / 10, 0, -frame.index / 20).T @ np.linalg.inv(K)
                writer.write(cv2.warpPerspective(frame.image, warp, size), frame.time)
    motion = vid3d.lift(tmp_path / "turns.mp4", max_people=1)
    last = motion.frames - 1
    expected = turn(last / 10, 0, -last / 20).T
    assert degrees_between(motion.camera_rotation[last], expected) < 0.2
    assert Pipeline(LiftOptions()).detect(tmp_path / "turns.mp4", tmp_path / "seen.json")
    (seen,) = read_keypoints(tmp_path / "seen.json")
    assert degrees_between(setting_of(seen.looks[-1].shift, camera).turn.T, expected) < 0.2
    again = vid3d.lift(keypoints=tmp_path / "seen.json", max_people=1)
    np.testing.assert_allclose(again.camera_rotation, motion.camera_rotation, atol=1e-4)


def test_files_of_keypoints_keep_the_shift(clip):
    document = json.loads(json.dumps(coco_from_clip(clip)))
    assert "shift" not in document["images"][0]
    looks = clip_from_coco(document, "clip").looks
    assert looks[0].shift is None
    for read, written in zip(looks[1:], clip.looks[1:], strict=True):
        turned = setting_of(read.shift, CAMERA).turn
        assert degrees_between(turned, setting_of(written.shift, CAMERA).turn) < 1e-4


@pytest.mark.parametrize(
    "shift",
    ["left", [1, 2, 3], [[0] * 3] * 3, [[1, 0, 0], [0, 1, 0], [0, 0, -1]], [[1e300] * 3] * 3],
)
def test_a_shift_that_is_none_is_refused(clip, shift):
    document = coco_from_clip(clip)
    document["images"][3]["shift"] = shift
    with pytest.raises(Vid3dError, match="shift of an image"):
        clip_from_coco(document, "clip")


def test_a_lift_is_the_same_whether_the_camera_turns(clip, tmp_path):
    still = [
        look_at(camera_free, np.eye(3), look.frame)
        for look, camera_free in zip(
            clip.looks,
            BODY + np.stack([np.linspace(-1, 1, 9), np.full(9, 0.5), np.full(9, 5)], -1)[:, None],
            strict=True,
        )
    ]
    write_keypoints(tmp_path / "turns.json", clip)
    write_keypoints(tmp_path / "still.json", replace(clip, looks=still))
    turned, stood = (vid3d.lift(keypoints=tmp_path / f"{name}.json") for name in ("turns", "still"))
    np.testing.assert_allclose(turned.joints3d, stood.joints3d, atol=5e-3)
    np.testing.assert_array_equal(stood.camera_rotation, np.broadcast_to(np.eye(3), (41, 3, 3)))
    np.testing.assert_allclose(turned.camera_rotation[40], turn(16).T, atol=1e-4)
    seen = np.stack([look.people.keypoints[0] for look in clip.looks])
    np.testing.assert_allclose(turned.keypoints2d[0, :, :, :2], seen, atol=0.02)
    projected = turned.camera.project(from_camera(turned, turned.joints3d)[0, turned.keyframes])
    assert np.median(np.linalg.norm(projected - seen, axis=-1)) < 8


@pytest.mark.parametrize("zooms", [np.geomspace(1, 2, 9), np.geomspace(1, 0.6, 9)])
def test_a_lift_is_the_same_whether_the_camera_zooms(zooms, tmp_path):
    bodies = (
        BODY + np.stack([np.linspace(-0.3, 0.3, 9), np.full(9, 0.2), np.full(9, 5)], -1)[:, None]
    )
    motions = []
    for used in (zooms, np.ones(9)):
        looks = [
            look_at(body, np.eye(3), 5 * i, zoom=zoom)
            for i, (body, zoom) in enumerate(zip(bodies, used, strict=True))
        ]
        clip = KeypointClip("clip", looks, "h36m17", 41, 25.0, SIZE)
        write_keypoints(tmp_path / "clip.json", clip)
        motions.append(vid3d.lift(keypoints=tmp_path / "clip.json"))
    motion, stood = motions
    np.testing.assert_allclose(motion.joints3d, stood.joints3d, atol=5e-3)
    np.testing.assert_allclose(motion.camera_zoom[::5], zooms, rtol=1e-4)
    assert largest_turn(motion) == 0
    assert (stood.camera_zoom == 1).all()
    pixels = filmed(motion, motion.joints3d)[0, motion.keyframes]
    shown = motion.keypoints2d[0, :, :, :2]
    assert np.median(np.linalg.norm(pixels - shown, axis=-1)) < 8 * zooms.max()


def zooming(motion, most=1.8):
    """The same people before a camera that zoomed in evenly, seen by it."""
    return replace(motion, camera_zoom=np.geomspace(1, most, motion.frames).astype(np.float32))


def turning(motion, degrees=12.0):
    """The same people before a camera that turned evenly to the right, seen by it."""
    rotation = np.stack([turn(yaw).T for yaw in np.linspace(0, degrees, motion.frames)])
    return replace(motion, camera_rotation=rotation.astype(np.float32))


def test_people_after_a_cut_are_others():
    bodies = [BODY + [x, 0.3, 5] for x in np.linspace(-0.3, 0.3, 8)]
    looks = [look_at(body, np.eye(3), 5 * i) for i, body in enumerate(bodies)]
    assert len(track_people(looks, SIZE, "h36m17")) == 1
    looks[3] = replace(looks[3], cut=True)
    tracks = track_people(looks, SIZE, "h36m17")
    assert [track.looks.tolist() for track in tracks] == [[0, 1, 2], [3, 4, 5, 6, 7]]
    assert not _thinned(looks[3:], 10)[0].cut  # nothing was before it
    thinned = _thinned(looks, 10)  # from the cut on, looks are counted anew
    assert [(look.frame, look.cut) for look in thinned] == [
        (0, False), (10, False), (15, True), (25, False), (35, False)
    ]  # fmt: skip


def test_identities_of_a_file_end_at_cuts(tmp_path):
    """Nobody is in two shots: id 4 is there throughout, id 2 before the cut, id 7 after it."""
    ids = [[4, 2], [4, 2], [4], [4, 7], [4, 7]]
    looks = [
        Look(5 * i, i / 5, replace(_people(len(here)), ids=np.array(here)), cut=i == 2)
        for i, here in enumerate(ids)
    ]
    path, monitor = tmp_path / "k.json", Monitor()
    write_keypoints(path, KeypointClip("k", looks, "h36m17", 21, 25.0, SIZE))
    (clip,) = clips_of_keypoints(path, None, LiftOptions(stride=5), monitor)
    read = list(clip.looks(None))
    assert clip.identified
    assert [look.people.ids.tolist() for look in read] == [[4, 2], [4, 2], [8], [8, 7], [8, 7]]
    assert monitor.warnings == [
        f"{path}: people whose ids go on after a cut of the film are new there, as id 8"
    ]
    assert len({track.id for track in track_people(read, SIZE, "h36m17")}) == 4
    without = [replace(look, cut=False) for look in looks]
    write_keypoints(path, KeypointClip("k", without, "h36m17", 21, 25.0, SIZE))
    (clip,) = clips_of_keypoints(path, None, LiftOptions(stride=5), monitor)
    assert [look.people.ids.tolist() for look in clip.looks(None)] == ids
    assert len(monitor.warnings) == 1


def _people(count):
    """People without identities."""
    places = [[0.5 * i, 0, 5] for i in range(count)]
    poses = np.stack([CAMERA.project(BODY + place) for place in places]).astype(np.float32)
    boxes = np.concatenate([poses.min(1), poses.max(1)], -1)
    return People(boxes, np.ones(count), poses, np.full((count, 17), 0.9))


def test_what_is_lifted_begins_where_the_camera_stood(tmp_path, clip):
    """The camera follows somebody by 2 degrees a look; looks before 0.8 s are left out."""
    write_keypoints(tmp_path / "turns.json", clip)
    options = {"keypoints": tmp_path / "turns.json", "floor": False}
    whole, part = (vid3d.lift(start=start, **options) for start in (None, 0.8))
    assert degrees_between(part.camera_rotation[0], np.eye(3)) < 1e-3
    assert degrees_between(part.camera_rotation[-1], turn(8).T) < 1e-2  # of 16
    pixels = filmed(part, part.joints3d)[0, part.keyframes]
    assert np.median(np.linalg.norm(pixels - part.keypoints2d[0, :, :, :2], axis=-1)) < 8
    np.testing.assert_allclose(  # the same places, seen from where the camera stood then
        part.joints3d[0, 5:, 0], whole.joints3d[0, 25:, 0] @ turn(8), atol=0.1
    )


def test_a_lift_of_a_film_with_a_cut(tmp_path):
    """Two shots of one person each, the second from a camera that looks down by 25 degrees."""
    down = turn(0, -25)
    places = np.stack([np.linspace(-0.5, 0.5, 12), np.full(12, 0.6), np.full(12, 5)], -1)
    bodies = BODY + places[:, None]
    looks = [look_at(body, np.eye(3), 5 * i) for i, body in enumerate(bodies)]
    looks += [
        replace(look_at(body @ down.T, np.eye(3), 60 + 5 * i), cut=i == 0)
        for i, body in enumerate(bodies[:6])
    ]
    clip = KeypointClip("film", looks, "h36m17", 86, 25.0, SIZE)
    write_keypoints(tmp_path / "film.json", clip)
    document = json.loads((tmp_path / "film.json").read_text(encoding="utf-8"))
    for annotation in document["annotations"]:
        annotation.pop("track_id", None)
    (tmp_path / "film.json").write_text(json.dumps(document), encoding="utf-8")
    monitor = Monitor()
    motion = vid3d.lift(keypoints=tmp_path / "film.json", monitor=monitor)
    assert motion.meta["cuts"] == [2.4]
    assert [np.flatnonzero(one)[[0, -1]].tolist() for one in motion.present] == [[0, 55], [60, 85]]
    assert ["cut" in text for text in monitor.warnings] == [True]
    alone = vid3d.lift(keypoints=_first_shot(document, tmp_path))
    np.testing.assert_allclose(  # the floor is that of the longer shot
        motion.meta["ground"]["normal"], alone.meta["ground"]["normal"], atol=0.02
    )
    assert Motion.load(motion.save(tmp_path / "film.vid3d.npz")).meta["cuts"] == [2.4]
    _check_one_floor(motion, looks)
    lifted = vid3d.lift(keypoints=tmp_path / "film.json", floor=False)
    assert not moved(lifted)  # each shot as its camera saw it
    assert moves_of(lifted) == ""
    assert moves_of(motion) == "another in each shot"
    document = json.loads(motion.save_json(tmp_path / "m.json").read_text(encoding="utf-8"))
    assert "in which most is seen" in document["meta"]["axes"]
    leans = [_lean(one, [0, -1, 0]) for one in (lifted.joints3d[0, :50], lifted.joints3d[1, 60:])]
    assert leans[1] - leans[0] > 15


def _lean(joints, up):
    """Degrees between a body's up and another."""
    body = np.median(joints[:, 8] - joints[:, 0], 0)
    return np.degrees(np.arccos(body @ up / np.linalg.norm(body)))


def _check_one_floor(motion, looks):
    """Both shots' people stand upright on one floor, and are seen where the pictures show them."""
    up, height = np.array(motion.meta["ground"]["normal"]), motion.meta["ground"]["height"]
    for person, frames in ((0, slice(5, 50)), (1, slice(62, 84))):
        joints = motion.joints3d[person, frames]
        assert _lean(joints, up) < 10  # of the 25 between the cameras
        assert abs(np.median(joints[:, [3, 6]] @ up + height) - 0.085) < 0.05
    tilt = Rotation.from_matrix(motion.camera_rotation[80] @ motion.camera_rotation[0].T)
    assert abs(tilt.magnitude() - np.radians(25)) < np.radians(6)
    seen = np.stack([look.people.keypoints[0] for look in looks])
    for person, places in ((0, slice(0, 12)), (1, slice(12, 18))):
        frames = motion.keyframes[places]
        joints = from_camera(motion, motion.joints3d[person, frames], frames)
        off = np.linalg.norm(motion.camera.project(joints) - seen[places], axis=-1)
        assert np.median(off) < 8


def _first_shot(document, folder):
    images = [image for image in document["images"] if image["frame"] < 60]
    ids = {image["id"] for image in images}
    annotations = [one for one in document["annotations"] if one["image_id"] in ids]
    info = {**document["info"], "frames": 56}
    path = folder / "shot.json"
    shot = {**document, "images": images, "annotations": annotations, "info": info}
    path.write_text(json.dumps(shot), encoding="utf-8")
    return path


def test_files_hold_the_turn_only_where_there_is_one(tmp_path):
    for motion in (walk(), turning(walk())):
        read = Motion.load(motion.save(tmp_path / "a.vid3d.npz"))
        np.testing.assert_array_equal(read.camera_rotation, motion.camera_rotation)
        with np.load(tmp_path / "a.vid3d.npz") as data:
            assert ("camera_rotation" in data) == (motion.camera_rotation != np.eye(3)).any()
        document = json.loads(motion.save_json(tmp_path / "a.json").read_text(encoding="utf-8"))
        assert ("camera_rotation" in document) == (motion.camera_rotation != np.eye(3)).any()
    np.testing.assert_allclose(document["camera_rotation"], motion.camera_rotation, atol=1e-6)
    assert "first look" in document["meta"]["axes"]
    assert largest_turn(motion) == pytest.approx(12, abs=1e-3)


@pytest.mark.parametrize(
    "rotation",
    [np.eye(3)[None, :2], np.ones((12, 3, 3)), np.full((12, 3, 3), np.nan), -np.eye(3), "none"],
)
def test_what_is_no_rotation_is_refused(rotation, tmp_path):
    with pytest.raises(Vid3dError, match="camera_rotation"):
        replace(walk(), camera_rotation=np.asarray(rotation)).save(tmp_path / "a.vid3d.npz")


def test_files_hold_the_zoom_only_where_there_is_one(tmp_path):
    for motion in (walk(), zooming(walk())):
        read = Motion.load(motion.save(tmp_path / "a.vid3d.npz"))
        np.testing.assert_array_equal(read.camera_zoom, motion.camera_zoom)
        assert read.camera_zoom.shape == (motion.frames,)
        with np.load(tmp_path / "a.vid3d.npz") as data:
            assert ("camera_zoom" in data) == (motion.camera_zoom != 1).any()
            assert "camera_rotation" not in data
        document = json.loads(motion.save_json(tmp_path / "a.json").read_text(encoding="utf-8"))
        assert ("camera_zoom" in document) == (motion.camera_zoom != 1).any()
    np.testing.assert_allclose(document["camera_zoom"], motion.camera_zoom, atol=1e-6)
    assert largest_zoom(motion) == pytest.approx(1.8)
    assert largest_zoom(replace(motion, camera_zoom=1 / motion.camera_zoom)) == pytest.approx(
        1 / 1.8
    )
    words = str(describe_motion(motion.save(tmp_path / "a.vid3d.npz")))
    assert "zoomed by up to 1.80 times, which is taken out" in words
    assert "zoomed" not in str(describe_motion(walk().save(tmp_path / "a.vid3d.npz")))


@pytest.mark.parametrize(
    "zoom", [np.geomspace(1, 2, 3), np.zeros(1), np.full(1, np.nan), "none", -np.ones(1)]
)
def test_what_is_no_zoom_is_refused(zoom, tmp_path):
    with pytest.raises(Vid3dError, match="camera_zoom"):
        replace(walk(), camera_zoom=np.asarray(zoom)).save(tmp_path / "a.vid3d.npz")


def test_overlay_page_and_scores_see_through_the_turned_camera():
    motion = zooming(turning(walk(people=1)))
    seen = from_camera(motion, motion.joints3d)[0]
    np.testing.assert_allclose(seen[-1], motion.joints3d[0, -1] @ turn(12), atol=1e-5)
    K = motion.intrinsics * np.ones((motion.frames, 1, 1))
    K[:, :2, :2] *= motion.camera_zoom[:, None, None]
    pixels = seen @ K.swapaxes(1, 2)
    pixels = pixels[..., :2] / pixels[..., 2:]
    np.testing.assert_allclose(filmed(motion, motion.joints3d)[0], pixels, atol=1e-3)
    drawn = []
    overlay = Overlay(motion, (640, 480))
    overlay._draw_skeleton = lambda picture, person, spots, *_: drawn.append(spots)
    blank = type("Planes", (), {"size": (640, 480)})()
    overlay.options = replace(overlay.options, labels=False, keypoints=False)
    for frame in range(motion.frames):
        overlay.draw(blank, frame)
    np.testing.assert_allclose(drawn, pixels, atol=1e-3)
    data = page_data(motion)
    camera, places = data["camera"], decode(data["people"][0]["joints"]).reshape(-1, 17, 3)
    places[:, 1:] += places[:, :1]
    turns = decode(camera["turns"]).reshape(-1, 3, 3)
    through = (places - camera["position"]) @ np.array(camera["rotation"])
    through = through @ turns.swapaxes(1, 2)
    through[..., :2] *= decode(camera["zooms"])[:, None]
    through = through @ np.array(camera["intrinsics"]).T
    np.testing.assert_allclose(through[..., :2] / through[..., 2:], pixels, atol=0.4)
    assert not {"turns", "zooms"} & set(page_data(walk())["camera"])
    assert "turned by up to 12.0 degrees, zoomed by up to 1.80 times" in str(data["facts"])
    from vid3d.data.pairs import PairSequence

    truth = PairSequence(
        name="one", joint_set="h36m17", keypoints2d=pixels.astype(np.float32),
        confidence=np.ones((motion.frames, 17), np.float32), fps=25.0,
        camera=motion.camera, joints3d=seen.astype(np.float32),
    )  # fmt: skip
    assert evaluate_result(motion, [truth]).overall.mrpe < 1e-2


def test_exported_cameras_turn(tmp_path):
    pygltflib = pytest.importorskip("pygltflib")
    motion = zooming(turning(make_motion(standing(np.zeros((1, 20, 2)) + [0, 4]))))
    take = Take(motion, export_space(motion, floor=False))
    (path,) = write_glb(take, tmp_path, "clip")
    gltf = pygltflib.GLTF2().load(path)
    node = next(i for i, one in enumerate(gltf.nodes) if one.name == "camera")
    (channel,) = [c for c in gltf.animations[0].channels if c.target.node == node]
    accessor = gltf.accessors[gltf.animations[0].samplers[channel.sampler].output]
    view = gltf.bufferViews[accessor.bufferView]
    blob = gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    quats = Rotation.from_quat(np.frombuffer(blob, np.float32).reshape(-1, 4))
    assert accessor.count == 20
    np.testing.assert_allclose(gltf.nodes[node].extras["zoom"], motion.camera_zoom, atol=1e-5)
    # To the right in the picture is a turn about the axis that points down, clockwise from above.
    np.testing.assert_allclose(
        (quats[-1] * quats[0].inv()).as_rotvec(degrees=True), [0, -12, 0], atol=0.1
    )
    (still,) = write_glb(Take(walk(), export_space(walk(), floor=False)), tmp_path, "still")
    gltf = pygltflib.GLTF2().load(still)
    node = next(i for i, one in enumerate(gltf.nodes) if one.name == "camera")
    assert all(c.target.node != node for c in gltf.animations[0].channels)
    assert "zoom" not in gltf.nodes[node].extras


def test_usd_cameras_turn_and_zoom(tmp_path):
    pytest.importorskip("pxr", reason="usd-core is not installed")
    from pxr import Usd, UsdGeom

    from vid3d.export.usd import write

    motion = zooming(turning(make_motion(standing(np.zeros((1, 20, 2)) + [0, 4]))))
    (path,) = write(Take(motion, export_space(motion, floor=False)), tmp_path, "clip")
    stage = Usd.Stage.Open(str(path))
    camera = UsdGeom.Xformable(UsdGeom.Camera.Get(stage, "/vid3d/camera"))
    looks = [-np.array(camera.GetLocalTransformation(frame))[2, :3] for frame in (0, 19)]
    assert np.degrees(np.arccos(looks[0] @ looks[1])) == pytest.approx(12, abs=1e-3)
    assert looks[1][0] > 0.2  # to the right
    focal = UsdGeom.Camera.Get(stage, "/vid3d/camera").GetFocalLengthAttr()
    assert focal.Get(19) / focal.Get(0) == pytest.approx(1.8)
    assert focal.Get(0) == pytest.approx(focal.Get())


def test_at_a_constant_rate_the_camera_turns_as_before():
    motion = turning(walk(frames=20))
    times = motion.timestamps.copy()
    times[7] += 0.013
    uneven = replace(motion, timestamps=times)
    yaw = np.arcsin(steady(uneven).camera_rotation[:, 2, 0])
    expected = np.interp(np.arange(20) / 25, times, np.linspace(0, np.radians(12), 20))
    np.testing.assert_allclose(yaw, expected, atol=1e-4)
    zoom = steady(zooming(uneven)).camera_zoom
    wanted = np.interp(np.arange(20) / 25, times, np.linspace(0, np.log(1.8), 20))
    np.testing.assert_allclose(np.log(zoom), wanted, atol=1e-6)
