"""What is seen behind people in a look's picture: small, grey, with corners to find again."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.video.change import inside
from vid3d.video.dissolve import Fine, fine
from vid3d.video.frame import Image

Points = NDArray[np.floating]

LONGER_SIDE = 320
"""Pixels of the grey copies that corners are followed in."""
DILATION = 0.05
"""How far around their boxes people may stand before the background, as a share of the box."""
CORNERS, APART, FAINTEST = 160, 6, 0.001
"""Corners of a reference picture at most, pixels between them, and the faintest's share of the
strongest's response."""
SAME = 10
"""Grey levels by which a pixel changes at most that is held to be the same."""
BARS, STRAIGHT, SEAM = 0.8, 0.4, 1
"""Share of a picture's side that bars take at most, share of the line beside a bar that is unlike
it at least, and pixels of the seam between."""
OPEN = 0.1
"""Share of the picture that is background below which it tells less of a change."""


@dataclass(frozen=True)
class Scenery:
    """The background of a look's picture.

    Attributes:
        grey: (h, w) small copy of the picture.
        free: (h, w) 0 where people are.
    """

    grey: Image
    free: Image

    @classmethod
    def of(cls, image: Image, boxes: Points) -> "Scenery":
        """Small copy of the green channel; of a large picture every n-th pixel will do.

        Args:
            image: BGR (H, W, 3).
            boxes: (N, 4) people in it, pixels.
        """
        sides = image.shape[1], image.shape[0]
        every = max(1, max(sides) // (2 * LONGER_SIDE))
        width, height = (max(1, round(side * LONGER_SIDE / max(sides))) for side in sides)
        thin = np.ascontiguousarray(image[::every, ::every, 1])
        grey = np.asarray(cv2.resize(thin, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        free = np.full(grey.shape, 255, np.uint8)
        for rows, columns in inside(boxes * (width / sides[0]), grey.shape, DILATION):
            free[rows, columns] = 0
        return cls(grey, free)

    def without(self, covered: NDArray[np.bool_] | None) -> "Scenery":
        """The same where (h, w) nothing covers the background."""
        if covered is None or covered.shape != self.free.shape:
            return self
        return Scenery(self.grey, np.where(covered, 0, self.free).astype(np.uint8))

    @property
    def blank(self) -> bool:
        """Whether nothing is to be seen, as before a film fades up."""
        return bool(np.ptp(self.grey) <= SAME and self.free.all())

    @cached_property
    def corners(self) -> NDArray[np.float32]:
        """(N, 2) in the small copy, none on a person."""
        found = cv2.goodFeaturesToTrack(self.grey, CORNERS, FAINTEST, APART, mask=self.free)
        corners = np.zeros((0, 2)) if found is None else np.reshape(found, (-1, 2))
        return corners.astype(np.float32)

    @cached_property
    def fine(self) -> Fine:
        """What lies fine in it."""
        return fine(self.grey)

    def lit_as(self, other: "Scenery") -> "Scenery":
        """The picture in the light of another: with its mean and contrast."""
        (mean,), (contrast,) = map(np.ravel, cv2.meanStdDev(self.grey))
        (wanted,), (range_,) = map(np.ravel, cv2.meanStdDev(other.grey))
        grey = (self.grey - mean) * (range_ / max(contrast, 1.0)) + wanted
        return Scenery(np.clip(grey, 0, 255).astype(np.uint8), self.free)


def free_in(*pictures: Scenery) -> Image:
    """(h, w) 0 where people are in any of them."""
    return np.minimum.reduce([picture.free for picture in pictures])


def changed_share(before: Scenery, now: Scenery) -> float:
    """Share of the pixels outside people and bars that changed; less where these are few."""
    shown = between_bars(before.grey, now.grey)
    free = free_in(before, now)
    levels = cv2.bitwise_and(cv2.absdiff(before.grey, now.grey), free)[shown]
    return int((levels > SAME).sum()) / max(cv2.countNonZero(free[shown]), OPEN * free.size)


def likeness(before: Image, now: Image) -> tuple[Sequence[float], float]:
    """How far a picture is shifted against an earlier one, in pixels, and how like it is then.

    By phase correlation (Kuglin 1975), to which it is one how much light there is; 1 is the same.
    """
    shown = between_bars(before, now)
    first, last = (picture[shown].astype(np.float32) for picture in (before, now))
    window = cv2.createHanningWindow(last.shape[::-1], cv2.CV_32F)
    return cv2.phaseCorrelate(first, last, window)


def between_bars(*pictures: Image) -> tuple[slice, slice]:
    """Rows and columns of grey pictures (h, w) without the bars that all of them have, if any.

    Bars are of one colour, that of the picture's corner, and end in a straight line: the dark round
    somebody in the light does not.
    """
    corners = [np.full_like(picture, picture[0, 0]) for picture in pictures]
    unlike = map(cv2.absdiff, pictures, corners)
    shown = np.maximum.reduce(list(unlike)) > SAME
    return _between(shown), _between(shown.T)


def _between(shown: NDArray[np.bool_]) -> slice:
    """Lines without the bars before and after them.

    Args:
        shown: (lines, pixels) whether they are unlike bars.
    """
    count, before, after = len(shown), _bar(shown), _bar(shown[::-1])
    return slice(0, count) if before + after > BARS * count else slice(before, count - after)


def _bar(shown: NDArray[np.bool_]) -> int:
    """How many lines the bar has that comes first, 0 if none does."""
    lines = int(np.argmax(shown.any(1)))
    if lines == 0:
        return 0
    beside = shown[lines : lines + 2].sum(1).max()
    return lines + SEAM if beside > STRAIGHT * shown.any(0).sum() else 0
