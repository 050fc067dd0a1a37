"""Antialiased drawing at sub-pixel positions with OpenCV. Images are BGR and drawn on in place."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.render.style import OUTLINE, Color
from vid3d.video.frame import Image

SHIFT = 4
"""Fractional bits of coordinates: whole pixels would make slow motion shiver."""
FAR = 20_000
"""Pixels beyond which nothing is drawn: OpenCV's fixed-point coordinates overflow."""
CAPITALS = 21
"""Height of OpenCV's capital letters at scale 1."""


def fixed(points: ArrayLike) -> NDArray[np.int32]:
    """Pixel coordinates as fixed-point numbers for OpenCV."""
    return np.round(np.asarray(points, np.float64) * (1 << SHIFT)).astype(np.int32)


def drawable(points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which points (..., 2) are finite and not absurdly far outside."""
    with np.errstate(invalid="ignore"):
        return (np.abs(points) < FAR).all(-1)


def line(
    image: Image,
    start: NDArray[np.floating],
    end: NDArray[np.floating],
    color: Sequence[float] | NDArray[np.floating],
    width: float,
    rim: int = 1,
) -> None:
    """Draw a segment with a dark rim that parts it from others; nothing if an end is nowhere."""
    if not (drawable(start) and drawable(end)):
        return
    a, b, thick = fixed(start).tolist(), fixed(end).tolist(), max(1, round(width))
    cv2.line(image, a, b, OUTLINE, thick + 2 * rim, cv2.LINE_AA, SHIFT)
    cv2.line(image, a, b, tuple(color), thick, cv2.LINE_AA, SHIFT)


def disc(
    image: Image,
    center: NDArray[np.floating],
    radius: float,
    color: Sequence[float] | NDArray[np.floating],
    rim: int = 1,
) -> None:
    """Draw a filled circle with a dark rim; nothing if its centre is nowhere."""
    if not drawable(center):
        return
    at = fixed(center).tolist()
    if rim:
        cv2.circle(image, at, round((radius + rim) * (1 << SHIFT)), OUTLINE, -1, cv2.LINE_AA, SHIFT)
    cv2.circle(image, at, round(radius * (1 << SHIFT)), tuple(color), -1, cv2.LINE_AA, SHIFT)


def text_width(words: str, height: float) -> int:
    """Pixels that words take in a row whose capital letters are `height` pixels high."""
    return int(cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, height / CAPITALS, 1)[0][0])


def text(
    image: Image,
    words: str,
    at: tuple[float, float],
    color: Color,
    height: float,
    align: float = 0.0,
) -> int:
    """Write words on a baseline point; `align` 0 puts their left end there, 1 their right end.

    Returns:
        Width of the words in pixels.
    """
    width = text_width(words, height)
    left = (round(at[0] - align * width), round(at[1]))
    scale = height / CAPITALS
    cv2.putText(image, words, left, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)
    return width


def tag(image: Image, words: str, at: tuple[float, float], color: Color, height: float) -> None:
    """Write words in dark on a coloured plate whose bottom middle is at a point in the image."""
    pad = round(height * 0.5)
    width, tall = text_width(words, height) + 2 * pad, round(height) + 2 * pad
    left = round(min(max(at[0] - width / 2, 0), image.shape[1] - width))
    bottom = round(min(max(at[1], tall), image.shape[0]))
    cv2.rectangle(image, (left, bottom - tall), (left + width, bottom), color, -1)
    text(image, words, (left + pad, bottom - pad), OUTLINE, height)
