"""Words and time line of a panel: who is in sight, the time, the looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.motion_schema import AnyMotion
from vid3d.render import draw, style
from vid3d.render.options import RenderOptions
from vid3d.video.frame import Size
from vid3d.video.planes import Planes

LEGENDS = {
    "person": "left limbs light, right limbs dark",
    "side": "left limbs blue, right limbs orange",
}


@dataclass(frozen=True)
class Panel:
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
    """Draws the words and the time line of a motion on one panel's pictures."""

    def __init__(self, motion: AnyMotion, panel: Panel, options: RenderOptions):
        self.motion = motion
        self.options = options
        self.panel = panel
        self._ids = motion.track_ids
        self._looked = np.isin(np.arange(motion.frames), motion.keyframes)

    def draw_still(self, picture: Planes) -> None:
        """What is the same on every frame: the time line with its looks, and the legend."""
        panel, unit = self.panel, self.panel.unit
        left, right, y = panel.time_line
        draw.strokes(picture, np.array([[[left, y], [right, y]]]), style.GRID, 2, rims=0)
        looks = self._columns(self.motion.keyframes)
        if len(looks) < (right - left) / 4:
            low, high = np.full(len(looks), y), np.full(len(looks), y - round(unit / 2))
            ticks = np.stack([np.stack([looks, end], -1) for end in (high, low)], 1)
            draw.strokes(picture, ticks, style.TEXT_DIM, 1, rims=0)
        at = (panel.size[0] / 2, panel.size[1] - panel.pad * 0.75)
        words = LEGENDS[self.options.colors] + (", uncertain grey" if self.options.fade else "")
        draw.text(picture, words, at, style.TEXT_DIM, unit * 0.8, align=0.5)

    def draw(self, picture: Planes, index: int, people: list[int]) -> None:
        """What changes: the names of those in sight, the time, the frame, whether it was a look."""
        self._draw_names(picture, people)
        unit = self.panel.unit
        left, right, y = self.panel.time_line
        looked = bool(self._looked[index])
        x = int(self._columns(np.array([index]))[0])
        marks = np.array([[[left, y], [x, y]], [[x, y], [x, y]]])
        colors = style.TEXT_DIM, style.LOOK if looked else style.TEXT
        draw.strokes(picture, marks, colors, (2, unit), rims=0)
        base = y - unit * 1.3
        draw.text(picture, clock(self.motion.timestamps[index]), (left, base), style.TEXT, unit)
        words = f"frame {index} / {self.motion.frames - 1}"
        draw.text(picture, words, (right, base), style.TEXT, unit, align=1)
        if looked:
            middle = (self.panel.size[0] / 2, base)
            draw.text(picture, "look", middle, style.LOOK, unit, align=0.5)

    def _draw_names(self, picture: Planes, people: list[int]) -> None:
        unit, pad = self.panel.unit, self.panel.pad
        x, y = float(pad), pad + unit
        if not people:
            draw.text(picture, "nobody in sight", (x, y), style.TEXT_DIM, unit)
        for count, person in enumerate(people):
            if x > self.panel.size[0] - pad - 8 * unit:
                draw.text(picture, f"+{len(people) - count}", (x, y), style.TEXT_DIM, unit)
                break
            spot = np.array([[[x + unit / 2, y - unit / 2]] * 2])
            draw.strokes(picture, spot, style.person_color(person), 1.2 * unit, rims=0)
            number = int(self._ids[person])
            words = self.options.called(number)
            words = words or f"{'person ' if len(people) <= 3 else ''}{number}"
            x += 1.7 * unit
            x += draw.text(picture, words, (x, y), style.TEXT, unit) + 1.6 * unit

    def _columns(self, frames: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pixel column on the time line of each frame."""
        left, right, _ = self.panel.time_line
        share = frames / max(1, self.motion.frames - 1)
        return np.round(left + (right - left) * share).astype(np.int64)


def clock(seconds: float) -> str:
    """Minutes, seconds and hundredths, as 1:02.50; hours in front where there are any."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    rest = f"{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
