"""A decoded frame and how its stored pixels become the displayed picture."""

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True)
class Display:
    """How stored pixels become the displayed picture: pixels made square, then turned.

    Attributes:
        size: width and height before turning, pixels square.
        matrix: 2 x 2 signed permutation taking stored (x, y) to displayed (x, y).
    """

    size: Size
    matrix: tuple[tuple[int, int], tuple[int, int]] = ((1, 0), (0, 1))

    @classmethod
    def of(cls, frame: av.VideoFrame, pixel_aspect: Fraction | None) -> "Display":
        """The display of a decoded frame, from its display matrix and pixel aspect ratio.

        Pixels that are not square are stretched, never squeezed, so that no detail is lost.
        """
        width, height = frame.width, frame.height
        aspect = float(pixel_aspect or 1)
        size = (round(width * max(aspect, 1)), round(height * max(1 / aspect, 1)))
        entries: Any = frame.side_data
        data = next((entry for entry in entries if entry.type.name == "DISPLAYMATRIX"), None)
        if data is None:
            return cls(size)
        # ISO 14496-12, 32-bit rows (a b u), (c d v), (x y w): x' = a x + c y, y' = b x + d y
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
        if abs(a) >= abs(b):
            return cls(size, ((_sign(a), 0), (0, _sign(d))))
        return cls(size, ((0, _sign(c)), (_sign(b), 0)))

    @property
    def turned(self) -> bool:
        """Whether rows become columns."""
        return self.matrix[0][0] == 0

    @property
    def rotation(self) -> int:
        """Degrees clockwise: 0, 90, 180 or 270 (where the stored x axis points)."""
        return round(np.degrees(np.arctan2(self.matrix[1][0], self.matrix[0][0]))) % 360

    @property
    def displayed_size(self) -> Size:
        """Width and height as displayed."""
        width, height = self.size
        return (height, width) if self.turned else (width, height)

    def picture(self, frame: av.VideoFrame, size: Size) -> Image:
        """BGR picture (H, W, 3) of a decoded frame, at a displayed width and height."""
        width, height = size[::-1] if self.turned else size
        return self.upright(frame.to_ndarray(format="bgr24", width=width, height=height))

    def upright(self, image: Any) -> Image:
        """Stored pixels (h, w, ...) as displayed (H, W, ...)."""
        if self.turned:
            image = cv2.transpose(image)
        flip_x, flip_y = sum(self.matrix[0]) < 0, sum(self.matrix[1]) < 0
        if flip_x or flip_y:
            image = cv2.flip(image, -1 if flip_x and flip_y else int(flip_x))
        return image


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Attributes:
        index: position among the frames that the reader gives, from 0.
        time: seconds since the first frame of the file.
        decoded: None where the reader was told that nobody looks.
    """

    index: int
    time: float
    decoded: av.VideoFrame | None = field(repr=False)
    display: Display = field(repr=False)

    @property
    def size(self) -> Size:
        """Width and height as displayed."""
        return self.display.displayed_size

    @cached_property
    def image(self) -> Image:
        """BGR picture (H, W, 3), upright; converted when first asked for."""
        return self.image_at(self.size)

    def image_at(self, size: Size) -> Image:
        """BGR picture scaled to a width and height in the same conversion."""
        assert self.decoded is not None, "this frame was not to be looked at"
        return self.display.picture(self.decoded, size)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1
