"""The 3D view: skeletons in space over a floor, drawn in software at video rate."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.floor import Floor, floor_of, sampled_bodies
from vid3d.motion import Motion
from vid3d.render import draw, style
from vid3d.render.hud import Hud, Layout
from vid3d.render.scene import View, corners, fit_view, grid
from vid3d.skeleton import H36M17
from vid3d.video.frame import Image, Size

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

TRAIL_SECONDS, SHADOW_METRES = 2.0, 0.065
SUPERSAMPLE = 2


class View3D:
    """Draws the 3D view of a motion, frame by frame.

    Args:
        motion: what to draw; the view is chosen once, from all of it.
        size: width and height of the pictures in pixels.
    """

    def __init__(self, motion: Motion, size: Size):
        self.motion = motion
        layout = Layout(size)
        bodies = sampled_bodies(motion)
        self.floor = floor_of(motion)
        self.view = fit_view(bodies, self.floor, size, (layout.top, layout.bottom, layout.pad))
        self._hud = Hud(motion, layout)
        self._backdrop = _backdrop(size, self.view, self.floor, bodies)
        self._hud.draw_still(self._backdrop)
        self._colors = [
            style.bone_colors(style.person_color(person), H36M17) for person in range(motion.people)
        ]

    def draw(self, index: int) -> Image:
        """The picture (H, W, 3) of a frame of the motion."""
        image = self._backdrop.copy()
        people = np.flatnonzero(self.motion.present[:, index]).tolist()
        for person in people:
            self._draw_path(image, person, index)
        if people:
            joints = self.motion.joints3d[people, index].astype(np.float64)
            self._draw_shadows(image, joints)
            spread = self.motion.spread[people, index][:, BONES[:, 1]]
            shades = [style.faded(self._colors[p], s) for p, s in zip(people, spread, strict=True)]
            self._draw_bodies(image, joints, np.stack(shades))
        self._hud.draw(image, index)
        return image

    def _draw_path(self, image: Image, person: int, index: int) -> None:
        """Where a person went in the last seconds, on the floor."""
        times = self.motion.timestamps
        first = int(np.searchsorted(times, times[index] - TRAIL_SECONDS))
        path = self.motion.joints3d[person, first : index + 1 : 2, 0]
        spots, _ = self.view.project(self.floor.below(path))
        spots = spots[draw.drawable(spots)]
        color = style.mix(style.FLOOR, style.person_color(person), 0.5)
        cv2.polylines(image, [draw.fixed(spots)], False, color, 2, cv2.LINE_AA, draw.SHIFT)

    def _draw_shadows(self, image: Image, joints: NDArray[np.float64]) -> None:
        pixels, depth = self.view.project(self.floor.below(joints))
        ends, widths = pixels[:, BONES], SHADOW_METRES * self.view.focal / depth[:, BONES[:, 1]]
        shown = draw.drawable(ends).all(-1)
        for (a, b), width in zip(draw.fixed(ends[shown]).tolist(), widths[shown], strict=True):
            cv2.line(image, a, b, style.SHADOW, max(1, round(width)), cv2.LINE_AA, draw.SHIFT)

    def _draw_bodies(
        self, image: Image, joints: NDArray[np.float64], colors: NDArray[np.float64]
    ) -> None:
        """Everybody, the far strokes first; joints (P, 17, 3), colours (P, bones, 3)."""
        pixels, depth = self.view.project(joints)
        ends = pixels[:, _STROKES].reshape(-1, 2, 2)
        middle = depth[:, _STROKES].mean(-1)
        widths = (self.view.focal / middle * _METRES).ravel()
        tones = np.where(_IS_KNOB[:, None], style.lit(colors[:, _BONE]), colors[:, _BONE])
        tones = tones.reshape(-1, 3)
        rims = np.tile(np.where(_IS_KNOB, 0, 1), len(joints)).tolist()
        for stroke in np.argsort((_NEARER - middle).ravel()).tolist():
            start, end = ends[stroke]
            draw.line(image, start, end, tones[stroke], widths[stroke], rims[stroke])


def _backdrop(size: Size, view: View, floor: Floor, bodies: NDArray[np.float64]) -> Image:
    """Everything that stands still: the wall's gradient and the floor with its grid."""
    width, height = size
    wall = np.linspace(style.BACKGROUND_TOP, style.BACKGROUND_BOTTOM, height * SUPERSAMPLE)
    image = np.repeat(np.round(wall).astype(np.uint8)[:, None], width * SUPERSAMPLE, axis=1)
    pixels = view.project(corners(floor, bodies))[0] * SUPERSAMPLE
    if draw.drawable(pixels).all():
        cv2.fillConvexPoly(image, draw.fixed(pixels), style.FLOOR, cv2.LINE_AA, draw.SHIFT)
    starts, ends = (view.project(points)[0] * SUPERSAMPLE for points in grid(floor, bodies))
    shown = draw.drawable(starts) & draw.drawable(ends)
    for a, b in zip(draw.fixed(starts[shown]), draw.fixed(ends[shown]), strict=True):
        cv2.line(image, a.tolist(), b.tolist(), style.GRID, SUPERSAMPLE, cv2.LINE_AA, draw.SHIFT)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
