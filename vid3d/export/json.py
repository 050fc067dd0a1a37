"""JSON: the motion's own `.vid3d.json` (docs/formats.md), with the way to the files' frame."""

from pathlib import Path

from vid3d.export.npz import located
from vid3d.export.take import Take


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.vid3d.json: camera frame, true times; `meta.export_frame` leads to the others'."""
    return [located(take).save_json(folder / f"{stem}.vid3d.json")]
