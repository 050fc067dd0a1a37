"""C3D: the 17 joints of everybody as markers `PERSON:joint`, millimetres; needs ezc3d."""

from pathlib import Path

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.export.take import Take
from vid3d.export.units import scale
from vid3d.files import atomic_path
from vid3d.skeleton import H36M17

UNITS = "mm"
MOST_FRAMES = 65_535
"""The header counts frames in two bytes, and readers believe it."""
MOST_PEOPLE = 200
"""Parameters, and with them the name of every marker, have room in 255 blocks of 512 bytes."""
MOST_RESIDUAL = 0.255
"""Metres: a residual is one byte, of a millimetre each."""
SCREEN = {"y": ("+X", "+Y"), "z": ("+X", "+Z")}
"""What POINT:X_SCREEN and Y_SCREEN say: which axes point right and up."""


def check(take: Take, stem: str) -> None:
    """Find what the format cannot hold, before anything is written.

    Raises:
        Vid3dError: more frames or people than the format counts.
    """
    motion = take.steady
    if motion.frames > MOST_FRAMES:
        raise Vid3dError(
            f"{stem}: C3D counts {MOST_FRAMES} frames at most, these are {motion.frames}: lift a "
            "part with --start and --end, or export another format"
        )
    if motion.people > MOST_PEOPLE:
        raise Vid3dError(
            f"{stem}: C3D names {MOST_PEOPLE} people at most, these are {motion.people}: lift with "
            "--max-people, or export another format"
        )


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.c3d over the whole clip, of a take that passes `check`.

    Absent markers are invalid (residual -1); the others' residual is their spread.
    """
    import ezc3d

    motion, unit = take.steady, take.units or UNITS
    size = scale(unit)
    subjects = [f"person{track_id}" for track_id in motion.track_ids.tolist()]
    points = size * take.space.place(motion.joints3d)  # (P, F, 17, 3)
    markers = points.transpose(3, 0, 2, 1).reshape(3, -1, motion.frames)
    file = ezc3d.c3d()
    parameters = file["parameters"]
    parameters["POINT"]["UNITS"]["value"] = [unit]
    parameters["POINT"]["RATE"]["value"] = [motion.fps]
    parameters["POINT"]["LABELS"]["value"] = [f"{s}:{j}" for s in subjects for j in H36M17.joints]
    right, up = SCREEN[take.space.up]
    file.add_parameter("POINT", "X_SCREEN", [right])
    file.add_parameter("POINT", "Y_SCREEN", [up])
    file.add_parameter("SUBJECTS", "USED", [len(subjects)])
    file.add_parameter("SUBJECTS", "NAMES", subjects)
    file.add_parameter("SUBJECTS", "LABEL_PREFIXES", [f"{s}:" for s in subjects])
    file.add_parameter("MANUFACTURER", "SOFTWARE", [take.about()["generator"]])
    # A residual is one byte of |SCALE|; negative means floating-point coordinates.
    parameters["POINT"]["SCALE"]["value"] = [-size / 1000]
    spread = np.nan_to_num(motion.spread.transpose(0, 2, 1).reshape(1, -1, motion.frames))
    residual = size * spread.clip(0, MOST_RESIDUAL)
    absent = ~np.isfinite(markers).all(0)
    file["data"]["points"] = np.concatenate([markers, np.ones((1, *markers.shape[1:]))])
    file["data"]["meta_points"]["residuals"] = np.where(absent, -1.0, residual)
    path = folder / f"{stem}.c3d"
    with atomic_path(path) as temporary:
        file.write(str(temporary))
    return [path]
