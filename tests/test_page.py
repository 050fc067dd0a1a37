import base64
import hashlib
import json
import os
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from motion_toys import FPS, SIZE, glimpses, make_motion, standing, walk
from video_toys import make

from vid3d.cli import cli
from vid3d.errors import Vid3dError
from vid3d.files import printable, sha256_of
from vid3d.floor import floor_of
from vid3d.kinematics import ANGLES, joint_angles, save_angles
from vid3d.render.page import find_video, video, write_page
from vid3d.render.page.codec import decode, encode
from vid3d.render.page.data import page_data
from vid3d.skeleton import H36M17
from vid3d.video import VideoReader

EVIL = "</script><script>alert(1)</script><!--&\"'\u2028"


class Page(HTMLParser):
    """Elements that matter, as a browser's parser sees them."""

    def __init__(self, path):
        super().__init__()
        self.scripts, self.policy, self.title, self._open = {}, "", "", None
        self.feed(path.read_text(encoding="utf-8"))
        self.data = json.loads(self.scripts["data"])

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self._open = attrs.get("id", "main") if tag == "script" else tag
        if tag == "script":
            assert self._open not in self.scripts
            self.scripts[self._open] = ""
        if attrs.get("http-equiv") == "Content-Security-Policy":
            self.policy = attrs["content"]

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "title":
            self.title += data
        elif self._open in self.scripts:
            self.scripts[self._open] += data


def write_clip(path, frames=12, size=SIZE, codec="libx264", fps=FPS):
    """A film whose brightness says which frame it is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 4_000_000
        for index in range(frames):
            image = np.full((size[1], size[0], 3), 20 + 13 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())
    return path


def shades(path):
    """Time and brightness of the frames of a film."""
    with VideoReader(path) as reader:
        return [(frame.time, frame.image.mean()) for frame in reader]


@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(0, 20), st.integers(1, 4)),
        elements=st.one_of(st.floats(-1e5, 1e5), st.just(float("nan"))),
    ),
    st.sampled_from([1e-3, 0.25, 1.0]),
)
def test_numbers_come_back_rounded_to_their_unit(values, unit):
    block = json.loads(json.dumps(encode(values, unit)))
    back = decode(block)
    assert back.shape == values.shape
    np.testing.assert_allclose(back, values, atol=unit * 0.51)


def test_differences_by_hand():
    block = encode(np.array([[3.0], [4.0], [4.0]]), 1.0)
    assert block["order"] in (1, 2)
    planes = np.frombuffer(zlib.decompress(base64.b64decode(block["data"])), np.uint8)
    expected = {1: [6, 2, 0], 2: [6, 3, 1]}  # 3, 1, 0 or 3, -2, -1, zigzag-coded
    np.testing.assert_array_equal(planes, expected[block["order"]] + [0] * 9)


def test_smooth_motion_packs_small():
    angle = np.linspace(0, 40, 2000)[:, None] + np.arange(51)
    assert len(encode(np.sin(angle), 1e-3)["data"]) < 0.6 * 2000 * 51  # bytes, of 8 in float64


@pytest.mark.parametrize("tilt", [0, 20])
def test_world_stands_on_the_floor_and_projects_as_the_camera_does(tilt):
    up = [0.0, -np.cos(np.radians(tilt)), -np.sin(np.radians(tilt))]
    ground = {"normal": up, "height": 1.5, "confidence": 1.0}
    joints = standing(np.array([[[-1, 4], [0, 4.5], [1, 5]]]), tilt)
    motion = make_motion(joints, meta={"fps": 25, "ground": ground})
    data = page_data(motion)
    places = decode(data["people"][0]["joints"]).reshape(-1, 17, 3)
    places[:, 1:] += places[:, :1]
    ankles = places[:, H36M17.indices(["left_ankle", "right_ankle"]), 1]
    np.testing.assert_allclose(ankles, 0.08, atol=0.02)  # an ankle's height above the floor
    assert (places[:, H36M17.index("head"), 1] > 1.4).all()
    camera = data["camera"]
    seen = (places - camera["position"]) @ np.array(camera["rotation"])
    pixels = seen @ np.array(camera["intrinsics"]).T
    pixels = pixels[..., :2] / pixels[..., 2:]
    np.testing.assert_allclose(pixels, motion.camera.project(motion.joints3d[0]), atol=0.2)
    np.testing.assert_allclose(np.linalg.det(camera["rotation"]), 1, atol=1e-5)  # not mirrored


def test_times_of_a_part_late_in_a_recording_differ():
    times = 31 * 3600 + np.array([0, 0.04, 0.08])  # more steps of 0.1 ms than a block holds
    data = page_data(replace(walk(3), timestamps=times))
    np.testing.assert_allclose(data["start"] + decode(data["times"])[:, 0], times, atol=5e-5)


@pytest.mark.parametrize(
    ("seconds", "frames"),
    [
        ([], []),
        ([round(7 / FPS, 3)], [7]),
        ([round(1 / FPS, 3), round(9 / FPS, 3), 99.0], [1, 9]),
    ],
)
def test_cuts_are_at_their_first_frames(seconds, frames):
    motion = walk()
    assert page_data(replace(motion, meta={**motion.meta, "cuts": seconds}))["cuts"] == frames


def test_ground_of_the_file_is_the_floor():
    motion = walk()
    ground = {"normal": [0.0, -1.0, 0.0], "height": 2.5, "confidence": 0.9}
    data = page_data(replace(motion, meta={**motion.meta, "ground": ground}))
    assert data["camera"]["position"][1] == pytest.approx(2.5)
    assert ["Floor", "from the file (confidence 0.9)"] in [list(fact) for fact in data["facts"]]
    assert "fitted" in dict(page_data(motion)["facts"])["Floor"]


def test_people_who_come_and_go_have_numbers_only_where_they_are():
    motion = walk(20)
    present = motion.present.copy()
    present[1, :3] = present[1, 8:12] = False
    joints = np.where(present[..., None, None], motion.joints3d, np.nan)
    spread = np.where(present[..., None], motion.spread, np.nan)
    motion = replace(motion, joints3d=joints, present=present, spread=spread)
    person = page_data(motion)["people"][1]
    assert person["runs"] == [[3, 8], [12, 20]]
    assert {person[key]["rows"] for key in ("joints", "spread", "contacts", "curves")} == {13}
    np.testing.assert_allclose(decode(person["spread"]), 0.02, atol=0.0026)


def test_curves_are_those_of_kinematics():
    motion = walk(20)
    data = page_data(motion)
    names = [curve["name"] for curve in data["curves"]]
    curves = decode(data["people"][0]["curves"]) * [curve["step"] for curve in data["curves"]]
    assert names[-len(ANGLES) :] == list(ANGLES)
    angles = joint_angles(motion.joints3d[0], floor_of(motion).up)
    np.testing.assert_allclose(curves[:, -len(ANGLES) :], angles, atol=0.11)
    speed = 2 / 11 * FPS * 11 / 19  # two metres in nineteen frames
    np.testing.assert_allclose(curves[:, names.index("speed")], speed, atol=0.011)


def test_what_comes_from_files_is_text_and_nothing_else(tmp_path):
    motion = walk()
    meta = {**motion.meta, "source": {"name": EVIL}, "model": {"name": EVIL}, "vid3d": EVIL}
    page = Page(write_page(replace(motion, meta=meta), tmp_path / "page.html"))
    assert set(page.scripts) == {"data", "footage", "main"}
    assert page.data["title"] == EVIL
    assert dict(page.data["facts"])["Lifter"] == EVIL
    assert page.title == f"{printable(EVIL)} – vid3d"
    assert not re.search("[<>&]", page.scripts["data"])


def test_policy_names_the_script_and_forbids_the_network(tmp_path):
    page = Page(write_page(walk(), tmp_path / "page.html"))
    digest = base64.b64encode(hashlib.sha256(page.scripts["main"].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'")
    assert "http" not in page.policy
    assert "connect-src" not in page.policy


def test_bundle_is_built_from_the_sources_and_keeps_licences(repo):
    bundle = (repo / "vid3d/render/page/viewer.js").read_text(encoding="utf-8")
    digest = hashlib.sha256()
    sources = sorted(f"src/{path.name}" for path in (repo / "viewer/src").iterdir())
    for name in ["package-lock.json", *sources]:
        text = (repo / "viewer" / name).read_text(encoding="utf-8")
        digest.update(f"{name}\n{text}\n".encode())
    assert digest.hexdigest() in bundle, "stale: (cd viewer && npm ci && npm run build)"
    for words in ("three.js authors", "Leon Sorokin", "Permission is hereby granted"):
        assert words in bundle
    lock = json.loads((repo / "viewer/package-lock.json").read_text())
    assert f"three {lock['packages']['node_modules/three']['version']}" in bundle


def test_small_video_is_embedded_as_it_is(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    page = Page(write_page(walk(), tmp_path / "page.html", clip))
    assert base64.b64decode(page.scripts["footage"]) == clip.read_bytes()
    assert page.data["video"] == {"url": "", "type": "video/mp4", "offset": 0.0}


def test_quicktime_files_count_as_mp4(tmp_path):
    page = Page(write_page(walk(), tmp_path / "page.html", write_clip(tmp_path / "clip.mov")))
    assert page.data["video"]["type"] == "video/mp4"


def test_linked_video_is_named_relative_to_the_page(tmp_path):
    clip = write_clip(tmp_path / "a clip #1: 100%.mp4")
    page = Page(write_page(walk(), tmp_path / "pages" / "page.html", clip, embed=False))
    assert page.data["video"]["url"] == "../a%20clip%20%231%3A%20100%25.mp4"
    assert page.scripts["footage"] == ""


@pytest.mark.parametrize("embed", [True, False, None])
def test_what_browsers_do_not_play_becomes_a_copy_of_the_motion_s_part(tmp_path, embed):
    clip = write_clip(tmp_path / "clip.avi", frames=16, codec="mpeg4")
    motion = replace(walk(8), timestamps=np.arange(4, 12) / FPS)
    page = Page(write_page(motion, tmp_path / "page.html", clip, embed=embed))
    copy = tmp_path / "page.video.mp4"
    assert copy.exists() == (embed is False)
    if embed is not False:
        copy.write_bytes(base64.b64decode(page.scripts["footage"]))
    else:
        assert page.data["video"]["url"] == "page.video.mp4"
    times = motion.timestamps + page.data["video"]["offset"]
    shown, original = shades(copy), shades(clip)[4:12]
    np.testing.assert_allclose([time for time, _ in shown], times, atol=1e-3)
    np.testing.assert_allclose(
        [shade for _, shade in shown], [shade for _, shade in original], atol=3
    )


UNEVEN = [0, 40, 80, 120, 360, 400, 440, 480, 720, 760, 800, 840]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"bf": "3"}, True),
        ({"stamps": UNEVEN, "bf": "0"}, True),
        # Stored out of order: a picture of 40 ms has the packet of one of 240 ms.
        ({"stamps": UNEVEN, "bf": "3", "b_strategy": "0"}, False),
        # Begins two pictures after zero, which only some browsers call zero.
        ({"bf": "3", "container": {"use_editlist": "0"}}, False),
    ],
    ids=["even", "in order", "out of order", "late"],
)
def test_videos_whose_pictures_browsers_cannot_find_become_copies(tmp_path, options, kept):
    """As seen in Chromium: a paused page showed pictures up to three before its skeletons."""
    motion = walk()
    clip = make(tmp_path / "clip.mp4", size=SIZE, frames=12, **options)
    page = Page(write_page(motion, tmp_path / "page.html", clip))
    assert (base64.b64decode(page.scripts["footage"]) == clip.read_bytes()) == kept


def test_large_and_long_videos_stay_outside(tmp_path, monkeypatch):
    clip, page = write_clip(tmp_path / "clip.mp4"), tmp_path / "page.html"
    monkeypatch.setattr(video, "EMBED_BYTES", 100)
    assert Page(write_page(walk(), page, clip)).scripts["footage"]  # short: a copy
    monkeypatch.setattr(video, "EMBED_SECONDS", 0.1)
    assert Page(write_page(walk(), page, clip)).data["video"]["url"] == "clip.mp4"


def test_a_copy_does_not_take_the_place_of_the_video(tmp_path):
    clip = write_clip(tmp_path / "walk.video.mp4", codec="mpeg4")
    before = clip.read_bytes()
    with pytest.raises(Vid3dError, match=r"walk\.video\.mp4 is what is read"):
        write_page(walk(), tmp_path / "walk.html", clip, embed=False)
    assert clip.read_bytes() == before
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.parametrize(
    ("limit", "size"), [("SHORT_SIDE", (134, 100)), ("LONGEST_SIDE", (100, 76))]
)
def test_copies_are_made_smaller(tmp_path, monkeypatch, limit, size):
    monkeypatch.setattr(video, limit, 100)
    clip = write_clip(tmp_path / "clip.avi", codec="mpeg4")
    write_page(walk(), tmp_path / "page.html", clip, embed=False)
    with VideoReader(tmp_path / "page.video.mp4") as reader:
        assert reader.info.size == size


def test_another_video_is_an_error_and_leaves_nothing(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", size=(320, 240))
    with pytest.raises(Vid3dError, match="320 x 240"):
        write_page(walk(), tmp_path / "page.html", clip)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_a_linked_video_may_have_a_name_that_is_not_utf8(tmp_path):
    name = os.fsdecode(b"caf\xe9.mp4")
    assert video._relative_url(tmp_path / name, tmp_path / "page.html") == "caf%E9.mp4"


def test_video_is_found_by_name_and_checksum(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "clip.mp4")
    source = {"name": "clip.mp4", "sha256": sha256_of(clip)}
    motion = replace(walk(), meta={"fps": FPS, "source": source})
    assert find_video(motion, tmp_path) == clip
    assert find_video(motion, tmp_path / "out") == clip
    for other in ({**source, "sha256": "0"}, {**source, "name": "../clip.mp4"}, {}):
        assert find_video(replace(motion, meta={"source": other}), tmp_path) is None
    assert find_video(walk(), tmp_path) is None
    seen = replace(motion, meta={"source": source, "options": {"keypoints": "clip.mp4"}})
    assert find_video(seen, tmp_path) is None  # a file of keypoints is no video
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    assert find_video(motion, Path()) == clip  # one folder up from here


@pytest.mark.parametrize("frames", [1, 3])
def test_pages_of_nobody_and_of_one_frame(tmp_path, frames):
    one = walk(frames)
    nobody = make_motion(standing(np.zeros((0, frames, 2)) + 4))
    for motion in (one, nobody):
        assert len(Page(write_page(motion, tmp_path / "page.html")).data["people"]) == motion.people


def test_curves_are_computed_only_where_people_are_in_sight(monkeypatch):
    counted = []

    def counting(bodies, up):
        counted.append(len(bodies))
        return joint_angles(bodies, up)

    monkeypatch.setattr("vid3d.render.page.data.joint_angles", counting)
    page_data(glimpses())
    assert counted == [5, 5, 5]


def test_ten_minutes_of_five_people_stay_small(tmp_path):
    """Per frame: what grows with length, from a shorter clip with noise as a lift has it."""
    rng = np.random.default_rng(0)
    frames = 1500
    path = np.stack([np.sin(np.arange(frames) / 40), 5 + np.cos(np.arange(frames) / 60)], -1)
    joints = standing(np.stack([path, path[::-1] + 1]))
    phases = rng.uniform(0, 6, (17, 3)) + np.arange(frames)[:, None, None] / 9
    joints += 0.05 * np.sin(phases)
    data = page_data(make_motion(joints))
    keys = ("joints", "spread", "contacts", "curves")
    bodies = sum(len(person[key]["data"]) for person in data["people"] for key in keys)
    assert bodies / (2 * frames) * 90_000 < 4.3e6


def test_command_writes_the_page_beside_the_motion(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4")
    source = {"name": "clip.mp4", "sha256": sha256_of(clip)}
    motion = replace(walk(), meta={"fps": FPS, "source": source})
    motion.save(tmp_path / "clip.vid3d.npz")
    result = CliRunner().invoke(cli, ["view", str(tmp_path / "clip.vid3d.npz")])
    assert result.exit_code == 0, result.output
    assert str(tmp_path / "clip.html") in result.output
    assert Page(tmp_path / "clip.html").scripts["footage"]
    options = ["--no-video", "-o", str(tmp_path / "bare.html")]
    result = CliRunner().invoke(cli, ["view", str(tmp_path / "clip.vid3d.npz"), *options])
    assert result.exit_code == 0, result.output
    assert "video" not in Page(tmp_path / "bare.html").data


def test_the_page_and_the_recording_need_names_of_their_own(tmp_path):
    walk().save(tmp_path / "clip.vid3d.npz")
    both = [str(tmp_path / "clip.vid3d.npz"), "--rrd", "-o", str(tmp_path / "page.rrd")]
    result = CliRunner().invoke(cli, ["view", *both])
    assert result.exit_code == 2
    assert "name the page .html" in result.output
    assert not (tmp_path / "page.rrd").exists()


def test_command_says_so_where_the_video_is_not_found(tmp_path):
    walk().save(tmp_path / "clip.vid3d.npz")
    result = CliRunner().invoke(cli, ["view", str(tmp_path / "clip.vid3d.npz")])
    assert result.exit_code == 0, result.output
    assert "--video" in result.output


@pytest.mark.parametrize("people", [0, 1])
def test_pages_and_angles_of_nobody_in_sight(tmp_path, people):
    """As where a part of a motion is cut out in which a person is not."""
    motion = make_motion(np.full((people, 4, 17, 3), np.nan))
    assert write_page(motion, tmp_path / "a.html").stat().st_size > 1e5
    assert len(page_data(motion)["people"]) == people
    assert save_angles(motion, tmp_path / "a.csv").read_text().count("\n") == 1  # the header
