"""The sound of a video, put under a silent video of a part of it."""

import heapq
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import av
from av.format import Flags

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.video.clock import Clock
from vid3d.video.container import open_container, packets_of

COPIED = frozenset({"aac", "opus", "ac3", "eac3", "alac", "flac"})
"""Codecs that an MP4 holds: their packets are copied as they are. Others become AAC."""
RATES = frozenset(av.Codec("aac", "w").audio_rates or ())
"""Samples a second that AAC can have."""
BIT_RATE = 192_000
FAST_START = {"movflags": "+faststart"}
MARGIN = 1.0
"""Seconds before the first that is heard from which is read: indexes point a little late in some
containers, and decoders need a little to begin."""

Timed = tuple[float, Any]


@dataclass(frozen=True)
class Part:
    """A time of the film in which stamps go on; joined recordings have one each.

    Attributes:
        zero: the stamp, in seconds, of the film's beginning.
        begin, end: seconds of the film.
    """

    zero: float
    begin: float
    end: float


def add_sound(
    silent: Path,
    video: str | os.PathLike[str],
    origins: Sequence[tuple[float, Fraction]],
    start: float,
    end: float,
) -> None:
    """Put the sound of a part of a video under a silent MP4, in place; none if there is none.

    Damaged packets are skipped. Where recordings were joined, the sound of each is in step with its
    own pictures.

    Args:
        silent: MP4 whose first frame is the video's at `start`.
        video: where the sound is.
        origins: of the video's pictures, up to the end: `VideoReader.origins`.
        start: seconds from the video's first frame to that.
        end: seconds to where the sound ends.

    Raises:
        Vid3dError: the sound cannot be kept or the file not be written; it is as it was.
    """
    try:
        parts = _parts(origins, start, end)
        with _opened(video, parts) as source:
            sound = source.streams.best("audio")
            if sound is None:
                return
            if sound.codec_context is None:
                raise ValueError("there is no decoder for it")
            heard = _heard(source, sound, parts)
            # Of several recordings that were joined each can have another rate.
            write = _copied if sound.codec_context.name in COPIED and len(parts) == 1 else _encoded
            with (
                atomic_path(silent) as target,  # replaced when nothing has it open: Windows
                open_container(silent) as pictures,
                av.open(f"file:{target}", "w", format="mp4", options=FAST_START) as out,
            ):
                # Each adds its stream when the first packet is asked for: pictures come first.
                both = _pictures(pictures, out), write(sound, heard, out)
                for _, packet in heapq.merge(*both, key=lambda item: item[0]):
                    with suppress(av.InvalidDataError):  # damage that the MP4 would not hold
                        out.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Vid3dError(f"cannot keep the sound of {video} ({reason})") from error


def _parts(origins: Sequence[tuple[float, Fraction]], start: float, end: float) -> list[Part]:
    """The parts of a film that is of the video's from start to end."""
    ends = [time for time, _ in origins[1:]] + [end]
    return [
        Part(
            zero=float(stamp) + start - time,
            begin=max(time, start) - start,
            end=min(until, end) - start,
        )
        for (time, stamp), until in zip(origins, ends, strict=True)
    ]


def _opened(video: str | os.PathLike[str], parts: Sequence[Part]) -> Any:
    """A video, read from a little before its first part, or from its beginning.

    That is where stamps may begin anew, as in containers of streams: a seek could go astray.
    """
    source = open_container(video)
    sound = source.streams.best("audio")
    anew = len(parts) > 1 or source.format.flags & Flags.ts_discont.value
    if sound is None or anew:
        return source
    try:
        source.seek(int(max(0.0, parts[0].zero - MARGIN) / sound.time_base), stream=sound)
    except av.FFmpegError:  # to before the first packet
        source.close()
        return open_container(video)
    return source


def _pictures(container: Any, out: Any) -> Iterator[Timed]:
    """All packets of a film."""
    stream = container.streams.video[0]
    target = out.add_stream_from_template(stream)
    for packet in container.demux(stream):
        if packet.dts is not None:
            packet.stream = target
            yield float(packet.dts * packet.time_base), packet


def _heard(source: Any, sound: Any, parts: Sequence[Part]) -> Iterator[tuple[Part, Any]]:
    """Packets that are heard, and a few before them, and their parts."""
    tick, number, last, time = float(sound.time_base), 0, None, -math.inf
    for packet in packets_of(source, sound):
        if packet is None or not packet.size:
            continue
        if packet.pts is not None:
            stamp = packet.pts * tick
            jump = 0 if last is None else stamp - last
            # A jump ahead may also be a long silence.
            if jump < -Clock.JUMP_BACK or (jump > Clock.JUMP_AHEAD and number + 1 < len(parts)):
                number += 1
            if number == len(parts):  # heard with pictures that are not in the film
                return
            last, time = stamp, stamp - parts[number].zero
        if parts[number].begin - MARGIN <= time < parts[number].end:
            yield parts[number], packet
        elif number + 1 == len(parts) and time >= parts[number].end:
            return


def _copied(sound: Any, heard: Iterable[tuple[Part, Any]], out: Any) -> Iterator[Timed]:
    """The packets as they are, moved to begin at zero."""
    target = out.add_stream_from_template(sound)
    tick, last = float(sound.time_base), None
    for part, packet in heard:
        if packet.pts is None or (last is not None and packet.pts <= last):
            continue  # stamps that repeat or step back would not be written
        last = packet.pts
        packet.pts = packet.dts = packet.pts - round(part.zero / tick)
        if packet.pts + (packet.duration or 0) > 0:
            packet.stream = target
            yield packet.pts * tick, packet


def _encoded(sound: Any, heard: Iterable[tuple[Part, Any]], out: Any) -> Iterator[Timed]:
    """The samples as packets of AAC."""
    frames = _decoded(sound, heard)
    first = next(frames, None)
    if first is None:
        return
    given, mono = first[1].sample_rate, first[1].layout.nb_channels == 1
    rate = min((one for one in RATES if one >= given), default=max(RATES))
    layout = "mono" if mono else "stereo"
    target = out.add_stream("aac", rate=rate, layout=layout)
    target.bit_rate = BIT_RATE
    for frame in chain(_even(chain([first], frames), rate, layout), [None]):
        for packet in target.encode(frame):
            yield float(packet.dts * packet.time_base), packet


def _decoded(sound: Any, heard: Iterable[tuple[Part, Any]]) -> Iterator[tuple[Part, Any]]:
    """Frames with the film's stamps, which count their samples, and their parts.

    Raises:
        av.FFmpegError: no packet can be decoded.
    """
    _order_channels(sound.codec_context)
    tick = float(sound.time_base)
    after = damage = part = None  # seconds of the film where a frame without a stamp begins
    for now, packet in chain(heard, [(None, None)]):  # at last, what the decoder still holds
        part = now or part
        try:
            frames = sound.decode(packet)
        except av.FFmpegError as error:
            damage = damage or error
            continue
        for frame in frames:
            if part is None:
                continue
            time = after if frame.pts is None else frame.pts * tick - part.zero
            if time is not None:
                frame.pts = round(time * frame.sample_rate)
                after = time + frame.samples / frame.sample_rate
                yield part, frame
    if after is None and damage is not None:
        raise damage


def _order_channels(context: Any) -> None:
    """Have a decoder take channels to be in a standard order, the nearest one if they are not.

    PyAV 18 frees the file's own orders, as QuickTime has them for 7.1, once for each that holds
    one, and the process dies of it.
    """
    layout = context.layout
    if layout.nb_channels:
        standard = " " not in layout.name
        context.layout = layout.name if standard else f"{layout.nb_channels}c"


def _even(frames: Iterable[tuple[Part, Any]], rate: int, layout: str) -> Iterator[Any]:
    """Frames of one rate and layout without gaps, from 0 on; what is missing is silent."""

    def kind(item: tuple[Part, Any]) -> tuple[Part, str, int, str]:
        part, frame = item
        return part, frame.format.name, frame.sample_rate, frame.layout.name

    done = 0  # samples
    for (part, *form), run in groupby(frames, kind):
        steps = {
            "atrim": f"start={part.begin:.6f}:end={part.end:.6f}",
            "aformat": f"sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}",
            "aresample": f"async=1:first_pts={done}",
        }
        graph = _graph(form, steps)
        for _, frame in chain(run, [(part, None)]):
            with suppress(av.EOFError):  # all of the part was heard
                graph.push(frame)
            while True:
                try:
                    ready = graph.pull()
                except (av.BlockingIOError, av.EOFError):
                    break
                done = ready.pts + ready.samples
                yield ready


def _graph(form: Sequence[Any], steps: dict[str, str]) -> Any:
    """What changes frames of a form in steps: filters by name, and what they are told."""
    graph = av.filter.Graph()
    sample_format, rate, layout = form
    begin = graph.add_abuffer(format=sample_format, sample_rate=rate, layout=layout)
    filters = [graph.add(name, told) for name, told in steps.items()]
    graph.link_nodes(begin, *filters, graph.add("abuffersink")).configure()
    return graph
