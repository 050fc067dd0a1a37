"""Reading video with PyAV: upright frames with their true timestamps, one at a time.

Memory does not grow with the length of the video, and a frame is converted to BGR only when its
image is asked for.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import replace
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Any

import av
from av.format import Flags

from vid3d.errors import Vid3dError
from vid3d.video.clock import Clock
from vid3d.video.container import VideoInfo, check_size, describe, open_video, packets_of
from vid3d.video.frame import Display, Frame
from vid3d.video.packets import Part, part_reader
from vid3d.video.planes import Coding
from vid3d.video.sparse import IrregularError, SparseDecoder

SAME_TIME = 5e-4
"""Seconds by which a frame may miss the ends of the asked interval (containers round to 1 ms)."""
SEEK_MARGINS = (0.5, 5.0, 30.0)
"""Seconds before the start to seek to: indexes are in decoding order, some hold no keyframes."""
RESHAPED = 0.03
"""Share by which pictures may be wider or narrower than the first before it is said."""
MOST_HELD = 1000
"""Packets held from one keyframe to the next: bounds memory."""


class VideoReader:
    """Frames of a video between two times, in order, once.

    Args:
        path: a file that ffmpeg reads.
        start, end: seconds since the first frame, both included; None for the beginning and end.
        device: that decodes, "cpu", "cuda" or "cuda:N"; the CPU does what the GPU cannot.

    Attributes:
        info: what the whole file says of itself.
        coding: of its colours, where pictures are copied as they are.
        truncated: after the last frame, a warning if the video broke off early, its pictures
            became of another shape or parts of it could not be decoded; else None.

    Raises:
        Vid3dError: no such file, a folder, empty, not a video, no picture in it, or a bad interval.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        start: float | None = None,
        end: float | None = None,
        device: str = "cpu",
    ):
        self.start, self.end = start or 0.0, math.inf if end is None else end
        if not 0 <= self.start <= self.end:
            raise Vid3dError(f"start {start} and end {end} of {path}: need 0 <= start <= end")
        self.truncated: str | None = None
        self._path, self._device = Path(path), device
        self._break: str | None = None
        self._damaged = self._patched = 0
        self._last_end = 0.0
        self._reshaped: str | None = None
        self._container, self._stream = open_video(self._path, self._device)
        # AVI counts pictures in the order of the file, not in that in which they are shown.
        in_order = self._stream.codec_context.codec.intra_only
        self._counted = self._container.format.name == "avi" and not in_order
        self._frames = self._decode()
        first = next(self._frames, None)
        if first is None:
            self.close()
            raise Vid3dError(f"{path} has no frame that can be decoded: the file is damaged")
        self._frames = chain([first], self._frames)
        self._shape = first.width, first.height
        self._display = Display.of(first, self._stream.sample_aspect_ratio)
        check_size(self._path, *self._display.size)  # pixels made square can be many more
        self.info = describe(self._path, self._container, self._stream, self._display)
        self.coding = Coding.of(first)
        self._origin = Clock(1 / self.info.fps)
        # Time zero is the first frame, wherever reading starts.
        self._origin.read(self._stamp(first))
        self._origin.last = None
        self._clock = copy(self._origin)

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    @property
    def origins(self) -> tuple[tuple[float, Fraction], ...]:
        """Seconds of a frame, and on the container's clock, which its sound has too.

        Those of the first frame, and where stamps begin anew in what was read, as they do in
        recordings that were joined.
        """
        stamped = () if self._counted else self._clock.origins
        return stamped or ((0.0, Fraction(0)),)

    @property
    def expected_frames(self) -> int | None:
        """About how many frames iteration will give, or None where nobody knows."""
        if self.info.frames is None or self.info.duration is None:
            return self.info.frames
        seconds = min(self.end, self.info.duration) - self.start
        return max(1, min(self.info.frames, round(seconds * self.info.fps)))

    def __iter__(self) -> Iterator[Frame]:
        count = 0
        for frame in self._dense():
            count += 1
            yield frame
        self._ended(count)

    def frames(self, stride: int) -> Iterator[Frame]:
        """Every frame once; only every stride-th, from the first, and the last have pictures.

        The same frames, times and pictures as without a stride. Where codec and container allow
        it, pictures that nobody looks at and no other picture refers to are not decoded.

        Raises:
            Vid3dError: the stride is not positive, or as for reading without a stride.
        """
        if stride < 1:
            raise Vid3dError(f"stride is {stride}; expected a whole number from 1")
        context, count = self._stream.codec_context, 0
        part = None if self._counted or context.is_hwaccel else part_reader(context)
        if part is not None and stride > 1:
            try:
                for frame in self._sparse(stride, part):
                    count += 1
                    yield frame
                self._ended(count)
                return
            except IrregularError:
                self._reopen()
        for frame in islice(_thinned(self._dense(), stride), count, None):
            count += 1
            yield frame
        self._ended(count)

    def _dense(self) -> Iterator[Frame]:
        """Frames of the interval, all decoded."""
        index = 0
        for decoded in self._from_start():
            time = self._clock.read(self._stamp(decoded))
            if time > self.end + SAME_TIME:
                break
            self._last_end = time + float((decoded.duration or 0) * (decoded.time_base or 0))
            if time >= self.start - SAME_TIME:
                yield self._frame(index, time, decoded)
                index += 1

    def _sparse(self, stride: int, part: Callable[[Any], Part]) -> Iterator[Frame]:
        """Frames of the interval, decoded where they are looked at.

        Raises:
            IrregularError: the rest can only be had by decoding all.
        """
        if self._clock.stamp_at(0) is None:
            raise IrregularError
        self._reopen()
        margin = SEEK_MARGINS[0]
        near = self.start > margin
        packets = self._packets_near(self.start - margin) if near else self._packets()
        stream, interval = self._stream, (self.start - SAME_TIME, self.end + SAME_TIME)
        pictures = SparseDecoder(
            packets, stream.decode, stream.time_base, part, self._clock, stride, interval
        )
        try:
            for index, picture in enumerate(pictures):
                self._last_end = picture.time + float(picture.duration * stream.time_base)
                yield self._frame(index, picture.time, picture.decoded)
        except (av.FFmpegError, ValueError):
            raise IrregularError from None

    def _frame(self, index: int, time: float, decoded: av.VideoFrame | None) -> Frame:
        """A frame, displayed at the first one's size; it is noted where that squashes it."""
        if decoded is not None and self._reshaped is None:
            (width, height), (wide, high) = self._shape, (decoded.width, decoded.height)
            if abs(wide * height / (high * width) - 1) > RESHAPED:
                self._reshaped = f"{width} x {height} to {wide} x {high} at {time:.2f} s"
        return Frame(index, time, decoded, self._display)

    def _ended(self, count: int) -> None:
        """Conclude after the last of some frames."""
        self.truncated = self._warning()
        if count == 0:
            raise Vid3dError(
                f"{self._path} has no frame between {self.start:g} and {self.end:g} s: "
                f"its last frame is at {self._clock.last or 0.0:.2f} s"
            )

    def _from_start(self) -> Iterator[av.VideoFrame]:
        """Decoded frames from `start` or a little before it; from the beginning if need be."""
        margins = [margin for margin in SEEK_MARGINS if margin < self.start]
        if not margins or self._clock.stamp_at(0) is None:
            return self._frames
        for margin in margins:
            frames = self._decode(self._packets_near(self.start - margin))
            first = next(frames, None)
            if first is not None and self._stamp(first) is not None:
                early = self._clock.read(self._stamp(first)) <= self.start
                self._clock.last = None
                if early:
                    return chain([first], frames)
        self._reopen()
        return self._frames

    def _reopen(self) -> None:
        """Go back to the beginning of the file."""
        self.close()
        self._container, self._stream = open_video(self._path, self._device)
        self._frames = self._decode()
        self._clock, self._last_end = copy(self._origin), 0.0
        self._damaged = self._patched = 0
        self._break = self._reshaped = None

    def _packets_near(self, time: float) -> Iterator[Any]:
        """Packets from the last point before a time from which pictures can be decoded, or all.

        A seek gets there, unless the container is one of streams that may have been joined: in
        these stamps begin anew in places, and what comes before is read, though not decoded.
        """
        stamp = int((self._clock.stamp_at(time) or 0) / self._stream.time_base)
        if self._container.format.flags & Flags.ts_discont.value:
            self._reopen()
            packets = self._packets()
            held = _passed_over(packets, stamp, self._stream.time_base)
            if held is not None:
                return chain(held, packets)
        else:
            try:
                self._container.seek(stamp, stream=self._stream)
            except (av.FFmpegError, ValueError):
                pass
            else:
                return self._packets()
        self._reopen()
        return self._packets()

    def _decode(self, packets: Iterable[Any] | None = None) -> Iterator[av.VideoFrame]:
        """Frames of packets (of all); damaged ones are skipped, a break in the file ends it."""
        seen = False
        try:
            for packet in self._packets() if packets is None else packets:
                if packet.is_corrupt and seen:
                    self._damaged += 1
                    continue
                for frame in self._frames_of(packet):
                    seen = True
                    self._patched += bool(frame.is_corrupt)
                    yield frame
        except av.FFmpegError as error:
            self._break = error.strerror

    def _packets(self) -> Iterator[Any]:
        """Packets of the stream; those of streams that damage makes up are skipped."""
        for packet in packets_of(self._container, self._stream):
            if packet is None:
                self._damaged += 1
            else:
                yield packet

    def _frames_of(self, packet: av.Packet) -> list[Any]:
        try:
            return packet.decode()
        except av.FFmpegError:
            self._damaged += 1
            return []

    def _stamp(self, frame: av.VideoFrame) -> Fraction | None:
        """When a frame is shown, by the container; where that only counts, by what was read."""
        ticks = frame.dts if self._counted else frame.pts
        if ticks is None or frame.time_base is None:
            return None
        return ticks * frame.time_base

    def _warning(self) -> str | None:
        last = self._clock.last or 0.0
        if self._break:
            return f"{self._path.name} breaks off at {last:.2f} s ({self._break})"
        promised = min(self.info.duration or 0.0, self.end)
        if max(self._last_end, last) + max(0.25, 3 / self.info.fps) < promised:
            return (
                f"{self._path.name} breaks off at {last:.2f} s of {promised:.2f} s: "
                "the file is cut off or damaged"
            )
        if self._reshaped:
            return (
                f"{self._path.name}: pictures change from {self._reshaped} and are squashed: "
                "cut the file there and lift the parts"
            )
        if self._damaged:
            return f"{self._path.name}: damaged packets were skipped ({self._damaged})"
        if self._patched:
            return f"{self._path.name}: parts of some pictures are damaged ({self._patched})"
        return None


def _passed_over(packets: Iterator[Any], stamp: int, time_base: Fraction) -> list[Any] | None:
    """Packets from the last keyframe before a stamp to the first after it, those before read over.

    None where the stamp is not that of the time which is meant, because stamps begin anew before
    it as `Clock` sees it, or where keyframes are too far apart to hold all.
    """
    held: list[Any] = []
    last: int | None = None
    for packet in packets:
        if packet.dts is not None:
            step = 0 if last is None else (packet.dts - last) * time_base
            if not -Clock.JUMP_BACK <= step <= Clock.JUMP_AHEAD:
                return None
            last = packet.dts
        if packet.is_keyframe and (packet.pts is None or packet.pts <= stamp):
            held = []
        held.append(packet)
        if last is not None and last >= stamp:
            break
        if len(held) > MOST_HELD:
            return None
    return held


def _thinned(frames: Iterable[Frame], stride: int) -> Iterator[Frame]:
    """The frames, without pictures where nobody looks."""
    last: Frame | None = None
    for frame in frames:
        if last is not None:
            yield last if last.index % stride == 0 else replace(last, decoded=None)
        last = frame
    if last is not None:
        yield last


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """What a video file says of itself; decodes one frame.

    Raises:
        Vid3dError: as for `VideoReader`.
    """
    with VideoReader(path) as reader:
        return reader.info
