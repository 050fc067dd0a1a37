"""The sound of a video, put under a silent video of a part of it."""

import heapq
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.video.reader import VideoReader

COPIED = frozenset({"aac", "mp3", "opus", "ac3", "eac3", "alac", "flac"})
"""Codecs that an MP4 holds: their packets are copied as they are. Others become AAC."""
BIT_RATE = 192_000
FAST_START = {"movflags": "+faststart"}

Timed = tuple[float, Any]


def add_sound(silent: Path, video: str | os.PathLike[str], start: float, end: float) -> None:
    """Put the sound of a part of a video under a silent MP4, in place; none if there is none.

    Args:
        silent: MP4 whose first frame is the video's at `start`.
        video: where the sound is.
        start: seconds from the video's first frame to that.
        end: seconds to where the sound ends.

    Raises:
        Vid3dError: the file cannot be written.
    """
    with av.open(f"file:{video}") as source:
        sound = source.streams.best("audio")
        if sound is None or sound.codec_context is None:
            return
        zero = _stamp_at(video, start)
        try:
            with (
                atomic_path(silent) as target,  # replaced when nothing has it open: Windows
                av.open(f"file:{silent}") as pictures,
                av.open(f"file:{target}", "w", format="mp4", options=FAST_START) as out,
            ):
                _merge(pictures, source, sound, zero, end - start, out)
        except av.FFmpegError as error:
            raise Vid3dError(
                f"cannot keep the sound of {video}: {error.strerror}; render with --no-audio"
            ) from error


def _merge(pictures: Any, source: Any, sound: Any, zero: float, length: float, out: Any) -> None:
    """Write the packets of both in the order of time."""
    silent = pictures.streams.video[0]
    shown = out.add_stream_from_template(silent)
    margin = 1.0  # indexes point a little late in some containers
    source.seek(int(max(0.0, zero - margin) / sound.time_base), stream=sound)
    heard: Iterator[Timed]
    if sound.codec_context.name in COPIED:
        heard = _copied(source, sound, zero, length, out.add_stream_from_template(sound))
    else:
        stream = out.add_stream("aac", rate=sound.rate, layout=_layout(sound))
        stream.bit_rate = BIT_RATE
        heard = _encoded(source, sound, zero, length, stream)
    for _, packet in heapq.merge(_all(pictures, silent, shown), heard, key=lambda item: item[0]):
        out.mux(packet)


def _all(container: Any, stream: Any, target: Any) -> Iterator[Timed]:
    for packet in container.demux(stream):
        if packet.dts is not None:
            packet.stream = target
            yield float(packet.dts * packet.time_base), packet


def _copied(source: Any, sound: Any, zero: float, length: float, target: Any) -> Iterator[Timed]:
    """The packets that are heard, moved to begin at zero."""
    shift = round(zero / sound.time_base)
    last = None
    for packet in source.demux(sound):
        if packet.pts is None:
            continue
        time = float((packet.pts - shift) * sound.time_base)
        if time >= length:
            break
        if time + float((packet.duration or 0) * sound.time_base) <= 0:
            continue
        if last is not None and packet.pts <= last:
            continue  # stamps that repeat or step back would not be written
        last = packet.pts
        packet.pts = packet.dts = packet.pts - shift
        packet.stream = target
        yield time, packet


def _encoded(source: Any, sound: Any, zero: float, length: float, target: Any) -> Iterator[Timed]:
    """The samples that are heard as packets of AAC; gaps in the source are silent."""
    graph = av.filter.Graph()
    begin = graph.add_abuffer(template=sound)
    steps = [
        graph.add("atrim", f"start={zero:.6f}:end={zero + length:.6f}"),
        graph.add("asetpts", f"PTS-{zero:.6f}/TB"),
        graph.add("aresample", f"{sound.rate}:async=1:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:channel_layouts={_layout(sound)}"),
        graph.add("abuffersink"),
    ]
    for first, second in zip([begin, *steps], steps, strict=False):
        first.link_to(second)
    graph.configure()

    def heard(frame: Any) -> Iterator[Timed]:
        begin.push(frame)
        while True:
            try:
                ready = steps[-1].pull()
            except (av.BlockingIOError, av.EOFError):
                return
            for packet in target.encode(ready):
                yield float(packet.dts * packet.time_base), packet

    for frame in source.decode(sound):
        if frame.pts is not None and frame.pts * frame.time_base > zero + length:
            break
        yield from heard(frame)
    yield from heard(None)
    for packet in target.encode(None):
        yield float(packet.dts * packet.time_base), packet


def _layout(sound: Any) -> str:
    return "mono" if sound.channels == 1 else "stereo"


def _stamp_at(video: str | os.PathLike[str], start: float) -> float:
    """The container's own time, in seconds, of the first frame at `start`."""
    with VideoReader(video, start) as reader:
        return reader.stamp_of(next(iter(reader)))
