import tomllib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_toys import SIZE, bgr_of, make_motion, standing, walk

from vid3d.floor import Floor, floor_of, sampled_bodies
from vid3d.render import RenderOptions, draw, style
from vid3d.render.hud import clock
from vid3d.render.overlay import Overlay
from vid3d.render.scene import fit_view, grid, orbit
from vid3d.render.view3d import View3D
from vid3d.skeleton import H36M17
from vid3d.video.planes import Coding, Planes


def plain(size, shade=0):
    """A picture of one colour."""
    return Planes.plain(size, Coding(), np.broadcast_to(shade, 3))


def shown(motion, size, index, words=True, **options):
    """The 3D view of a frame."""
    picture = plain(size)
    View3D(motion, size, RenderOptions(**options), words).draw(picture, index)
    return bgr_of(picture)


def drawn(motion, index, size=SIZE, shade=0, **options):
    """The overlay of a frame on a plain picture."""
    picture = plain(size, shade)
    Overlay(motion, size, RenderOptions(**options)).draw(picture, index)
    return bgr_of(picture)


def floor_under(bodies):
    """The floor of a level camera under the lowest ankle of bodies (N, 17, 3)."""
    up = np.array([0.0, -1.0, 0.0])
    ankles = H36M17.indices(["left_ankle", "right_ankle"])
    return Floor(up, float((bodies[:, ankles] @ up).min()) - 0.08)


def test_floor_is_the_one_that_the_file_names():
    ground = {"normal": [0.0, -0.8, -0.6], "height": 2.5, "confidence": 0.9}
    motion = walk(5)
    floor = floor_of(replace(motion, meta={**motion.meta, "ground": ground}))
    np.testing.assert_allclose(floor.up, [0, -0.8, -0.6])
    assert floor.height([0, 0, 0]) == pytest.approx(2.5)


@pytest.mark.parametrize("size", [(576, 720), (720, 1280), (1280, 720), (96, 64)])
@pytest.mark.parametrize("people", [1, 4])
def test_view_holds_everybody_upright_and_not_mirrored(size, people):
    bodies = sampled_bodies(walk(30, people=people))
    floor = floor_under(bodies)
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


def test_two_people_who_are_far_apart_are_both_in_the_view():
    """Interpolated percentiles lie between the two: both counted as far off, which left nobody."""
    apart = make_motion(standing([[(-2.0, 5.0)], [(2.0, 130.0)]]))
    assert sampled_bodies(apart)[:, 0, 2].tolist() == [5, 130]


def test_the_grid_gets_wider_without_end():
    """2.7 km in 14 lines at most: every 200 m, from 200 to 2600; 50 m was the widest."""
    bodies = sampled_bodies(make_motion(standing([[(0.0, 5.0)], [(0.0, 2700.0)]])))
    starts, ends = grid(floor_under(bodies), bodies)
    across = np.isclose(starts[:, 2], ends[:, 2])
    np.testing.assert_allclose(np.diff(starts[across][:, 2]), 200)
    np.testing.assert_allclose(starts[across][[0, -1], 2], [200, 2600])


@pytest.mark.parametrize("height", [64, 96, 100, 128])
def test_small_views_leave_words_out_and_show_people(height):
    """Words need 96 pixels: of a view of that height, nothing was left for people."""
    motion, size = walk(), (170, height)
    pixels, _ = View3D(motion, size).view.project(motion.joints3d)
    assert np.ptp(pixels[..., 1]) > height / 2
    assert ((pixels >= 0) & (pixels <= size)).all()
    np.testing.assert_array_equal(shown(motion, size, 2), shown(motion, size, 2, words=False))
    large = (340, 200)
    assert (shown(motion, large, 2) != shown(motion, large, 2, words=False)).any()


def test_people_beyond_the_fold_of_a_lens_are_not_drawn():
    """At a slope of 1.8, r (1 - 0.3 r^2) is 0.05: the middle of the picture."""
    joints = standing(np.full((1, 3, 2), (1.8, 1.0)))
    motion = make_motion(joints, meta={"fps": 25, "dist": [-0.3, 0.0, 0.0, 0.0]})
    for index in (0, 1):  # a look, and a frame between two
        assert drawn(motion, index, uncertainty=True, dashed=True, keypoints=False).max() == 0
    # Half of this one is beyond it: what is drawn lies where the lens shows something.
    half = make_motion(joints - [0.8, 0.3, 0], meta=motion.meta)
    pixels = half.camera.project(half.joints3d[0, 1])
    assert 0 < np.isnan(pixels[:, 0]).sum() < 17
    columns = np.flatnonzero(drawn(half, 1, uncertainty=True).max((0, 2)))
    assert columns.min() > np.nanmin(pixels[:, 0]) - 30


def test_skeleton_is_drawn_where_it_projects_to():
    motion = walk()
    image = drawn(motion, 2)  # no look
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
    image = drawn(motion, 2, (1280, 960))
    x, y = motion.camera.project(motion.joints3d[0, 2, [7, 8]]).mean(0) * 2 + 0.5
    np.testing.assert_allclose(image[round(y), round(x)], style.PALETTE[0], atol=3)


def test_looks_show_what_was_detected():
    motion = walk()
    keypoints = motion.keypoints2d.copy()
    keypoints[0, 1, :, :2] = (600, 400)
    keypoints[0, 1, 5:, 2] = 0.1
    keypoints[1, 1] = np.nan
    motion = replace(motion, keypoints2d=keypoints)
    assert drawn(motion, 4)[400, 600].max() == 0
    assert drawn(motion, 5)[400, 600].min() == 255
    assert drawn(motion, 5, keypoints=False)[400, 600].max() == 0


def test_absent_people_are_not_drawn():
    motion = walk(people=1)
    joints = motion.joints3d.copy()
    joints[:, 6:] = np.nan
    motion = replace(motion, joints3d=joints, present=np.isfinite(joints[..., 0, 0]))
    assert drawn(motion, 8).max() == 0
    assert not has_color(shown(motion, (300, 400), 8), style.PALETTE[0])
    assert has_color(shown(motion, (300, 400), 2), style.PALETTE[0])


def has_color(image, color):
    return bool((np.abs(image.astype(int) - color).max(-1) <= 2).any())


def test_people_half_out_of_sight_and_behind_the_camera_are_drawn_without_error():
    joints = standing(np.array([[[0.0, 0.3]] * 3, [[60.0, 0.2]] * 3, [[0.0, -2.0]] * 3]))
    joints[0, :, 3, 2] = -0.5
    motion = make_motion(joints)
    for index in range(3):
        drawn(motion, index, uncertainty=True, dashed=True)
        shown(motion, (320, 240), index, uncertainty=True)


def test_nearer_people_cover_farther_ones():
    for first, second in ((3.0, 4.0), (4.0, 3.0)):
        motion = make_motion(standing(np.array([[[0.0, first]] * 2, [[0.0, second]] * 2])))
        image = drawn(motion, 1)
        nearer = int(second < first)
        x, y = np.round(motion.camera.project(motion.joints3d[nearer, 1, [7, 8]]).mean(0))
        np.testing.assert_allclose(image[int(y), int(x)], style.PALETTE[nearer], atol=3)


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


def test_clock_words():
    assert [clock(s) for s in (0, 2.4, 62.5, 59.999, 3725.01)] == [
        "0:00.00", "0:02.40", "1:02.50", "1:00.00", "1:02:05.01",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["é", "ş", "я", "中", "か", "한"])
def test_names_are_written_in_their_own_letters(name):
    """OpenCV 4 has ASCII only, and question marks for the rest."""
    written = []
    for words in (name, "?" * len(name.encode()), "?"):
        picture = Planes.plain((80, 80), Coding(), (0, 0, 0))
        draw.text(picture, words, (20, 50), (255, 255, 255), 20)
        written.append(bgr_of(picture))
    assert written[0].max() > 100
    assert not any(np.array_equal(written[0], other) for other in written[1:])


def test_opencv_4_is_not_supported(repo):
    needed = tomllib.loads((repo / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert [one for one in needed if one.startswith("opencv")] == ["opencv-python-headless>=5"]


def test_text_width_and_alignment():
    picture = plain((200, 40))
    width = draw.text(picture, "frame 7", (200, 30), style.TEXT, 12, align=1)
    columns = np.flatnonzero((picture.luma > 16).any(0))
    assert 0 < width < 120
    assert columns.min() >= 200 - width - 2
    assert len(columns) > width / 2


def test_unknown_spread_is_drawn_plain():
    motion = walk()
    unknown = replace(motion, spread=np.full_like(motion.spread, np.nan))
    sure = replace(motion, spread=np.zeros_like(motion.spread))
    np.testing.assert_array_equal(shown(unknown, (300, 400), 3), shown(sure, (300, 400), 3))


def test_a_known_ground_is_the_floor():
    ground = {"normal": [0.0, -0.8, -0.6], "height": 2.0, "confidence": 0.9}
    motion = walk(people=1)
    motion = replace(motion, meta={**motion.meta, "ground": ground})
    floor = View3D(motion, (320, 240)).floor
    np.testing.assert_allclose(floor.up, [0, -0.8, -0.6])
    assert floor.height([0, 0, 0]) == pytest.approx(2)
    assert floor.height([0, 1.6, 1.2]) == pytest.approx(0)


def test_the_ground_of_a_camera_that_looks_straight_down():
    floor = Floor(np.array([0.0, 0.0, -1.0]), -4.0)
    np.testing.assert_allclose(floor.axes, [[1, 0, 0], [0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(floor.below([1, 2, 3]), [1, 2, 4])
    # One that looks straight up has the picture's lower side ahead, and its right on the right.
    glass = Floor(np.array([0.0, 0.0, 1.0]), 1.0)
    np.testing.assert_allclose(glass.axes, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_azimuth_moves_the_view_to_the_right_and_elevation_up():
    bodies = sampled_bodies(walk(10))
    floor = floor_under(bodies)
    right, ahead = floor.axes
    view = fit_view(bodies, floor, (400, 400), (10, 10, 10), 90.0, 0.0)
    eye = -view.rotation.T @ view.offset - bodies[:, 0].mean(0)
    assert eye @ right > 3
    assert abs(eye @ ahead) < 0.5
    above = fit_view(bodies, floor, (400, 400), (10, 10, 10), 0.0, 90.0)
    np.testing.assert_allclose(above.rotation[2], -floor.up, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(-720, 720), st.floats(0, 90))
def test_a_turning_view_holds_everybody_from_everywhere(azimuth, elevation):
    bodies = sampled_bodies(walk(10, people=3))
    floor = floor_under(bodies)
    view = orbit(bodies, floor, (400, 300), (20, 40, 10), elevation)
    pixels, depth = view(azimuth).project(bodies)
    assert (depth > 0).all()
    assert (pixels >= [9, 18]).all()
    assert (pixels <= [391, 262]).all()
    np.testing.assert_allclose(view(azimuth).rotation, view(azimuth + 360).rotation, atol=1e-9)


def test_a_turning_view_turns_once_in_its_seconds():
    motion = walk(26, people=1)  # one second and a frame
    joints = np.repeat(motion.joints3d[:, :1], 26, 1)
    motion = replace(motion, joints3d=joints)
    view = View3D(motion, (300, 400), RenderOptions(turn=1.0, trails=0), words=False)
    first, half, last = (plain((300, 400)) for _ in range(3))
    for picture, index in ((first, 0), (half, 12), (last, 25)):
        view.draw(picture, index)
    np.testing.assert_array_equal(bgr_of(first), bgr_of(last))
    assert (bgr_of(first) != bgr_of(half)).any()
    fixed = View3D(motion, (300, 400), RenderOptions(trails=0), words=False)
    pictures = [plain((300, 400)) for _ in range(2)]
    for picture, index in zip(pictures, (0, 12), strict=True):
        fixed.draw(picture, index)
    np.testing.assert_array_equal(*map(bgr_of, pictures))


@pytest.mark.parametrize("turn", [0.0, 2.0])
def test_a_picture_that_is_given_again_shows_nothing_of_the_frame_before(turn):
    motion = walk(40, people=2)
    view = View3D(motion, (320, 240), RenderOptions(trails=0.3, turn=turn))
    sheet = plain((400, 240), 90)
    again = sheet.part(80, 0, 320, 240)
    for index in (0, 20, 39, 5):
        view.draw(again, index)
        fresh = plain((320, 240))
        view.draw(fresh, index)
        np.testing.assert_array_equal(bgr_of(again), bgr_of(fresh))
    assert (bgr_of(sheet)[:, :80] == bgr_of(sheet)[0, 0]).all()


def test_trails_show_where_people_went():
    motion = walk(30, people=1)
    long, short, none = (
        shown(motion, (600, 400), 29, trails=seconds) for seconds in (2.0, 0.8, 0.0)
    )
    more, less = ((image != none).any(-1).sum() for image in (long, short))
    assert more > 1.2 * less > 0


def test_trails_do_not_cross_an_absence(monkeypatch):
    motion = walk(30, people=1)
    present = motion.present.copy()
    present[0, 10:20] = False
    joints = np.where(present[..., None, None], motion.joints3d, np.nan)
    drawn = []
    monkeypatch.setattr("vid3d.render.draw.polylines", lambda to, parts, *_: drawn.append(parts))
    for here, there in ((motion.joints3d, motion.present), (joints, present)):
        shown(replace(motion, joints3d=here, present=there), (600, 400), 29, trails=2.0)
    whole, cut = (np.concatenate(parts)[:, 0] for parts in drawn)
    assert np.ptp(cut) < 0.5 * np.ptp(whole)


def test_labels_and_names():
    motion = walk()
    plain, named = drawn(motion, 2, labels=False), drawn(motion, 2, names={1: "Ann of the hills"})
    numbered = drawn(motion, 2)
    tag, wide = ((image != plain).any(-1).any(0) for image in (numbered, named))
    assert 0 < tag.sum() < wide.sum()
    assert (shown(motion, (600, 400), 2) != shown(motion, (600, 400), 2, names={1: "Ann"})).any()


def test_sides_have_their_colors():
    motion = walk(people=1)
    image = drawn(motion, 2, colors="side")
    pixels = motion.camera.project(motion.joints3d[0, 2])
    for joints, color in ((["left_hip", "left_knee"], style.LEFT),
                          (["right_hip", "right_knee"], style.RIGHT)):  # fmt: skip
        x, y = np.round(pixels[H36M17.indices(joints)].mean(0)).astype(int)
        np.testing.assert_allclose(image[y, x], color, atol=3)
    assert has_color(shown(motion, (600, 400), 2, colors="side"), style.LEFT)


def test_unsure_limbs_fade_unless_told_not_to():
    motion = walk(people=1)
    unsure = replace(motion, spread=np.full_like(motion.spread, 1.0))
    pixels = motion.camera.project(motion.joints3d[0, 2, [7, 8]]).mean(0)
    x, y = np.round(pixels).astype(int)
    dark, light = (drawn(unsure, 2, shade=shade)[y, x].astype(int) for shade in (0, 255))
    assert (light - dark > 80).all()  # the picture shows through
    kept = drawn(unsure, 2, fade=False)[y, x]
    np.testing.assert_allclose(kept, style.PALETTE[0], atol=3)
    assert (shown(unsure, SIZE, 2) != shown(unsure, SIZE, 2, fade=False)).any()


def test_dashes_between_looks_only():
    motion = walk(people=1)
    for index, differs in ((2, True), (5, False)):
        plain, dashed = drawn(motion, index), drawn(motion, index, dashed=True)
        assert (plain != dashed).any() == differs


@given(st.floats(0.5, 300), st.floats(1, 9))
def test_dashes_begin_and_end_at_the_ends_of_their_stroke(length, width):
    ends = np.array([[[3.0, 4.0], [3.0 + length, 4.0]]])
    parts, of = draw.dashes(ends, np.array([width]))
    assert (of == 0).all()
    np.testing.assert_allclose(parts[0, 0], ends[0, 0])
    np.testing.assert_allclose(parts[-1, 1], ends[0, 1])
    dash = parts[:, 1, 0] - parts[:, 0, 0]
    np.testing.assert_allclose(dash, dash[0])
    gap = parts[1:, 0, 0] - parts[:-1, 1, 0]
    np.testing.assert_allclose(gap, dash[0], rtol=1e-6)
    assert (gap > width).all()  # round ends leave something of it


def test_dashes_keep_strokes_that_are_nowhere():
    ends = np.array([[[0, 0], [100, 0]], [[np.nan, 0], [5, 5]]], float)
    parts, of = draw.dashes(ends, np.array([2.0, 2.0]))
    assert (of == 1).sum() == 1
    assert np.isnan(parts[of == 1]).any()


def test_uncertainty_is_a_translucent_disc_of_its_radius():
    motion = walk(people=1)
    spread = np.full_like(motion.spread, np.nan)
    wrist = H36M17.index("left_wrist")
    spread[..., wrist] = 0.2
    motion = replace(motion, spread=spread)
    with_blob, without = (drawn(motion, 2, uncertainty=on, labels=False) for on in (True, False))
    rows, columns = np.nonzero((with_blob != without).any(-1))
    radius = 0.2 * motion.intrinsics[0, 0] / motion.joints3d[0, 2, wrist, 2]
    middle = motion.camera.project(motion.joints3d[0, 2, wrist])
    assert (np.ptp(columns) + 1) / 2 == pytest.approx(radius, abs=2.5)  # chroma is half as fine
    assert (columns.min() + columns.max()) / 2 == pytest.approx(middle[0], abs=1.5)
    assert (rows.min() + rows.max()) / 2 == pytest.approx(middle[1], abs=1.5)
    assert with_blob[rows, columns].max() < max(style.PALETTE[0])
    assert (shown(motion, SIZE, 2, uncertainty=True) != shown(motion, SIZE, 2)).any()


def test_strokes_are_blended_only_where_they_are():
    picture = plain((80, 60), 100)
    line = np.array([[[20, 30], [40, 30]]])
    draw.strokes(picture, line, (200, 200, 200), 6, rims=0, opacity=0.5)
    low, high = (picture.coding.ink(np.full(3, shade))[0] for shade in (100, 200))
    assert picture.luma[30, 30] == pytest.approx((low + high) / 2, abs=1)
    assert (picture.luma == low).mean() > 0.9
    before = bgr_of(picture)
    for nowhere in ([[-500, -500], [-400, -500]], [[np.nan, 0], [1, 1]]):
        draw.strokes(picture, np.array([nowhere], float), (0, 0, 0), 6, opacity=0.5)
    np.testing.assert_array_equal(bgr_of(picture), before)
