"""Where a film goes over from one scene to another by and by.

In a dissolve a picture half-way is a mixture of one before and one after, which are unlike each
other (Lienhart 2001 lists the forms). Of a camera that moves, no picture is such a mixture: what
lies fine in one lies elsewhere in the next. So only scenes are told apart during whose change the
camera stands still or nearly so; wipes are not told.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.video.frame import Image

Fine = NDArray[np.float32]

COARSE = 4.0
"""Pixels of the blur whose rest is what lies fine: light and ground are alike in many scenes."""
EXPLAINED = 0.65
"""Share of what lies fine in the middle that the mixture explains at least: in dissolves between
cameras that stand it was 0.7 to 0.9, of cameras that turn, zoom or travel 0.3 at most."""
PART, WHOLE = 0.1, 1.0
"""Least and largest share of either picture in the middle."""
ENOUGH = 0.1
"""Share of the picture that nobody hides in any of the three, at least."""
ALIKE = 0.7
"""Correlation of what lies fine in two pictures from which they are of one scene."""
FAINT = 1.0
"""Grey levels below which nothing lies fine in a picture: it is black, or fog."""


def fine(picture: Image) -> NDArray[np.float32]:
    """What lies fine in a grey picture (h, w), of every second pixel, in grey levels."""
    levels = picture.astype(np.float32)
    return (levels - cv2.GaussianBlur(levels, (0, 0), COARSE))[::2, ::2]


def is_mixture(before: Fine, middle: Fine, after: Fine, free: Image) -> bool:
    """Whether a picture is a mixture of two others that are unlike each other.

    Args:
        before: what lies `fine` in a picture.
        middle: likewise.
        after: likewise.
        free: (h, w) 0 where somebody is in any of them.
    """
    open_ = free[::2, ::2] > 0
    if open_.mean() < ENOUGH:
        return False
    first, mixed, last = (picture[open_] for picture in (before, middle, after))
    ends = np.stack([first, last])
    products, matched, whole = ends @ ends.T, ends @ mixed, float(mixed @ mixed)
    if min(*products.diagonal(), whole) < FAINT**2 * mixed.size:
        return False
    if products[0, 1] ** 2 > ALIKE**2 * products[0, 0] * products[1, 1]:
        return False
    shares = np.linalg.solve(products, matched)
    between = bool((shares > PART).all() and (shares < WHOLE).all())
    return between and shares @ matched > EXPLAINED * whole
