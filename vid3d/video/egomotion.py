"""How the camera turned, told from what stands still behind the people.

Corners of the background are followed from a reference picture to the next look (pyramidal
Lucas-Kanade, Bouguet 2001), and the rotation that most of them agree on is taken (RANSAC over pairs
of rays, Fischler and Bolles 1981, then least squares, Kabsch 1976). One reference serves as long as
enough of it stays in view, so that errors do not add up from look to look. A camera on a tripod
comes out as not having turned at all, not as trembling: what is less than the noise counts as rest.

A camera's way through space is not found: it is small beside the turn where a phone is held by
hand, and large where somebody walks with it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.video.change import inside
from vid3d.video.frame import Image

Array = NDArray[np.float64]
Points = NDArray[np.floating]

LONGER_SIDE = 320
"""Pixels of the grey copies that corners are followed in."""
DILATION = 0.05
"""How far around their boxes people may stand before the background, as a share of the box."""
CORNERS, APART, FAINTEST = 160, 6, 0.001
"""Corners of a reference picture at most, pixels between them, and the faintest's share of the
strongest's response."""
AGREED = 1.0
"""Pixels within which a corner agrees with a rotation."""
REST = 0.4
"""Pixels below which a corner has not moved."""
STANDING = 0.3
"""Share of resting corners from which it is things that move, not the camera."""
MAJORITY, FEWEST = 0.5, 8
"""Share and number of the corners followed that have to agree."""
KEPT = 0.4
"""Share of a reference's corners below which another takes its place."""
PATIENCE = 10
"""Looks for which a reference is kept that says nothing: people who fill the picture go away."""
EARLIER = 3
"""Worn references that are tried again where nothing agrees: cameras come back."""
WIDEST = np.radians(40.0)
"""Turn from the first look beyond which the steady view is dragged along: a picture has edges."""
SAME, CHANGED, ALL_CHANGED = 10, 0.01, 0.5
"""Grey levels; share of pixels that change by more below which nothing moved, and above which,
where nothing agrees, all may be new."""
LIKE = 0.2
"""Phase correlation of two pictures of one scene, at least: at hard cuts it was 0.11 at most."""
OPEN = 0.1
"""Share of the picture that is background below which it tells less of a change."""
TRIALS = 64


@dataclass(frozen=True)
class _Picture:
    """A look's picture.

    Attributes:
        grey: (h, w) small copy.
        free: (h, w) 0 where people are.
    """

    grey: Image
    free: Image

    @cached_property
    def corners(self) -> NDArray[np.float32]:
        """(N, 2) in the small copy, none on a person."""
        found = cv2.goodFeaturesToTrack(self.grey, CORNERS, FAINTEST, APART, mask=self.free)
        corners = np.zeros((0, 2)) if found is None else np.reshape(found, (-1, 2))
        return corners.astype(np.float32)

    def lit_as(self, other: "_Picture") -> "_Picture":
        """The picture in the light of another: with its mean and contrast."""
        (mean,), (contrast,) = map(np.ravel, cv2.meanStdDev(self.grey))
        (wanted,), (range_,) = map(np.ravel, cv2.meanStdDev(other.grey))
        grey = (self.grey - mean) * (range_ / max(contrast, 1.0)) + wanted
        return _Picture(np.clip(grey, 0, 255).astype(np.uint8), self.free)


@dataclass(frozen=True)
class _Known:
    """A picture and the rotation (3, 3) that takes its rays to those of the first look."""

    picture: _Picture
    turn: Array


class View(NamedTuple):
    """Where the camera looks.

    Attributes:
        shift: homography (3, 3) from the picture to what the first look's camera would see, in
            pixels (`rotation_of` gives the turn back); None where it stands as at the first look.
        cut: whether the picture is of another scene than the one before; its look is a first one.
    """

    shift: Array | None
    cut: bool


class Egomotion:
    """Follows how a camera turns, look by look, and where a film was cut.

    Where too little agrees (a zoom, a picture full of people), the camera is held to stand still;
    where nothing agrees and the pictures are unlike each other, the film was cut.

    Args:
        fov: degrees that the camera sees across the pictures' longer side, as far as known.
    """

    def __init__(self, fov: float = ASSUMED_FOV) -> None:
        self._fov = fov
        self._reference: _Known | None = None
        self._last: _Known | None = None  # the look before
        self._earlier: deque[_Known] = deque(maxlen=EARLIER)  # references that were worn out
        self._lost = 0  # looks since the turn was last told

    def see(self, image: Image, boxes: Points) -> View:
        """Where the camera looks at the next look.

        Args:
            image: BGR (H, W, 3).
            boxes: (N, 4) people in it, pixels.
        """
        height, width = image.shape[:2]
        turn = self._turn(_picture(image, boxes))
        if turn is None:
            return View(None, cut=True)
        if np.array_equal(turn, np.eye(3)):
            return View(None, cut=False)
        pixels = Camera.from_fov(self._fov, (width, height)).intrinsics
        return View(np.asarray(pixels @ turn @ np.linalg.inv(pixels)), cut=False)

    def _turn(self, now: _Picture) -> Array | None:
        """The rotation (3, 3) from the picture's rays to the first look's; None at a cut."""
        last, reference = self._last, self._reference
        if last is None or reference is None:
            return self._begin(now)
        if last.picture.grey.shape != now.grey.shape:
            self._begin(now)
            return None
        changed = _changed(last.picture, now)
        if changed < CHANGED:
            return last.turn
        if match := next(self._found(now, reference, last), None):
            return self._told(now, *match)
        shows = len(now.corners) >= FEWEST  # no flash, no fade
        if shows and changed > ALL_CHANGED and _likeness(last.picture.grey, now.grey)[1] < LIKE:
            self._begin(now)
            return None
        self._last, self._lost = _Known(now, last.turn), self._lost + 1
        if self._lost > PATIENCE:
            self._replace(self._last)
        return last.turn

    def _begin(self, now: _Picture) -> Array:
        """Take a picture as the first."""
        self._last = self._reference = _Known(now, np.eye(3))
        self._lost = 0
        self._earlier.clear()
        return self._last.turn

    def _told(self, now: _Picture, known: _Known, found: Array, kept: int) -> Array:
        """The picture's turn, from its rotation to a known one."""
        whole = known.turn @ found
        turn = _within(whole)
        if turn is not whole:  # the view is dragged along: places in the old one are void
            known = _Known(known.picture, turn @ found.T)
            self._earlier.clear()
        self._last, self._reference, self._lost = _Known(now, turn), known, 0
        if kept < min(KEPT * len(known.picture.corners), len(now.corners)):
            self._replace(self._last)
        return turn

    def _found(
        self, now: _Picture, reference: _Known, last: _Known
    ) -> Iterator[tuple[_Known, Array, int]]:
        """Known pictures, the rotation from the present one to each, and how many corners agree.

        First the reference where it should be, then all of them by the shift of the whole picture,
        and in one light.
        """
        camera = Camera.from_fov(self._fov, now.grey.shape[::-1])
        near = reference.turn.T @ last.turn
        if found := _relative(reference.picture, now, near, camera):
            yield reference, *found
        for known in [*self._earlier, reference, *([] if self._lost else [last])][::-1]:
            if len(known.picture.corners) >= FEWEST:
                shifted = _shifted(known.picture.grey, now.grey, camera)
                if found := _relative(known.picture, now.lit_as(known.picture), shifted, camera):
                    yield known, *found

    def _replace(self, reference: _Known) -> None:
        """Take another reference; the one until now may come into view again."""
        assert self._reference is not None
        self._earlier.append(self._reference)
        self._reference = reference


def rotation_of(homography: Points, camera: Camera) -> Array:
    """The rotation (3, 3) of a camera's rays that comes nearest to a homography of its pictures.

    Least squares over a grid of pixels: exact where the homography was made with the same focal
    length, and about the same shift of the picture where with another.
    """
    width, height = camera.frame_size
    grid = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9), [1.0])
    here = np.stack(grid, -1).reshape(-1, 3)
    there = here @ np.asarray(homography, np.float64).T
    back = np.linalg.inv(camera.intrinsics).T
    return _kabsch(_unit(here @ back), _unit(there @ back))


def _picture(image: Image, boxes: Points) -> _Picture:
    """Small copy of the green channel; of a large picture every n-th pixel will do."""
    sides = image.shape[1], image.shape[0]
    every = max(1, max(sides) // (2 * LONGER_SIDE))
    width, height = (max(1, round(side * LONGER_SIDE / max(sides))) for side in sides)
    thin = np.ascontiguousarray(image[::every, ::every, 1])
    grey = np.asarray(cv2.resize(thin, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    free = np.full(grey.shape, 255, np.uint8)
    for rows, columns in inside(boxes * (width / sides[0]), grey.shape, DILATION):
        free[rows, columns] = 0
    return _Picture(grey, free)


def _changed(before: _Picture, now: _Picture) -> float:
    """Share of the pixels outside the people that changed; less where these are few."""
    free = cv2.bitwise_and(before.free, now.free)
    levels = cv2.bitwise_and(cv2.absdiff(before.grey, now.grey), free)
    return int((levels > SAME).sum()) / max(cv2.countNonZero(free), OPEN * free.size)


def _relative(
    reference: _Picture, now: _Picture, guess: Array, camera: Camera
) -> tuple[Array, int] | None:
    """The rotation (3, 3) from a picture's rays to a reference's, and how many corners agree.

    None where too few do.

    Args:
        reference: seen earlier.
        now: the picture.
        guess: (3, 3) what the rotation may be.
        camera: of the small copies.
    """
    before = reference.corners
    if len(before) < FEWEST:
        return None
    expected = camera.project(camera.rays(before) @ guess)
    expected = np.where(np.isfinite(expected), expected, before).astype(np.float32)
    flow, status, _ = cv2.calcOpticalFlowPyrLK(
        reference.grey,
        now.grey,
        before,
        expected,
        winSize=(13, 13),
        maxLevel=3,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    after = np.asarray(flow, np.float32)
    found = (np.ravel(status) > 0) & _inside(after, now.free)
    before, after = before[found], after[found]
    if len(after) < FEWEST:
        return None
    resting = np.linalg.norm(after - before, axis=-1) < REST
    if resting.mean() >= STANDING:
        return np.eye(3), int(resting.sum())
    rays, others = _unit(camera.rays(after)), _unit(camera.rays(before))
    rotation, agreed = _agreed(rays, others, AGREED / float(camera.intrinsics[0, 0]))
    if agreed.sum() < max(FEWEST, MAJORITY * len(after)):
        return None
    moves = np.linalg.norm(rays @ rotation.T - rays, axis=-1) * camera.intrinsics[0, 0]
    return (np.eye(3) if np.median(moves) < REST else rotation), int(agreed.sum())


def _shifted(before: Image, now: Image, camera: Camera) -> Array:
    """About the rotation from a picture's rays to an earlier one's: by the shift of the whole.

    For turns that are too quick for corners to be found again.
    """
    (dx, dy), _ = _likeness(before, now)
    back = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy], [0.0, 0.0, 1.0]])
    return rotation_of(back, camera)


def _likeness(before: Image, now: Image) -> tuple[Sequence[float], float]:
    """How far a picture is shifted against an earlier one, in pixels, and how like it is then.

    By phase correlation (Kuglin 1975), to which it is one how much light there is; 1 is the same.
    """
    window = cv2.createHanningWindow(now.shape[::-1], cv2.CV_32F)
    return cv2.phaseCorrelate(before.astype(np.float32), now.astype(np.float32), window)


def _inside(points: Points, free: Image) -> NDArray[np.bool_]:
    """Which of (N, 2) lie in the picture and on no person."""
    height, width = free.shape
    near = np.asarray(((points > -0.5) & (points < (width - 0.5, height - 0.5))).all(-1))
    column, row = np.round(np.where(near[:, None], points, 0)).astype(int).T
    return np.asarray(near & (free[row, column] > 0))


def _agreed(rays: Array, others: Array, limit: float) -> tuple[Array, NDArray[np.bool_]]:
    """The rotation from (N, 3) unit rays to others that most agree on, and which do."""
    pairs = np.random.default_rng(0).integers(0, len(rays), (TRIALS, 2))
    near = _near(_kabsch(rays[pairs], others[pairs]), rays, others, limit)
    agreed = near[near.sum(-1).argmax()]
    for _ in range(2):
        rotation = _kabsch(rays[agreed], others[agreed])
        agreed = _near(rotation, rays, others, limit)
    return rotation, agreed


def _near(rotation: Array, rays: Array, others: Array, limit: float) -> NDArray[np.bool_]:
    """Which (..., N) of unit rays rotations (..., 3, 3) take to within an angle of the others."""
    misses = np.linalg.norm(rays @ rotation.swapaxes(-1, -2) - others, axis=-1)
    return np.asarray(misses < limit)


def _kabsch(rays: Array, others: Array) -> Array:
    """The rotations (..., 3, 3) that best take (..., N, 3) unit rays to others (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(others.swapaxes(-1, -2) @ rays)
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]  # a rotation, not a mirror
    return np.asarray(u @ vt)


def _unit(rays: Points) -> Array:
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True), np.float64)


def _within(turn: Array) -> Array:
    """A rotation by `WIDEST` at most, about the same axis."""
    vector = Rotation.from_matrix(turn).as_rotvec()
    angle = float(np.linalg.norm(vector))
    return turn if angle <= WIDEST else Rotation.from_rotvec(vector * (WIDEST / angle)).as_matrix()
