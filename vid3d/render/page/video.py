"""The video of the page: in it or beside it, as it is where browsers play it, else as a copy."""

import base64
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np

from vid3d.errors import Vid3dError
from vid3d.files import check_output, sha256_of
from vid3d.motion import Motion
from vid3d.motion_schema import filmed_source
from vid3d.video.container import open_container
from vid3d.video.reader import VideoReader
from vid3d.video.writer import LONGEST_SIDE, VideoWriter

Progress = Callable[[int, int | None], None]

EMBED_BYTES = 16_000_000
"""Largest file that goes into the page unchanged."""
EMBED_SECONDS = 60.0
"""Longest clip of which a smaller copy goes into the page unless told otherwise."""
SHORT_SIDE = 720
"""Pixels of a copy's shorter side at most."""
_TYPES = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm"}
_CODECS, _PIXELS = {"h264", "vp8", "vp9", "av1"}, {"yuv420p", "yuvj420p"}
LATE = 0.01
"""Seconds after zero at which a file may begin: browsers differ in whether they begin there too."""
INTO_PICTURE = 0.02
"""Seconds into a picture that the page seeks to at most (viewer/src/player.ts)."""


@dataclass(frozen=True)
class Footage:
    """A video as the page has it.

    Attributes:
        type: media type.
        offset: seconds from a motion's time to the player's.
        url: where it lies, relative to the page, or "" for embedded.
        data: base64 of the file, or "" for linked.
    """

    type: str
    offset: float
    url: str = ""
    data: str = ""


def find_video(motion: Motion, folder: Path) -> Path | None:
    """The video a motion was made from, by name and checksum: in a folder, its parent, or here."""
    source = filmed_source(motion.meta)
    name = source.get("name")
    if not isinstance(name, str) or not name or name != os.path.basename(name):
        return None
    above = Path(os.path.abspath(folder)).parent  # that of "." would be "."
    for path in (folder / name, above / name, Path(name)):
        if path.is_file() and sha256_of(path) == source.get("sha256"):
            return path
    return None


def prepare(
    motion: Motion, video: Path, page: Path, embed: bool | None, progress: Progress
) -> Footage:
    """A motion's video for a page.

    What browsers play (H.264, VP8, VP9 or AV1 in MP4 or WebM) and find every picture of stays as
    it is; of the rest, and of files over `EMBED_BYTES` to embed, an H.264 copy of the motion's part
    is made, at most `SHORT_SIDE` high and silent.

    Args:
        motion: its size and times are the video's.
        video: the file.
        page: where the page will be; a copy that is linked is written beside it.
        embed: True or False; None embeds small files and copies of clips up to `EMBED_SECONDS`.
        progress: called with (frames done, frames in all) while a copy is made.

    Raises:
        Vid3dError: the video cannot be read, has another size, or a copy not be written; or the
            copy would take the video's own place.
    """
    first, last = (float(motion.timestamps[i]) for i in (0, -1))
    with VideoReader(video, first, last) as reader:
        if reader.info.size != tuple(motion.frame_size.tolist()):
            raise Vid3dError(
                f"{video} has {reader.info.width} x {reader.info.height} pixels, the motion is of "
                f"a video of {motion.frame_size[0]} x {motion.frame_size[1]}: give that one"
            )
    kind, small = _playable(video), video.stat().st_size <= EMBED_BYTES
    if embed is None:
        embed = last - first <= EMBED_SECONDS or (kind is not None and small)
    if embed and kind is not None and small:
        return Footage(kind, _offset(video), data=_base64(video))
    if embed:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.mp4"
            _write_copy(motion, video, copy, progress)
            return Footage("video/mp4", -first, data=_base64(copy))
    if kind is not None:
        return Footage(kind, _offset(video), url=_relative_url(video, page))
    copy = page.with_name(f"{page.stem}.video.mp4")
    check_output(copy, video)
    _write_copy(motion, video, copy, progress)
    return Footage("video/mp4", -first, url=_relative_url(copy, page))


def _playable(video: Path) -> str | None:
    """Media type of a video that browsers play, else None."""
    with open_container(video) as container:
        streams = container.streams.video
        known = streams and streams[0].codec_context.name in _CODECS
        plays = known and streams[0].codec_context.pix_fmt in _PIXELS
    kind = _TYPES.get(video.suffix.lower()) if plays else None
    return kind if kind and _is_found_by_time(video) else None


def _is_found_by_time(video: Path) -> bool:
    """Whether every browser shows the right picture at a time that it is sent to.

    Where a file begins after zero, some browsers call that moment zero and some do not. Chromium
    shows the first picture that has not ended yet, and takes for its length that of its packet,
    which MP4 counts in the order of decoding: pictures of a variable rate that are stored out of
    order seem to last into the next ones.
    """
    with open_container(video) as container:
        if (container.start_time or 0) / av.time_base > LATE:
            return False
        stream = container.streams.video[0]
        packets = [(packet.pts, packet.duration or 0) for packet in container.demux(stream)
                   if packet.pts is not None]  # fmt: skip
        unit = float(stream.time_base or 0)
    packets.sort()
    shown, lasts = np.array(packets, np.float64).reshape(-1, 2).T * unit
    ends = np.maximum.accumulate(shown + lasts)
    lengths = np.diff(shown[1:], append=shown[-1:] + INTO_PICTURE)
    sought = shown[1:] + np.minimum(lengths / 2, INTO_PICTURE)
    return bool((ends[:-1] <= sought).all())


def _offset(video: Path) -> float:
    """Seconds at which a player, whose clock starts with the file, shows the first picture."""
    with open_container(video) as container:
        stream = container.streams.video[0]
        if stream.start_time is None or stream.time_base is None or container.start_time is None:
            return 0.0
        start = float(stream.start_time * stream.time_base)
        return max(0.0, start - container.start_time / av.time_base)


def _write_copy(motion: Motion, video: Path, copy: Path, progress: Progress) -> None:
    first, last = (float(motion.timestamps[i]) for i in (0, -1))
    with VideoReader(video, first, last) as reader:
        size = reader.info.size
        scale = min(1.0, SHORT_SIDE / min(size), LONGEST_SIDE / max(size))
        width, height = (max(2, round(side * scale / 2) * 2) for side in size)
        with VideoWriter(copy, reader.info.fps, (width, height)) as writer:
            for done, frame in enumerate(reader, 1):
                writer.write(frame.image_at((width, height)), frame.time - first)
                progress(done, motion.frames)


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _relative_url(video: Path, page: Path) -> str:
    """URL of a video as seen from a page; absolute where it lies on another drive."""
    target = video.resolve()
    try:
        return quote(os.fsencode(Path(os.path.relpath(target, page.resolve().parent)).as_posix()))
    except ValueError:
        return target.as_uri()
