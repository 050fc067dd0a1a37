"""Pictures as video codecs hold them: luma, and colour at half the width and height.

Frames go from the decoder to the encoder in this form, and only what is drawn on is taken apart:
whole pictures in BGR and back would cost more than drawing, and would change every pixel.
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import ArrayLike, NDArray

from vid3d.video.frame import Frame, Image, Size

UNSPECIFIED, BT709, BT470BG, SMPTE170M, BT2020 = 2, 1, 5, 6, 9
"""ITU-T H.273 codes of colour primaries, transfer characteristics and matrices."""
WEIGHTS = {BT709: (0.2126, 0.0722), SMPTE170M: (0.299, 0.114), BT2020: (0.2627, 0.0593)}
"""Shares of red and blue in luma, by matrix."""
SWSCALE = {BT709: Colorspace.ITU709, SMPTE170M: Colorspace.ITU601, BT2020: Colorspace.BT2020}
PRIMARIES, TRANSFERS = ({int(code) for code in kind} for kind in (ColorPrimaries, ColorTrc))
HD_SIZE = (1280, 577)
"""From this width or height on, players take a video that does not say for BT.709."""


@dataclass(frozen=True)
class Coding:
    """How colours are luma and chroma (ITU-T H.273).

    Attributes:
        matrix: `BT709`, `SMPTE170M` for BT.601, or `BT2020`, which HDR has.
        full: whether luma takes 0..255; else 16..235.
        primaries, transfer: what a player is told of the colours.
    """

    matrix: int = BT709
    full: bool = False
    primaries: int = BT709
    transfer: int = BT709

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Coding":
        """The coding of a decoded frame, or BT.709 for one whose colours must be converted."""
        if not frame.format.name.startswith(("yuv4", "yuvj4", "nv12")):
            return cls()
        matrix = {BT470BG: SMPTE170M}.get(int(frame.colorspace), int(frame.colorspace))
        if matrix == UNSPECIFIED:
            large = frame.width >= HD_SIZE[0] or frame.height >= HD_SIZE[1]
            matrix = BT709 if large else SMPTE170M
        if matrix not in WEIGHTS:
            return cls()
        full = frame.format.name.startswith("yuvj") or frame.color_range == ColorRange.JPEG
        primaries = (
            int(frame.color_primaries) if frame.color_primaries in PRIMARIES else UNSPECIFIED
        )
        transfer = int(frame.color_trc) if frame.color_trc in TRANSFERS else UNSPECIFIED
        return cls(matrix, full, primaries, transfer)

    @property
    def range(self) -> ColorRange:
        """Of luma, as ffmpeg calls it."""
        return ColorRange.JPEG if self.full else ColorRange.MPEG

    def convert(self, frame: av.VideoFrame, size: Size | None = None) -> av.VideoFrame:
        """A frame in this coding, 4:2:0 of 8 bits; the same where it is so already."""
        width, height = size or (frame.width, frame.height)
        same = Coding.of(frame) == self
        matrix = SWSCALE[self.matrix]
        return frame.reformat(
            width, height, "yuv420p",
            src_colorspace=matrix if same else None, dst_colorspace=matrix,  # if it does not say
            src_color_range=self.range if same else None, dst_color_range=self.range,
        )  # fmt: skip

    def ink(self, colors: ArrayLike) -> NDArray[np.float64]:
        """Luma and both chroma (..., 3) of BGR colours (..., 3), whole numbers."""
        weights, offset = self._of_bgr
        return np.rint(np.asarray(colors, np.float64) @ weights + offset).clip(0, 255)

    @cached_property
    def _of_bgr(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights (3, 3) and offset (3,) from BGR to luma and chroma."""
        red, blue = WEIGHTS[self.matrix]
        luma = np.array([blue, 1 - red - blue, red])
        u, v = ((np.eye(3)[at] - luma) / (2 - 2 * luma[at]) for at in (0, 2))
        scales = [1.0, 1.0, 1.0] if self.full else [219 / 255, 224 / 255, 224 / 255]
        return np.stack([luma, u, v], -1) * scales, np.array([0 if self.full else 16, 128, 128])


class Planes:
    """A picture, or a part of one, in 4:2:0.

    Args:
        luma: (H, W), both even.
        chroma: (H / 2, W / 2) each.
        coding: of the colours.
        scratch: memory to work in; pictures that are drawn on in turn may share it.

    Attributes:
        size: width and height.
    """

    def __init__(
        self,
        luma: Image,
        chroma: tuple[Image, Image],
        coding: Coding,
        scratch: "Scratch | None" = None,
    ) -> None:
        self.luma, self.chroma, self.coding = luma, chroma, coding
        self.size: Size = (luma.shape[1], luma.shape[0])
        self.scratch = scratch or Scratch()
        self._restored: Planes | None = None
        self._painted: list[tuple[int, int, int, int]] = []

    @classmethod
    def of(cls, frame: av.VideoFrame, coding: Coding, scratch: "Scratch | None" = None) -> "Planes":
        """The memory of a frame in yuv420p of an even size."""
        luma, u, v = map(_pixels, frame.planes)
        return cls(luma, (u, v), coding, scratch)

    @classmethod
    def plain(cls, size: Size, coding: Coding, colors: ArrayLike) -> "Planes":
        """A picture of one BGR colour (3,), or of one for each row (H, 3)."""
        _, planes = cls.blank(size, coding)
        planes.fill(colors)
        return planes

    def fill(self, colors: ArrayLike) -> None:
        """Paint over all of it; colours as for `plain`."""
        ink = np.broadcast_to(self.coding.ink(colors), (self.size[1], 3)).astype(np.uint8)
        self.luma[:] = ink[:, :1]
        for index, plane in enumerate(self.chroma, 1):
            plane[:] = ink[::2, index : index + 1]

    @classmethod
    def blank(
        cls, size: Size, coding: Coding, scratch: "Scratch | None" = None
    ) -> tuple[av.VideoFrame, "Planes"]:
        """A new frame of any content, and the picture in its memory."""
        frame = av.VideoFrame(*size, "yuv420p")
        return frame, cls.of(frame, coding, scratch)

    def part(self, left: int, top: int, width: int, height: int) -> "Planes":
        """A part to be drawn on, all sides even."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        half = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
        u, v = self.chroma
        return Planes(self.luma[rows, columns], (u[half], v[half]), self.coding, self.scratch)

    def copy_from(self, other: "Planes") -> None:
        """Take over a picture of the same size."""
        np.copyto(self.luma, other.luma)
        for mine, theirs in zip(self.chroma, other.chroma, strict=True):
            np.copyto(mine, theirs)

    def restore(self, other: "Planes") -> None:
        """Take over a picture of the same size, as long as nobody paints here but by `pixels`.

        Only where that was done since the same picture was taken over: the rest is still there.
        """
        if self._restored is not other:
            self.copy_from(other)
        else:
            for box in self._painted:
                self.part(*box).copy_from(other.part(*box))
        self._restored, self._painted = other, []

    def show(self, frame: Frame, size: Size) -> None:
        """Take over a decoded frame at a displayed size; an odd last row or column is repeated."""
        assert frame.decoded is not None, "this frame was not to be looked at"
        turned = frame.display.turned
        decoded = self.coding.convert(frame.decoded, size[::-1] if turned else size)
        for source, target in zip(decoded.planes, (self.luma, *self.chroma), strict=True):
            image = frame.display.upright(_pixels(source))
            height, width = image.shape
            target[:height, :width] = image
            target[:height, width:] = image[:, -1:]
            target[height:] = target[height - 1]

    def halved(self) -> "Planes":
        """The picture at half its size."""
        _, half = Planes.blank((self.size[0] // 2, self.size[1] // 2), self.coding)
        mine, theirs = (self.luma, *self.chroma), (half.luma, *half.chroma)
        for source, target in zip(mine, theirs, strict=True):
            target[:] = cv2.resize(source, target.shape[::-1], interpolation=cv2.INTER_AREA)
        return half

    @contextmanager
    def pixels(
        self, low: Iterable[float], high: Iterable[float]
    ) -> Iterator[tuple[Image, Size] | None]:
        """Pixels round a box, to be painted on in `coding.ink`'s colours.

        Where nothing is painted, luma and chroma stay as they are: each pixel has the chroma of its
        block of four, and gives the mean of four back.

        Args:
            low: (2,) x and y of the box's top left corner.
            high: (2,) of its bottom right one.

        Yields:
            Luma and chroma (h, w, 3), and column and row of the first; None outside the picture.
        """
        left, top = (max(0, 2 * math.floor(place / 2)) for place in low)
        right, bottom = (2 * math.ceil(place / 2) for place in high)
        width, height = min(right, self.size[0]) - left, min(bottom, self.size[1]) - top
        if min(width, height) <= 0:
            yield None
            return
        self._painted.append((left, top, width, height))
        part = self.part(left, top, width, height)
        image = self.scratch.room("image", (height, width, 3))
        layers = [self.scratch.room(name, (height, width)) for name in ("luma", "u", "v")]
        for full, plane in zip(layers[1:], part.chroma, strict=True):
            pairs = self.scratch.room("pairs", (height // 2, width)).view(np.uint16)
            np.multiply(plane, 257, out=pairs, dtype=np.uint16)  # the same byte twice
            full.view(np.uint16).reshape(height // 2, 2, width // 2)[:] = pairs[:, None]
        cv2.merge([part.luma, *layers[1:]], dst=image)
        yield image, (left, top)
        cv2.split(image, layers)
        part.luma[:] = layers[0]
        for full, plane in zip(layers[1:], part.chroma, strict=True):
            cv2.resize(full, plane.shape[::-1], dst=plane, interpolation=cv2.INTER_AREA)


class Scratch:
    """Memory that is used again and again: new memory costs more than the work done in it."""

    def __init__(self) -> None:
        self._rooms: dict[str, Image] = {}

    def room(self, name: str, shape: tuple[int, ...]) -> Image:
        """An array of any content; the next one of the same name lies in the same place."""
        size = math.prod(shape)
        room = self._rooms.get(name)
        if room is None or room.size < size:
            room = self._rooms[name] = np.empty(size, np.uint8)
        return room[:size].reshape(shape)


def _pixels(plane: Any) -> Image:
    """The pixels (h, w) of a frame's plane, in its memory."""
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]
