"""Words and time line of a panel: who is in sight, the time, the looks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.render import draw, style
from vid3d.video.frame import Image, Size

LEGEND = "left limbs light, right limbs dark, uncertain grey"


@dataclass(frozen=True)
class Layout:
    """Where things are in a panel of some width and height, in pixels."""

    size: Size

    @property
    def unit(self) -> float:
        """Height of capital letters: they fit the panel and can be read."""
        return max(8.0, min(self.size[1] / 55, self.size[0] / 40))

    @property
    def pad(self) -> int:
        """Distance of words from the sides."""
        return round(self.unit * 1.6)

    @property
    def top(self) -> int:
        """Height of the strip with the people's names."""
        return round(self.unit * 4)

    @property
    def bottom(self) -> int:
        """Height of the strip with the time."""
        return round(self.unit * 8)

    @property
    def time_line(self) -> tuple[int, int, int]:
        """Left end, right end and row of the time line."""
        return self.pad, self.size[0] - self.pad, round(self.size[1] - self.pad - self.unit * 2)


class Hud:
    """Draws the words and the time line of a motion on images of one layout."""

    def __init__(self, motion: Motion, layout: Layout):
        self.motion = motion
        self.layout = layout
        self._looked = np.isin(np.arange(motion.frames), motion.keyframes)

    def draw_still(self, image: Image) -> None:
        """What is the same on every frame: the time line with its looks, and the legend."""
        layout, unit = self.layout, self.layout.unit
        left, right, y = layout.time_line
        cv2.line(image, (left, y), (right, y), style.GRID, 2)
        looks = self._columns(self.motion.keyframes)
        if len(looks) < (right - left) / 4:
            for x in looks.tolist():
                cv2.line(image, (x, y - round(unit / 2)), (x, y), style.TEXT_DIM, 1)
        at = (layout.size[0] / 2, layout.size[1] - layout.pad * 0.75)
        draw.text(image, LEGEND, at, style.TEXT_DIM, unit * 0.8, align=0.5)

    def draw(self, image: Image, index: int) -> None:
        """What changes: the names of those in sight, the time, the frame, whether it was a look."""
        self._draw_names(image, np.flatnonzero(self.motion.present[:, index]).tolist())
        unit = self.layout.unit
        left, right, y = self.layout.time_line
        looked = bool(self._looked[index])
        x = int(self._columns(np.array([index]))[0])
        cv2.line(image, (left, y), (x, y), style.TEXT_DIM, 2)
        draw.disc(image, np.array([x, y]), unit * 0.5, style.LOOK if looked else style.TEXT, rim=0)
        base = y - unit * 1.3
        draw.text(image, clock(self.motion.timestamps[index]), (left, base), style.TEXT, unit)
        words = f"frame {index + 1} / {self.motion.frames}"
        draw.text(image, words, (right, base), style.TEXT, unit, align=1)
        if looked:
            middle = (self.layout.size[0] / 2, base)
            draw.text(image, "look", middle, style.LOOK, unit, align=0.5)

    def _draw_names(self, image: Image, people: list[int]) -> None:
        unit, pad = self.layout.unit, self.layout.pad
        x, y = float(pad), pad + unit
        if not people:
            draw.text(image, "nobody in sight", (x, y), style.TEXT_DIM, unit)
        for count, person in enumerate(people):
            if x > self.layout.size[0] - pad - 8 * unit:
                draw.text(image, f"+{len(people) - count}", (x, y), style.TEXT_DIM, unit)
                break
            dot = np.array([x + unit / 2, y - unit / 2])
            draw.disc(image, dot, unit * 0.6, style.person_color(person), rim=0)
            words = f"{'person ' if len(people) <= 3 else ''}{self.motion.track_ids[person]}"
            x += 1.7 * unit
            x += draw.text(image, words, (x, y), style.TEXT, unit) + 1.6 * unit

    def _columns(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixel column on the time line of each frame."""
        left, right, _ = self.layout.time_line
        share = frames / max(1, self.motion.frames - 1)
        return np.round(left + (right - left) * share).astype(np.int64)


def clock(seconds: float) -> str:
    """Minutes, seconds and hundredths, as 1:02.50; hours in front where there are any."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
