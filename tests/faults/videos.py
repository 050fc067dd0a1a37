"""Videos: broken, of unusual kinds, with unusual clocks and displays."""

import os
import struct
import wave
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from shutil import copy
from typing import Any

import av
import numpy as np
from video_toys import TURNS, turn

from faults.bytes import TENTHS, cut, noise, pickled, pipe, scrambled
from faults.case import Case, Expected
from faults.clips import (
    FPS,
    TINY,
    encode,
    nobody,
    part_of_the_pictures,
    pictures,
    rising,
    same_people,
    same_pictures,
    see,
)
from faults.hdr import graded
from vid3d.video import VideoWriter

LIFT = ("lift {input} -o {out} --no-render",)
DRAWN = ("lift {input} -o {out}",)
SPREAD = [0, 33, 67, 100, 133, 5000, 5033, 5040, 5041, 9000, *range(9050, 10800, 50)]
"""Milliseconds of frames with jumps and crowds."""


def video(
    group: str,
    name: str,
    make: Callable[[Path], Any],
    expected: Expected = "refused",
    right: Any = None,
    result: Any = None,
    commands: tuple[str, ...] = LIFT,
) -> Case:
    """A case of a video file `name`, which `make` writes."""

    def made(folder: Path) -> Path:
        path = folder / name
        make(path)
        return path

    checks = {key: check for key, check in (("right", right), ("result", result)) if check}
    return Case(group, name, made, see, commands, expected, **checks)


def same(
    group: str,
    name: str,
    make: Callable[[Path], Any],
    most: float = 4.0,
    metres: float = 0.05,
    pixels: float = 2.0,
    commands: tuple[str, ...] = LIFT,
) -> Case:
    """A case that shows the tiny clip, whatever the file looks like."""
    right, result = same_pictures(most), same_people(metres, pixels)
    return video(group, name, make, "right", right, result, commands)


# ------------------------------------------------------------------ broken


def broken() -> Iterator[Case]:
    """Cut off and damaged files."""
    kinds: dict[str, dict[str, Any]] = {
        "mp4": {},
        "mkv": {"options": {"g": "10"}},
        "ts": {"codec": "mpeg2video"},
    }
    for suffix, how in kinds.items():
        for tenth in TENTHS:
            yield _damaged(f"cut at {tenth} tenths.{suffix}", how, lambda p, n=tenth: cut(p, n))
    fast = {"container": {"movflags": "faststart"}}
    for tenth in TENTHS:
        yield _damaged(
            f"cut at {tenth} tenths, index first.mp4", fast, lambda p, n=tenth: cut(p, n)
        )
    for suffix, how in {**kinds, "webm": {"codec": "libvpx-vp9"}}.items():
        for seed in range(4):
            yield _damaged(
                f"random bytes {seed}.{suffix}",
                how,
                lambda p, n=seed: scrambled(p, n, 10 ** (n + 1)),
            )
        yield _damaged(f"a hole of zeros.{suffix}", how, lambda p: scrambled(p, 9, 4000, zero=True))


_WHOLE: dict[str, bytes] = {}
"""Whole files by kind, encoded once."""


def _damaged(name: str, how: dict[str, Any], damage: Callable[[Path], Any]) -> Case:
    def make(path: Path) -> None:
        key = f"{path.suffix} {how}"
        if key not in _WHOLE:
            _WHOLE[key] = encode(path, **how).read_bytes()
        path.write_bytes(_WHOLE[key])
        damage(path)

    cut_off = name.startswith("cut")
    # bytes exchanged for others that are valid too show other pictures, and nothing can tell
    right = part_of_the_pictures(8.0 if cut_off else 255.0, endless=name.endswith(".ts"))
    group = "video cut off" if cut_off else "video with damaged bytes"
    return video(group, name, make, "either", right, rising)


# ------------------------------------------------------------------ no video


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(16000))


def _text(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text)


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n"
SESSION = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"


def no_videos() -> Iterator[Case]:
    """What is no video, and what would lead elsewhere."""
    group = "no video"
    yield video(group, "empty.mp4", Path.touch)
    yield video(group, "missing.mp4", lambda path: None)
    yield video(group, "folder.mp4", Path.mkdir)
    yield video(group, "text.mp4", _text("I am no video.\n" * 100))
    yield video(group, "text.txt", _text("I am no video.\n" * 100))
    yield video(group, "noise.mp4", noise)
    yield video(group, "keypoints.json", _text('{"images": []}'))
    yield video(group, "pickle.mp4", pickled)
    yield video(group, "sound.wav", _sound)
    yield video(group, "pipe.mp4", pipe)
    yield video(group, "device.mp4", lambda path: path.symlink_to("/dev/zero"))
    yield video(group, "circle.mp4", lambda path: path.symlink_to(path.name))
    yield video(group, "pictures of a folder", _pictures)
    yield Case(group, "pattern of pictures", _pattern, see, LIFT)
    elsewhere = "references to other files and hosts"
    yield video(elsewhere, "host.m3u8", _text(PLAYLIST.format("http://127.0.0.1:9/a.ts")))
    yield video(elsewhere, "file.m3u8", _text(PLAYLIST.format("/etc/hostname")))
    yield video(elsewhere, "list.ffconcat", _text(f"ffconcat version 1.0\nfile {TINY}\n"))
    yield video(elsewhere, "session.sdp", _text(SESSION))
    yield Case(elsewhere, "address", lambda folder: Path("http://127.0.0.1:9/a.mp4"), see, LIFT)


def _pictures(folder: Path) -> None:
    folder.mkdir()
    for number, image in enumerate(pictures()[:3], 1):
        encode(folder / f"{number:03d}.png", [image], "png", "rgb24")


def _pattern(folder: Path) -> Path:
    _pictures(folder / "pictures")
    return folder / "pictures/%03d.png"


# ------------------------------------------------------------------ kinds of files


def kinds() -> Iterator[Case]:
    """Codecs, containers, names and sizes."""
    group = "codecs and containers"
    yield same(group, "wrong extension.txt", lambda p: copy(TINY, p))
    yield same(group, "wrong extension.webm", lambda p: copy(TINY, p))
    yield same(group, "no extension", lambda p: copy(TINY, p))
    yield same(group, "motion.avi", lambda p: encode(p, codec="mjpeg", pixels="yuvj420p"), 6)
    yield same(group, "vp9.webm", lambda p: encode(p, codec="libvpx-vp9"), 6)
    yield video(
        group,
        "few colours.gif",
        lambda p: encode(p, codec="gif", pixels="rgb8"),
        "right",
        same_pictures(30, np.round(np.arange(45) / 30, 2)),
        rising,
    )
    yield same(group, "image sequence.mov", lambda p: encode(p, codec="png", pixels="rgb24"), 2)
    yield same(group, "several sounds first.mp4", lambda p: encode(p, sound=True), commands=DRAWN)
    depth = "10 bits, HDR, interlaced"
    yield same(depth, "10 bits.mp4", lambda p: encode(p, codec="libx265", pixels="yuv420p10le"))
    yield same(depth, "prores.mov", lambda p: encode(p, codec="prores_ks", pixels="yuv422p10le"))
    yield same(depth, "HDR PQ.mp4", lambda p: graded(p, "pq"), 60, 0.08, 4)
    yield same(depth, "HDR HLG.mp4", lambda p: graded(p, "hlg"), 60, 0.08, 4)
    yield same(depth, "interlaced.ts", _interlaced, 6, 0.08, 3)


def _interlaced(path: Path) -> None:
    """Each picture's second field is that of the next one, as cameras film it."""
    woven = pictures().copy()
    woven[:-1, 1::2] = pictures()[1:, 1::2]
    encode(path, woven, "mpeg2video", options={"flags": "+ildct+ilme"})


def displays() -> Iterator[Case]:
    """Rotation flags and pixels that are not square."""
    group = "rotation, pixel shape"
    turns = {"90": 1, "180": 2, "270": 3, "mirrored": None}
    for name, quarters in turns.items():
        yield same(
            group,
            f"turned {name}.mp4",
            lambda p, n=name, q=quarters: _turned(p, n, q),
            commands=DRAWN if name == "90" else LIFT,
        )
    narrow = pictures_at(240, 270)
    low = pictures_at(480, 135)
    yield same(
        group,
        "wide pixels.mp4",
        lambda p: encode(p, narrow(), aspect=Fraction(2, 1)),
        8,
        0.1,
        4,
        DRAWN,
    )
    yield same(
        group,
        "high pixels.mp4",
        lambda p: encode(p, low(), "mpeg4", aspect=Fraction(1, 2)),
        8,
        0.1,
        4,
    )
    yield video(
        group,
        "absurd pixels.mkv",
        lambda p: encode(p, pictures()[:2], aspect=Fraction(60000, 1)),
        "either",
        result=rising,
    )


def _turned(path: Path, name: str, quarters: int | None) -> None:
    """Stored so that the flag brings the pictures upright again."""
    upright = pictures()
    stored = upright[:, :, ::-1] if quarters is None else np.rot90(upright, quarters, (1, 2))
    encode(path, np.ascontiguousarray(stored))
    turn(path, TURNS[name][0])


def pictures_at(width: int, height: int) -> Callable[[], list[Any]]:
    """The pictures at another size, made when they are asked for."""
    import cv2

    return lambda: [
        cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in pictures()
    ]


# ------------------------------------------------------------------ sizes and lengths


def sizes() -> Iterator[Case]:
    """The smallest and the largest, and headers that lie."""
    group = "size and length"
    plain = lambda w, h, n=1: [np.full((h, w, 3), 90, np.uint8)] * n  # noqa: E731
    dot = {"codec": "ffv1", "pixels": "bgr0"}
    yield video(
        group, "1 x 1.mkv", lambda p: encode(p, plain(1, 1, 9), **dot), "right", None, nobody, DRAWN
    )
    yield video(
        group,
        "1 x 4000.mov",
        lambda p: encode(p, plain(1, 4000, 9), "png", "rgb24"),
        "right",
        None,
        nobody,
    )
    yield video(
        group,
        "4096 x 16.mp4",
        lambda p: encode(p, plain(4096, 16, 3)),
        "right",
        None,
        nobody,
        DRAWN,
    )
    yield video(group, "16000 x 9000.mov", lambda p: encode(p, plain(16000, 9000), "png", "gray"))
    yield video(group, "65535 x 65535 by its header.gif", _vast)
    yield video(
        group,
        "one frame.mp4",
        lambda p: encode(p, pictures()[:1]),
        "right",
        same_pictures(only=slice(1)),
        rising,
        DRAWN,
    )
    yield video(
        group,
        "one picture.png",
        lambda p: encode(p, pictures()[:1], "png", "rgb24"),
        "right",
        same_pictures(only=slice(1)),
        rising,
    )
    yield video(
        group,
        "100000 frames by the header, 3 in it.avi",
        _boastful,
        "right",
        part_of_the_pictures(6),
        rising,
    )
    yield video(
        group,
        "an hour by the header, 3 frames.mp4",
        _long_by_its_header,
        "right",
        same_pictures(only=slice(3)),
        rising,
    )
    yield video(group, "another size in mid-stream.ts", _resized, "either", None, rising)


def _vast(path: Path) -> None:
    encode(path, pictures()[:1], "gif", "rgb8")
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 65535, 65535)
    path.write_bytes(content)


def _boastful(path: Path) -> None:
    """AVI's main and stream headers say 100,000 frames (avih: dwTotalFrames, strh: dwLength)."""
    encode(path, pictures()[:3], "mpeg4")
    content = bytearray(path.read_bytes())
    main, stream = content.index(b"avih") + 8, content.index(b"strh") + 8
    content[main + 16 : main + 20] = content[stream + 32 : stream + 36] = struct.pack("<I", 100_000)
    path.write_bytes(content)


def _long_by_its_header(path: Path) -> None:
    """An MP4 whose media header says an hour (ISO 14496-12, 8.4.2)."""
    encode(path, pictures()[:3])
    content = bytearray(path.read_bytes())
    at = content.index(b"mdhd") + 4
    (scale,) = struct.unpack(">I", content[at + 12 : at + 16])
    content[at + 16 : at + 20] = struct.pack(">I", scale * 3333)
    path.write_bytes(content)


def _resized(path: Path) -> None:
    parts = [path.with_name(f"{side}.ts") for side in "ab"]
    encode(parts[0], codec="mpeg2video")
    encode(parts[1], pictures_at(240, 136)(), codec="mpeg2video")
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    for part in parts:
        part.unlink()


# ------------------------------------------------------------------ clocks


def clocks() -> Iterator[Case]:
    """Time stamps of all kinds."""
    group = "time stamps"
    for suffix in ("mp4", "mkv"):
        times = np.array(SPREAD) / 1000
        yield video(
            group,
            f"variable with jumps.{suffix}",
            lambda p: encode(p, stamps=SPREAD),
            "right",
            same_pictures(times=times.tolist()),
            _at(times),
            DRAWN,
        )
    yield same(group, "starts late.ts", lambda p: encode(p, codec="mpeg2video"), 6)
    yield same(group, "negative.mov", lambda p: _stamped(p, lambda n: n - 20), commands=DRAWN)
    yield video(
        group,
        "repeated.mkv",
        lambda p: _stamped(p, lambda n: n // 3 * 3),
        "right",
        _all_shown,
        rising,
        DRAWN,
    )
    yield video(
        group, "backwards.mkv", lambda p: _stamped(p, lambda n: 60 - n), "right", _all_shown, rising
    )
    yield video(
        group,
        "jumps of days.mkv",
        lambda p: _stamped(p, lambda n: n * 30 * 90_000),
        "right",
        _all_shown,
        rising,
    )
    yield video(group, "writer's.mp4", _written, "right", same_pictures(8), same_people())


def _at(times: Any) -> Callable[[Path], None]:
    from faults.clips import lifted

    return lambda out: np.testing.assert_allclose(lifted(out).timestamps, times, atol=2e-3)


def _stamped(path: Path, stamp: Callable[[int], int]) -> None:
    """The packets of MPEG-4 (each shows when it is decoded) with other stamps, in frames."""
    plain = path.with_name("plain.mkv")
    encode(plain, codec="mpeg4", options={"bf": "0"})
    how = {"avoid_negative_ts": "disabled", "use_editlist": "0"}
    with av.open(str(plain)) as source, av.open(str(path), "w", options=how) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        base = stream.time_base = Fraction(1, 90_000)
        last = None
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            packet.time_base, packet.stream = base, stream
            packet.pts = stamp(number) * 90_000 // FPS
            packet.dts = packet.pts if last is None else max(packet.pts, last + 1)
            packet.pts = min(packet.pts, packet.dts) if path.suffix == ".mov" else packet.dts
            last = packet.dts
            out.mux(packet)
    os.unlink(plain)


def _all_shown(seen: Any) -> None:
    assert len(seen.images) == len(pictures())
    assert (np.diff(seen.times) > 0).all()


def _written(path: Path) -> None:
    with VideoWriter(path, FPS, (480, 270)) as writer:
        for number, image in enumerate(pictures()):
            writer.write(image, number / FPS)


VIDEOS: list[Case] = [*broken(), *no_videos(), *kinds(), *displays(), *sizes(), *clocks()]
