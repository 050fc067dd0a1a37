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
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.video.captions import captions
from vid3d.video.dissolve import is_mixture
from vid3d.video.frame import Image
from vid3d.video.lens import LensFinder
from vid3d.video.matching import FEWEST, Match, matched, shifted
from vid3d.video.scenery import Scenery, changed_share, free_in, likeness
from vid3d.video.setting import (
    AS_BEFORE,
    LEAST_ZOOM,
    MOST_ZOOM,
    Setting,
    lengthened,
    setting_of,
)

Array = NDArray[np.float64]
Points = NDArray[np.floating]

KEPT = 0.4
"""Share of a reference's corners below which another takes its place."""
PATIENCE = 10
"""Looks for which a reference is kept that says nothing: people who fill the picture go away."""
EARLIER = 3
"""Worn references that are tried again where nothing agrees: cameras come back."""
WIDEST = np.radians(40.0)
"""Turn from the first look beyond which the steady view is dragged along: a picture has edges."""
CHANGED, ALL_CHANGED = 0.01, 0.5
"""Share of the background that changes below which nothing moved, and above which, where nothing
agrees, all may be new."""
WIDER = (80.0, 105.0)
"""Degrees across the longer side that are tried where nothing agrees with what is assumed."""
QUICK_ZOOMS = tuple(2 ** (third / 3) for third in range(-3, 4))
"""Zooms that are tried where nothing agrees: so near each other that corners are found again."""
LIKE = 0.2
"""Phase correlation of two pictures of one scene, at least: at hard cuts it was 0.11 at most."""
BESIDE_CAPTIONS = 0.6
"""Share of the corners beside captions that agree on a turn, at least."""
DISSOLVE = 6
"""Looks to the middle of a dissolve, at most."""


@dataclass(frozen=True)
class _Known:
    """A picture and how the camera was set, against the first look."""

    picture: Scenery
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
        self._before: deque[Scenery] = deque(maxlen=2 * DISSOLVE)  # of this scene
        self._shown = False  # whether anything was to be seen yet
        self._captions: NDArray[np.bool_] | None = None  # (h, w) seen over the pictures so far

    def see(self, image: Image, boxes: Points) -> View:
        """Where the camera looks at the next look.

        Args:
            image: BGR (H, W, 3).
            boxes: (N, 4) people in it, pixels.
        """
        height, width = image.shape[:2]
        now = Scenery.of(image, boxes).without(self._captions)
        resized = self._last is not None and self._last.picture.grey.shape != now.grey.shape
        shown, self._shown = self._shown or resized, self._shown or not now.blank
        setting = self._setting(now)
        self._before.append(now)
        fov = self._lens.fov if self._lens else None
        if setting is None:  # black before the first scene is none
            return View(None, shown, fov)
        if setting.zoom == 1 and np.array_equal(setting.turn, np.eye(3)):
            return View(None, False, fov)
        camera = Camera.from_fov(self._fov, (width, height))
        return View(setting.homography(camera), False, fov)

    def _setting(self, now: Scenery) -> Setting | None:
        """How the camera is set against the first look; None at a cut."""
        last, reference = self._last, self._reference
        if last is None or reference is None:
            return self._begin(now)
        if last.picture.grey.shape != now.grey.shape:
            self._begin(now)
            return None
        changed = changed_share(last.picture, now)
        if changed < CHANGED:
            return last.setting
        if self._dissolved(now):
            self._begin(now)
            return None
        found = next(self._found(now, reference, last), None)
        if found is None or _rests(found[1]):
            now, found = self._beside_captions(now, found)
        if found:
            return self._told(now, *found)
        shows = len(now.corners) >= FEWEST  # no flash, no fade
        if shows and changed > ALL_CHANGED and likeness(last.picture.grey, now.grey)[1] < LIKE:
            self._begin(now)
            return None
        self._last, self._lost = _Known(now, last.setting), self._lost + 1
        if self._lost > PATIENCE:
            self._replace(self._last)
        return last.setting

    def _begin(self, now: Scenery) -> Setting:
        """Take a picture as the first."""
        self._last = self._reference = _Known(now, AS_BEFORE)
        self._lost = 0
        self._earlier.clear()
        self._before.clear()
        return self._last.setting

    def _dissolved(self, now: Scenery) -> bool:
        """Whether another scene has come in place of one by and by."""
        looks = [*self._before, now]
        for first, middle in zip(looks[-3::-2], looks[-2::-1], strict=False):
            if (
                changed_share(first, now) > ALL_CHANGED
                and is_mixture(first.fine, middle.fine, now.fine, free_in(first, middle, now))
                and likeness(first.grey, now.grey)[1] < LIKE
            ):
                return True
        return False

    def _told(self, now: Scenery, known: _Known, match: Match) -> Setting:
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
        self, now: Scenery, reference: _Known, last: _Known
    ) -> Iterator[tuple[_Known, Match]]:
        """Known pictures, and the present one beside each with which enough corners agree.

        First the reference where it should be, then all of them by the shift of the whole picture,
        and in one light, at last with quick zooms.
        """
        near = last.setting.since(reference.setting)
        if found := matched(reference.picture, now, near, self._camera(now, reference)):
            yield reference, found
        known = [*self._earlier, reference, *([] if self._lost else [last])][::-1]
        known = [one for one in known if len(one.picture.corners) >= FEWEST]
        for one in known:
            camera = self._camera(now, one)
            guess, _ = shifted(one.picture.grey, now.grey, camera)
            if found := matched(one.picture, now.lit_as(one.picture), guess, camera):
                yield one, found
        if self._lens and self._lens.fov is None:
            yield from self._found_wider(now)
        for one in known[:1]:
            camera = self._camera(now, one)
            guesses = [shifted(one.picture.grey, now.grey, camera, zoom) for zoom in QUICK_ZOOMS]
            zoomed, _ = max(guesses, key=itemgetter(1))
            found = matched(one.picture, now, zoomed, camera)
            if found and found.setting.zoom != 1:  # turns were tried
                yield one, found

    def _beside_captions(
        self, now: Scenery, found: tuple[_Known, Match] | None
    ) -> tuple[Scenery, tuple[_Known, Match] | None]:
        """A picture without what was laid over it, and what is found so, if the camera moved."""
        until_now = self._last, self._reference, self._earlier
        assert self._last is not None
        assert self._reference is not None
        seen = self._reference.picture
        covered = captions(seen.grey, now.grey, free_in(seen, now))
        if covered is None:
            return now, found

        def beside(known: _Known) -> _Known:
            return _Known(known.picture.without(covered), known.setting)

        self._last, self._reference = last, reference = beside(self._last), beside(self._reference)
        self._earlier = deque(map(beside, self._earlier), maxlen=EARLIER)
        bare = now.without(covered)
        again = next(self._found(bare, reference, last), None)
        if again is None or _rests(again[1]) or again[1].share < BESIDE_CAPTIONS:
            self._last, self._reference, self._earlier = until_now
            return now, found
        self._captions = covered if self._captions is None else self._captions | covered
        return bare, again

    def _found_wider(self, now: Scenery) -> Iterator[tuple[_Known, Match]]:
        """The same with lenses so wide that the one that is assumed fits no corners."""
        until_now = self._fov, self._last, self._reference, self._earlier
        for fov in WIDER:
            self._look_through(fov, now.grey.shape[::-1])
            assert self._last is not None
            assert self._reference is not None
            last, reference = self._last, self._reference
            near = last.setting.since(reference.setting)
            if found := matched(reference.picture, now, near, self._camera(now, reference)):
                yield reference, found
        self._fov, self._last, self._reference, self._earlier = until_now

    def _camera(self, now: Scenery, known: _Known) -> Camera:
        """The small copies' camera, as it was zoomed when a picture was seen."""
        size = now.grey.shape[::-1]
        return lengthened(Camera.from_fov(self._fov, size), known.setting.zoom)

    def _replace(self, reference: _Known) -> None:
        """Take another reference; the one until now may come into view again."""
        assert self._reference is not None
        self._earlier.append(self._reference)
        self._reference = reference


def _rests(match: Match) -> bool:
    """Whether a picture shows the same as the known one."""
    turn, zoom = match.setting
    return zoom == 1 and np.array_equal(turn, np.eye(3))


def _within(setting: Setting) -> Setting:
    """A setting turned by `WIDEST` at most, about the same axis, and zoomed between the limits."""
    vector = Rotation.from_matrix(setting.turn).as_rotvec()
    angle = float(np.linalg.norm(vector))
    zoom = min(max(setting.zoom, LEAST_ZOOM), MOST_ZOOM)
    if angle <= WIDEST and zoom == setting.zoom:
        return setting
    nearer = vector * (WIDEST / max(angle, WIDEST))
    return Setting(Rotation.from_rotvec(nearer).as_matrix(), zoom)
