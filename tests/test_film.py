import struct
import threading
from dataclasses import replace
from itertools import pairwise

import av
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from motion_toys import FPS, SIZE, bgr_of, make_motion, make_video, standing, walk
from test_video import turn

from vid3d.cli import cli
from vid3d.errors import Vid3dError
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.render import RenderOptions, render_motion, render_overlay
from vid3d.render.film import Stage, nearest, paced
from vid3d.render.overlay import Overlay
from vid3d.render.page import write_page
from vid3d.render.view3d import View3D
from vid3d.video import VideoReader
from vid3d.video.planes import Coding, Planes


def frames_of(path):
    with VideoReader(path) as reader:
        return [(frame.time, frame.image) for frame in reader]


@given(st.lists(st.integers(1, 300), max_size=30), st.floats(-1, 12))
def test_nearest_frame(steps, time):
    motion = make_motion(
        np.full((0, len(steps) + 1, 17, 3), np.nan),
        timestamps=np.cumsum([0, *steps]) / 1000,
    )
    away = np.abs(motion.timestamps - time)
    assert away[nearest(motion, time)] == away.min()


def test_the_source_is_closed_when_nobody_decodes_it_any_more(tmp_path, monkeypatch):
    """A file that is closed while a thread decodes takes the process with it."""
    motion = make_motion(np.full((0, 200, 17, 3), np.nan), timestamps=np.arange(200) / FPS)
    source = make_video(tmp_path / "a.mp4", motion)
    decoding = []
    close = VideoReader.close

    def watched(self):
        decoding.append([one.name for one in threading.enumerate() if one.name == "prefetch"])
        close(self)

    def interrupted(done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr(VideoReader, "close", watched)
    with pytest.raises(KeyboardInterrupt):
        render_overlay(motion, source, tmp_path / "b.mp4", interrupted)
    assert decoding[-1] == []
    assert not (tmp_path / "b.mp4").exists()


def test_overlay_video(tmp_path):
    motion = walk()
    source = make_video(tmp_path / "a.mp4", motion)
    done = []
    render_overlay(motion, source, tmp_path / "b.mp4", lambda *counts: done.append(counts))
    frames = frames_of(tmp_path / "b.mp4")
    assert done == [(i, 12) for i in range(1, 13)]
    np.testing.assert_allclose([time for time, _ in frames], motion.timestamps, atol=1e-3)
    image = frames[2][1]
    assert image.shape == (480, 640 + 432, 3)
    assert np.abs(image[5, 5].astype(int) - (200, 120, 40)).max() < 8  # far from everybody
    expected = Planes.plain(SIZE, Coding(), (200, 120, 40))
    Overlay(motion, SIZE).draw(expected, 2)
    assert np.abs(image[:, :640].astype(int) - bgr_of(expected)).mean() < 4  # two lossy copies
    panel = Planes.plain((432, 480), Coding(), (0, 0, 0))
    View3D(motion, (432, 480)).draw(panel, 2)
    assert np.abs(image[:, 640:].astype(int) - bgr_of(panel)).mean() < 4


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
    render_motion(motion, tmp_path / "c.mp4", options=RenderOptions(height=240))
    assert len(frames_of(tmp_path / "b.mp4")) == len(frames_of(tmp_path / "c.mp4")) == frames


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"azimuth": np.nan}, "azimuth is nan; give"),  # an empty view
        ({"azimuth": np.inf}, "azimuth is inf; give"),
        ({"labels": "off"}, "labels is 'off', expected True or False"),  # counted as on
        ({"fps": "25"}, "fps is '25', expected a number"),
        ({"height": 480.5}, "height is 480.5, expected a whole number"),
        ({"turn": None}, "turn is None, expected a number"),
        ({"names": ["Ann"]}, "names is .* expected a table"),
        ({"names": {"1": "Ann"}}, "a track id of names is '1'"),  # was left out
        ({"names": {1: 5}}, "name of 1 is 5, expected text"),
    ],
)
def test_render_options_of_a_wrong_kind(given, message):
    with pytest.raises(Vid3dError, match=message):
        RenderOptions(**given)
    RenderOptions(azimuth=np.float32(30), height=np.int64(480), fps=25, names={np.int64(1): "Ann"})


@pytest.mark.parametrize(
    "write",
    [
        lambda motion, video: render_overlay(motion, video, str(video)),
        lambda motion, video: write_page(motion, video, video),
        lambda motion, video: Pipeline(LiftOptions()).detect(str(video), video),
    ],
    ids=["overlay", "page", "detect"],
)
def test_the_library_too_writes_nothing_over_the_video(tmp_path, write):
    motion = walk()
    video = make_video(tmp_path / "v.mp4", motion)
    before = video.read_bytes()
    with pytest.raises(Vid3dError, match="is what is read"):
        write(motion, video)
    assert video.read_bytes() == before


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


@pytest.mark.parametrize("name", ["r.gif", "r", "r.mp4.avi", "r.mov"])
def test_names_of_other_formats_are_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(Vid3dError, match=r"not the name of an MP4.*ends in \.mp4"):
        render_overlay(walk(3), tmp_path / "missing.mp4", tmp_path / name)
    with pytest.raises(Vid3dError, match="not the name of an MP4"):
        render_motion(walk(3), tmp_path / name)
    motion = walk(3).save(tmp_path / "a.vid3d.npz")
    result = CliRunner().invoke(cli, ["render", str(motion), "-o", str(tmp_path / name)])
    assert result.exit_code == 1
    assert result.output.startswith(f"vid3d: error: {tmp_path / name} is not the name of an MP4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.vid3d.npz"]


def test_names_of_mp4_in_other_cases_are_taken(tmp_path):
    for name in ("a.MP4", "a.m4v"):
        render_motion(walk(2), tmp_path / name, options=RenderOptions(height=120))
        assert len(frames_of(tmp_path / name)) == 2


def test_view_alone_at_a_constant_rate(tmp_path):
    times = np.array([1.0, 1.1, 1.5, 1.6])
    motion = replace(walk(4), timestamps=times, meta={"fps": 10})
    done = []
    options = RenderOptions(height=240, trails=0)
    render_motion(motion, tmp_path / "a.mp4", lambda *counts: done.append(counts), options)
    frames = frames_of(tmp_path / "a.mp4")
    np.testing.assert_allclose([time for time, _ in frames], np.arange(7) / 10, atol=1e-3)
    assert frames[0][1].shape == (240, 426, 3)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    waits = [np.abs(a.astype(int) - b).mean() for (_, a), (_, b) in pairwise(frames)]
    assert max(waits[1:4]) < 0.4 < min(waits[0], waits[4], waits[5])  # held from 0.1 s to 0.5 s


def test_varying_rates_become_constant(tmp_path):
    motion = replace(walk(), timestamps=np.cumsum([0, *np.tile([0.04, 0.02, 0.1], 4)[:11]]))
    source = make_video(tmp_path / "a.mp4", motion)
    done = []
    options = RenderOptions(fps=25, layout="overlay")
    render_overlay(motion, source, tmp_path / "b.mp4", lambda *c: done.append(c[0]), options)
    times = [time for time, _ in frames_of(tmp_path / "b.mp4")]
    length = int(motion.timestamps[-1] * 25 + 0.5 - 1e-6) + 1  # a tie belongs to the earlier
    np.testing.assert_allclose(times, np.arange(length) / 25, atol=1e-3)
    assert done == list(range(1, 13))


def test_no_frame_is_left_out_where_the_source_dropped_some(tmp_path):
    times = np.delete(np.arange(16) / 25, [5, 6, 7, 8])
    motion = replace(walk(), timestamps=times, meta={"fps": 11 / times[-1]})
    source = make_video(tmp_path / "a.mp4", motion)
    render_overlay(motion, source, tmp_path / "b.mp4", options=RenderOptions(layout="overlay"))
    render_motion(motion, tmp_path / "c.mp4", options=RenderOptions(height=120))
    for name in ("b.mp4", "c.mp4"):
        shown = [time for time, _ in frames_of(tmp_path / name)]
        np.testing.assert_allclose(shown, np.arange(16) / 25, atol=1e-3)


def test_pacing_by_hand():
    # At 10 a second: 0.52 is nearest to frame 5; of 0.06 and 0.14 for frame 1 the first is shown,
    # of 0.06 and 0.11 the second.
    items = [(0.0, "a"), (0.06, "b"), (0.14, "c"), (0.52, "d")]
    assert list(paced(items, 10)) == [("a", 1), ("b", 4), ("d", 1)]
    items[2] = (0.11, "c")
    assert list(paced(items, 10)) == [("a", 1), ("c", 4), ("d", 1)]
    assert list(paced([], 10)) == []


@pytest.mark.parametrize(("source", "fps"), [(60, 30), (50, 25), (30, 15), (120, 30), (60, 20)])
def test_a_fraction_of_the_rate_takes_every_nth_frame(source, fps):
    shown = list(paced(((n / source, n) for n in range(48)), fps))
    numbers = [number for number, _ in shown]
    assert numbers[:-1] == list(range(0, 48, source // fps))[: len(numbers) - 1]
    assert all(count == 1 for _, count in shown)


@given(st.lists(st.floats(0.001, 0.5), max_size=30), st.sampled_from([10, 25, 59.94]))
def test_paced_frames_are_shown_in_time(steps, fps):
    times = np.cumsum([0, *steps])
    shown = [
        item for item, count in paced(zip(times, times, strict=True), fps) for _ in range(count)
    ]
    assert abs(len(shown) - times[-1] * fps - 1) <= 0.5 + 1e-4
    for slot, item in enumerate(shown):
        own = times[np.abs(times * fps - slot) < 0.499]
        if len(own):  # the nearest one of those that belong here
            assert abs(item * fps - slot) <= np.abs(own * fps - slot).min() + 1e-5
        else:  # what was shown before, or a tie
            assert item == shown[slot - 1] or abs(item * fps - slot) <= 0.501


@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (3840, 2160), (64, 48)])
def test_stages(size):
    motion = walk(2, size)

    def stage(**options):
        return Stage.of(motion, size, RenderOptions(**options))

    assert stage(layout="overlay").size == stage(layout="overlay").picture == size
    inset = stage(layout="inset")
    left, top, width, height = inset.panel
    assert inset.size == inset.picture == size
    assert min(left, top) > 0
    assert (left + width, top + height) < size
    assert stage(layout="view").picture is None
    assert stage(layout="overlay", height=360).size[1] == 360
    side = stage()
    assert side.size == (side.picture[0] + side.panel[2], side.picture[1])
    assert side.picture[1] == np.clip(size[1], 480, 1080)
    assert stage(height=100).picture[1] == 100


def test_pictures_that_the_encoder_does_not_take_are_refused_before_any_is_drawn(tmp_path):
    """8192 rows of 640 x 480: 10922 columns, and 0.9 * 8192 of the view beside them."""
    motion = walk(2)
    video = make_video(tmp_path / "a.mp4", motion)
    with pytest.raises(Vid3dError, match=r"18294 x 8192 pixels .* 16384 a side: .* --height"):
        render_overlay(motion, video, tmp_path / "b.mp4", options=RenderOptions(height=8192))
    assert list(tmp_path.iterdir()) == [video]


def test_an_inset_keeps_out_of_the_way():
    options = RenderOptions(layout="inset")
    left, right = (
        Stage.of(make_motion(standing(np.tile([x, 1.2], (1, 3, 1)))), SIZE, options).panel
        for x in (-0.35, 0.35)
    )
    assert left[0] > 320 > right[0] + right[2]


def test_inset_video(tmp_path):
    motion = walk()
    source = make_video(tmp_path / "a.mp4", motion)
    options = RenderOptions(layout="inset", uncertainty=True)
    render_overlay(motion, source, tmp_path / "b.mp4", options=options)
    image = frames_of(tmp_path / "b.mp4")[3][1]
    assert image.shape == (480, 640, 3)
    left, top, width, height = Stage.of(motion, SIZE, options).panel
    panel = Planes.plain((width, height), Coding(), (0, 0, 0))
    View3D(motion, (width, height), options, words=False).draw(panel, 3)
    inside = image[top : top + height, left : left + width]
    assert np.abs(inside.astype(int) - bgr_of(panel)).mean() < 4


def test_turned_videos_come_out_upright(tmp_path):
    source = make_video(tmp_path / "a.mp4", walk(3))
    turn(source, (0, 1, -1, 0))
    options = RenderOptions(layout="overlay")
    render_overlay(walk(3, (480, 640)), source, tmp_path / "b.mp4", options=options)
    with VideoReader(tmp_path / "b.mp4") as reader:
        assert (reader.info.size, reader.info.rotation) == ((480, 640), 0)


def talkie(path, codec, rate=48_000, seconds=1.2, flash=0.8, layout="mono", kept=slice(None)):
    """A video that flashes white and clicks at one moment; its frames' times.

    Of the sound, parts of 1024 samples are kept.
    """
    times = np.arange(round(seconds * FPS)) / FPS
    samples = np.zeros(round(seconds * rate), np.float32)
    click = round(flash * rate)
    samples[click : click + rate // 100] = 0.8 * np.sin(np.arange(rate // 100) * 0.5)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout=layout)
        sound.bit_rate = 96_000
        for index, time in enumerate(times):
            shade = 255 if abs(time - flash) < 0.5 / FPS else 0
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), shade, np.uint8), "rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
        for start in range(0, len(samples), 1024)[kept]:
            part = samples[start : start + 1024].repeat(sound.layout.nb_channels)
            part = av.AudioFrame.from_ndarray(part[None], "flt", layout)
            part.rate, part.pts = rate, start
            container.mux(sound.encode(part))
        container.mux(video.encode())
        container.mux(sound.encode())
    return times


def click_of(path):
    """Codec of the sound, and the second at which it is first loud."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for frame in container.decode(stream):
            loud = np.flatnonzero(np.abs(frame.to_ndarray().astype(float)).reshape(-1) > 0.1)
            if len(loud):
                return stream.codec_context.name, frame.time + loud[0] / frame.rate
    return stream.codec_context.name, None


def overlay_of(source, times):
    """The overlay of a video's frames at some times, and the warnings that were given."""
    warnings = []
    motion = make_motion(
        standing(np.tile([0.0, 4.0], (1, len(times), 1))), (96, 64), timestamps=times
    )
    options = RenderOptions(layout="overlay", labels=False)
    film = source.with_name("b.mp4")
    render_overlay(motion, source, film, options=options, warn=warnings.append)
    return film, warnings


def clicks_of(path):
    """Seconds at which the sound is first loud after it was not."""
    with av.open(str(path)) as container:
        loud = [
            frame.time + at / frame.rate
            for frame in container.decode(audio=0)
            for at in np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1)
        ]
    return [time for last, time in pairwise([-1.0, *loud]) if time - last > 0.1]


@pytest.mark.parametrize(
    ("suffix", "codec", "kept", "start", "how"),
    [("mp4", "aac", "aac", 0, {}), ("mp4", "aac", "aac", 10, {}), ("mkv", "aac", "aac", 10, {}),
     ("mov", "pcm_s16le", "aac", 0, {}), ("mov", "pcm_s16le", "aac", 10, {}),
     ("mkv", "mp2", "aac", 10, {}), ("mkv", "libopus", "opus", 10, {}),
     ("mkv", "flac", "flac", 10, {}),
     ("ts", "mp2", "aac", 10, {}),  # is decoded to another format than the stream's
     ("mpg", "mp2", "aac", 10, {}),  # seeks lead into packets
     ("avi", "pcm_s16le", "aac", 10, {"rate": 11_024}),  # AAC has none of that rate
     # seeks to before its first packet fail
     ("flv", "libmp3lame", "aac", 0, {"rate": 44_100, "kept": slice(10, None)})],
)  # fmt: skip
def test_sound_is_kept_in_step(tmp_path, suffix, codec, kept, start, how):
    times = talkie(tmp_path / f"a.{suffix}", codec, **how)
    frames = len(times) - start
    film, warnings = overlay_of(tmp_path / f"a.{suffix}", times[start:])
    assert not warnings
    name, click = click_of(film)
    brightest = max(frames_of(tmp_path / "b.mp4"), key=lambda frame: frame[1].mean())
    assert name == kept
    assert click == pytest.approx(0.8 - times[start], abs=0.012)
    assert brightest[0] == pytest.approx(0.8 - times[start], abs=0.002)
    with av.open(str(tmp_path / "b.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert video.start_time * video.time_base == 0
        assert float(sound.duration * sound.time_base) < frames / FPS + 0.1
        assert video.average_rate == FPS


def test_sound_that_ends_with_a_frame_without_a_stamp_is_kept(tmp_path):
    times = talkie(tmp_path / "a.asf", "wmav2", layout="stereo", kept=slice(-8))
    film, warnings = overlay_of(tmp_path / "a.asf", times)
    assert not warnings
    assert click_of(film)[1] == pytest.approx(0.8 + 2048 / 48_000, abs=0.012)  # it begins late


def test_sound_whose_channels_have_an_order_of_their_own_is_kept(tmp_path):
    """PyAV frees such an order twice, which ends the process."""
    source = tmp_path / "a.mov"
    times = talkie(source, "pcm_s16le", layout="7.1")
    data = bytearray(source.read_bytes())
    at = data.index(b"chan") + 8
    data[at : at + 4] = struct.pack(">I", 128 << 16 | 8)  # of Core Audio: MPEG 7.1 C
    source.write_bytes(data)
    film, warnings = overlay_of(source, times)
    assert not warnings
    assert click_of(film)[1] == pytest.approx(0.8, abs=0.012)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_joined_recordings_are_heard_with_their_own_pictures(tmp_path, codec):
    for name, flash in (("a.ts", 0.2), ("b.ts", 0.8)):
        talkie(tmp_path / name, codec, flash=flash)
    joined = tmp_path / "ab.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    times = np.array([time for time, _ in frames_of(joined)])
    for shown in (times, times[times > 0.5], times[times > 1.3]):
        film, _ = overlay_of(joined, shown)
        flashes = [time for time, image in frames_of(film) if image.mean() > 200]
        assert flashes[-1] == pytest.approx(2.0 - shown[0], abs=0.05)
        assert clicks_of(film) == pytest.approx(flashes, abs=0.012)


def test_damaged_packets_of_sound_are_skipped(tmp_path):
    times = talkie(tmp_path / "a.mkv", "mp2")
    with av.open(str(tmp_path / "a.mkv")) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0)]
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data.replace(packets[5], b"\xff" * len(packets[5]), 1))
    film, warnings = overlay_of(tmp_path / "a.mkv", times)
    assert not warnings
    assert len(frames_of(film)) == len(times)
    assert click_of(film)[1] == pytest.approx(0.8, abs=0.03)  # a packet has 24 ms


@pytest.mark.parametrize("damage", ["another codec", "noise"])
def test_a_film_is_whole_and_silent_where_the_sound_cannot_be_kept(tmp_path, damage):
    source = tmp_path / "a.mkv"
    times = talkie(source, "mp2")
    with av.open(str(source)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0)]
    data = source.read_bytes()
    if damage == "another codec":
        data = data.replace(b"A_MPEG/L2", b"A_MPEG/L9")
    else:
        for packet in filter(None, packets):
            data = data.replace(packet, b"\xff" * len(packet))
    source.write_bytes(data)
    film, warnings = overlay_of(source, times)
    assert len(frames_of(film)) == len(times)
    assert len(warnings) == 1
    assert "cannot keep the sound of" in warnings[0]
    with av.open(str(film)) as container:
        assert not container.streams.audio


def test_sound_can_be_left_out_and_silent_videos_stay_silent(tmp_path):
    times = talkie(tmp_path / "a.mp4", "aac", seconds=0.4, flash=0.2)
    motion = make_motion(standing(np.tile([0.0, 4.0], (1, len(times), 1))), (96, 64))
    render_overlay(motion, tmp_path / "a.mp4", tmp_path / "b.mp4",
                   options=RenderOptions(audio=False, layout="overlay"))  # fmt: skip
    silent = walk(3)
    make_video(tmp_path / "c.mp4", silent)
    render_overlay(silent, tmp_path / "c.mp4", tmp_path / "d.mp4")
    for name in ("b.mp4", "d.mp4"):
        with av.open(str(tmp_path / name)) as container:
            assert not container.streams.audio
            assert len(container.streams.video) == 1


def test_index_is_in_front_also_with_sound(tmp_path):
    times = talkie(tmp_path / "a.mp4", "aac", seconds=0.4, flash=0.2)
    motion = make_motion(standing(np.tile([0.0, 4.0], (1, len(times), 1))), (96, 64))
    render_overlay(motion, tmp_path / "a.mp4", tmp_path / "b.mp4")
    written = (tmp_path / "b.mp4").read_bytes()
    assert 0 < written.index(b"moov") < written.index(b"mdat")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def run(*arguments):
    return CliRunner().invoke(cli, ["render", *map(str, arguments)])


def test_command_passes_every_option_on(tmp_path, monkeypatch):
    import vid3d.render

    calls = []
    monkeypatch.setattr(vid3d.render, "render_overlay", lambda *given: calls.append(given))
    motion = walk(3).save(tmp_path / "a.vid3d.npz")
    result = run(
        motion, "--video", "a.mp4", "-o", "b.mp4", "--layout", "inset", "--height", 360,
        "--fps", 10,
        "--no-audio", "--colors", "side", "--no-labels", "--name", "1=Ann", "--name", "2=Bo B",
        "--no-fade", "--dashed", "--uncertainty", "--no-keypoints", "--turn", 8, "--azimuth", -30,
        "--elevation", 40, "--trails", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert calls[0][4] == RenderOptions(
        layout="inset", colors="side", names={1: "Ann", 2: "Bo B"}, labels=False, fade=False,
        dashed=True, uncertainty=True, keypoints=False, trails=1, turn=8, azimuth=-30,
        elevation=40, height=360, fps=10, audio=False,
    )  # fmt: skip
    assert run(motion, "--video", "a.mp4", "-o", "b.mp4").exit_code == 0
    assert calls[1][4] == RenderOptions()
    named = run(motion, "--video", "a.mp4", "-o", "b.mp4", "--name", "1=Doe, Ann,2=Bo B")
    assert named.exit_code == 0, named.output
    assert calls[2][4].names == {1: "Doe, Ann", 2: "Bo B"}


def test_command_writes_and_refuses(tmp_path):
    motion = walk(3).save(tmp_path / "a.vid3d.npz")
    assert run(motion, "-o", tmp_path / "b.mp4", "--height", 120).exit_code == 0
    assert len(frames_of(tmp_path / "b.mp4")) == 3
    for arguments, words in (
        (["--layout", "inset"], "give --video"),
        (["--name", "7=Zoe"], "nobody has that number, only [1, 2]"),
        (["--name", "Zoe"], "is not ID=NAME"),
        (["--fps", "0"], "--fps"),
    ):
        result = run(motion, "-o", tmp_path / "c.mp4", *arguments)
        assert result.exit_code == 2
        assert words in result.output.replace("\n", " ")


def test_options_say_what_is_wrong():
    for options, words in (
        ({"layout": "corner"}, "give side, inset, overlay, view"),
        ({"colors": "pink"}, "give person, side"),
        ({"fps": 0}, "fps is 0; give 0.1 to 1000"),
        ({"trails": -1}, "trails is -1"),
    ):
        with pytest.raises(Vid3dError, match=words):
            RenderOptions(**options)
