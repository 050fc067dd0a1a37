"""Figures of a motion for papers and reports: joint angles, velocities, contacts, poses.

Vector (SVG) and raster (PNG, 300 dots an inch), 180 mm wide, colours that everybody can tell
apart (Okabe and Ito) and that also differ in line style, so that they survive a black-and-white
printer.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.kinematics import ANGLES, motion_angles, save_angles, unwrapped, velocity
from vid3d.motion import Motion
from vid3d.render.paper import GREY, LINES, SETTINGS, SIDES, WIDTH
from vid3d.render.poses import poses_figure
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]
Series = tuple[str, Array, Array | None]
"""A line: its key in `LINES`, values (F,), and half the width of its band (F,)."""

FORMATS = ("png", "svg")
BAND_OPACITY = 0.18
NARROWEST = {"(°)": 40.0, "(°/s)": 200.0, "(m/s)": 1.0}
"""Least height of a panel by its unit, so that noise does not look like movement."""
MANY_FRAMES = 3000
"""Above this, bands are pixels also in SVG, which would take megabytes otherwise."""
CONTACT = 0.5
"""Probability above which a foot counts as on the ground."""


@dataclass(frozen=True)
class Chart:
    """One panel over time.

    Attributes:
        title: what is shown.
        unit: in brackets.
        series: its lines.
        least: the smallest value that there can be: bands end there.
    """

    title: str
    unit: str
    series: Sequence[Series]
    least: float = -np.inf


def plot_motion(
    motion: Motion,
    folder: str | Path,
    name: str = "motion",
    formats: Sequence[str] = FORMATS,
    people: Sequence[int] | None = None,
) -> list[Path]:
    """Write all figures and the table of joint angles of a motion.

    Args:
        motion: what to plot.
        folder: where to; made if need be.
        name: first part of the files' names.
        formats: of `FORMATS`.
        people: track ids; None for everybody.

    Returns:
        NAME.angles.csv, and of each format NAME.contacts and, for each person ID,
        NAME.ID.angles, NAME.ID.velocities and NAME.ID.poses.

    Raises:
        Vid3dError: unknown format or person, nobody to plot, or the files cannot be written.
    """
    unknown = [form for form in formats if form not in FORMATS]
    if unknown or not formats:
        raise Vid3dError(f"cannot plot as {unknown or 'nothing'}; give {' or '.join(FORMATS)}")
    chosen = _chosen(motion, people)
    folder = Path(folder)
    written = [save_angles(motion, folder / f"{name}.angles.csv")]

    with matplotlib.rc_context(SETTINGS):
        for part, figure in _figures(motion, chosen):
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once: every format is the same
            for form in formats:
                path = folder / f"{name}.{part}.{form}"
                with atomic_path(path) as temporary:
                    figure.savefig(temporary, metadata={"Date": None} if form == "svg" else None)
                written.append(path)
    return written


def _figures(motion: Motion, people: Sequence[int]) -> Iterator[tuple[str, Figure]]:
    """What each figure shows, as in its file's name, and the figure."""
    yield "contacts", contacts_figure(motion, people)
    angles = motion_angles(motion)
    for person in people:
        number = motion.track_ids[person]
        degrees, spread = angles.degrees[person], angles.spread[person]
        title = f"Person {number}"
        yield f"{number}.angles", time_figure(motion, angle_charts(degrees, spread), title)
        charts = velocity_charts(motion, person, degrees)
        yield f"{number}.velocities", time_figure(motion, charts, title)
        yield f"{number}.poses", poses_figure(motion, person)


def angle_charts(degrees: Array, spread: Array) -> list[Chart]:
    """Panels of the joint angles of one person, (F, A) with one standard deviation (F, A)."""
    names = list(ANGLES)

    def both(angle: str) -> list[Series]:
        return [line(side, f"{side}_{angle}") for side in SIDES]

    def line(key: str, name: str) -> Series:
        column = names.index(name)
        return key, _parted(degrees[:, column]), spread[:, column]

    return [
        Chart("Knee flexion", "(°)", both("knee_flexion"), least=0),
        Chart("Elbow flexion", "(°)", both("elbow_flexion"), least=0),
        Chart("Hip flexion", "(°)", both("hip_flexion")),
        Chart("Shoulder elevation", "(°)", both("shoulder_elevation"), least=0),
        Chart("Hip abduction", "(°)", both("hip_abduction")),
        Chart("Shoulder plane (0 side, 90 front)", "(°)", both("shoulder_plane")),
        Chart("Trunk lean", "(°)", [line("forward", "trunk_lean"),
                                    line("to the right", "trunk_side")]),
        Chart("Trunk twist (positive left)", "(°)", [line("body", "trunk_twist")]),
    ]  # fmt: skip


def velocity_charts(motion: Motion, person: int, degrees: Array) -> list[Chart]:
    """Panels of the speeds in space and of the angular velocities of one person."""
    moving = velocity(motion.joints3d[person], motion.timestamps)
    speed = np.linalg.norm(moving, axis=-1)
    turning = velocity(unwrapped(degrees), motion.timestamps)
    names = list(ANGLES)

    def fast(joint: str) -> list[Series]:
        return [(side, speed[:, H36M17.index(f"{side}_{joint}")], None) for side in SIDES]

    def turns(angle: str) -> list[Series]:
        return [(side, turning[:, names.index(f"{side}_{angle}")], None) for side in SIDES]

    return [
        Chart("Pelvis speed", "(m/s)", [("body", speed[:, H36M17.index("pelvis")], None)]),
        Chart("Knee angular velocity", "(°/s)", turns("knee_flexion")),
        Chart("Wrist speed", "(m/s)", fast("wrist")),
        Chart("Hip angular velocity", "(°/s)", turns("hip_flexion")),
        Chart("Ankle speed", "(m/s)", fast("ankle")),
        Chart("Elbow angular velocity", "(°/s)", turns("elbow_flexion")),
    ]


def time_figure(motion: Motion, charts: Sequence[Chart], title: str) -> Figure:
    """Charts over time in two columns, looks marked below, one legend."""
    rows = -(-len(charts) // 2)
    figure = Figure(figsize=(WIDTH, 0.65 + 1.3 * rows), layout="constrained")
    grid: Any = figure.subplots(rows, 2, sharex=True, squeeze=False)
    for axes, chart in zip(grid.ravel(), charts, strict=True):
        _draw_chart(axes, chart, motion.timestamps, motion.timestamps[motion.keyframes])
    for axes in grid[-1]:
        axes.set_xlabel("Time (s)")
    halves = [half for chart in charts for _, _, half in chart.series if half is not None]
    band = any(np.isfinite(half).any() for half in halves)
    words = title + ("; bands: ± 1 standard deviation" if band else "") + "; ticks: looks"
    figure.suptitle(words, x=0.01, ha="left", fontsize=8)
    sides = [Line2D([], [], color=LINES[key][0], linestyle=LINES[key][1]) for key in SIDES]
    figure.legend(sides, SIDES, loc="outside upper right", ncols=2, handlelength=2.6)
    return figure


def contacts_figure(motion: Motion, people: Sequence[int]) -> Figure:
    """When each foot of each person is on the ground; thin grey lines: in the clip."""
    rows = max(1, 2 * len(people))
    figure = Figure(figsize=(WIDTH, 0.75 + 0.2 * rows), layout="constrained")
    axes = figure.subplots()
    labels = []
    for row, (person, foot) in enumerate((p, f) for p in people for f in (0, 1)):
        side = SIDES[foot]
        there = motion.present[person]
        touching = there & (np.nan_to_num(motion.contacts[person, :, foot]) >= CONTACT)
        axes.broken_barh(_spans(there, motion), (row - 0.03, 0.06), color=GREY, linewidth=0)
        axes.broken_barh(
            _spans(touching, motion), (row - 0.36, 0.72), color=LINES[side][0], linewidth=0
        )
        labels.append(f"{motion.track_ids[person]} {side}")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_xlim(*_ends(motion))
    axes.set_xlabel("Time (s)")
    axes.set_title("Feet on the ground, by person")
    axes.tick_params(axis="y", length=0)
    return figure


def _draw_chart(axes: Axes, chart: Chart, times: Array, looks: Array) -> None:
    shown = []
    for key, values, half in chart.series:
        color, dashes = LINES[key]
        axes.plot(times, values, color=color, linestyle=dashes, label=key)
        alone = _alone(values)
        axes.plot(times[alone], values[alone], ".", color=color, markersize=3)
        shown += [values, values]
        if half is not None:
            low, high = np.maximum(values - half, chart.least), values + half
            axes.fill_between(times, low, high, color=color, linewidth=0, alpha=BAND_OPACITY,
                              rasterized=len(times) > MANY_FRAMES)  # fmt: skip
            shown[-2:] = [*shown[-2:], _most(low, 0.02), _most(high, 0.98)]
    axes.axhline(0, color=GREY, linewidth=0.5, zorder=0)
    axes.set_title(chart.title)
    axes.set_ylabel(chart.unit)
    axes.set_ylim(*_limits(np.concatenate(shown), NARROWEST[chart.unit]))
    axes.set_xlim(times[0], times[-1] if len(times) > 1 else times[0] + 1)
    axes.plot(looks, np.zeros(len(looks)), "|", color=GREY, markersize=3, markeredgewidth=0.5,
              transform=axes.get_xaxis_transform(), clip_on=False, zorder=0)  # fmt: skip
    if len(chart.series) > 1 and chart.series[0][0] not in SIDES:
        axes.legend(loc="upper right", ncols=2, handlelength=2.6, borderaxespad=0, fontsize=7)


def _parted(degrees: Array) -> Array:
    """Angles with a gap where they pass from one end of the circle to the other."""
    jumps = np.abs(np.diff(degrees, prepend=degrees[:1])) > 180
    return np.where(jumps, np.nan, degrees)


def _alone(values: Array) -> NDArray[np.bool_]:
    """Which values have no neighbour on either side: a line through them is not seen."""
    known = np.concatenate([[False], np.isfinite(values), [False]])
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _most(values: Array, share: float) -> Array:
    """The value below which a share of all lies, as an array of one; none where none is known."""
    values = values[np.isfinite(values)]
    return np.quantile(values, [share]) if len(values) else values


def _limits(values: Array, least: float) -> tuple[float, float]:
    """Ends of an axis that shows all values, is so high at least, and holds zero if it is near."""
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return -least / 2, least / 2
    low, high = float(values.min()), float(values.max())
    if 0 < low < least / 2:
        low = 0.0
    if -least / 2 < high < 0:
        high = 0.0
    room = max(0.06 * (high - low), (least - (high - low)) / 2)
    return low - room, high + room


def _spans(there: NDArray[np.bool_], motion: Motion) -> list[tuple[float, float]]:
    """Start and length in seconds of the stretches of frames that are there."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    times = np.append(motion.timestamps, _ends(motion)[1])
    return [(times[a], times[b] - times[a]) for a, b in edges.reshape(-1, 2).tolist()]


def _ends(motion: Motion) -> tuple[float, float]:
    """Seconds of the first frame's begin and the last one's end."""
    return float(motion.timestamps[0]), float(motion.timestamps[-1] + 1 / motion.fps)


def _chosen(motion: Motion, people: Sequence[int] | None) -> list[int]:
    """Indices of people by track id; everybody who is ever there by default."""
    known = {int(number): index for index, number in enumerate(motion.track_ids)}
    missing = [number for number in people or () if number not in known]
    if missing:
        raise Vid3dError(f"nobody has the number {missing[0]}; the motion has {sorted(known)}")
    wanted = known if people is None else people
    chosen = [known[number] for number in wanted if motion.present[known[number]].any()]
    if not chosen:
        raise Vid3dError("the motion has nobody to plot")
    return chosen
