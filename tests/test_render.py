from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from motion_toys import FPS, SIZE, make_motion, make_video, standing, walk

from vid3d.errors import Vid3dError
from vid3d.floor import find_floor, sampled_bodies
from vid3d.render import draw, render_motion, render_overlay, style
from vid3d.render.hud import clock
from vid3d.render.overlay import Overlay, nearest
from vid3d.render.scene import fit_view
from vid3d.render.view3d import View3D
from vid3d.skeleton import H36M17
from vid3d.video import VideoReader


def frames_of(path):
    with VideoReader(path) as reader:
        return [(frame.time, frame.image) for frame in reader]


@pytest.mark.parametrize("tilt", [-10, 0, 25, 40])
def test_floor_lies_under_standing_people(tilt):
    places = np.array([[[-2, 3], [-1, 4], [0, 5], [1, 7]], [[2, 4], [1, 5], [2, 8], [3, 9]]])
    bodies = sampled_bodies(make_motion(standing(places, tilt)))
    floor = find_floor(bodies)
    up = [0, -np.cos(np.radians(tilt)), -np.sin(np.radians(tilt))]
    np.testing.assert_allclose(floor.up, up, atol=1e-4)
    assert floor.level == pytest.approx(-1.5, abs=0.01)  # the camera is 1.5 m above it
    np.testing.assert_allclose(floor.below(bodies) @ floor.up, floor.level)
    assert (bodies @ floor.up > floor.level).all()


def test_floor_leans_with_the_feet():
    slope = 0.1  # a ramp that rises to the right; people on it stand straight
    x = np.linspace(-4, 4, 50)
    joints = standing(np.stack([x, np.full(50, 6.0)], -1)[None])
    joints[..., 1] -= slope * x[None, :, None]
    floor = find_floor(sampled_bodies(make_motion(joints)))
    assert -floor.up[0] / -floor.up[1] == pytest.approx(slope, abs=0.02)


def test_people_who_lie_do_not_turn_the_room():
    lying = standing(np.array([[[0, 5], [0, 6]]]))[..., [1, 0, 2]]
    np.testing.assert_allclose(find_floor(lying[0]).up, [0, -1, 0], atol=0.27)


@pytest.mark.parametrize("size", [(576, 720), (720, 1280), (1280, 720), (96, 64)])
@pytest.mark.parametrize("people", [1, 4])
def test_view_holds_everybody_upright_and_not_mirrored(size, people):
    bodies = sampled_bodies(walk(30, people=people))
    floor = find_floor(bodies)
    top, bottom, side = margins = (size[1] // 12, size[1] // 8, size[0] // 20)
    view = fit_view(bodies, floor, size, margins)
    pixels, depth = view.project(bodies)
    assert (depth > 0).all()
    assert (pixels >= [side - 1, top - 1]).all()
    assert (pixels <= [size[0] - side + 1, size[1] - bottom + 1]).all()
    assert np.linalg.det(view.rotation) == pytest.approx(1)
    head, ankle = (pixels[:, H36M17.index(name)] for name in ("head", "left_ankle"))
    assert (head[:, 1] < ankle[:, 1]).all()
    left, right = (pixels[:, H36M17.index(f"{side}_wrist"), 0] for side in ("left", "right"))
    assert (left > right).all()  # they face the camera
    soles, _ = view.project(floor.below(bodies))
    assert (soles[..., 1] >= pixels[..., 1] - 1e-6).all()


def test_one_misplaced_person_does_not_shrink_everybody():
    good = walk(300, people=1)
    joints = good.joints3d.copy()
    joints[0, 7, :, 2] += 500
    bad = replace(good, joints3d=joints)
    assert sampled_bodies(bad)[..., 2].max() < 10


def test_skeleton_is_drawn_where_it_projects_to():
    motion = walk()
    image = np.zeros((480, 640, 3), np.uint8)
    Overlay(motion, SIZE).draw(image, 2)  # no look
    pixels = motion.camera.project(motion.joints3d[0, 2])
    color = np.array(style.PALETTE[0], int)
    middle = {}
    for (parent, child), shade in zip(
        H36M17.bones, style.bone_colors(style.PALETTE[0], H36M17), strict=True
    ):
        x, y = np.round((pixels[parent] + pixels[child]) / 2).astype(int)
        name = H36M17.joints[child]
        middle[name] = image[y, x].astype(int)
        if name in ("left_knee", "right_knee", "left_elbow", "right_elbow", "thorax"):
            np.testing.assert_allclose(middle[name], shade, atol=3)
    assert np.abs(middle["thorax"] - color).max() <= 3
    assert middle["left_knee"].sum() > color.sum() > middle["right_knee"].sum()


def test_overlay_scales_with_the_picture():
    motion = walk()
    image = np.zeros((960, 1280, 3), np.uint8)
    Overlay(motion, (1280, 960)).draw(image, 2)
    x, y = motion.camera.project(motion.joints3d[0, 2, [7, 8]]).mean(0) * 2 + 0.5
    np.testing.assert_allclose(image[round(y), round(x)], style.PALETTE[0], atol=3)


def test_looks_show_what_was_detected():
    motion = walk()
    keypoints = motion.keypoints2d.copy()
    keypoints[0, 1, :, :2] = (600, 400)
    keypoints[0, 1, 5:, 2] = 0.1
    keypoints[1, 1] = np.nan
    motion = replace(motion, keypoints2d=keypoints)
    image = np.zeros((480, 640, 3), np.uint8)
    Overlay(motion, SIZE).draw(image, 4)
    assert image[400, 600].max() == 0
    Overlay(motion, SIZE).draw(image, 5)
    assert image[400, 600].min() == 255


def test_absent_people_are_not_drawn():
    motion = walk(people=1)
    joints = motion.joints3d.copy()
    joints[:, 6:] = np.nan
    motion = replace(motion, joints3d=joints, present=np.isfinite(joints[..., 0, 0]))
    image = np.zeros((480, 640, 3), np.uint8)
    Overlay(motion, SIZE).draw(image, 8)
    assert image.max() == 0
    view = View3D(motion, (300, 400))
    assert not has_color(view.draw(8), style.PALETTE[0])
    assert has_color(view.draw(2), style.PALETTE[0])


def has_color(image, color):
    return bool((np.abs(image.astype(int) - color).max(-1) <= 2).any())


def test_people_half_out_of_sight_and_behind_the_camera_are_drawn_without_error():
    joints = standing(np.array([[[0.0, 0.3]] * 3, [[60.0, 0.2]] * 3, [[0.0, -2.0]] * 3]))
    joints[0, :, 3, 2] = -0.5
    motion = make_motion(joints)
    overlay, view = Overlay(motion, SIZE), View3D(motion, (320, 240))
    for index in range(3):
        overlay.draw(np.zeros((480, 640, 3), np.uint8), index)
        view.draw(index)


def test_nearer_people_cover_farther_ones():
    for first, second in ((3.0, 4.0), (4.0, 3.0)):
        motion = make_motion(standing(np.array([[[0.0, first]] * 2, [[0.0, second]] * 2])))
        view = View3D(motion, (600, 600))
        image = np.zeros((480, 640, 3), np.uint8)
        Overlay(motion, SIZE).draw(image, 1)
        nearer = int(second < first)
        x, y = np.round(motion.camera.project(motion.joints3d[nearer, 1, [7, 8]]).mean(0))
        np.testing.assert_allclose(image[int(y), int(x)], style.PALETTE[nearer], atol=3)
        assert view.draw(1).shape == (600, 600, 3)


def test_uncertain_limbs_turn_grey():
    colors = np.array([[0.0, 100.0, 250.0]] * 4)
    faded = style.faded(colors, np.array([0.01, np.nan, 0.125, 0.5]))
    np.testing.assert_allclose(faded[:2], colors[:2])
    np.testing.assert_allclose(
        faded[2], colors[2] + (np.array(style.UNCERTAIN) - colors[2]) * 0.425
    )
    np.testing.assert_allclose(faded[3], colors[3] + (np.array(style.UNCERTAIN) - colors[3]) * 0.85)


def test_palette_is_distinct():
    colors = np.array(style.PALETTE, float)
    apart = np.linalg.norm(colors[:, None] - colors[None], axis=-1)
    assert apart[~np.eye(len(colors), dtype=bool)].min() > 60


@given(st.lists(st.integers(1, 300), max_size=30), st.floats(-1, 12))
def test_nearest_frame(steps, time):
    motion = make_motion(
        np.full((0, len(steps) + 1, 17, 3), np.nan),
        timestamps=np.cumsum([0, *steps]) / 1000,
    )
    away = np.abs(motion.timestamps - time)
    assert away[nearest(motion, time)] == away.min()


def test_clock_words():
    assert [clock(s) for s in (0, 2.4, 62.5, 59.999, 3725.01)] == [
        "0:00.00", "0:02.40", "1:02.50", "1:00.00", "1:02:05.01",
    ]  # fmt: skip


def test_text_width_and_alignment():
    image = np.zeros((40, 200, 3), np.uint8)
    width = draw.text(image, "frame 7", (200, 30), style.TEXT, 12, align=1)
    columns = np.flatnonzero(image.max((0, 2)))
    assert 0 < width < 120
    assert columns.min() >= 200 - width - 2
    assert len(columns) > width / 2


def test_overlay_video(tmp_path):
    motion = walk()
    stamps = np.cumsum([0, *np.tile([0.04, 0.02, 0.1], 4)[:11]])
    motion = replace(motion, timestamps=stamps)
    source = make_video(tmp_path / "a.mp4", motion)
    done = []
    render_overlay(motion, source, tmp_path / "b.mp4", lambda *counts: done.append(counts))
    frames = frames_of(tmp_path / "b.mp4")
    assert done == [(i, 12) for i in range(1, 13)]
    np.testing.assert_allclose([time for time, _ in frames], stamps, atol=1e-3)
    image = frames[2][1]
    assert image.shape == (480, 640 + 432, 3)
    assert np.abs(image[5, 5].astype(int) - (200, 120, 40)).max() < 8  # far from everybody
    expected = np.full((480, 640, 3), (200, 120, 40), np.uint8)
    Overlay(motion, SIZE).draw(expected, 2)
    assert np.abs(image[:, :640].astype(int) - expected).mean() < 7  # two lossy copies
    panel = View3D(motion, (432, 480)).draw(2)
    assert np.abs(image[:, 640:].astype(int) - panel).mean() < 4


def test_overlay_of_a_part(tmp_path):
    whole = walk(20)
    source = make_video(tmp_path / "a.mp4", whole)
    fields = {name: getattr(whole, name)[:, 8:14]
              for name in ("joints3d", "present", "spread", "root_spread", "contacts")}  # fmt: skip
    part = replace(
        whole,
        **fields,
        timestamps=whole.timestamps[8:14],
        keyframes=np.array([0, 5]),
        keypoints2d=whole.keypoints2d[:, :2],
    )
    render_overlay(part, source, tmp_path / "b.mp4")
    times = [time for time, _ in frames_of(tmp_path / "b.mp4")]
    np.testing.assert_allclose(times, np.arange(6) / FPS, atol=1e-3)


@pytest.mark.parametrize(
    ("size", "picture"),
    [((48, 64), (360 + 360, 480)), ((64, 48), (640 + 432, 480)), ((101, 77), (630 + 432, 480))],
)
def test_small_odd_and_portrait_pictures(tmp_path, size, picture):
    motion = walk(2, size)
    source = tmp_path / "a.mkv"
    import av

    with av.open(str(source), "w") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        for index in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((*size[::-1], 3), np.uint8), "bgr24")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    render_overlay(motion, source, tmp_path / "b.mp4")
    frames = frames_of(tmp_path / "b.mp4")
    assert [image.shape[1::-1] for _, image in frames] == [picture] * 2


@pytest.mark.parametrize(("people", "frames"), [(0, 3), (1, 1), (0, 1)])
def test_nobody_and_one_frame(tmp_path, people, frames):
    motion = make_motion(standing(np.tile([0.0, 4.0], (people, frames, 1))))
    source = make_video(tmp_path / "a.mp4", motion)
    render_overlay(motion, source, tmp_path / "b.mp4")
    render_motion(motion, tmp_path / "c.mp4", size=(320, 240))
    assert len(frames_of(tmp_path / "b.mp4")) == len(frames_of(tmp_path / "c.mp4")) == frames


def test_view_alone_keeps_times(tmp_path):
    motion = replace(walk(4), timestamps=np.array([1.0, 1.1, 1.5, 1.6]))
    done = []
    render_motion(motion, tmp_path / "a.mp4", lambda *counts: done.append(counts), (320, 240))
    times = [time for time, _ in frames_of(tmp_path / "a.mp4")]
    np.testing.assert_allclose(times, [0, 0.1, 0.5, 0.6], atol=1e-3)
    assert done[-1] == (4, 4)


def test_unknown_spread_is_drawn_plain():
    motion = walk()
    unknown = replace(motion, spread=np.full_like(motion.spread, np.nan))
    sure = replace(motion, spread=np.zeros_like(motion.spread))
    np.testing.assert_array_equal(
        View3D(unknown, (300, 400)).draw(3), View3D(sure, (300, 400)).draw(3)
    )


def test_another_video_is_refused_and_failures_leave_nothing(tmp_path):
    motion = walk(3)
    other = make_video(tmp_path / "other.mp4", walk(3, (320, 240)))
    with pytest.raises(Vid3dError, match="320 x 240 pixels, the motion is of a video of 640 x 480"):
        render_overlay(motion, other, tmp_path / "b.mp4")
    with pytest.raises(Vid3dError, match="no such file"):
        render_overlay(motion, tmp_path / "missing.mp4", tmp_path / "b.mp4")

    def interrupt(done, total):
        raise KeyboardInterrupt

    source = make_video(tmp_path / "a.mp4", motion)
    with pytest.raises(KeyboardInterrupt):
        render_overlay(motion, source, tmp_path / "b.mp4", interrupt)
    with pytest.raises(Vid3dError, match="cannot write"):
        render_overlay(motion, source, source / "b.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "other.mp4"}
