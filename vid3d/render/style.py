"""Colours and sizes shared by all pictures of a motion. Colours are BGR."""

import numpy as np
from numpy.typing import NDArray

from vid3d.render.options import Colors
from vid3d.skeleton import JointSet

Color = tuple[int, int, int]


def _rgb(code: int) -> Color:
    return code & 255, code >> 8 & 255, code >> 16


PALETTE: tuple[Color, ...] = tuple(
    _rgb(code)
    for code in (
        0xFF9F1C, 0x35B8FF, 0xFF5C9E, 0x64DD55, 0xB48CFF,
        0xFFE04A, 0x2FD9C0, 0xFF6B57, 0xC98F5A, 0xA3E048,
    )
)  # fmt: skip
"""One colour a person, in the motion's order; neighbours differ in hue and in lightness."""

BACKGROUND_TOP, BACKGROUND_BOTTOM = _rgb(0x12151B), _rgb(0x1D222B)
FLOOR, GRID, SHADOW = _rgb(0x262D38), _rgb(0x46505F), _rgb(0x14181E)
TEXT, TEXT_DIM, OUTLINE = _rgb(0xEDF1F7), _rgb(0x8E99A8), _rgb(0x0C0E12)
LOOK, UNCERTAIN, WHITE = _rgb(0xFFD54A), _rgb(0x8A8F98), _rgb(0xFFFFFF)

LEFT, RIGHT = _rgb(0x56B4E9), _rgb(0xE69F00)
"""Sides of the body where these have the colours (Okabe and Ito's, told apart by everybody)."""

SURE, UNSURE = 0.05, 0.20
"""Metres of spread at which a limb begins to turn grey, and at which it is grey."""


def mix(first: Color, second: Color, share: float) -> Color:
    """A colour `share` of the way from the first to the second."""
    blend = [round(a + (b - a) * share) for a, b in zip(first, second, strict=True)]
    return blend[0], blend[1], blend[2]


def person_color(index: int) -> Color:
    """The colour of the index-th person of a motion."""
    return PALETTE[index % len(PALETTE)]


def bone_colors(color: Color, joints: JointSet, by: Colors = "person") -> NDArray[np.float64]:
    """Colour (bones, 3) of each bone: the trunk plain, left and right limbs told apart.

    Args:
        color: of the person.
        joints: whose bones.
        by: `person`: left limbs lighter and right limbs darker; `side`: `LEFT` and `RIGHT`.
    """
    shades = {"left_": mix(color, WHITE, 0.5), "right_": mix(color, OUTLINE, 0.38)}
    if by == "side":
        shades = {"left_": LEFT, "right_": RIGHT}
    names = [joints.joints[child] for _, child in joints.bones]
    return np.array(
        [next((s for side, s in shades.items() if n.startswith(side)), color) for n in names],
        np.float64,
    )


def doubt(spread: NDArray[np.floating]) -> NDArray[np.float64]:
    """How unsure a joint is, 0 to 1, by its spread in metres; 0 where that is not known (NaN)."""
    return np.clip((np.nan_to_num(spread).astype(np.float64) - SURE) / (UNSURE - SURE), 0, 1)


def faded(colors: NDArray[np.float64], spread: NDArray[np.floating]) -> NDArray[np.float64]:
    """Bone colours (..., 3) turned to grey with the spread (...) of their far joints."""
    return colors + (np.array(UNCERTAIN) - colors) * doubt(spread)[..., None] * 0.85


def lit(color: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours (..., 3) a little lighter, for joints on limbs."""
    return color + (255 - color) * 0.15
