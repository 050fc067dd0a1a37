"""Decoding only what looks need: pictures that nobody looks at and nobody refers to are left out.

Looks are where they would be, and the times of all frames are known: packets carry them. What is
decoded equals what full decoding gives, bit by bit, since no needed picture refers to those left
out. Where a file or the decoder's answer is not as regular as that takes (`IrregularError`), the
frames given so far are those of full decoding, which has to go on. Only damage inside pictures
that are left out goes unnoticed.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice
from typing import Any

import av

from vid3d.video.clock import Clock
from vid3d.video.packets import DamagedError, Part

MOST_REORDERED = 64
"""Packets that may come before an earlier frame; codecs allow 16 at most."""
MOST_WAITING = 300
"""Packets held to see whether one of them is needed: bounds memory."""


class IrregularError(Exception):
    """Only full decoding can tell which frames this file has."""


@dataclass(eq=False)
class Picture:
    """A picture of the file.

    Attributes:
        stamp: when it is shown, in the stream's time base.
        time: seconds, once its place in the order of time is known.
        look: whether it is looked at; None while that is open.
        inside: whether it lies in the wanted interval.
        decoded: the frame, if it is looked at.
    """

    stamp: int
    duration: int
    part: Part
    packet: Any = field(repr=False)
    time: float = math.nan
    look: bool | None = None
    inside: bool = False
    sent: bool | None = None  # to the decoder; None while that is open
    came: bool = False  # out of it
    decoded: av.VideoFrame | None = None

    def __lt__(self, other: "Picture") -> bool:
        return self.stamp < other.stamp


class SparseDecoder:
    """Pictures of a stream in the order of time, decoded where they are looked at.

    Args:
        packets: of the stream, in the order of the file; an empty one flushes the decoder.
        flush: gives the frames that the decoder still holds at the end.
        time_base: seconds of a unit of the stamps.
        part: see `packets.part_reader`.
        clock: turns stamps into seconds.
        stride: every stride-th picture of the interval is looked at, and the last.
        interval: seconds, both ends included.
    """

    def __init__(
        self,
        packets: Iterable[Any],
        flush: Callable[[], Iterable[av.VideoFrame]],
        time_base: Any,
        part: Callable[[Any], Part],
        clock: Clock,
        stride: int,
        interval: tuple[float, float],
    ) -> None:
        self._packets, self._flush = packets, flush
        self._time_base, self._part, self._clock = time_base, part, clock
        self._stride, (self._start, self._end) = stride, interval
        self._count = 0
        self._stamp, self._decode_stamp = -math.inf, -math.inf  # of the last: shown, decoded
        self._unsent: deque[Picture] = deque()  # in the order of the file
        self._unplaced: list[Picture] = []  # a heap by stamp
        self._line: deque[Picture] = deque()  # in the order of time, not yet given
        self._latest: Picture | None = None  # the last one placed inside the interval
        self._decoding: dict[int, Picture] = {}
        self._ended = False

    def __iter__(self) -> Iterator[Picture]:
        """The pictures inside the interval.

        Raises:
            IrregularError: the file, or the codec's answer, is not regular.
        """
        for packet in self._packets:
            if not packet.size:
                break
            self._take(packet)
            while self._unplaced and self._unplaced[0].stamp <= self._decode_stamp:
                self._place(heappop(self._unplaced))
            self._send()
            yield from self._ready()
            if self._ended:
                break
        while self._unplaced:
            self._place(heappop(self._unplaced))
        self._finish()
        yield from self._ready()
        if self._line:
            raise IrregularError

    def _take(self, packet: Any) -> None:
        """Take in the next packet."""
        if packet.pts is None or packet.is_corrupt:
            raise IrregularError
        if packet.dts is not None:
            if not self._decode_stamp < packet.dts <= packet.pts:
                raise IrregularError
            self._decode_stamp = packet.dts
        try:
            picture = Picture(packet.pts, packet.duration or 0, self._part(packet), packet)
        except DamagedError:
            raise IrregularError from None
        self._unsent.append(picture)
        if packet.is_discard:  # an edit list leaves it out; others may refer to it
            picture.look = False
        else:
            heappush(self._unplaced, picture)
        if len(self._unplaced) > MOST_REORDERED:
            raise IrregularError

    def _place(self, picture: Picture) -> None:
        """Take in the next picture in the order of time; which makes out about the one before."""
        if picture.stamp <= self._stamp:
            raise IrregularError
        self._stamp = picture.stamp
        if self._ended:
            picture.look = False
            return
        first = self._clock.last is None
        picture.time = self._clock.read(picture.stamp * self._time_base)
        if first and picture.time > max(self._start, 0.0):  # the seek went too far
            raise IrregularError
        if picture.time > self._end:
            self._ended, picture.look = True, False
            self._conclude()
            return
        picture.inside = picture.time >= self._start
        self._line.append(picture)
        if not picture.inside:
            picture.look = False
            return
        if self._latest is not None and self._latest.look is None:
            self._latest.look, self._latest.decoded = False, None
        self._latest = picture
        if self._count % self._stride == 0:
            picture.look = True
        self._count += 1

    def _conclude(self) -> None:
        """The last picture is looked at."""
        if self._latest is not None:
            self._latest.look = True

    def _finish(self) -> None:
        """After the last packet."""
        self._conclude()
        if self._unsent and not self._ended:
            self._unsent[-1].part = Part.NEEDED  # where files are cut off
        self._ended = True
        self._send()
        if self._unsent:
            raise IrregularError
        self._receive(self._flush)

    def _send(self) -> None:
        """Hand packets to the decoder, or drop them, as far as it is clear which."""
        while self._unsent:
            picture = self._unsent[0]
            needed = self._needed(picture)
            if needed is None and len(self._unsent) > MOST_WAITING:
                needed = True
            if needed is None:
                return
            self._unsent.popleft()
            picture.sent, packet, picture.packet = needed, picture.packet, None
            if needed:
                if not packet.is_discard:
                    self._decoding[picture.stamp] = picture
                self._receive(packet.decode)

    def _needed(self, picture: Picture) -> bool | None:
        """Whether a picture must be decoded; None if that is not clear yet."""
        if picture.look or picture.part is Part.NEEDED:
            return True
        if picture.part is Part.DISPOSABLE:
            return picture.look
        clear = picture.look is not None
        for later in islice(self._unsent, 1, None):
            if later.part is Part.SYNC:
                return False if clear else None
            if later.look or later.part is Part.NEEDED:
                return True
            clear = clear and later.look is not None
        return False if self._ended else None

    def _receive(self, decode: Callable[[], Iterable[Any]]) -> None:
        """Take what the decoder gives."""
        try:
            frames = list(decode())
        except av.FFmpegError:
            raise IrregularError from None
        for frame in frames:
            picture = self._decoding.pop(frame.pts, None) if frame.pts is not None else None
            if picture is None or frame.is_corrupt or frame.interlaced_frame:
                raise IrregularError
            if any(stamp < picture.stamp for stamp in self._decoding):
                raise IrregularError
            picture.came = True
            if picture.look is not False:
                picture.decoded = frame

    def _ready(self) -> Iterator[Picture]:
        """Pictures about which everything is known, up to the first about which it is not."""
        while self._line:
            picture = self._line[0]
            if picture.look is None or not (picture.sent is False or picture.came):
                return
            if picture.inside:
                yield picture
            self._line.popleft()
