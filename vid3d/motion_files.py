"""Writing a motion's files part by part, so that it need not be in memory: NPZ and JSON."""

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vid3d.files import atomic_path
from vid3d.motion_schema import (
    AXES,
    AXES_CUT,
    AXES_MOVED,
    PLACE,
    SCHEMA,
    SHAPES,
    TURN,
    UNITS,
    ZOOM,
    AnyMotion,
    farthest,
    largest_turn,
    largest_zoom,
    moved,
)
from vid3d.skeleton import H36M17, joint_set

_PART = 1 << 18  # bytes, or numbers of a list, at once


def write_npz(recorded: AnyMotion, path: str | Path) -> Path:
    """Write `.vid3d.npz` (schema 1); the file appears whole or not at all."""
    sizes = {
        "P": len(recorded.track_ids),
        "F": len(recorded.timestamps),
        "K": len(recorded.keyframes),
    }
    words = {
        "joint_names": H36M17.joints,
        "keypoint_names": joint_set(recorded.keypoint_set).joints,
        "meta": json.dumps(_meta(recorded), sort_keys=True),
    }
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, (dtype, dimensions) in SHAPES.items():
            shape = tuple(sizes[n] if isinstance(n, str) else n for n in dimensions)
            parts = _parts(recorded, name, len(shape))
            _write_member(archive, name, np.dtype(dtype), shape, parts)
        for name, array in _moves(recorded).items():
            _write_member(archive, name, array.dtype, array.shape, [array])
        for name, text in words.items():
            array = np.array(text)
            _write_member(archive, name, array.dtype, array.shape, [array])
    return Path(path)


def _moves(recorded: AnyMotion) -> dict[str, NDArray[np.float32]]:
    """The arrays of a camera that moved, by name."""
    moves = {}
    if largest_turn(recorded) > 0:
        moves[TURN] = recorded.camera_rotation
    if farthest(recorded) > 0:
        moves[PLACE] = recorded.camera_position
    if largest_zoom(recorded) != 1:
        moves[ZOOM] = recorded.camera_zoom
    return moves


def _parts(recorded: AnyMotion, name: str, dimensions: int) -> Iterator[NDArray[Any]]:
    """An array in parts that follow each other."""
    if SHAPES[name][1][0] != "P" or dimensions == 1:
        yield getattr(recorded, name)
        return
    for person in range(recorded.people):
        yield from recorded.rows(name, person)


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    parts: Iterable[NDArray[Any]],
) -> None:
    """One array of an NPZ file, as numpy writes it."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(member, {**header, "shape": shape})
        for part in parts:
            content = np.ascontiguousarray(part, dtype).reshape(-1)
            size = _PART // dtype.itemsize or 1
            for start in range(0, len(content), size):
                member.write(content[start : start + size].tobytes())


def write_json(recorded: AnyMotion, path: str | Path) -> Path:
    """Write the same as JSON: one entry a person, arrays over its present frames."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        head = {
            "meta": _meta(recorded),
            "joint_names": list(H36M17.joints),
            "keypoint_names": list(joint_set(recorded.keypoint_set).joints),
            "frame_size": recorded.frame_size.tolist(),
            "intrinsics": rounded(recorded.intrinsics, 4),
        }
        file.write(_json(head)[:-1])
        _write_list(file, "timestamps", _rounded_parts(recorded.timestamps, 6))
        _write_list(file, "keyframes", [recorded.keyframes.tolist()])
        for name, array in _moves(recorded).items():
            _write_list(file, name, _rounded_parts(array, 6))
        file.write(',"people":[')
        for person, track_id in enumerate(recorded.track_ids.tolist()):
            file.write("," * (person > 0) + f'{{"track_id":{track_id}')
            _write_person(file, recorded, person)
            file.write("}")
        file.write("]}")
    return Path(path)


def _write_person(file: IO[str], recorded: AnyMotion, person: int) -> None:
    stretches = recorded.stretches
    _write_list(file, "frames", (list(range(one.start, one.stop)) for one in stretches(person)))
    for name, digits in (("joints3d", 4), ("spread", 4), ("root_spread", 4), ("contacts", 3)):
        parts = (
            part
            for stretch in stretches(person)
            for part in _rounded_parts(getattr(stretch, name), digits)
        )
        _write_list(file, name, parts)
    file.write(',"keypoints2d":{')
    seen = recorded.sightings
    frames = (recorded.keyframes[looks].tolist() for looks, _ in seen(person))
    _write_list(file, "frames", frames, first=True)
    _write_list(file, "xyc", (rounded(xyc, 3) for _, xyc in seen(person)))
    file.write("}")


def _write_list(file: IO[str], name: str, parts: Iterable[list[Any]], first: bool = False) -> None:
    """A member of an object whose value is a list in parts."""
    file.write(("" if first else ",") + f'"{name}":[')
    comma = ""
    for part in parts:
        if part:
            file.write(comma + _json(part)[1:-1])
            comma = ","
    file.write("]")


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def _meta(recorded: AnyMotion) -> dict[str, Any]:
    axes = AXES
    if moved(recorded):
        axes = AXES_CUT if recorded.meta.get("cuts") else AXES_MOVED
    return {"fps": recorded.fps, **recorded.meta, "schema": SCHEMA, "axes": axes, "units": UNITS}


def _rounded_parts(array: NDArray[Any], digits: int) -> Iterator[list[Any]]:
    size = max(1, _PART // 64 // max(1, array[:1].size))
    for start in range(0, len(array), size):
        yield rounded(array[start : start + size], digits)


def rounded(array: NDArray[Any], digits: int) -> list[Any]:
    """Nested lists for JSON: rounded, with null for what is not a number."""
    values = np.round(array.astype(np.float64), digits)
    unknown = ~np.isfinite(values)
    if not unknown.any():
        return values.tolist()
    values = values.astype(object)
    values[unknown] = None
    return values.tolist()
