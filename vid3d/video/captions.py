"""What was laid over the picture when the film was edited: captions, score boards, logos.

It stays where it is while the camera turns or travels, and its corners are the strongest of all: as
background it would say that the camera stands. It is told from a scene at rest by what goes on
round it: hardly anything in the picture's middle stays, and little of the rest does.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.video.frame import Image

EDGE, SAME = 24, 10
"""Grey levels within three pixels from which something is to be seen there, and by which it changes
at most where it is held to be the same."""
THIN = 5, 5
"""Pixels of a part of thin letters: of these the mean is to stay, as what is between them moves."""
CELL, SEEN = 20, 0.02
"""Pixels of a cell's side, and share of a cell in which something is to be seen, at least."""
LEFT = 0.2
"""Share of what is to be seen that stays: in the middle of the picture at most, in a cell with a
caption at least."""
COVERED = 0.3
"""Share of the cells that have captions, at most: else the camera stands."""
AROUND = np.ones((15, 15), np.uint8)
"""Pixels round a caption in which corners are not followed well."""


def captions(before: Image, now: Image, free: Image) -> NDArray[np.bool_] | None:
    """Where (h, w) something is laid over both of two pictures; None where nothing surely is.

    Args:
        before: grey (h, w).
        now: likewise.
        free: (h, w) 0 where somebody is in either of them.
    """
    near = np.ones((3, 3), np.uint8)
    edges = [cv2.morphologyEx(one, cv2.MORPH_GRADIENT, near) > EDGE for one in (before, now)]
    seen = (edges[0] | edges[1]) & (free > 0)
    change = cv2.absdiff(before, now)
    for most in (cv2.dilate(change, near), cv2.blur(change, THIN)):
        laid = _laid_over(seen & (most <= SAME), seen)
        if laid is not None:
            return np.asarray(cv2.dilate(laid.astype(np.uint8), AROUND) > 0)
    return None


def _laid_over(stays: NDArray[np.bool_], seen: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """What of that which stays (h, w), of all that is to be seen (h, w), is a caption.

    None where too much stays, or what is in the middle. The little that does there may be far away,
    or ahead of a camera that goes towards it.
    """
    height, width = seen.shape
    middle = np.s_[height // 4 : height - height // 4, width // 4 : width - width // 4]
    if stays[middle].sum() > LEFT * seen[middle].sum() or seen[middle].mean() < SEEN:
        return None
    all_, staying = _cells(seen), _cells(stays)
    covered = (staying > LEFT * all_) & (all_ > SEEN)
    if not covered.any() or covered.mean() > COVERED:
        return None
    there = cv2.resize(covered.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    there[middle] = 0
    return stays & (there > 0)


def _cells(shown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of each cell's pixels (h, w) that are set."""
    height, width = shown.shape
    size = max(1, width // CELL), max(1, height // CELL)
    return np.asarray(cv2.resize(shown.astype(np.float32), size, interpolation=cv2.INTER_AREA))
