"""Antialiased drawing at sub-pixel positions with OpenCV, on pictures in 4:2:0; colours are BGR."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.render.style import OUTLINE, Color
from vid3d.video.frame import Image, Size
from vid3d.video.planes import Planes

SHIFT = 4
"""Fractional bits of coordinates: whole pixels would make slow motion shiver."""
FAR = 20_000
"""Pixels beyond which nothing is drawn: OpenCV's fixed-point coordinates overflow."""
WIDEST = 4000
"""Pixels across a stroke at most."""
CAPITALS = 21
"""Height of OpenCV's capital letters at scale 1."""
DASH = 2.6
"""Length of a dash, and of the gap after it without the round ends, in widths of the stroke."""


def fixed(points: ArrayLike) -> NDArray[np.int32]:
    """Pixel coordinates as fixed-point numbers for OpenCV."""
    return np.round(np.asarray(points, np.float64) * (1 << SHIFT)).astype(np.int32)


def drawable(points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which points (..., 2) are finite and not absurdly far outside."""
    with np.errstate(invalid="ignore"):
        return (np.abs(points) < FAR).all(-1)


def strokes(
    picture: Planes,
    ends: NDArray[np.floating],
    colors: ArrayLike,
    widths: ArrayLike,
    rims: ArrayLike = 1,
    opacity: float = 1.0,
) -> None:
    """Draw strokes with round ends in order; those with an end that is nowhere are left out.

    Args:
        picture: drawn on.
        ends: (N, 2, 2) pixels; a stroke whose ends are one point is a dot.
        colors: (N, 3), or one for all.
        widths: (N,) pixels, or one for all.
        rims: (N,) pixels of a dark edge that parts a stroke from those below, or one for all.
        opacity: of all of them together: below 1 they are painted on a layer of their own.
    """
    shown = drawable(ends).all(-1)
    if not shown.any():
        return
    count = len(ends)
    thick = np.clip(np.round(np.broadcast_to(widths, count)), 1, WIDEST).astype(int)[shown]
    edges = (np.broadcast_to(rims, count)[shown] * 2).astype(int)
    tones = np.broadcast_to(picture.coding.ink(colors), (count, 3))[shown]
    outline, ends = picture.coding.ink(OUTLINE).tolist(), ends[shown]
    reach = ((thick + edges) / 2 + 2)[:, None, None]
    low, high = (ends - reach).min((0, 1)), (ends + reach).max((0, 1))
    with picture.pixels(low, high) as opened:
        if opened is None:
            return
        image, corner = opened
        layer = image
        if opacity < 1:
            layer = picture.scratch.room("layer", image.shape)
            np.copyto(layer, image)
        rows = zip(fixed(ends - corner).tolist(), tones.tolist(), thick.tolist(), edges.tolist(),
                   strict=True)  # fmt: skip
        for (a, b), color, width, edge in rows:
            if edge:
                cv2.line(layer, a, b, outline, width + edge, cv2.LINE_AA, SHIFT)
            cv2.line(layer, a, b, color, width, cv2.LINE_AA, SHIFT)
        if opacity < 1:
            cv2.addWeighted(layer, opacity, image, 1 - opacity, 0, dst=image)


def polylines(
    picture: Planes,
    lines: Sequence[NDArray[np.floating]],
    colors: Sequence[Color],
    width: int,
) -> None:
    """Draw lines through points (N, 2) each, in order."""
    points = np.concatenate([*lines, np.empty((0, 2))])
    if not len(points):
        return
    with picture.pixels(points.min(0) - width - 2, points.max(0) + width + 2) as opened:
        if opened is not None:
            image, corner = opened
            for line, ink in zip(lines, picture.coding.ink(colors).tolist(), strict=True):
                path = [fixed(line - corner)]
                cv2.polylines(image, path, False, ink, width, cv2.LINE_AA, SHIFT)


def polygon(picture: Planes, points: NDArray[np.floating], color: Color) -> None:
    """Fill a convex polygon (N, 2)."""
    with picture.pixels(points.min(0) - 2, points.max(0) + 2) as opened:
        if opened is not None:
            image, corner = opened
            ink = picture.coding.ink(color).tolist()
            cv2.fillConvexPoly(image, fixed(points - corner), ink, cv2.LINE_AA, SHIFT)


def dashes(
    ends: NDArray[np.floating], widths: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Strokes (N, 2, 2) with round ends cut into dashes that begin and end at their ends.

    Returns:
        Dashes (M, 2, 2), and for each the index (M,) of its stroke.
    """
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
    period = DASH * np.maximum(widths, 1.0)
    gaps = np.maximum(1, np.round((length / period - 1) / 2))
    counts = np.where(drawable(ends).all(-1) & (length > 3 * period), gaps + 1, 1).astype(int)
    of = np.repeat(np.arange(len(ends)), counts)
    place = np.arange(len(of)) - np.repeat(counts.cumsum() - counts, counts)
    parts = 2 * counts[of] - 1
    share = np.stack([2 * place / parts, (2 * place + 1) / parts], -1)[..., None]
    return ends[of, :1] + share * (ends[of, 1:] - ends[of, :1]), of


def text_width(words: str, height: float) -> int:
    """Pixels that words take in a row whose capital letters are `height` pixels high."""
    return int(cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, height / CAPITALS, 1)[0][0])


def text(
    picture: Planes,
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
    left, base = round(at[0] - align * width), round(at[1])
    with picture.pixels(
        (left - 2, base - 1.5 * height), (left + width + 2, base + height)
    ) as opened:
        if opened is not None:
            image, (x, y) = opened
            _put(image, words, (left - x, base - y), picture.coding.ink(color), height)
    return width


def tag(picture: Planes, words: str, at: tuple[float, float], color: Color, height: float) -> None:
    """Write words in dark on a coloured plate whose bottom middle is at a point in the picture."""
    pad = round(height * 0.5)
    width, tall = text_width(words, height) + 2 * pad, round(height) + 2 * pad
    left = round(min(max(at[0] - width / 2, 0), picture.size[0] - width))
    bottom = round(min(max(at[1], tall), picture.size[1]))
    with picture.pixels((left, bottom - tall), (left + width + 1, bottom + 1)) as opened:
        if opened is not None:
            image, (x, y) = opened
            low, high = (left - x, bottom - tall - y), (left + width - x, bottom - y)
            cv2.rectangle(image, low, high, picture.coding.ink(color).tolist(), -1)
            ink = picture.coding.ink(OUTLINE)
            _put(image, words, (low[0] + pad, high[1] - pad), ink, height)


def _put(image: Image, words: str, at: Size, ink: NDArray[np.float64], height: float) -> None:
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, height / CAPITALS
    cv2.putText(image, words, at, font, scale, ink.tolist(), 1, cv2.LINE_AA)
