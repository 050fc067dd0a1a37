"""Skeletons drawn on the pictures of a motion's video."""

import numpy as np
from numpy.typing import NDArray

from vid3d.motion_schema import AnyMotion, filmed, from_camera
from vid3d.render import draw, style
from vid3d.render.options import RenderOptions
from vid3d.skeleton import H36M17
from vid3d.video.frame import Size
from vid3d.video.planes import Planes

BONES = np.array(H36M17.bones)
HEAD = H36M17.index("head")
MIN_CONFIDENCE = 0.3
"""Detected keypoints below this are not shown."""
BLOB_OPACITY = 0.28
UNSURE_OPACITY = 0.55
"""Of limbs that are more unsure than not."""


class Overlay:
    """Draws people's 2D skeletons on pictures of a motion's video.

    Between looks a skeleton is the projection of the 3D joints; at looks the detected keypoints
    are dotted on top, so that one sees how well the two agree.

    Args:
        motion: what to draw.
        size: width and height of the pictures, of the video's shape.
        options: what to show.
    """

    def __init__(self, motion: AnyMotion, size: Size, options: RenderOptions | None = None):
        self.motion = motion
        self.options = options or RenderOptions()
        self._scale = np.array(size) / motion.frame_size
        self._unit = max(8.0, size[1] / 55)
        self._ids = motion.track_ids
        self._colors = [
            style.bone_colors(style.person_color(person), H36M17, self.options.colors)
            for person in range(motion.people)
        ]

    def draw(self, picture: Planes, index: int) -> None:
        """Draw everybody at a frame of the motion, the far ones first."""
        moment = self.motion.at(index)
        dashed = self.options.dashed and moment.keypoints2d is None
        depth = from_camera(self.motion, moment.joints3d, index)[..., 2]
        pixels = self.in_picture(filmed(self.motion, moment.joints3d, index))
        focal = self.motion.intrinsics[0, 0] * self.motion.camera_zoom[index] * self._scale[0]
        for row in np.argsort(-depth[:, 0]).tolist():
            person, spread = int(moment.people[row]), moment.spread[row]
            radii = spread / depth[row] * focal
            self._draw_person(picture, person, pixels[row], spread, radii, dashed)
        if moment.keypoints2d is not None and self.options.keypoints:
            for detected in moment.keypoints2d:
                self._draw_keypoints(picture, detected)

    def _draw_person(
        self,
        picture: Planes,
        person: int,
        pixels: NDArray[np.float64],
        spread: NDArray[np.floating],
        radii: NDArray[np.floating],
        dashed: bool,
    ) -> None:
        if not draw.drawable(pixels).any():
            return
        if self.options.uncertainty:
            self._draw_blobs(picture, person, pixels, radii)
        self._draw_skeleton(picture, person, pixels, spread, dashed)
        low, high = np.nanmin(pixels, 0), np.nanmax(pixels, 0)
        if self.options.labels and (high > 0).all() and (low < picture.size).all():
            x = pixels[HEAD, 0] if draw.drawable(pixels[HEAD]) else low[0]
            number = int(self._ids[person])
            words, above = self.options.called(number) or str(number), (x, low[1] - self._unit)
            draw.tag(picture, words, above, style.person_color(person), self._unit * 0.9)

    def _draw_skeleton(
        self,
        picture: Planes,
        person: int,
        pixels: NDArray[np.float64],
        spread: NDArray[np.floating],
        dashed: bool,
    ) -> None:
        """Bones, then a dot on the far joint of each; unsure ones translucent, below the others."""
        width = _line_width(pixels)
        bones, colors = pixels[BONES], self._colors[person]
        doubt = style.doubt(spread[BONES[:, 1]])
        if self.options.fade:
            colors = style.faded(colors, spread[BONES[:, 1]])
        else:
            doubt = np.zeros_like(doubt)
        of = np.arange(len(bones))
        if dashed:
            bones, of = draw.dashes(bones, np.full(len(bones), width))
        ends = np.concatenate([bones, pixels[BONES[:, [1, 1]]]])
        tones = np.concatenate([colors[of], style.lit(colors)])
        widths = np.repeat([width, width * 1.6], [len(of), len(colors)])
        unsure = np.concatenate([doubt[of], doubt]) > 0.5
        for part, opacity in ((unsure, UNSURE_OPACITY), (~unsure, 1.0)):
            draw.strokes(picture, ends[part], tones[part], widths[part], opacity=opacity)

    def _draw_blobs(
        self,
        picture: Planes,
        person: int,
        pixels: NDArray[np.float64],
        radii: NDArray[np.floating],
    ) -> None:
        """Discs of some radii (17,) in pixels round the joints."""
        widths = 2 * radii
        known = np.isfinite(widths)
        dots = pixels[known][:, None].repeat(2, 1)
        color = style.person_color(person)
        draw.strokes(picture, dots, color, widths[known], rims=0, opacity=BLOB_OPACITY)

    def _draw_keypoints(self, picture: Planes, detected: NDArray[np.floating]) -> None:
        spots = self.in_picture(detected[detected[:, 2] >= MIN_CONFIDENCE, :2])
        if len(spots):
            draw.strokes(picture, spots[:, None].repeat(2, 1), style.WHITE, _line_width(spots))

    def in_picture(self, pixels: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels of the video as pixels of the picture; centres lie at integers in both."""
        return np.asarray((pixels + 0.5) * self._scale - 0.5)


def _line_width(pixels: NDArray[np.floating]) -> float:
    """Pixels across limbs that suit a body with joints (N, 2)."""
    extent = np.nanmax(pixels, 0) - np.nanmin(pixels, 0)
    return float(np.clip(extent.max() / 90, 2, 7))
