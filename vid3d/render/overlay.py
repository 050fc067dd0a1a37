"""The overlay video: the source with 2D skeletons drawn on it, and the 3D view beside it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.motion import Motion
from vid3d.render import draw, style
from vid3d.render.view3d import View3D
from vid3d.skeleton import H36M17
from vid3d.video.frame import Frame, Image, Size
from vid3d.video.prefetch import prefetch
from vid3d.video.reader import VideoReader
from vid3d.video.writer import VideoWriter

Progress = Callable[[int, int | None], None]

HEIGHTS = (480, 1080)
"""Least and greatest height of the picture: small ones are enlarged so that words can be read."""
VIEW_SIZE = (1280, 720)
BONES = np.array(H36M17.bones)
HEAD = H36M17.index("head")
MIN_CONFIDENCE = 0.3
"""Detected keypoints below this are not shown."""


def render_overlay(
    motion: Motion,
    video: str | os.PathLike[str],
    output: str | os.PathLike[str],
    progress: Progress | None = None,
) -> None:
    """Write the overlay video of a motion: H.264, the source's timestamps, from time zero.

    Decoding, drawing and encoding overlap; memory does not grow with the video's length.

    Args:
        motion: its `timestamps` are the video's own, so a motion of a part finds that part.
        video: the video it was made from.
        output: MP4 file to write.
        progress: called with (frames done, frames in all).

    Raises:
        Vid3dError: the video cannot be read or has another size, or the output not be written.
    """
    first, last = (float(motion.timestamps[i]) for i in (0, -1))
    with VideoReader(video, first, last) as reader:
        if reader.info.size != tuple(motion.frame_size.tolist()):
            raise Vid3dError(
                f"{video} has {reader.info.width} x {reader.info.height} pixels, the motion is of "
                f"a video of {motion.frame_size[0]} x {motion.frame_size[1]}: give that one"
            )
        picture, panel = _sizes(reader.info.size)
        frames = prefetch(_scaled(reader, picture))
        drawn = prefetch(_composed(motion, frames, picture, panel))
        with VideoWriter(output, reader.info.fps, (picture[0] + panel[0], picture[1])) as writer:
            for done, (time, image) in enumerate(drawn, 1):
                writer.write(image, time - first)
                if progress is not None:
                    progress(done, motion.frames)


def render_motion(
    motion: Motion,
    output: str | os.PathLike[str],
    progress: Progress | None = None,
    size: Size = VIEW_SIZE,
) -> None:
    """Write a video of the 3D view alone.

    Raises:
        Vid3dError: the output cannot be written.
    """
    view = View3D(motion, size)
    drawn = prefetch(view.draw(index) for index in range(motion.frames))
    with VideoWriter(Path(output), motion.fps, size) as writer:
        for done, image in enumerate(drawn, 1):
            writer.write(image, float(motion.timestamps[done - 1] - motion.timestamps[0]))
            if progress is not None:
                progress(done, motion.frames)


class Overlay:
    """Draws people's 2D skeletons on pictures of a motion's video.

    Between looks a skeleton is the projection of the 3D joints; at looks the detected keypoints
    are dotted on top, so that one sees how well the two agree.

    Args:
        motion: what to draw.
        size: width and height of the pictures, of the video's shape.
    """

    def __init__(self, motion: Motion, size: Size):
        self.motion = motion
        self._camera = motion.camera
        self._scale = np.array(size) / motion.frame_size
        self._unit = max(8.0, size[1] / 55)
        self._looks = {int(frame): look for look, frame in enumerate(motion.keyframes)}
        self._colors = [
            style.bone_colors(style.person_color(person), H36M17) for person in range(motion.people)
        ]

    def draw(self, image: Image, index: int) -> None:
        """Draw everybody at a frame of the motion, the far ones first."""
        people = np.flatnonzero(self.motion.present[:, index])
        depth = self.motion.joints3d[people, index, 0, 2]
        for person in people[np.argsort(-depth)].tolist():
            self._draw_person(image, person, index)
        if index in self._looks:
            for person in people.tolist():
                self._draw_keypoints(image, person, self._looks[index])

    def _draw_person(self, image: Image, person: int, index: int) -> None:
        pixels = self._scaled(self._camera.project(self.motion.joints3d[person, index]))
        if not draw.drawable(pixels).any():
            return
        low, high = np.nanmin(pixels, 0), np.nanmax(pixels, 0)
        width = _line_width(pixels)
        spread = self.motion.spread[person, index, BONES[:, 1]]
        colors = style.faded(self._colors[person], spread)
        for (a, b), color in zip(BONES.tolist(), colors, strict=True):
            draw.line(image, pixels[a], pixels[b], color, width)
        for joint, color in zip(BONES[:, 1].tolist(), colors, strict=True):
            draw.disc(image, pixels[joint], width * 0.8, style.lit(color))
        if (high > 0).all() and (low < image.shape[1::-1]).all():
            x = pixels[HEAD, 0] if draw.drawable(pixels[HEAD]) else low[0]
            words, above = str(self.motion.track_ids[person]), (x, low[1] - self._unit)
            draw.tag(image, words, above, style.person_color(person), self._unit * 0.9)

    def _draw_keypoints(self, image: Image, person: int, look: int) -> None:
        detected = self.motion.keypoints2d[person, look]
        spots = self._scaled(detected[detected[:, 2] >= MIN_CONFIDENCE, :2])
        for spot in spots:
            draw.disc(image, spot, 0.5 * _line_width(spots), style.WHITE)

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels of the video as pixels of the picture; centres lie at integers in both."""
        return (pixels + 0.5) * self._scale - 0.5


def _line_width(pixels: np.ndarray) -> float:
    """Pixels across limbs that suit a body with joints (N, 2)."""
    extent = np.nanmax(pixels, 0) - np.nanmin(pixels, 0)
    return float(np.clip(extent.max() / 90, 2, 7))


def _scaled(reader: VideoReader, size: Size) -> Iterator[tuple[Frame, Image]]:
    for frame in reader:
        yield frame, frame.image_at(size)


def _composed(
    motion: Motion, frames: Iterator[tuple[Frame, Image]], picture: Size, panel: Size
) -> Iterator[tuple[float, Image]]:
    """Time and finished picture of each frame."""
    overlay, view = Overlay(motion, picture), View3D(motion, panel)
    for frame, image in frames:
        index = nearest(motion, frame.time)
        canvas = np.empty((picture[1], picture[0] + panel[0], 3), np.uint8)
        canvas[:, : picture[0]] = image
        overlay.draw(canvas[:, : picture[0]], index)
        canvas[:, picture[0] :] = view.draw(index)
        yield frame.time, canvas


def nearest(motion: Motion, time: float) -> int:
    """Index of the motion's frame that is nearest in time."""
    times = motion.timestamps
    after = int(np.clip(np.searchsorted(times, time), 1, max(1, len(times) - 1)))
    if after >= len(times) or time - times[after - 1] <= times[after] - time:
        return after - 1
    return after


def _sizes(video: Size) -> tuple[Size, Size]:
    """Even sizes of the picture and of the panel beside it, both equally high."""
    width, height = video
    scale = np.clip(height, *HEIGHTS) / height
    width, height = (max(2, round(side * scale / 2) * 2) for side in video)
    panel = min(width, round(0.9 * height)) if width >= height else max(width, round(0.5 * height))
    return (width, height), (max(2, round(panel / 2) * 2), height)
