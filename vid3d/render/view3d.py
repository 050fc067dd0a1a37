"""The 3D view: skeletons in space over a floor, drawn in software at video rate."""

import numpy as np
from numpy.typing import NDArray

from vid3d.floor import Floor, floor_of, sampled_bodies
from vid3d.motion_schema import AnyMotion
from vid3d.render import draw, style
from vid3d.render.hud import Hud, Panel
from vid3d.render.options import RenderOptions
from vid3d.render.scene import View, corners, fit_view, grid, orbit
from vid3d.skeleton import H36M17
from vid3d.video.frame import Size
from vid3d.video.planes import Coding, Planes

BONES = np.array(H36M17.bones)
_HEADS = np.flatnonzero(BONES[:, 1] == H36M17.index("head"))
_LIMBS = np.flatnonzero(BONES[:, 1] != H36M17.index("head"))
_KNOBS = np.flatnonzero(~np.isin(BONES[:, 1], H36M17.indices(["head", "nose"])))

# A body is drawn as strokes between joints: limbs, a knob (a stroke without length) on the far
# joint of each but the neck, and the head. Each has the colour of a bone, a width, and a bias
# towards the viewer that puts knobs on top of the limbs that they join.
_BONE = np.concatenate([_LIMBS, _KNOBS, _HEADS])
_STROKES = np.concatenate([BONES[_LIMBS], BONES[_KNOBS][:, [1, 1]], BONES[_HEADS]])
_COUNTS = [len(_LIMBS), len(_KNOBS), len(_HEADS)]
_METRES = np.repeat([0.05, 0.06, 0.16], _COUNTS)
_NEARER = np.repeat([0.0, 0.1, 0.0], _COUNTS)
_IS_KNOB = np.repeat([False, True, False], _COUNTS)

SHADOW_METRES = 0.065
BLOB_OPACITY = 0.3
TRAIL_PARTS, TRAIL_POINTS = 5, 60
"""Parts of a trail, each paler than the next, and points of all of them at most."""


class View3D:
    """Draws the 3D view of a motion, frame by frame.

    Args:
        motion: what to draw; the view is chosen once, from all of it.
        size: width and height of the pictures in pixels.
        options: what to show.
        words: whether names, time and legend are written, where they leave half of the height.
        coding: of the pictures' colours.
    """

    def __init__(
        self,
        motion: AnyMotion,
        size: Size,
        options: RenderOptions | None = None,
        words: bool = True,
        coding: Coding | None = None,
    ):
        self.motion = motion
        self.options = options or RenderOptions()
        panel = Panel(size)
        words = words and 2 * (panel.top + panel.bottom) <= size[1]
        self._hud = Hud(motion, panel, self.options) if words else None
        margins = (panel.top, panel.bottom, panel.pad) if words else (round(size[1] / 20),) * 3
        self._trail = max(2, round(min(size) / 240))
        coding, bodies = coding or Coding(), sampled_bodies(motion)
        self.floor = floor_of(motion)
        self._ground = _ground(self.floor, bodies)
        start, elevation = self.options.azimuth, self.options.elevation
        if self.options.turn:
            self._round = orbit(bodies, self.floor, size, margins, elevation)
            self.view = self._round(start or 0.0)
            self._backdrop = _wall(size, coding)
        else:
            self.view = fit_view(bodies, self.floor, size, margins, start, elevation)
            large = _wall((2 * size[0], 2 * size[1]), coding)  # smoother lines, drawn only once
            _draw_floor(large, self.view, self._ground, 2)
            self._backdrop = large.halved()
            if self._hud:
                self._hud.draw_still(self._backdrop)
        self._colors = np.array(
            [
                style.bone_colors(style.person_color(person), H36M17, self.options.colors)
                for person in range(motion.people)
            ]
        )

    def draw(self, picture: Planes, index: int) -> None:
        """Paint the view of a frame of the motion over a picture of its size.

        Pictures may be given again, if nobody else has painted on them.
        """
        picture.restore(self._backdrop)
        if self.options.turn:
            self._turn(picture, index)
        moment = self.motion.at(index)
        people = moment.people
        if self.options.trails:
            for person in people.tolist():
                self._draw_trail(picture, person, index)
        if len(people):
            joints, spread = moment.joints3d.astype(np.float64), moment.spread
            self._draw_shadows(picture, joints)
            if self.options.uncertainty:
                self._draw_blobs(picture, people, joints, spread)
            colors = self._colors[people]
            if self.options.fade:
                colors = style.faded(colors, spread[:, BONES[:, 1]])
            self._draw_bodies(picture, joints, colors)
        if self._hud:
            self._hud.draw(picture, index, people.tolist())

    def _turn(self, picture: Planes, index: int) -> None:
        """Stand where the turning view is at a frame, and paint the floor from there."""
        times = self.motion.timestamps
        turns = (times[index] - times[0]) / self.options.turn
        self.view = self._round((self.options.azimuth or 0.0) + 360.0 * turns)
        _draw_floor(picture, self.view, self._ground, 1)
        if self._hud:
            self._hud.draw_still(picture)

    def _draw_trail(self, picture: Planes, person: int, index: int) -> None:
        """Where a person went in the last seconds, on the floor, paler the longer ago."""
        times = self.motion.timestamps
        first = int(np.searchsorted(times, times[index] - self.options.trails))
        step = max(2, -(-(index - first) // TRAIL_POINTS))
        path = self.motion.path(person, first, index + 1)[::-1]
        absent = np.flatnonzero(~np.isfinite(path[:, 0]))
        path = path[: absent[0] if len(absent) else None : step]  # since the person came
        spots, _ = self.view.project(self.floor.below(path))
        spots = spots[draw.drawable(spots)]
        size = -(-len(spots) // TRAIL_PARTS)
        parts = [spots[part * size : (part + 1) * size + 1] for part in range(TRAIL_PARTS)]
        strengths = [0.7 * (1 - part / TRAIL_PARTS) for part in range(TRAIL_PARTS)]
        color = style.person_color(person)
        colors = [style.mix(style.FLOOR, color, strength) for strength in strengths]
        draw.polylines(picture, parts, colors, self._trail)

    def _draw_shadows(self, picture: Planes, joints: NDArray[np.float64]) -> None:
        pixels, depth = self.view.project(self.floor.below(joints))
        ends, widths = pixels[:, BONES], SHADOW_METRES * self.view.focal / depth[:, BONES[:, 1]]
        known = np.isfinite(widths)
        draw.strokes(picture, ends[known], style.SHADOW, widths[known], rims=0)

    def _draw_blobs(
        self,
        picture: Planes,
        people: NDArray[np.int64],
        joints: NDArray[np.float64],
        spread: NDArray[np.floating],
    ) -> None:
        """Balls that hold 68 % of each joint's errors, as one translucent shape a person."""
        pixels, depth = self.view.project(joints)
        widths = 2 * self.view.focal * spread / depth
        for person, spots, width in zip(people.tolist(), pixels, widths, strict=True):
            known = np.isfinite(width)
            dots = spots[known][:, None].repeat(2, 1)
            color = style.person_color(person)
            draw.strokes(picture, dots, color, width[known], rims=0, opacity=BLOB_OPACITY)

    def _draw_bodies(
        self, picture: Planes, joints: NDArray[np.float64], colors: NDArray[np.float64]
    ) -> None:
        """Everybody, the far strokes first; joints (P, 17, 3), colours (P, bones, 3)."""
        pixels, depth = self.view.project(joints)
        ends = pixels[:, _STROKES].reshape(-1, 2, 2)
        middle = depth[:, _STROKES].mean(-1)
        widths = (self.view.focal / middle * _METRES).ravel()
        tones = np.where(_IS_KNOB[:, None], style.lit(colors[:, _BONE]), colors[:, _BONE])
        rims = np.tile(np.where(_IS_KNOB, 0, 1), len(joints))
        order = np.argsort((_NEARER - middle).ravel())
        order = order[np.isfinite(widths[order])]
        draw.strokes(picture, ends[order], tones.reshape(-1, 3)[order], widths[order], rims[order])


_Ground = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _ground(floor: Floor, bodies: NDArray[np.float64]) -> _Ground:
    """Corners of the piece of floor that is drawn, and starts and ends of its grid's lines."""
    return corners(floor, bodies), *grid(floor, bodies)


def _wall(size: Size, coding: Coding) -> Planes:
    """What is behind the floor: a gradient."""
    shades = np.linspace(style.BACKGROUND_TOP, style.BACKGROUND_BOTTOM, size[1])
    return Planes.plain(size, coding, shades)


def _draw_floor(picture: Planes, view: View, ground: _Ground, scale: int) -> None:
    """The floor and its grid on a picture `scale` times the view's."""
    edge, starts, ends = (view.project(points)[0] * scale for points in ground)
    if draw.drawable(edge).all():
        draw.polygon(picture, edge, style.FLOOR)
    draw.strokes(picture, np.stack([starts, ends], 1), style.GRID, scale, rims=0)
