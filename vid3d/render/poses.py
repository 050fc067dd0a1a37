"""A contact sheet of poses: what a person did, on half a page."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import NDArray

from vid3d.floor import ANKLE_HEIGHT, floor_of
from vid3d.motion import Motion
from vid3d.render.paper import BLACK, GREY, LINES, SIDES, WIDTH
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

POSES, COLUMNS = 12, 6
HEAD_RADIUS = 0.1
POSE_AZIMUTH = np.radians(25.0)


def poses_figure(motion: Motion, person: int) -> Figure:
    """A contact sheet: poses at even steps of time, from 25 degrees right of the camera."""
    frames = _evenly(motion, person)
    bodies = _upright(motion, person)[frames]
    reach = float(max(0.5, np.abs(bodies[..., 0]).max())) + 0.08
    low, high = min(-0.1, float(bodies[..., 1].min())), float(bodies[..., 1].max()) + HEAD_RADIUS
    rows, columns = -(-len(frames) // COLUMNS), min(COLUMNS, len(frames))
    cell = WIDTH / COLUMNS
    size = (cell * columns, 0.4 + rows * (0.22 + cell * (high - low) / (2 * reach)))
    figure = Figure(figsize=(max(size[0], cell * 2.6), size[1]))
    figure.set_layout_engine("constrained", w_pad=0.01, h_pad=0.01, wspace=0, hspace=0.02)
    grid: Any = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set(xlim=(-reach, reach), ylim=(low, high), aspect="equal")
        axes.axis("off")
    for axes, frame, pose in zip(grid.ravel(), frames, bodies, strict=False):
        axes.plot([-reach, reach], [0, 0], color=GREY, linewidth=0.6)
        _draw_pose(axes, pose, motion.spread[person, frame])
        axes.set_title(
            f"{motion.timestamps[frame]:.2f} s", fontsize=7, weight="normal", loc="center"
        )
    grid[0, 0].plot([-reach, -reach], [0, 1], color=GREY, linewidth=1.5, solid_capstyle="butt")
    grid[0, 0].annotate("1 m", (-reach, 0.5), (3, 0), textcoords="offset points", fontsize=6,
                        color="#555555", va="center")  # fmt: skip
    words = f"Person {motion.track_ids[person]}: left blue, right orange, discs: 68 % of errors"
    figure.suptitle(words, x=0.01, ha="left", fontsize=8)
    return figure


def _evenly(motion: Motion, person: int) -> NDArray[np.intp]:
    """Up to `POSES` frames that a person is present in, nearest to times that lie evenly."""
    frames = np.flatnonzero(motion.present[person])
    times = motion.timestamps[frames]
    even = np.linspace(times[0], times[-1], min(POSES, len(frames)))
    return frames[np.unique(np.abs(times[:, None] - even).argmin(0))]


def _draw_pose(axes: Axes, pose: Array, spread: NDArray[np.floating]) -> None:
    """A body (17, 3) of metres right, up and away; what is farther is drawn first."""
    for joint, parent in enumerate(H36M17.parents):
        name = H36M17.joints[joint]
        side = next((side for side in SIDES if name.startswith(side)), "body")
        color, far = LINES[side][0], 10 - float(pose[joint, 2])
        if np.isfinite(spread[joint]):
            radius = float(spread[joint])
            disc = Circle(tuple(pose[joint, :2]), radius, color=color, alpha=0.14, linewidth=0)
            axes.add_patch(disc).set(clip_on=False, zorder=1)
        if parent >= 0:
            axes.plot(*pose[[parent, joint], :2].T, color=color, linewidth=1.6, zorder=far,
                      solid_capstyle="round")  # fmt: skip
    middle = pose[H36M17.indices(["nose", "head"])].mean(0)
    head = Circle(tuple(middle[:2]), HEAD_RADIUS, color=BLACK, linewidth=0)
    axes.add_patch(head).set_zorder(10 - float(middle[2]))


def _upright(motion: Motion, person: int) -> Array:
    """Joints (F, 17, 3): right of the pelvis, above the floor that the person stands on, away."""
    floor = floor_of(motion)
    joints = motion.joints3d[person].astype(np.float64)
    cos, sin = np.cos(POSE_AZIMUTH), np.sin(POSE_AZIMUTH)
    turned = np.array([[cos, sin], [-sin, cos]]) @ floor.axes
    across, away = np.moveaxis((joints - joints[:, :1]) @ turned.T, -1, 0)
    height = floor.height(joints)
    ankles = height[:, H36M17.indices(["left_ankle", "right_ankle"])].min(1)
    return np.stack([across, height - np.nanmedian(ankles) + ANKLE_HEIGHT, away], -1)
