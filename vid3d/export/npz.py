"""NPZ: the motion's own `.vid3d.npz` (docs/formats.md), with the way to the files' frame."""

from dataclasses import replace
from pathlib import Path

from vid3d.export.take import Take
from vid3d.motion import Motion


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.vid3d.npz: camera frame, true times; `meta.export_frame` leads to the others'."""
    return [located(take).save(folder / f"{stem}.vid3d.npz")]


def located(take: Take) -> Motion:
    """The motion, saying where the frame of the other files lies in `meta["export_frame"]`."""
    return replace(take.motion, meta={**take.motion.meta, "export_frame": take.space.to_meta()})
