"""A look's picture beside an earlier one: how the camera turned and zoomed in between."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.video.frame import Image
from vid3d.video.scenery import Scenery, likeness
from vid3d.video.setting import (
    AS_BEFORE,
    Setting,
    agreed_turn,
    agreed_zoom,
    lengthened,
    miss_of,
    through,
    turn_of,
    unit,
)

Array = NDArray[np.float64]
Points = NDArray[np.floating]

AGREED = 1.0
"""Pixels within which a corner agrees with a rotation."""
REST = 0.4
"""Pixels below which a corner has not moved."""
STANDING = 0.3
"""Share of resting corners from which it is things that move, not the camera."""
MAJORITY, FEWEST = 0.5, 8
"""Share and number of the corners followed that have to agree."""
CLEARLY = 0.1
"""Share of the corners by which more have to agree on a zoom than on a rotation alone."""
SHARP, SHARPER = 0.17, 0.14
"""Pixels by which the corners that agree on a zoom miss at most (median), through the lens as known
and through one of `LENSES`. Where a camera travels, near things grow faster than far ones, and it
was 0.20 at least; with zooms 0.16 at most, mostly 0.1."""
LENSES = tuple(1.12**power for power in (-1, 1, -2, 2, -3, 3, -4, 4))
"""How much longer than known the lens may be."""


class Match(NamedTuple):
    """A picture beside one that was seen earlier.

    Attributes:
        setting: of the camera against that of the earlier one.
        agreed: how many corners do.
        before, after: (N, 2) where corners were that were found again, and where they are.
    """

    setting: Setting
    agreed: int
    before: Points
    after: Points

    @property
    def share(self) -> float:
        """How many of those that were found again agree."""
        return self.agreed / len(self.after)


def matched(reference: Scenery, now: Scenery, guess: Setting, camera: Camera) -> Match | None:
    """A picture beside a reference; None where too few corners agree.

    Args:
        reference: seen earlier.
        now: the picture.
        guess: what the setting may be.
        camera: of the reference's small copy.
    """
    if len(reference.corners) < FEWEST:
        return None
    before, after = _followed(reference, now, guess, camera)
    if len(after) < FEWEST:
        return None
    resting = np.linalg.norm(after - before, axis=-1) < REST
    if resting.mean() >= STANDING:
        return Match(AS_BEFORE, int(resting.sum()), before, after)
    focal = float(camera.intrinsics[0, 0])
    rays, others = unit(camera.rays(after)), unit(camera.rays(before))
    rotation, agreed = agreed_turn(rays, others, AGREED / focal)
    share = float(agreed.mean())
    if share < 1 - CLEARLY and (zooming := _zooming(reference, now, guess, camera, share)):
        return zooming
    if agreed.sum() < max(FEWEST, MAJORITY * len(after)):
        return None
    turn = _rested(rotation, rays, focal)
    return Match(Setting(turn), int(agreed.sum()), before, after)


def _zooming(
    reference: Scenery, now: Scenery, guess: Setting, camera: Camera, share: float
) -> Match | None:
    """The same, where a zoom explains clearly more than a rotation alone does.

    Args:
        reference: seen earlier.
        now: the picture.
        guess: what the setting may be.
        camera: of the reference's small copy.
        share: of the corners, that agree on a rotation alone.
    """
    focal = float(camera.intrinsics[0, 0])
    for _ in range(2):  # corners are followed better in a picture of the same scale
        before, after = _followed(reference, now, guess, camera)
        slopes, others = camera.rays(after), unit(camera.rays(before))
        if len(after) < FEWEST or not (found := agreed_zoom(slopes, others, AGREED / focal)):
            return None
        guess, agreed = found
        if agreed.mean() < share + CLEARLY:
            return None
    if agreed.sum() < max(FEWEST, MAJORITY * len(after)):
        return None
    if not _sharp(guess, before[agreed], after[agreed], camera):
        return None
    turn = _rested(guess.turn, through(slopes, guess.zoom), focal)
    return Match(Setting(turn, guess.zoom), int(agreed.sum()), before, after)


def _sharp(guess: Setting, before: Points, after: Points, camera: Camera) -> bool:
    """Whether corners agree with a turn and a zoom as well as they do where a lens did it."""
    if miss_of(guess, before, after, camera) < SHARP:
        return True
    lenses = (lengthened(camera, longer) for longer in LENSES)  # a wrong one blurs what turns
    return any(miss_of(guess, before, after, lens) < SHARPER for lens in lenses)


def _followed(
    reference: Scenery, now: Scenery, guess: Setting, camera: Camera
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where corners (N, 2) of a reference that are found again were, and where they are."""
    before = reference.corners
    expected = camera.project(camera.rays(before) @ guess.turn)
    expected = np.where(np.isfinite(expected), expected, before).astype(np.float32)
    flow, status, _ = cv2.calcOpticalFlowPyrLK(
        reference.grey,
        _zoomed(now.grey, 1 / guess.zoom, camera),
        before,
        expected,
        winSize=(13, 13),
        maxLevel=3,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    after = camera.zoomed(np.asarray(flow), guess.zoom).astype(np.float32)
    found = (np.ravel(status) > 0) & _inside(after, now.free)
    return before[found], after[found]


def _rested(rotation: Array, rays: Array, focal: float) -> Array:
    """A rotation, or none where it moves (N, 3) unit rays by less than the noise."""
    moves = np.linalg.norm(rays @ rotation.T - rays, axis=-1) * focal
    return np.eye(3) if np.median(moves) < REST else rotation


def _zoomed(picture: Image, zoom: float, camera: Camera) -> Image:
    """A picture as it looks once the camera has zoomed in on its middle."""
    if zoom == 1:
        return picture
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    moved = camera.zoomed(corners, zoom).astype(np.float32)
    warp = cv2.getAffineTransform(corners.astype(np.float32), moved)
    size, border = picture.shape[::-1], cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(picture, warp, size, None, cv2.INTER_CUBIC, border), np.uint8)


def shifted(before: Image, now: Image, camera: Camera, zoom: float = 1.0) -> tuple[Setting, float]:
    """About how a picture's setting is against an earlier one's, by the shift of the whole.

    For turns that are too quick for corners to be found again; and how like the pictures are.

    Args:
        before: grey (h, w).
        now: likewise.
        camera: of the earlier one.
        zoom: since then; the picture with the wider view is enlarged.
    """
    enlarged, camera = max(zoom, 1.0), lengthened(camera, max(zoom, 1.0))
    (dx, dy), like = likeness(
        _zoomed(before, enlarged, camera), _zoomed(now, enlarged / zoom, camera)
    )
    back = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy], [0.0, 0.0, 1.0]])
    return Setting(turn_of(back, camera), zoom), like


def _inside(points: Points, free: Image) -> NDArray[np.bool_]:
    """Which of (N, 2) lie in the picture and on no person."""
    height, width = free.shape
    near = np.asarray(((points > -0.5) & (points < (width - 0.5, height - 0.5))).all(-1))
    column, row = np.round(np.where(near[:, None], points, 0)).astype(int).T
    return np.asarray(near & (free[row, column] > 0))
