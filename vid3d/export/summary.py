"""STEM.export.json: axes, units, rate and fit of exported files, for formats that cannot say."""

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.export.take import Take
from vid3d.files import atomic_path
from vid3d.motion_schema import AXES

_RIGGED = ("bvh", "glb", "usd")
_CAMERA = {"rotation": np.eye(3).tolist(), "translation": [0.0, 0.0, 0.0]}


def write_summary(take: Take, formats: Sequence[str], written: Sequence[Path], path: Path) -> Path:
    """Write the summary of the files of `formats` to `path`."""
    text = json.dumps(_summary(take, formats, written), indent=1, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def _summary(take: Take, formats: Sequence[str], written: Sequence[Path]) -> dict[str, Any]:
    """The content."""
    motion, people = take.steady, []
    rigged = {}
    if set(formats) & set(_RIGGED):
        rigged = {animation.track_id: animation for animation in take.animations}
    for person, track_id in enumerate(motion.track_ids.tolist()):
        here = np.flatnonzero(motion.present[person])
        if not len(here):
            continue
        entry = {
            "person": track_id,
            "first_frame": int(here[0]),
            "last_frame": int(here[-1]),
            "absent_frames_between": int(here[-1] - here[0] + 1 - len(here)),
        }
        if track_id in rigged:
            entry["rig_residual_mm"] = rigged[track_id].residual_mm()
        people.append(entry)
    return {
        **take.about(),
        "frame_from_camera": take.space.to_meta(),
        "rate": motion.fps,
        "frames": motion.frames,
        "resampled": motion is not take.motion,
        "people": people,
        "files": {path.name: _frame_of(path, take) for path in written},
    }


def _frame_of(path: Path, take: Take) -> dict[str, Any]:
    """Unit and axes of one file, and the transform to them from the camera's frame, metres."""
    name = path.suffix[1:].replace("usdc", "usd")
    if path.name.endswith((".vid3d.json", ".vid3d.npz")):
        return {"units": "m", "axes": AXES, **_CAMERA}
    own = getattr(import_module(f"vid3d.export.{name}"), "UNITS", None)
    space = take.space.turned("y") if name == "glb" else take.space
    return {"units": (take.units or own) if own else "m", **space.to_meta()}
