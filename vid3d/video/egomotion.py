"""How the camera turned and zoomed, told from what stands still behind the people.

Corners of the background are followed from a reference picture to the next look (pyramidal
Lucas-Kanade, Bouguet 2001), and the rotation that most of them agree on is taken (RANSAC over pairs
of rays, Fischler and Bolles 1981, then least squares, Kabsch 1976). Where a zoom explains clearly
more, it is taken too: a lens leaves the angle between two rays as it is, which gives the focal
length by each pair. One reference serves as long as enough of it stays in view, so that errors do
not add up from look to look. A camera on a tripod comes out as not having turned at all, not as
trembling: what is less than the noise counts as rest.

Of a lens that nobody knows a usual angle is assumed, until the turns tell it (`video.lens`).

A camera's way through space is not found: it is small beside the turn where a phone is held by
hand, and large where somebody walks with it. It is no zoom either, as near things then grow faster
than far ones.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.video.change import inside
from vid3d.video.dissolve import Fine, fine, is_mixture
from vid3d.video.frame import Image
from vid3d.video.lens import LensFinder
from vid3d.video.setting import (
    AS_BEFORE,
    LEAST_ZOOM,
    MOST_ZOOM,
    Setting,
    agreed_turn,
    agreed_zoom,
    lengthened,
    miss_of,
    setting_of,
    through,
    turn_of,
    unit,
)

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
CLEARLY = 0.1
"""Share of the corners by which more have to agree on a zoom than on a rotation alone."""
SHARP, SHARPER = 0.17, 0.14
"""Pixels by which the corners that agree on a zoom miss at most (median), through the lens as known
and through one of `LENSES`. Where a camera travels, near things grow faster than far ones, and it
was 0.20 at least; with zooms 0.16 at most, mostly 0.1."""
LENSES = tuple(1.12**power for power in (-1, 1, -2, 2, -3, 3, -4, 4))
"""How much longer than known the lens may be."""
WIDER = (80.0, 105.0)
"""Degrees across the longer side that are tried where nothing agrees with what is assumed."""
QUICK_ZOOMS = tuple(2 ** (third / 3) for third in range(-3, 4))
"""Zooms that are tried where nothing agrees: so near each other that corners are found again."""
LIKE = 0.2
"""Phase correlation of two pictures of one scene, at least: at hard cuts it was 0.11 at most."""
DISSOLVE = 6
"""Looks to the middle of a dissolve, at most."""
OPEN = 0.1
"""Share of the picture that is background below which it tells less of a change."""


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

    @cached_property
    def fine(self) -> Fine:
        """What lies fine in it."""
        return fine(self.grey)

    def lit_as(self, other: "_Picture") -> "_Picture":
        """The picture in the light of another: with its mean and contrast."""
        (mean,), (contrast,) = map(np.ravel, cv2.meanStdDev(self.grey))
        (wanted,), (range_,) = map(np.ravel, cv2.meanStdDev(other.grey))
        grey = (self.grey - mean) * (range_ / max(contrast, 1.0)) + wanted
        return _Picture(np.clip(grey, 0, 255).astype(np.uint8), self.free)


@dataclass(frozen=True)
class _Known:
    """A picture and how the camera was set, against the first look."""

    picture: _Picture
    setting: Setting


class View(NamedTuple):
    """Where the camera looks.

    Attributes:
        shift: homography (3, 3) from the picture to what the first look's camera would see, in
            pixels (`setting_of` gives turn and zoom back); None where it stands as at the first
            look.
        cut: whether the picture is of another scene than those before; its look is a first one.
        fov: degrees across the longer side as found, if need be, by now.
    """

    shift: Array | None
    cut: bool
    fov: float | None = None


class _Match(NamedTuple):
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


class Egomotion:
    """Follows how a camera turns and zooms, look by look, and where a film was cut.

    Where too little agrees (a picture full of people), the camera is held to stand still;
    where nothing agrees and the pictures are unlike each other, the film was cut, and so it was
    where one scene dissolved into another.

    Args:
        fov: degrees that the camera sees across the pictures' longer side; None: to be found.
    """

    def __init__(self, fov: float | None = None) -> None:
        self._fov = ASSUMED_FOV if fov is None else fov
        self._lens = LensFinder() if fov is None else None
        self._reference: _Known | None = None
        self._last: _Known | None = None  # the look before
        self._earlier: deque[_Known] = deque(maxlen=EARLIER)  # references that were worn out
        self._lost = 0  # looks since the setting was last told
        self._before: deque[_Picture] = deque(maxlen=2 * DISSOLVE)  # of this scene

    def see(self, image: Image, boxes: Points) -> View:
        """Where the camera looks at the next look.

        Args:
            image: BGR (H, W, 3).
            boxes: (N, 4) people in it, pixels.
        """
        height, width = image.shape[:2]
        now = _picture(image, boxes)
        setting = self._setting(now)
        self._before.append(now)
        fov = self._lens.fov if self._lens else None
        if setting is None:
            return View(None, True, fov)
        if setting.zoom == 1 and np.array_equal(setting.turn, np.eye(3)):
            return View(None, False, fov)
        camera = Camera.from_fov(self._fov, (width, height))
        return View(setting.homography(camera), False, fov)

    def _setting(self, now: _Picture) -> Setting | None:
        """How the camera is set against the first look; None at a cut."""
        last, reference = self._last, self._reference
        if last is None or reference is None:
            return self._begin(now)
        if last.picture.grey.shape != now.grey.shape:
            self._begin(now)
            return None
        changed = _changed(last.picture, now)
        if changed < CHANGED:
            return last.setting
        if self._dissolved(now):
            self._begin(now)
            return None
        if found := next(self._found(now, reference, last), None):
            return self._told(now, *found)
        shows = len(now.corners) >= FEWEST  # no flash, no fade
        if shows and changed > ALL_CHANGED and _likeness(last.picture.grey, now.grey)[1] < LIKE:
            self._begin(now)
            return None
        self._last, self._lost = _Known(now, last.setting), self._lost + 1
        if self._lost > PATIENCE:
            self._replace(self._last)
        return last.setting

    def _begin(self, now: _Picture) -> Setting:
        """Take a picture as the first."""
        self._last = self._reference = _Known(now, AS_BEFORE)
        self._lost = 0
        self._earlier.clear()
        self._before.clear()
        return self._last.setting

    def _dissolved(self, now: _Picture) -> bool:
        """Whether another scene has come in place of one by and by."""
        looks = [*self._before, now]
        for first, middle in zip(looks[-3::-2], looks[-2::-1], strict=False):
            if (
                _changed(first, now) > ALL_CHANGED
                and is_mixture(first.fine, middle.fine, now.fine, _free(first, middle, now))
                and _likeness(first.grey, now.grey)[1] < LIKE
            ):
                return True
        return False

    def _told(self, now: _Picture, known: _Known, match: _Match) -> Setting:
        """How the camera is set, from how it is against a known picture's."""
        before, found = known.setting, match.setting
        whole = Setting(before.turn @ found.turn, before.zoom * found.zoom)
        setting = _within(whole)
        if setting is not whole:  # the view is dragged along: places in the old one are void
            before = Setting(setting.turn @ found.turn.T, setting.zoom / found.zoom)
            known = _Known(known.picture, before)
            self._earlier.clear()
        self._last, self._reference, self._lost = _Known(now, setting), known, 0
        if match.agreed < min(KEPT * len(known.picture.corners), len(now.corners)):
            self._replace(self._last)
        if self._lens and found.zoom == 1:
            size, zoom = now.grey.shape[::-1], known.setting.zoom
            self._lens.add(found.turn, match.before, match.after, size, zoom)
            if self._lens.fov not in (None, self._fov):
                self._look_through(self._lens.fov, size)
        return self._last.setting

    def _look_through(self, fov: float, size: tuple[int, int]) -> None:
        """Take another lens, with which known pictures are shifted as much as until now."""
        until_now, now = (Camera.from_fov(degrees, size) for degrees in (self._fov, fov))

        def again(known: _Known) -> _Known:
            zooms = known.setting.zoom != 1
            shift = known.setting.homography(until_now)
            return _Known(known.picture, setting_of(shift, now, zooms))

        assert self._last is not None
        assert self._reference is not None
        self._last, self._reference = again(self._last), again(self._reference)
        self._earlier = deque(map(again, self._earlier), maxlen=EARLIER)
        self._fov = fov

    def _found(
        self, now: _Picture, reference: _Known, last: _Known
    ) -> Iterator[tuple[_Known, _Match]]:
        """Known pictures, and the present one beside each with which enough corners agree.

        First the reference where it should be, then all of them by the shift of the whole picture,
        and in one light, at last with quick zooms.
        """
        near = last.setting.since(reference.setting)
        if found := _relative(reference.picture, now, near, self._camera(now, reference)):
            yield reference, found
        known = [*self._earlier, reference, *([] if self._lost else [last])][::-1]
        known = [one for one in known if len(one.picture.corners) >= FEWEST]
        for one in known:
            camera = self._camera(now, one)
            shifted, _ = _shifted(one.picture.grey, now.grey, camera)
            if found := _relative(one.picture, now.lit_as(one.picture), shifted, camera):
                yield one, found
        if self._lens and self._lens.fov is None:
            yield from self._found_wider(now)
        for one in known[:1]:
            camera = self._camera(now, one)
            guesses = [_shifted(one.picture.grey, now.grey, camera, zoom) for zoom in QUICK_ZOOMS]
            zoomed, _ = max(guesses, key=itemgetter(1))
            found = _relative(one.picture, now, zoomed, camera)
            if found and found.setting.zoom != 1:  # turns were tried
                yield one, found

    def _found_wider(self, now: _Picture) -> Iterator[tuple[_Known, _Match]]:
        """The same with lenses so wide that the one that is assumed fits no corners."""
        until_now = self._fov, self._last, self._reference, self._earlier
        for fov in WIDER:
            self._look_through(fov, now.grey.shape[::-1])
            assert self._last is not None
            assert self._reference is not None
            last, reference = self._last, self._reference
            near = last.setting.since(reference.setting)
            if found := _relative(reference.picture, now, near, self._camera(now, reference)):
                yield reference, found
        self._fov, self._last, self._reference, self._earlier = until_now

    def _camera(self, now: _Picture, known: _Known) -> Camera:
        """The small copies' camera, as it was zoomed when a picture was seen."""
        size = now.grey.shape[::-1]
        return lengthened(Camera.from_fov(self._fov, size), known.setting.zoom)

    def _replace(self, reference: _Known) -> None:
        """Take another reference; the one until now may come into view again."""
        assert self._reference is not None
        self._earlier.append(self._reference)
        self._reference = reference


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


def _free(*pictures: _Picture) -> Image:
    """(h, w) 0 where people are in any of them."""
    return np.minimum.reduce([picture.free for picture in pictures])


def _changed(before: _Picture, now: _Picture) -> float:
    """Share of the pixels outside the people that changed; less where these are few."""
    free = _free(before, now)
    levels = cv2.bitwise_and(cv2.absdiff(before.grey, now.grey), free)
    return int((levels > SAME).sum()) / max(cv2.countNonZero(free), OPEN * free.size)


def _relative(reference: _Picture, now: _Picture, guess: Setting, camera: Camera) -> _Match | None:
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
        return _Match(AS_BEFORE, int(resting.sum()), before, after)
    focal = float(camera.intrinsics[0, 0])
    rays, others = unit(camera.rays(after)), unit(camera.rays(before))
    rotation, agreed = agreed_turn(rays, others, AGREED / focal)
    share = float(agreed.mean())
    if share < 1 - CLEARLY and (zooming := _zooming(reference, now, guess, camera, share)):
        return zooming
    if agreed.sum() < max(FEWEST, MAJORITY * len(after)):
        return None
    turn = _rested(rotation, rays, focal)
    return _Match(Setting(turn), int(agreed.sum()), before, after)


def _zooming(
    reference: _Picture, now: _Picture, guess: Setting, camera: Camera, share: float
) -> _Match | None:
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
    return _Match(Setting(turn, guess.zoom), int(agreed.sum()), before, after)


def _sharp(guess: Setting, before: Points, after: Points, camera: Camera) -> bool:
    """Whether corners agree with a turn and a zoom as well as they do where a lens did it."""
    if miss_of(guess, before, after, camera) < SHARP:
        return True
    lenses = (lengthened(camera, longer) for longer in LENSES)  # a wrong one blurs what turns
    return any(miss_of(guess, before, after, lens) < SHARPER for lens in lenses)


def _followed(
    reference: _Picture, now: _Picture, guess: Setting, camera: Camera
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


def _shifted(before: Image, now: Image, camera: Camera, zoom: float = 1.0) -> tuple[Setting, float]:
    """About how a picture's setting is against an earlier one's, by the shift of the whole.

    For turns that are too quick for corners to be found again; and how like the pictures are.

    Args:
        before: grey (h, w).
        now: likewise.
        camera: of the earlier one.
        zoom: since then; the picture with the wider view is enlarged.
    """
    enlarged, camera = max(zoom, 1.0), lengthened(camera, max(zoom, 1.0))
    (dx, dy), like = _likeness(
        _zoomed(before, enlarged, camera), _zoomed(now, enlarged / zoom, camera)
    )
    back = np.array([[1.0, 0.0, -dx], [0.0, 1.0, -dy], [0.0, 0.0, 1.0]])
    return Setting(turn_of(back, camera), zoom), like


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


def _within(setting: Setting) -> Setting:
    """A setting turned by `WIDEST` at most, about the same axis, and zoomed between the limits."""
    vector = Rotation.from_matrix(setting.turn).as_rotvec()
    angle = float(np.linalg.norm(vector))
    zoom = min(max(setting.zoom, LEAST_ZOOM), MOST_ZOOM)
    if angle <= WIDEST and zoom == setting.zoom:
        return setting
    nearer = vector * (WIDEST / max(angle, WIDEST))
    return Setting(Rotation.from_rotvec(nearer).as_matrix(), zoom)
