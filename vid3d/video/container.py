"""Video files, opened and checked, and what they say of themselves."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.stream import Disposition

from vid3d.errors import Vid3dError
from vid3d.files import missing
from vid3d.video.frame import Display, Size

FALLBACK_FPS = 25.0
ABSURD = 4.0
"""How many times the rate of its stamps a file's average is when it means something else."""
MOST_PIXELS = 1 << 27
"""Of one picture (16K has 1.3e8): what larger pictures take would bring a machine down."""
FOCAL_TAG = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
CAPTURE_TAG = "com.android.capture.fps"
SLOWED = 1.5
"""Times by which a rate of filming differs at least from that of playing if it was meant to."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself.

    Attributes:
        path: the file.
        width, height: pixels as displayed: turned upright, pixels made square.
        fps: average frames per second; single frames may be farther apart.
        frames: number of frames by the container's count or duration: an estimate, or None.
        duration: seconds, or None where the container does not say.
        codec: ffmpeg's name of the codec.
        rotation: degrees clockwise by which stored frames are turned: 0, 90, 180 or 270.
        focal_35mm: the lens's focal length on 35 mm film, millimetres, where the file says it.
        filmed_fps: frames per second of filming, where the file says that it plays slowed down or
            sped up.
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int | None
    duration: float | None
    codec: str
    rotation: int
    focal_35mm: float | None = None
    filmed_fps: float | None = None

    @property
    def size(self) -> Size:
        """Width and height as displayed."""
        return self.width, self.height


def open_video(path: Path, device: str) -> tuple[Any, Any]:
    """Container and video stream of a file, checked in the order in which users err.

    Raises:
        Vid3dError: no such file, a folder, empty, not a video, or pictures too large.
    """
    if not path.exists():
        raise Vid3dError(missing(path))
    if path.is_dir():
        raise Vid3dError(f"{path} is a folder; give a video file")
    if path.stat().st_size == 0:
        raise Vid3dError(f"{path} is empty (0 bytes); give a video file")
    try:
        container = _container(path, device)
    except (av.FFmpegError, OSError) as error:
        raise Vid3dError(
            f"cannot read {path} as a video ({error.strerror}): it is of another kind, "
            "or was cut off before its index was written; give a video that plays"
        ) from error
    try:
        return container, _video_stream(container, path)
    except Vid3dError:
        container.close()
        raise


def open_container(path: str | os.PathLike[str], **options: Any) -> Any:
    """A file to read, as `av.open` has it, whatever letters its title and other tags are in."""
    # names with a colon are names
    return av.open(f"file:{os.fspath(path)}", metadata_errors="replace", **options)


def _container(path: Path, device: str) -> Any:
    """A file opened for a device's decoder, or the CPU's where that cannot be had."""
    kind, _, number = device.partition(":")
    if kind != "cpu":
        with suppress(av.FFmpegError):  # no such device, or no decoder: the CPU's
            return open_container(path, hwaccel=HWAccel(kind, number or None))
    return open_container(path)


def _video_stream(container: Any, path: Path) -> Any:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kinds = " and ".join(sorted({stream.type for stream in container.streams} - {"video"}))
        raise Vid3dError(f"{path} has no video, only {kinds or 'pictures'}; give a video file")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise Vid3dError(f"{path} uses a codec that cannot be decoded; convert it to H.264 first")
    if stream.codec_context.name == "ansi":  # ffmpeg draws any text file as a terminal
        raise Vid3dError(f"{path} is a text file; give a video file")
    check_size(path, stream.codec_context.width, stream.codec_context.height)
    stream.thread_type = "AUTO"
    return stream


def packets_of(container: Any, stream: Any) -> Iterator[Any | None]:
    """Packets of a stream, and None for those of streams that damage makes up."""
    while True:
        try:
            yield from container.demux(stream)
            return
        except IndexError:  # a stream that the file has not announced
            yield None


def check_size(path: Path, width: int, height: int) -> None:
    """Raise Vid3dError if pictures of this size would bring a machine down."""
    if width * height > MOST_PIXELS:
        raise Vid3dError(
            f"{path} has pictures of {width} x {height} pixels: too large; make a smaller copy"
        )


def describe(path: Path, container: Any, stream: Any, display: Display) -> VideoInfo:
    """What an open file says of itself, its pictures being displayed like this."""
    fps = _rate(stream)
    duration = _duration(container, stream)
    width, height = display.displayed_size
    tags = stream.metadata | container.metadata
    return VideoInfo(
        path=path,
        width=width,
        height=height,
        fps=fps,
        frames=stream.frames or (None if duration is None else max(1, round(duration * fps))),
        duration=duration,
        codec=stream.codec_context.name,
        rotation=display.rotation,
        focal_35mm=_focal_35mm(tags),
        filmed_fps=_filmed_fps(tags, fps),
    )


def _rate(stream: Any) -> float:
    """Frames a second: what the file says on average, unless its stamps make that absurd.

    Some say 1000, and mean that they count milliseconds.
    """
    average, guessed = (
        float(rate) if rate and 0 < rate <= 1000 else None
        for rate in (stream.average_rate, stream.guessed_rate)
    )
    if average is not None and guessed is not None and average > ABSURD * guessed:
        return guessed
    return average or guessed or FALLBACK_FPS


def _focal_35mm(tags: Mapping[str, str]) -> float | None:
    """The lens that a phone notes in its QuickTime file, if it is one that can be."""
    try:
        focal = float(tags[FOCAL_TAG])
    except (KeyError, ValueError):
        return None
    return focal if 5 <= focal <= 1900 else None  # wider than a degree


def _filmed_fps(tags: Mapping[str, str], fps: float) -> float | None:
    """The rate of filming that a phone notes, if the file is to play at quite another."""
    try:
        filmed = float(tags[CAPTURE_TAG])
    except (KeyError, ValueError):
        return None
    meant = 0 < filmed < fps / SLOWED or fps * SLOWED < filmed < math.inf
    return filmed if meant else None


def _duration(container: Any, stream: Any) -> float | None:
    """Seconds of the video stream.

    Matroska states none, but, as ffmpeg writes it, when the stream and the file end; they need not
    begin at 0.
    """
    if stream.duration:
        return float(stream.duration * stream.time_base)
    stated = _tagged_end(stream.metadata)
    if stated is None and container.duration and len(container.streams) == 1:
        stated = container.duration / av.time_base
    if stated is None or "matroska" not in container.format.name:
        return stated
    begin = max(0.0, float((stream.start_time or 0) * stream.time_base))
    return stated - begin if stated > begin else None


def _tagged_end(tags: Mapping[str, str]) -> float | None:
    """Seconds at which a stream ends by Matroska's tag, 'HH:MM:SS.fraction'."""
    try:
        hours, minutes, seconds = tags["DURATION"].split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except (KeyError, ValueError):
        return None
