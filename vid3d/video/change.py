"""What moved between two pictures, measured cheaply on very small grey copies.

A copy is the picture averaged down to `LONGER_SIDE` pixels, which also averages the sensor's noise
away; what a person does is still seen, at a few microseconds a frame.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.video.frame import Frame, Image

LONGER_SIDE = 128
"""Pixels of a small copy."""

NOISE = 4
"""Grey levels of 255 that noise and compression change."""

DILATION = 0.2
"""How far around its box a person may move things, as a share of the box."""

SURPRISE = 0.004
"""Share of the picture that must move in one piece, outside all boxes, to call for a detection."""


def small_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the small copy of a picture."""
    scale = LONGER_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def shrunk(image: Image) -> Image:
    """Small grey copy (h, w) of a BGR picture (H, W, 3)."""
    height, width = image.shape[:2]
    small = cv2.resize(image, small_size(width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def shrunk_frame(frame: Frame) -> Image:
    """Small grey copy of a decoded frame, without converting all of it."""
    small = frame.image_at(small_size(*frame.size))
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def change(before: Image, now: Image) -> NDArray[np.float32]:
    """(h, w) how much each pixel of a small copy changed beyond noise, 0..1."""
    levels = cv2.absdiff(before, now).astype(np.float32)
    return np.asarray(np.maximum(levels - NOISE, 0.0) / 255, np.float32)


def inside(
    boxes: NDArray[np.floating], shape: tuple[int, ...], dilation: float = DILATION
) -> list[tuple[slice, slice]]:
    """Rows and columns of boxes (N, 4), in small pixels, dilated and clipped to the picture."""
    margins = dilation * (boxes[:, 2:] - boxes[:, :2])
    low = np.floor(np.maximum(boxes[:, :2] - margins, 0)).astype(int)
    high = np.ceil(np.maximum(boxes[:, 2:] + margins, 0)).astype(int) + 1
    return [
        (slice(y1, min(y2, shape[0])), slice(x1, min(x2, shape[1])))
        for (x1, y1), (x2, y2) in zip(low, high, strict=True)
    ]


def moved_outside(before: Image, now: Image, boxes: NDArray[np.floating]) -> bool:
    """Whether something of a person's size moved outside the boxes (N, 4), in small pixels."""
    moved = (change(before, now) > NOISE / 255).astype(np.uint8)
    for rows, columns in inside(boxes, moved.shape):
        moved[rows, columns] = 0
    _, _, statistics, _ = cv2.connectedComponentsWithStats(moved, connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return bool(areas.max(initial=0) > SURPRISE * moved.size)
