"""How wide a camera sees, told from how the background moves while it turns.

A camera that turns in its place moves every pixel by a homography K R K^-1 (Hartley,
"Self-Calibration from Multiple Views with a Rotating Camera", ECCV 1994), in which the focal length
shows: what lies near the border of the picture moves further than what lies in its middle. So one
focal length for all and a rotation for each pair of pictures are fitted to corners that were
followed from one to the other (Gauss and Newton, the rotations eliminated; Geman and McClure's
weights, narrower step by step). A lens that bends straight lines moves what lies near the border
otherwise, too: how much it does is fitted along. Where the camera travels near things move further
as well, and corners agree with no lens: then nothing is said.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vid3d.camera import ASSUMED_FOV

Array = NDArray[np.float64]
Points = NDArray[np.floating]

PAIRS, FEWEST = 24, 6
"""Pairs of pictures that are kept, those between which the camera turned most, and needed."""
TURNED = np.radians(0.5)
"""Turn across the line of sight from which a pair tells."""
WIDTHS = (4.0, 4.0, 2.0, 2.0, 1.0, 1.0, *[0.5] * 8)
"""Pixels at which a corner counts half less, step by step."""
MISSED = 1.0
"""Pixels by which corners miss at most (median)."""
BENT = 1.5
"""How much further than they miss corners would move were the focal length e times as long (root
mean square, the turns refitted), at least: beside less, the way of a hand counts."""
DOUBT = 0.015
"""Standard error of the focal length, as a share of it, that is still believed."""
BARREL, ALIKE = 0.03, 20
"""How large a lens's first radial distortion coefficient is expected to be, and how many corners
miss in the same way: together they say what it takes to believe in a distortion."""
TINY = 1e-6
"""Step of differences that stand for derivatives."""
NARROWEST, WIDEST = 10.0, 130.0
"""Degrees across the longer side."""
GROWTH = 1.25
"""How many times as many pairs have to be seen before they are fitted again."""


class Pair(NamedTuple):
    """Corners in two pictures of one size, from the middle, over half the longer side.

    Attributes:
        turn: (3, 3) about how far, from rays of the later to those of the earlier.
        before: (N, 2) where they were.
        after: (N, 2) where they are.
        pixel: side of one.
    """

    turn: Array
    before: Array
    after: Array
    pixel: float

    @property
    def angle(self) -> float:
        """Turn across the line of sight; roll tells nothing."""
        return float(np.linalg.norm(Rotation.from_matrix(self.turn).as_rotvec()[:2]))


class LensFinder:
    """Finds the lens of a clip from pairs of its pictures, as they come.

    Attributes:
        fov: degrees across the longer side; None as long as too little tells, or pairs disagree.
    """

    def __init__(self) -> None:
        self.fov: float | None = None
        self._pairs: list[Pair] = []
        self._seen, self._next = 0, FEWEST

    def add(
        self, turn: Array, before: Points, after: Points, size: tuple[int, ...], zoom: float = 1.0
    ) -> None:
        """Two pictures between which the camera turned.

        Args:
            turn: (3, 3) about how far, from rays of the later to those of the earlier.
            before: corners (N, 2) in the earlier, pixels.
            after: where they are in the later.
            size: width and height of both.
            zoom: focal length then over that of the clip's first picture.
        """
        middle, pixel = (np.array(size) - 1) / 2, 2 / (max(size) * zoom)
        pair = Pair(turn, (before - middle) * pixel, (after - middle) * pixel, pixel)
        if pair.angle < TURNED:
            return
        self._pairs = sorted([*self._pairs, pair], key=lambda one: -one.angle)[:PAIRS]
        self._seen += 1
        if self._seen >= self._next:
            self._next = int(GROWTH * self._seen) + 1
            self.fov = fitted_fov(self._pairs)


def fitted_fov(pairs: list[Pair], fov: float = ASSUMED_FOV) -> float | None:
    """Degrees across the longer side that pairs agree on; None where they do not clearly.

    Args:
        pairs: of one lens.
        fov: to begin with.
    """
    before, held = _padded([pair.before for pair in pairs])
    after, _ = _padded([pair.after for pair in pairs])
    pixel = np.array([pair.pixel for pair in pairs])[:, None]
    turns = np.stack([pair.turn.T for pair in pairs])
    lens = np.array([-np.log(np.tan(np.radians(fov) / 2)), 0.0])
    for width in WIDTHS:
        misses, by = _misses(before, after, turns, lens)
        away = np.linalg.norm(misses, axis=-1) / pixel
        missed = np.median(away[held])
        prior = np.diag([0.0, ALIKE * (missed * pixel.mean() / BARREL) ** 2])
        squares = (away / width) ** 2
        weights = (held / (1 + squares) ** 2)[..., None]
        normal = np.einsum("pnia,pnib->pab", by, weights[..., None] * by)
        slopes = np.einsum("pnia,pni->pa", by, weights * misses)
        # What a change of the lens does that no rotation of a pair makes good (Schur complement).
        back = -np.linalg.pinv(normal[:, :3, :3]) @ normal[:, :3, 3:]
        tells = normal[:, 3:, 3:] + normal[:, 3:, :3] @ back
        pulls = slopes[:, 3:] + np.einsum("pta,pt->pa", back, slopes[:, :3])
        inverse = np.linalg.pinv(tells.sum(0) + prior)
        step = np.clip(-inverse @ (pulls.sum(0) + prior @ lens), -0.3, 0.3)
        own = np.linalg.pinv(normal[:, :3, :3]) @ slopes[:, :3, None]
        turned = (back @ step[:, None] - own)[..., 0]
        turns = Rotation.from_rotvec(turned).as_matrix() @ turns
        lens = lens + step
    doubt = np.sqrt((inverse @ pulls.T @ pulls @ inverse)[0, 0])  # each pair errs in its own way
    bent = 1 / np.sqrt(max(inverse[0, 0] * (weights[..., 0] * pixel**2).sum(), 1e-12))
    found = float(np.degrees(2 * np.arctan(np.exp(-lens[0]))))
    clear = doubt < DOUBT and missed < min(MISSED, bent / BENT)
    return found if clear and NARROWEST < found < WIDEST else None


def _padded(points: list[Array]) -> tuple[Array, NDArray[np.bool_]]:
    """Lists of (N, 2) in one array (P, N, 2), and which of it they hold."""
    counts = np.array([len(one) for one in points])
    padded = [np.pad(one, ((0, counts.max() - len(one)), (0, 0))) for one in points]
    return np.stack(padded), np.arange(counts.max()) < counts[:, None]


def _misses(before: Array, after: Array, turns: Array, lens: Array) -> tuple[Array, Array]:
    """By how much turned corners miss those seen, and derivatives of that.

    Args:
        before: (P, N, 2), over half the longer side.
        after: likewise.
        turns: (P, 3, 3) from rays of the earlier to those of the later.
        lens: (2,) logarithm of the focal length over half the longer side, and the first radial
            distortion coefficient (Brown 1966).

    Returns:
        Misses (P, N, 2); their derivatives by a rotation vector and the lens (P, N, 2, 5).
    """
    there = _turned(before, turns, lens)
    by = []
    for vector in np.eye(3) * TINY:
        other = Rotation.from_rotvec(vector).as_matrix() @ turns
        by.append((_turned(before, other, lens) - there) / TINY)
    by += [(_turned(before, turns, lens + change) - there) / TINY for change in np.eye(2) * TINY]
    return there - after, np.stack(by, -1)


def _turned(before: Array, turns: Array, lens: Array) -> Array:
    """Where corners (P, N, 2) are seen once a camera has turned (P, 3, 3)."""
    focal, barrel = np.exp(lens[0]), lens[1]
    seen = slopes = before / focal
    for _ in range(4):  # fixed point
        slopes = seen / (1 + barrel * (slopes**2).sum(-1, keepdims=True))
    rays = np.concatenate([slopes, np.ones_like(slopes[..., :1])], -1) @ turns.swapaxes(1, 2)
    slopes = rays[..., :2] / np.maximum(rays[..., 2:], 1e-3)
    return np.asarray(focal * slopes * (1 + barrel * (slopes**2).sum(-1, keepdims=True)))
