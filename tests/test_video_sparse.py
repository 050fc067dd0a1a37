"""Sparse reading gives what full reading gives: on every kind of file, and on broken ones."""

import random

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_toys import TURNS, make, turn, wandering

from vid3d.errors import Vid3dError
from vid3d.video import VideoReader, container, reader
from vid3d.video.packets import DamagedError, Part, part_reader
from vid3d.video.sparse import SparseDecoder

SIZE = (96, 64)


@pytest.fixture(autouse=True)
def threads(monkeypatch):
    """Several decoder threads wherever the tests run: frames come late and in bunches."""
    opened = reader.open_video

    def threaded(*given):
        container, stream = opened(*given)
        stream.codec_context.thread_count = 3
        return container, stream

    monkeypatch.setattr(reader, "open_video", threaded)


@pytest.fixture
def decoded(monkeypatch):
    """The packets that sparse reading hands to the decoder, and whether it gave up."""
    counts = {"sent": 0, "given up": False}
    needed = SparseDecoder._needed

    def count(self, picture):
        answer = needed(self, picture)
        counts["sent"] += bool(answer)
        return answer

    monkeypatch.setattr(SparseDecoder, "_needed", count)
    reopened = VideoReader._reopen

    def again(self):
        counts["opened"] = counts.get("opened", 0) + 1
        counts["given up"] = counts["opened"] > 1
        reopened(self)

    monkeypatch.setattr(VideoReader, "_reopen", again)
    return counts


def read(path, stride=None, interval=()):
    with VideoReader(path, *interval) as video:
        frames = video if stride is None else video.frames(stride)
        kept = [
            (frame.index, frame.time, None if frame.decoded is None else frame.image)
            for frame in frames
        ]
        return kept, video.truncated


def same(path, stride, interval=()):
    """Check sparse reading against full reading; returns the number of frames."""
    full, warning = read(path, None, interval)
    sparse, sparse_warning = read(path, stride, interval)
    assert [frame[:2] for frame in sparse] == [frame[:2] for frame in full]
    assert sparse_warning == warning
    for index, (_, _, image) in enumerate(sparse):
        if index % stride == 0 or index == len(full) - 1:
            np.testing.assert_array_equal(image, full[index][2])
        else:
            assert image is None
    return len(full)


# name -> file name, codec, options, and the most packets of 60 that stride 10 decodes
FILES = {
    "pyramid": ("a.mp4", "libx264", {"x264-params": "b-adapt=0"}, 40),
    "strict pyramid": ("a.mp4", "libx264", {"x264-params": "b-pyramid=strict:b-adapt=0"}, 40),
    "flat": ("a.mp4", "libx264", {"x264-params": "b-pyramid=none:bframes=3:b-adapt=0"}, 25),
    "no B-frames": ("a.mp4", "libx264", {"bf": "0"}, 60),
    "short groups": ("a.mp4", "libx264", {"bf": "0", "g": "6"}, 36),
    "open groups": ("a.mp4", "libx264", {"g": "8", "x264-params": "open-gop=1:b-adapt=0"}, 45),
    "refresh": ("a.mp4", "libx264", {"x264-params": "intra-refresh=1"}, 60),
    "slices": ("a.mp4", "libx264", {"x264-params": "slices=4:b-adapt=0"}, 40),
    "matroska": ("a.mkv", "libx264", {"x264-params": "b-adapt=0"}, 40),
    "transport": ("a.ts", "libx264", {}, 60),
    "hevc": ("a.mp4", "libx265", {"x265-params": "log-level=none"}, 45),
    "hevc layers": ("a.mp4", "libx265", {"x265-params": "log-level=none:temporal-layers=3"}, 60),
    "hevc closed": ("a.mkv", "libx265", {"x265-params": "log-level=none:open-gop=0:keyint=8"}, 45),
    "single pictures": ("a.mov", "mjpeg", {"pixels": "yuvj420p"}, 7),
    "prores": ("a.mov", "prores_ks", {"pixels": "yuv422p10le"}, 7),
    "interlaced": ("a.mp4", "libx264", {"flags": "+ildct+ilme"}, None),
    "mpeg4": ("a.avi", "mpeg4", {"bf": "2"}, None),
    "mpeg2": ("a.ts", "mpeg2video", {"bf": "2"}, None),
    "no stamps": ("a.h264", "libx264", {}, None),
    "h264 in avi": ("a.avi", "libx264", {}, None),
    "vp9": ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, None),
    "gif": ("a.gif", "gif", {"pixels": "rgb8"}, None),
}


@pytest.mark.parametrize("name", FILES)
def test_same_as_full_reading(tmp_path, decoded, name):
    file, codec, options, most = FILES[name]
    path = make(tmp_path / file, codec, SIZE, 60, drawn=wandering, **options)
    assert same(path, 10) == 60
    if most is not None:
        assert not decoded["given up"]
        assert decoded["sent"] <= most
    for stride, interval in ((7, ()), (25, (0.3, 1.7)), (4, (1.1, None)), (100, ())):
        same(path, stride, interval)


def test_variable_rate_jumps_and_repeats(tmp_path, decoded):
    stamps = np.cumsum([40, 7, 900, 33, 33, 20, 1500, 40, 40] * 4).tolist()
    same(make(tmp_path / "a.mp4", size=SIZE, stamps=stamps, drawn=wandering), 5)
    assert not decoded["given up"]


@pytest.mark.parametrize("name", TURNS)
def test_turned(tmp_path, name):
    path = make(tmp_path / "a.mp4", size=SIZE, frames=20, drawn=wandering)
    turn(path, TURNS[name][0])
    same(path, 6)


def test_edit_list_leaves_frames_out(tmp_path):
    whole = make(tmp_path / "a.mp4", size=SIZE, frames=50, drawn=wandering)
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts -= 7 * stream.average_rate.denominator * 512
                packet.dts -= 7 * stream.average_rate.denominator * 512
                packet.stream = copied
                target.mux(packet)
    same(cut, 8)


@pytest.fixture
def one_thread(monkeypatch):
    """Decode in one thread: what several make of damage differs from run to run."""
    whole = container._video_stream

    def alone(file, path):
        stream = whole(file, path)
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return stream

    monkeypatch.setattr(container, "_video_stream", alone)


@pytest.mark.parametrize("tenth", range(1, 10))
@pytest.mark.parametrize("file", ["a.mp4", "a.mkv", "a.ts"])
def test_truncated(tmp_path, one_thread, file, tenth):
    options = {"container": {"movflags": "faststart"}} if file == "a.mp4" else {}
    path = make(tmp_path / file, size=SIZE, frames=60, g="20", drawn=wandering, **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * tenth // 10])
    try:
        read(path)
    except Vid3dError:
        return
    same(path, 9)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_references(tmp_path, one_thread, seed):
    """Wherever a picture that others refer to is damaged, full decoding decides what there is."""
    path = make(tmp_path / "a.mp4", size=SIZE, frames=60, g="20", bf="0", drawn=wandering)
    data = bytearray(path.read_bytes())
    chance = random.Random(seed)
    start, end = data.index(b"mdat") + 800, len(data) - 2000
    for _ in range(20):
        data[chance.randrange(start, end)] = chance.randrange(256)
    path.write_bytes(data)
    same(path, 9)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_any_interval(tmp_path_factory, stride, first, more):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "interval.mp4"
    if not path.exists():
        make(path, size=SIZE, frames=60, g="15", drawn=wandering)
    same(path, stride, (first / 25, (first + more) / 25))


def test_nothing_in_the_interval(tmp_path):
    path = make(tmp_path / "a.mp4")
    with (
        VideoReader(path, 5, 6) as video,
        pytest.raises(Vid3dError, match=r"no frame between 5 and 6 s: its last frame is at 0\.36"),
    ):
        list(video.frames(3))
    with VideoReader(path) as video, pytest.raises(Vid3dError, match="stride is 0"):
        list(video.frames(0))


class _Context:
    def __init__(self, name, extradata):
        self.name, self.extradata = name, extradata
        self.codec = type("Codec", (), {"intra_only": False})


def test_parts_by_hand():
    h264 = part_reader(_Context("h264", b"\1\0\0\0\xff"))  # lengths of four bytes

    def packet(*units):
        return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)

    assert h264(packet(b"\x65abc")) is Part.SYNC
    assert h264(packet(b"\x06sei", b"\x41abc")) is Part.REFERENCE
    assert h264(packet(b"\x01abc", b"\x01def")) is Part.DISPOSABLE
    assert h264(packet(b"\x01abc", b"\x21def")) is Part.REFERENCE
    assert h264(packet(b"\x68pps", b"\x01abc")) is Part.NEEDED
    for damaged in (packet(b"\x65abc")[:-1], packet(b"\x06sei"), b"", packet(b"\x81abc")):
        with pytest.raises(DamagedError):
            h264(damaged)
    annex_b = part_reader(_Context("h264", None))
    assert annex_b(b"\0\0\0\1\x09\xf0\0\0\1\x01abc") is Part.DISPOSABLE
    hevc = part_reader(_Context("hevc", b"\1" + bytes(20) + b"\x0b"))  # one layer
    assert hevc(packet(b"\x00\x01abc")) is Part.DISPOSABLE  # TRAIL_N
    assert hevc(packet(b"\x02\x01abc")) is Part.REFERENCE  # TRAIL_R
    assert hevc(packet(b"\x26\x01abc")) is Part.SYNC  # IDR_W_RADL
    assert hevc(packet(b"\x2a\x01abc")) is Part.REFERENCE  # CRA
    for damaged in (packet(b"\x4e\x01sei"), packet(b"\x80\x01abc"), packet(b"\x00")):
        with pytest.raises(DamagedError):
            hevc(damaged)
    layers = part_reader(_Context("hevc", b"\1" + bytes(20) + b"\x13"))  # two
    assert layers(packet(b"\x00\x01abc")) is Part.REFERENCE  # the upper one may refer to it
    assert layers(packet(b"\x00\x02abc")) is Part.DISPOSABLE
    assert part_reader(_Context("hevc", None)) is None
    assert part_reader(_Context("vp9", None)) is None


def test_memory_is_bounded_by_the_stride(tmp_path):
    """Pictures do not wait for each other longer than from one look to the next."""
    path = make(tmp_path / "a.mp4", size=SIZE, frames=200, drawn=wandering)
    held = []
    with VideoReader(path) as video:
        part = part_reader(video._stream.codec_context)
        video._reopen()
        stream = video._stream
        pictures = SparseDecoder(
            video._container.demux(stream), stream.decode, stream.time_base,
            part, video._clock, 10, (0, 9e9),
        )  # fmt: skip
        for _ in pictures:
            held.append(len(pictures._unsent) + len(pictures._line))
    assert max(held) < 40
