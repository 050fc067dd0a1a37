"""Videos of the same two people in many disguises, and what is right to see in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from faults.case import REPO
from vid3d.motion import Motion
from vid3d.video import VideoReader

TINY = REPO / "tests/data/tiny.mp4"
FPS = 30


@cache
def pictures() -> Any:
    """(45, 270, 480, 3) BGR pictures of tests/data/tiny.mp4, all of whose frames are good."""
    with VideoReader(TINY) as reader:
        return np.stack([frame.image for frame in reader])


def encode(
    path: Path,
    images: Sequence[Any] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    stamps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    aspect: Fraction | None = None,
    tags: Any = None,
    sound: bool = False,
) -> Path:
    """Write pictures (those of the tiny clip by default) as a video of high quality.

    Args:
        path: of the file.
        images: BGR, or frames.
        codec, pixels, options, container: of ffmpeg.
        stamps: milliseconds of the frames; else 30 a second.
        aspect: of a pixel.
        tags: called with the codec context, to mark colours or fields.
        sound: whether half a second of sound comes first, as the first stream.
    """
    images = pictures() if images is None else images
    good = {
        "libx264": {"crf": "10"},
        "libx265": {"crf": "10", "x265-params": "log-level=none"},
        "libvpx-vp9": {"crf": "15", "deadline": "realtime", "cpu-used": "8"},
    }.get(codec, {})
    quality = {"qmin": "1", "qmax": "3"} if codec in ("mjpeg", "mpeg4", "mpeg2video") else good
    with av.open(str(path), "w", options=container or {}) as out:
        voice = out.add_stream("aac", rate=8000, layout="mono") if sound else None
        stream = out.add_stream(codec, rate=FPS, options={**quality, **(options or {})})
        first = images[0]
        shape = (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape
        stream.height, stream.width, stream.pix_fmt = shape[0], shape[1], pixels
        if stamps is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if tags:
            tags(stream.codec_context)
        if voice is not None:
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
            quiet.sample_rate = 8000
            out.mux([*voice.encode(quiet), *voice.encode()])
        start = FPS // 2 if sound else 0
        for number, image in enumerate(images):
            is_frame = isinstance(image, av.VideoFrame)
            frame = image if is_frame else av.VideoFrame.from_ndarray(image, "bgr24")
            frame.pts = start + number if stamps is None else stamps[number]
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@dataclass(frozen=True)
class Seen:
    """What a reader gave: times, pictures, its warning."""

    times: Any
    images: list[Any]
    warning: str | None


def see(path: Path) -> Seen:
    """All of a video."""
    with VideoReader(path) as reader:
        frames = [(frame.time, frame.image) for frame in reader]
        return Seen(np.array([t for t, _ in frames]), [i for _, i in frames], reader.truncated)


def apart(first: Any, second: Any) -> float:
    """Mean difference of pictures in grey levels."""
    return float(np.abs(first.astype(np.int16) - second).mean())


def same_pictures(
    most: float = 4.0, times: Sequence[float] | None = None, only: slice = slice(None)
) -> Any:
    """A check: the tiny clip's pictures at their times, without a warning."""

    def check(seen: Seen) -> None:
        wanted = pictures()[only]
        expected = np.arange(len(wanted)) / FPS if times is None else np.array(times)
        assert seen.warning is None, seen.warning
        assert len(seen.images) == len(wanted)
        np.testing.assert_allclose(seen.times, expected, atol=2e-3)
        worst = max(apart(a, b) for a, b in zip(wanted, seen.images, strict=True))
        assert worst < most, worst

    return check


def part_of_the_pictures(most: float = 4.0, endless: bool = False) -> Any:
    """A check: what is shown is right and at most a quarter of a second is missing, or it warns.

    A transport stream has neither index nor length: where it was cut off cannot be known.
    """

    def check(seen: Seen) -> None:
        assert (np.diff(seen.times) > 0).all()
        frames = np.clip(np.round(seen.times * FPS).astype(int), 0, len(pictures()) - 1)
        right = [
            apart(pictures()[n], image) < most for n, image in zip(frames, seen.images, strict=True)
        ]
        enough = endless or len(seen.images) >= len(pictures()) - FPS // 4
        assert (enough and all(right)) or seen.warning is not None, (len(right), sum(right))

    return check


def lifted(out: Path) -> Motion:
    """The one motion in a folder of results."""
    (path,) = out.glob("*.vid3d.npz")
    return Motion.load(path)


class Reference:
    """The result for the tiny clip itself, lifted once for all."""

    motion: Motion | None = None


def same_people(metres: float = 0.05, pixels: float = 2.0) -> Any:
    """A check: the same people as in the tiny clip, at the same places of the picture."""

    def check(out: Path) -> None:
        wanted, found = Reference.motion, lifted(out)
        assert wanted is not None, "the reference is not made yet"
        assert found.people == wanted.people
        assert found.frames == wanted.frames
        order = [_nearest(wanted, person, found) for person in range(wanted.people)]
        assert sorted(order) == list(range(wanted.people))
        shift = np.abs(found.keypoints2d[order][..., :2] - wanted.keypoints2d[..., :2])
        assert np.nanmedian(shift) < pixels, np.nanmedian(shift)
        here = found.present[order] & wanted.present
        assert here.mean() > 0.9
        bodies = [m - m[:, :1] for m in (found.joints3d[order][here], wanted.joints3d[here])]
        errors = np.linalg.norm(bodies[0] - bodies[1], axis=-1)
        assert errors.mean() < metres, errors.mean()

    return check


def _nearest(wanted: Motion, person: int, found: Motion) -> int:
    moves = found.keypoints2d[..., :2] - wanted.keypoints2d[person, ..., :2]
    return int(np.nanargmin(np.nanmedian(np.abs(moves), axis=(1, 2, 3))))


def nobody(out: Path) -> None:
    """A check: a result without people."""
    assert lifted(out).people == 0


def rising(out: Path) -> None:
    """A check: a result that holds what every motion must."""
    assert (np.diff(lifted(out).timestamps) > 0).all()
