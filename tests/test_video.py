import shutil
import subprocess
import threading
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_toys import RED, TURNS, make, picture, turn, wandering

from vid3d.errors import Vid3dError
from vid3d.video import VideoReader, VideoWriter, default_stride, looks, prefetch, probe
from vid3d.video.clock import Clock
from vid3d.video.container import CAPTURE_TAG, FOCAL_TAG, _rate
from vid3d.video.frame import Display


def read(path, *interval):
    with VideoReader(path, *interval) as reader:
        frames = [(frame.time, frame.image) for frame in reader]
        return reader, [time for time, _ in frames], [image for _, image in frames]


def is_red(pixel):
    return np.abs(pixel.astype(int) - RED).max() < 40


@pytest.mark.parametrize("name", TURNS)
def test_rotation_flag(tmp_path, name):
    matrix, corner = TURNS[name]
    path = make(tmp_path / "a.mp4", frames=2)
    turn(path, matrix)
    _, _, images = read(path)
    size = (120, 160) if name in ("90", "270") else (160, 120)
    assert probe(path).size == size
    assert images[0].shape == (size[1], size[0], 3)
    assert [c for c in ((0, 0), (0, -1), (-1, 0), (-1, -1)) if is_red(images[0][c])] == [corner]
    if name.isdigit():
        assert probe(path).rotation == int(name)


@pytest.mark.parametrize("name", TURNS)
def test_rotation_as_ffmpeg_turns_it(tmp_path, name):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not installed")
    path = make(tmp_path / "a.mp4", frames=1)
    turn(path, TURNS[name][0])
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    raw = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    _, _, (image,) = read(path)
    assert np.abs(raw.reshape(image.shape).astype(int) - image).mean() < 2


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate_keeps_true_times(tmp_path, suffix):
    stamps = [0, 40, 100, 110, 500, 900, 933]
    _, times, images = read(make(tmp_path / f"a.{suffix}", stamps=stamps))
    np.testing.assert_allclose(times, np.array(stamps) / 1000, atol=1e-9)
    assert len(images) == len(stamps)


def test_times_count_from_the_first_frame(tmp_path):
    reader, times, _ = read(make(tmp_path / "a.ts", codec="mpeg2video"))  # begins at 1.4 s
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-9)
    assert reader.truncated is None


@pytest.mark.parametrize("suffix", ["mkv", "webm", "mp4"])
@pytest.mark.parametrize("tagged", [True, False])
def test_what_begins_later_is_not_longer(tmp_path, suffix, tagged):
    # Ten frames from 8 s on. Matroska says when it ends, in a tag and of the file.
    codec = "libvpx" if suffix == "webm" else "libx264"
    stamps = list(range(8000, 8400, 40))
    path = make(tmp_path / f"a.{suffix}", codec, stamps=stamps)
    if not tagged:
        path.write_bytes(path.read_bytes().replace(b"DURATION", b"XURATION"))
    reader, times, _ = read(path)
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-9)
    assert reader.info.duration == pytest.approx(0.4, abs=0.05)
    assert 9 <= reader.info.frames <= 11
    assert reader.truncated is None


def test_frames_without_stamps_follow_the_rate(tmp_path):
    _, times, _ = read(make(tmp_path / "a.h264"))
    np.testing.assert_allclose(times, np.arange(10) / 25)


@given(st.lists(st.one_of(st.none(), st.fractions(-5000, 5000)), min_size=1))
def test_clock_always_rises(stamps):
    clock = Clock(0.04)
    times = [clock.read(stamp) for stamp in stamps]
    assert times[0] == 0
    assert (np.diff(times) > 0).all()


@given(st.lists(st.integers(1, 500), max_size=20), st.integers(-1000, 1000))
def test_clock_keeps_good_stamps(steps, first):
    stamps = [Fraction(first + int(step), 1000) for step in np.cumsum([0, *steps])]
    clock = Clock(0.04)
    assert [clock.read(stamp) for stamp in stamps] == [float(s - stamps[0]) for s in stamps]


def test_clock_mends_bad_stamps():
    clock = Clock(0.5)
    times = [clock.read(None if s is None else Fraction(s)) for s in (7, 8, 8, None, 9, 2, 3, 9999)]
    np.testing.assert_allclose(times, [0, 1, 1.001, 1.501, 2, 2.5, 3.5, 4])
    # Ten minutes of nothing are believed, and no second more; a second back is no new recording.
    clock = Clock(0.5)
    times = [clock.read(Fraction(stamp)) for stamp in (5, 605, 1205, 1806, 1807, 1806)]
    np.testing.assert_allclose(times, [0, 600, 1200, 1200.5, 1201.5, 1201.501])
    assert clock.origins == ((0, 5), (1200.5, 1806))
    assert clock.stamp_at(1201) == Fraction(3613, 2)


@pytest.mark.parametrize("size", [(321, 241), (1, 1), (7, 3)])
def test_odd_sizes_exactly(tmp_path, size):
    path = make(tmp_path / "a.mkv", codec="ffv1", pixels="bgr0", size=size, frames=2)
    _, _, images = read(path)
    np.testing.assert_array_equal(images[1], picture(size, 1))


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.avi", "mpeg4", "yuv420p"),
        ("a.ts", "mpeg2video", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a:b %03d c.mp4", "libx264", "yuv420p"),
    ],
)
def test_containers_and_codecs(tmp_path, name, codec, pixels):
    reader, times, images = read(make(tmp_path / name, codec=codec, pixels=pixels))
    np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)
    assert reader.info.fps == 25
    assert reader.info.frames == 10
    assert reader.info.duration == pytest.approx(0.4)
    assert reader.truncated is None
    assert is_red(images[9][5, 5])
    assert not is_red(images[9][5, 100])


@pytest.mark.parametrize(
    ("average", "guessed", "fps"),
    [(30, 30, 30), (29.7, 30, 29.7), (1000, 29.75, 29.75), (240, 240, 240), (60, 30, 60),
     (90_000, 25, 25), (None, 50, 50), (None, None, 25)],
)  # fmt: skip
def test_rates_that_count_milliseconds_are_not_believed(average, guessed, fps):
    assert _rate(SimpleNamespace(average_rate=average, guessed_rate=guessed)) == fps


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_says_nothing_of_the_order_in_which_pictures_are_shown(tmp_path, codec):
    path = make(tmp_path / "a.avi", codec, frames=40, drawn=wandering, bf="2")
    _, times, images = read(path)
    np.testing.assert_allclose(times, np.arange(40) / 25, atol=1e-6)
    with VideoReader(path, start=0.8) as reader:
        first = next(iter(reader))
        assert first.time == pytest.approx(0.8)
        assert reader.origins == ((0.0, 0),)
        np.testing.assert_array_equal(first.image, images[20])
    with VideoReader(path) as reader:
        looked = [frame for frame in reader.frames(7) if frame.decoded is not None]
    np.testing.assert_allclose([frame.time for frame in looked], [*np.arange(0, 40, 7) / 25, 1.56])


@pytest.mark.parametrize(("aspect", "size"), [((2, 1), (320, 120)), ((1, 2), (160, 240))])
def test_pixels_are_made_square(tmp_path, aspect, size):
    path = make(tmp_path / "a.mp4", aspect=Fraction(*aspect), frames=1)
    _, _, (image,) = read(path)
    assert probe(path).size == size
    assert image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("suffix", "options"), [("mkv", {}), ("mp4", {"container": {"movflags": "faststart"}})]
)
def test_truncated_tail_is_kept_up_to_the_break(tmp_path, suffix, options):
    path = make(tmp_path / f"a.{suffix}", frames=100, g="10", **options)
    whole, times, images = read(path)
    assert whole.truncated is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    reader, kept, kept_images = read(path)
    assert 20 < len(kept) < 90
    assert set(kept) <= set(times)
    assert "breaks off at" in reader.truncated
    assert reader.truncated.startswith(f"a.{suffix}")
    np.testing.assert_array_equal(kept_images[10], images[10])


def test_damaged_packets_are_skipped(tmp_path):
    path = make(tmp_path / "a.mov", codec="png", pixels="rgb24", frames=20)
    parts = path.read_bytes().split(b"\x89PNG")
    path.write_bytes(b"\x89PNG".join(parts[:3]) + b"\0\0\0\0" + b"\x89PNG".join(parts[3:]))
    reader, times, _ = read(path)
    np.testing.assert_allclose(times, [i / 25 for i in range(20) if i != 2])
    assert "damaged packets were skipped" in reader.truncated


def sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        noise = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        noise.sample_rate = 8000
        container.mux(stream.encode(noise))


@pytest.mark.parametrize("stride", [1, 5])
@pytest.mark.parametrize(("size", "said"), [((120, 160), True), ((320, 240), False)])
def test_pictures_of_another_shape_are_said(tmp_path, size, said, stride):
    parts = make(tmp_path / "a.ts"), make(tmp_path / "b.ts", size=size)
    (tmp_path / "ab.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoReader(tmp_path / "ab.ts") as reader:
        frames = list(reader.frames(stride))
    assert {frame.image.shape for frame in frames if frame.decoded} == {(120, 160, 3)}
    # A picture is lost where the parts meet, so that the second begins at 9 / 25 s.
    change = "ab.ts: pictures change from 160 x 120 to 120 x 160 at 0.36 s"
    assert (change in (reader.truncated or "")) == said


def test_bad_input_is_one_clear_line(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 50)
    (tmp_path / "text.txt").write_text("This is not a video.\n" * 50)
    sound(tmp_path / "sound.wav")
    cases = {
        "missing.mp4": "no such file",
        ".": "is a folder",
        "empty.mp4": "is empty",
        "text.mp4": "cannot read .* as a video",
        "text.txt": "text file|cannot read|no video",
        "sound.wav": "has no video, only audio",
    }
    for name, message in cases.items():
        for use in (VideoReader, probe):
            with pytest.raises(Vid3dError, match=message) as caught:
                use(tmp_path / name)
            assert "\n" not in str(caught.value)
            assert str(tmp_path / name) in str(caught.value)


def test_no_frame_can_be_decoded(tmp_path):
    path = make(tmp_path / "a.mov", codec="png", pixels="rgb24", frames=3)
    path.write_bytes(path.read_bytes().replace(b"\x89PNG", b"\0\0\0\0"))
    with pytest.raises(Vid3dError, match="no frame that can be decoded"):
        probe(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_one_frame(tmp_path, name):
    codec, pixels = ("libx264", "yuv420p") if name == "a.mp4" else ("png", "rgb24")
    _, times, images = read(make(tmp_path / name, codec=codec, pixels=pixels, frames=1))
    assert times == [0]
    assert len(images) == 1


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "mpeg2video"), ("a.h264", "libx264")],
)
@pytest.mark.parametrize("interval", [(None, 0.5), (0.33, 0.5), (3.0, 3.4), (2.97, None)])
def test_interval(tmp_path, name, codec, interval):
    path = make(tmp_path / name, codec=codec, frames=100, g="12")
    start, end = interval[0] or 0, interval[1] or 9
    expected = [i / 25 for i in range(100) if start - 1e-6 <= i / 25 <= end + 1e-6]
    reader, times, images = read(path, *interval)
    np.testing.assert_allclose(times, expected, atol=1e-6)
    assert reader.truncated is None
    shade = round(expected[0] * 25) * 8 % 256
    assert abs(int(images[0][-5, -5, 1]) - shade) < 12
    if reader.info.frames:
        assert abs(reader.expected_frames - len(times)) <= 1


def test_interval_outside_the_video(tmp_path):
    path = make(tmp_path / "a.mp4")
    with pytest.raises(Vid3dError, match=r"no frame between 5 and 6 s: its last frame is at 0.36"):
        read(path, 5, 6)
    for interval in ((-1, None), (2, 1)):
        with pytest.raises(Vid3dError, match="need 0 <= start <= end"):
            VideoReader(path, *interval)


def test_only_images_that_are_asked_for_are_converted(tmp_path, monkeypatch):
    converted = []
    original = Display.picture
    monkeypatch.setattr(
        Display, "picture", lambda self, *given: converted.append(given) or original(self, *given)
    )
    with VideoReader(make(tmp_path / "a.mp4")) as reader:
        images = [frame.image for frame in reader if frame.index == 3]
    assert len(images) == len(converted) == 1


def test_image_at_another_size(tmp_path):
    path = make(tmp_path / "a.mp4", frames=1)
    turn(path, TURNS["90"][0])
    with VideoReader(path) as reader:
        (image,) = [frame.image_at((60, 80)) for frame in reader]
    assert image.shape == (80, 60, 3)
    assert is_red(image[2, -3])


def write(path, times, size=(64, 48), fps=25):
    image = np.full((size[1], size[0], 3), (200, 30, 90), np.uint8)
    with VideoWriter(path, fps, size) as writer:
        for time in times:
            writer.write(image, time)
    return image


def test_writer_keeps_times_and_colours(tmp_path):
    times = [0, 0.04, 0.1, 0.5, 0.9]
    image = write(tmp_path / "a.mp4", times)
    reader, got, images = read(tmp_path / "a.mp4")
    np.testing.assert_allclose(got, times, atol=1e-4)
    assert reader.info.codec == "h264"
    assert reader.info.duration == pytest.approx(0.94, abs=1e-3)
    assert np.abs(images[2].astype(int) - image).max() < 6


def test_writer_default_times_and_times_that_do_not_rise(tmp_path):
    write(tmp_path / "a.mp4", [None] * 4, fps=30000 / 1001)
    np.testing.assert_allclose(read(tmp_path / "a.mp4")[1], np.arange(4) * 1001 / 30000, atol=1e-6)
    write(tmp_path / "b.mp4", [0, 0, 0.1, 0.05])
    np.testing.assert_allclose(read(tmp_path / "b.mp4")[1], [0, 0, 0.1, 0.1], atol=1e-4)


def test_writer_pads_odd_sizes_and_puts_the_index_in_front(tmp_path):
    write(tmp_path / "a.mp4", [0], size=(321, 241))
    assert probe(tmp_path / "a.mp4").size == (322, 242)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_writer_leaves_nothing_when_it_fails(tmp_path):
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(KeyError), VideoWriter(tmp_path / "a.mp4", 25, (64, 48)) as writer:
        writer.write(image)
        raise KeyError
    with pytest.raises(Vid3dError, match="a frame has"):  # noqa: SIM117
        with VideoWriter(tmp_path / "a.mp4", 25, (64, 50)) as writer:
            writer.write(image)
    (tmp_path / "file").touch()
    with pytest.raises(Vid3dError, match="cannot write"):  # noqa: SIM117
        with VideoWriter(tmp_path / "file" / "a.mp4", 25, (64, 48)) as writer:
            writer.write(image)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@given(st.integers(0, 40), st.integers(1, 50))
def test_looks(count, stride):
    got = list(looks(range(count), stride))
    assert [frame for frame, _ in got] == list(range(count))
    looked = [frame for frame, look in got if look]
    assert looked == sorted({*range(0, count, stride), count - 1} if count else [])


def test_strides():
    strides = [default_stride(fps) for fps in (1, 5, 24, 25, 29.97, 50, 60, 240)]
    assert strides == [1, 1, 5, 5, 6, 10, 12, 48]
    with pytest.raises(Vid3dError, match="stride is 0"):
        list(looks([], 0))


def test_prefetch_order_and_errors():
    assert list(prefetch(range(100), depth=3)) == list(range(100))

    def failing():
        yield 1
        raise Vid3dError("broken")

    items = prefetch(failing())
    assert next(items) == 1
    with pytest.raises(Vid3dError, match="broken"):
        next(items)


def test_prefetch_stops_with_its_consumer():
    made, closed = [], []

    def endless():
        try:
            while True:
                made.append(threading.active_count())
                yield 0
        finally:
            closed.append(True)

    before = threading.active_count()
    items = prefetch(prefetch(endless(), 2), 2)
    next(items)
    items.close()
    assert closed == [True]
    assert len(made) < 12
    assert threading.active_count() == before


def test_lens_of_a_phone_is_read(tmp_path):
    path = make(
        tmp_path / "phone.mov", container={"movflags": "use_metadata_tags"}, tags={FOCAL_TAG: "26"}
    )
    assert probe(path).focal_35mm == 26
    # Phones write a number (type 21, a signed integer), not text (type 1).
    data = path.read_bytes()
    text, number = (b"data" + bytes([0, 0, 0, kind, 0, 0, 0, 0]) for kind in (1, 21))
    assert data.count(text + b"26") == 1
    path.write_bytes(data.replace(text + b"26", number + bytes([0, 28])))
    assert probe(path).focal_35mm == 28
    path.write_bytes(data.replace(text + b"26", number + bytes([0xFF, 0xF3])))  # -13: unknown
    assert probe(path).focal_35mm is None
    path.write_bytes(data.replace(text + b"26", number + bytes([7, 208])))  # 2000: below a degree
    assert probe(path).focal_35mm is None
    assert probe(make(tmp_path / "plain.mp4")).focal_35mm is None


@pytest.mark.parametrize(
    ("said", "filmed"),
    [("240.0", 240), ("5", 5), *((said, None) for said in ("24", "25", "0", "nan", "inf", "fast"))],
)
def test_slow_motion_of_a_phone_is_known(tmp_path, said, filmed):
    path = make(
        tmp_path / "slow.mp4",
        container={"movflags": "use_metadata_tags"},
        tags={CAPTURE_TAG: said},
    )
    assert probe(path).fps == 25
    assert probe(path).filmed_fps == filmed


def test_a_device_that_is_not_there_decodes_on_the_cpu(tmp_path):
    path = make(tmp_path / "clip.mp4", frames=7)
    with VideoReader(path) as one, VideoReader(path, device="cuda") as other:
        pairs = list(zip(one.frames(3), other.frames(3), strict=True))
    assert len(pairs) == 7
    for a, b in pairs:
        assert (a.index, a.time, a.decoded is None) == (b.index, b.time, b.decoded is None)
        if a.decoded is not None:
            np.testing.assert_array_equal(a.image, b.image)


@pytest.mark.parametrize("stride", [1, 5])
@pytest.mark.parametrize(("start", "frames"), [(3.0, 74), (5.0, 24)])
def test_joined_recordings_are_read_from_any_time(tmp_path, start, frames, stride):
    part = make(tmp_path / "a.ts", frames=75, g="25")  # stamps begin anew in the second half
    (tmp_path / "ab.ts").write_bytes(2 * part.read_bytes())
    with VideoReader(tmp_path / "ab.ts", start) as reader:
        times = [frame.time for frame in reader.frames(stride)]
    assert len(times) == frames
    assert times[0] == pytest.approx(start, abs=0.02)
    assert times[-1] == pytest.approx(148 / 25, abs=0.05)  # a frame is lost where they meet
    assert max(np.diff(times)) < 0.06


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.ts", "libx264", {"bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
        ("a.ts", "mpeg2video", {"bf": "2"}),
        ("a.vob", "mpeg2video", {"bf": "2"}),
    ],
)
@pytest.mark.parametrize("stride", [1, 4])
def test_a_late_start_in_a_stream_decodes_little_before_it(
    tmp_path, monkeypatch, name, codec, options, stride
):
    path = make(tmp_path / name, frames=200, codec=codec, g="25", **options)
    with VideoReader(path) as reader:
        whole = [(frame.time, frame.image) for frame in reader if frame.time >= 6.0 - 1e-3]
    decoded = []
    frames_of = VideoReader._frames_of
    monkeypatch.setattr(
        VideoReader, "_frames_of", lambda *args: decoded.append(args) or frames_of(*args)
    )
    with VideoReader(path, 6.0) as reader:
        part = list(reader.frames(stride))
        assert reader.truncated is None
    assert [frame.time for frame in part] == pytest.approx([time for time, _ in whole])
    for frame, (_, image) in list(zip(part, whole, strict=True))[::stride]:
        np.testing.assert_array_equal(frame.image, image)
    assert len(decoded) < 110  # 50 frames, half a second and a group before it, and to open


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_tags_may_be_in_any_letters(tmp_path, name):
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = make(tmp_path / name, codec, frames=3, tags={"title": "caf\u00e9"})
    data = path.read_bytes()
    assert b"caf\xc3\xa9" in data
    path.write_bytes(data.replace(b"caf\xc3\xa9", b"caf\xe9 "))  # Latin-1
    _, times, _ = read(path)
    assert len(times) == 3
