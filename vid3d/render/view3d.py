"""The 3D view: skeletons in space over a floor, drawn in software at video rate."""

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.render import draw, style
from vid3d.render.hud import Hud, Layout
from vid3d.render.scene import Floor, View, corners, find_floor, fit_view, grid, sampled_bodies
from vid3d.skeleton import H36M17
from vid3d.video.frame import Image, Size

BONES = np.array(H36M17.bones)
IS_HEAD = BONES[:, 1] == H36M17.index("head")
LIMB_METRES, JOINT_METRES, HEAD_METRES = 0.05, 0.035, 0.105
TRAIL_SECONDS = 2.0
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
        self.floor = find_floor(bodies)
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
            self._draw_bodies(image, joints, np.concatenate(shades))
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
        ends, widths = pixels[:, BONES], 1.3 * LIMB_METRES * self.view.focal / depth[:, BONES[:, 1]]
        shown = draw.drawable(ends).all(-1)
        for (a, b), width in zip(draw.fixed(ends[shown]).tolist(), widths[shown], strict=True):
            cv2.line(image, a, b, style.SHADOW, max(1, round(width)), cv2.LINE_AA, draw.SHIFT)

    def _draw_bodies(
        self, image: Image, joints: NDArray[np.float64], colors: NDArray[np.float64]
    ) -> None:
        """Everybody's bones and heads, the far ones first, by joints (P, 17, 3)."""
        pixels, depth = self.view.project(joints)
        ends = pixels[:, BONES].reshape(-1, 2, 2)
        middle = depth[:, BONES].mean(-1).ravel()
        metre = self.view.focal / middle
        is_head = np.tile(IS_HEAD, len(joints))
        for bone in np.argsort(-middle).tolist():
            start, end = ends[bone]
            color = colors[bone]
            if is_head[bone]:
                draw.disc(image, (start + end) / 2, metre[bone] * HEAD_METRES, color)
            else:
                draw.line(image, start, end, color, metre[bone] * LIMB_METRES)
                draw.disc(image, end, metre[bone] * JOINT_METRES, style.lit(color), rim=0)


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
