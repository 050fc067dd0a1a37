"""Videos of a motion: the source with skeletons on it, the 3D view, or both, with the sound."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, check_output
from vid3d.floor import evenly
from vid3d.motion_schema import AnyMotion, filmed_rate
from vid3d.render.options import RenderOptions
from vid3d.render.overlay import Overlay
from vid3d.render.sound import add_sound
from vid3d.render.style import GRID
from vid3d.render.view3d import View3D
from vid3d.video.frame import Frame, Size
from vid3d.video.planes import Coding, Planes, Scratch
from vid3d.video.prefetch import prefetch
from vid3d.video.reader import VideoReader
from vid3d.video.writer import LONGEST_SIDE, VideoWriter, check_film

Progress = Callable[[int, int | None], None]
Item = TypeVar("Item")

HEIGHTS = (480, 1080)
"""Least and greatest height of a picture beside a view."""
WIDEST = 8192
"""Pixels of a picture's width at most, however flat the video is: encoders take twice as much."""
VIEW_SIZE = (1280, 720)
AHEAD = 4
"""Pictures that are decoded, and drawn, ahead of the next stage."""


def render_overlay(
    motion: AnyMotion,
    video: str | os.PathLike[str],
    output: str | os.PathLike[str],
    progress: Progress | None = None,
    options: RenderOptions | None = None,
    warn: Callable[[str], None] | None = None,
) -> None:
    """Write the overlay video of a motion: H.264 at a constant frame rate, sound in step.

    Each frame is shown from the moment nearest to its true timestamp; where the source's rate
    varies, frames are repeated or left out (where it only dropped some, repeated). Decoding,
    drawing and encoding overlap; memory does not grow with the video's length.

    Args:
        motion: its `timestamps` are the video's own, so a motion of a part finds that part.
        video: the video it was made from.
        output: MP4 file to write.
        progress: called with (frames done, frames in all).
        options: what to show.
        warn: told in one line where the sound cannot be kept, and the film is written without.

    Raises:
        Vid3dError: the video cannot be read or has another size, or the output is the video, would
            be too large for H.264 or cannot be written.
    """
    check_output(Path(output), Path(video))
    check_film(Path(output))
    options = options or RenderOptions()
    first, last = (float(motion.timestamps[i]) for i in (0, -1))
    with VideoReader(video, first, last) as reader:
        if reader.info.size != tuple(motion.frame_size.tolist()):
            raise Vid3dError(
                f"{video} has {reader.info.width} x {reader.info.height} pixels, the motion is of "
                f"a video of {motion.frame_size[0]} x {motion.frame_size[1]}: give that one"
            )
        stage = Stage.of(motion, reader.info.size, options)
        fps = options.fps or filmed_rate(motion.timestamps, reader.info.fps)
        pictures = prefetch(
            ((frame.time - first, frame) for frame in reader)
            if stage.picture
            else ((time - first, None) for time in motion.timestamps.tolist()),
            AHEAD,
        )
        with closing(pictures), atomic_path(output) as silent:
            _film(motion, stage, pictures, silent, fps, reader.coding, options, progress)
            if options.audio:
                try:
                    add_sound(silent, video, reader.origins, first, last + 1 / fps)
                except Vid3dError as error:
                    if warn is not None:
                        warn(f"{error}: the film is silent")


def render_motion(
    motion: AnyMotion,
    output: str | os.PathLike[str],
    progress: Progress | None = None,
    options: RenderOptions | None = None,
) -> None:
    """Write a video of the 3D view alone, at a constant frame rate and without sound.

    Raises:
        Vid3dError: the output would be too large for H.264 or cannot be written.
    """
    check_film(Path(output))
    options = options or RenderOptions()
    stage = Stage.of(motion, None, options)
    times = motion.timestamps - motion.timestamps[0]
    pictures: Iterator[tuple[float, Frame | None]] = ((time, None) for time in times.tolist())
    fps = options.fps or filmed_rate(motion.timestamps, motion.fps)
    _film(motion, stage, pictures, Path(output), fps, Coding(), options, progress)


@dataclass(frozen=True)
class Stage:
    """Where the picture and the 3D view are on a frame of the output.

    Attributes:
        size: width and height of the frames, even.
        picture: width and height of the picture, at the top left; None for none.
        panel: left, top, width and height of the 3D view, even; None for none.
    """

    size: Size
    picture: Size | None
    panel: tuple[int, int, int, int] | None

    def __post_init__(self) -> None:
        if max(self.size) > LONGEST_SIDE:
            raise Vid3dError(
                f"pictures of {self.size[0]} x {self.size[1]} pixels are too large for H.264, "
                f"which takes {LONGEST_SIDE} a side: give less with --height"
            )

    @classmethod
    def of(cls, motion: AnyMotion, video: Size | None, options: RenderOptions) -> "Stage":
        """The stage that options ask for, for a video of a size, or for none.

        Raises:
            Vid3dError: its frames are too large for H.264.
        """
        if video is None or options.layout == "view":
            width, height = VIEW_SIZE
            if options.height:
                width, height = _even(options.height * width / height), _even(options.height)
            return cls((width, height), None, (0, 0, width, height))
        picture = _scaled(video, options)
        width, height = picture
        if options.layout == "overlay":
            return cls(_padded(picture), picture, None)
        if options.layout == "inset":
            share = 0.3 if width >= height else 0.45
            inset = _even(width * share), _even(min(width * share * 0.8, height / 2))
            corner = _quiet_corner(motion, picture, inset)
            return cls(_padded(picture), picture, (*corner, *inset))
        wide = width >= height
        panel = _even(min(width, 0.9 * height) if wide else max(width, 0.5 * height))
        return cls((width + panel, height), picture, (width, 0, panel, height))


def paced(items: Iterable[tuple[float, Item]], fps: float) -> Iterator[tuple[Item, int]]:
    """Items at a constant rate: each with the number of frames that it is shown.

    Args:
        items: rising times in seconds from 0, and what is shown from then on.
        fps: frames per second. The frame nearest to its time is the first of each item; of items
            with the same first frame the one nearest to it is shown, the others left out.
    """
    shown: tuple[int, float, Item] | None = None
    for time, item in items:
        slot = math.floor(time * fps + 0.5 - 1e-6)
        away = abs(time * fps - slot)
        if shown is not None and slot > shown[0]:
            yield shown[2], slot - shown[0]
        elif shown is not None and away > shown[1] - 1e-6:
            continue
        shown = slot, away, item
    if shown is not None:
        yield shown[2], 1


def nearest(motion: AnyMotion, time: float) -> int:
    """Index of the motion's frame that is nearest in time."""
    times = motion.timestamps
    after = int(np.clip(np.searchsorted(times, time), 1, max(1, len(times) - 1)))
    if after >= len(times) or time - times[after - 1] <= times[after] - time:
        return after - 1
    return after


def _film(
    motion: AnyMotion,
    stage: Stage,
    pictures: Iterator[tuple[float, Frame | None]],
    output: Path,
    fps: float,
    coding: Coding,
    options: RenderOptions,
    progress: Progress | None,
) -> None:
    """Write the frames of a stage, given seconds from the motion's first and pictures."""
    shown = paced(_numbered(pictures), fps)
    drawn = prefetch(_drawn(motion, stage, shown, coding, options), AHEAD)
    slot = reported = 0
    with VideoWriter(output, fps, stage.size, coding) as writer, closing(drawn):
        for done, frame, count in drawn:
            for _ in range(count):
                writer.write_frame(frame, slot / fps)
                slot += 1
            while progress is not None and reported < done:  # frames left out count as done
                reported += 1
                progress(reported, motion.frames)
    if progress is not None and reported < motion.frames:
        progress(motion.frames, motion.frames)


def _numbered(
    pictures: Iterator[tuple[float, Frame | None]],
) -> Iterator[tuple[float, tuple[int, float, Frame | None]]]:
    """Time, and what there is of it: number from 1, time, picture."""
    for number, (time, picture) in enumerate(pictures, 1):
        yield time, (number, time, picture)


def _drawn(
    motion: AnyMotion,
    stage: Stage,
    shown: Iterator[tuple[tuple[int, float, Frame | None], int]],
    coding: Coding,
    options: RenderOptions,
) -> Iterator[tuple[int, av.VideoFrame, int]]:
    """Number of the source's frame, finished frame, and for how many frames it is shown."""
    overlay = Overlay(motion, stage.picture, options) if stage.picture else None
    view = None
    if stage.panel:
        words = options.layout != "inset"
        view = View3D(motion, stage.panel[2:], options, words, coding)
    # Frames are drawn on in turn: new memory for each would cost more than the drawing.
    scratch = Scratch()
    sheets = [Planes.blank(stage.size, coding, scratch) for _ in range(AHEAD + 2)]
    panels = [sheet.part(*stage.panel) if stage.panel else None for _, sheet in sheets]
    places = cycle(zip(sheets, panels, strict=True))
    for ((target, sheet), panel), ((number, time, frame), count) in zip(
        places, shown, strict=False
    ):
        index = nearest(motion, motion.timestamps[0] + time)
        if overlay is not None and frame is not None and stage.picture:
            picture = sheet.part(0, 0, *_padded(stage.picture))
            picture.show(frame, stage.picture)
            overlay.draw(picture, index)
        if view is not None and stage.panel and panel is not None:
            if options.layout == "inset":
                left, top, width, height = stage.panel
                sheet.part(left - 2, top - 2, width + 4, height + 4).fill(GRID)
                panel = sheet.part(*stage.panel)  # nothing of the last one is left
            view.draw(panel, index)
        yield number, target, count


def _scaled(video: Size, options: RenderOptions) -> Size:
    """Size of the picture that options ask for."""
    height = float(options.height or video[1])
    if options.height is None and options.layout == "side":
        height = min(float(np.clip(height, *HEIGHTS)), WIDEST * video[1] / video[0])
    if height == video[1]:
        return video if options.layout != "side" else (_even(video[0]), _even(video[1]))
    return _even(video[0] * height / video[1]), _even(height)


def _even(pixels: float) -> int:
    return max(2, round(pixels / 2) * 2)


def _padded(size: Size) -> Size:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def _quiet_corner(motion: AnyMotion, picture: Size, inset: Size) -> tuple[int, int]:
    """Left and top of the corner of a picture in which an inset hides the fewest joints."""
    width, height = picture
    margin = _even(min(picture) / 40 + 1)
    right, bottom = (
        side // 2 * 2 for side in (width - inset[0] - margin, height - inset[1] - margin)
    )
    overlay = Overlay(motion, picture)
    spots = overlay.in_picture(evenly(motion, 2000, in_pixels=True))
    corners = [(right, margin), (margin, margin), (right, bottom), (margin, bottom)]
    hidden = [
        int(((spots >= corner) & (spots <= np.add(corner, inset))).all(-1).sum())
        for corner in corners
    ]
    return corners[int(np.argmin(hidden))]
