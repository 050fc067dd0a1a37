"""TRC (OpenSim): one file a person; the 17 joints as markers, y up, metres, clip time."""

from pathlib import Path

import numpy as np

from vid3d.export.take import Take
from vid3d.export.units import scale
from vid3d.files import atomic_path
from vid3d.skeleton import H36M17

UNITS = "m"


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.personID.trc for everybody, from their first to their last present frame.

    Frames in gaps have empty cells, which OpenSim reads as missing markers.
    """
    paths = []
    for person, track_id in enumerate(take.steady.track_ids.tolist()):
        if take.steady.present[person].any():
            path = folder / f"{stem}.person{track_id}.trc"
            with atomic_path(path) as temporary:
                temporary.write_text(_text(take, person, path.name), encoding="utf-8", newline="\n")
            paths.append(path)
    return paths


def _text(take: Take, person: int, name: str) -> str:
    """The whole file. Layout: OpenSim's documentation of Marker (.trc) Files.

    Cells end with a tab, as OpenSim writes them: where the last one of a row is empty, a tab that
    only stood between cells would leave the row a cell short, and OpenSim refuses the file.
    """
    motion, unit = take.steady, take.units or UNITS
    here = np.flatnonzero(motion.present[person])
    frames = range(here[0], here[-1] + 1)
    points = scale(unit) * take.space.place(motion.joints3d[person])
    rate, count, labels = f"{motion.fps:.6f}", len(frames), H36M17.joints
    heads = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate",
             "OrigDataStartFrame", "OrigNumFrames")  # fmt: skip
    values = (rate, rate, count, len(labels), unit, rate, 1, count)
    axes = [f"{axis}{marker + 1}" for marker in range(len(labels)) for axis in "XYZ"]
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "\t".join(heads),
        "\t".join(map(str, values)),
        "Frame#\tTime\t" + "".join(f"{label}\t\t\t" for label in labels),
        "\t\t" + "".join(f"{axis}\t" for axis in axes),
        "",
    ]
    for number, frame in enumerate(frames, 1):
        seconds = motion.timestamps[frame] - motion.timestamps[0]
        cells = [f"{v:.6f}\t" if np.isfinite(v) else "\t" for v in points[frame].ravel()]
        lines.append(f"{number}\t{seconds:.6f}\t" + "".join(cells))
    return "\n".join(lines) + "\n"
