"""CSV: a tidy table, one row a person, frame and joint, at the true times; metres."""

import csv
from pathlib import Path

import numpy as np

from vid3d.export.take import Take
from vid3d.files import atomic_path
from vid3d.skeleton import H36M17

COLUMNS = ("frame", "time_s", "person", "joint", "x_m", "y_m", "z_m", "spread_m", "up")


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.csv. Who is absent in a frame has no rows there; unknown spread is empty.

    Column `up` states the axis that points up; docs/export.md states the others.
    """
    motion, path = take.motion, folder / f"{stem}.csv"
    points = take.space.place(motion.joints3d)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for person, track_id in enumerate(motion.track_ids.tolist()):
            for frame in np.flatnonzero(motion.present[person]).tolist():
                time = f"{motion.timestamps[frame]:.6f}"
                spreads = motion.spread[person, frame].tolist()
                for joint, name in enumerate(H36M17.joints):
                    place = [f"{value:.5f}" for value in points[person, frame, joint].tolist()]
                    spread = f"{spreads[joint]:.4f}" if np.isfinite(spreads[joint]) else ""
                    rows.writerow([frame, time, track_id, name, *place, spread, take.space.up])
    return [path]
