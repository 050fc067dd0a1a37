"""How figures look in print: size, type and colours.

Okabe and Ito's colours, told apart by everybody, with a line style of their own each, so that
figures survive a black-and-white printer.
"""

from typing import Any

SIDES = ("left", "right")
WIDTH = 180 / 25.4
"""Inches: two columns of a journal's page."""
BLUE, ORANGE, BLACK, GREEN, GREY = "#0072B2", "#D55E00", "#222222", "#009E73", "#9AA0A6"
LINES: dict[str, tuple[str, Any]] = {
    "left": (BLUE, "-"),
    "right": (ORANGE, (0, (4, 1.5))),
    "forward": (BLACK, "-"),
    "to the right": (GREEN, (0, (4, 1.5))),
    "body": (BLACK, "-"),
}
"""Colour and dashes of each kind of line."""
SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "svg.fonttype": "none",  # words stay words
    "svg.hashsalt": "vid3d",  # the same motion gives the same bytes
    "savefig.dpi": 300,
}
