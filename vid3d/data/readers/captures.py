"""Folders of BVH files, and of ASF skeletons with their AMC motions."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vid3d.data.mocap import MotionClip
from vid3d.data.readers.acclaim import FPS, JOINTS, Acclaim, read_amc, read_asf
from vid3d.data.readers.bvh import read_bvh
from vid3d.data.readers.clips import make_clip, upward
from vid3d.data.readers.reading import DataSet, Reading, files_below, with_suffix
from vid3d.data.readers.skeletons import find_joints, to_h36m17
from vid3d.errors import Vid3dError
from vid3d.stature import stature

_UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "CMU": 0.0254 / 0.45}
"""Metres a unit that BVH files are met with; CMU's are ASF's."""
_TALL = 1.70
_SHORT_TALL = (1.0, 2.4)
_ORIGIN = "name a .bvh file, or a folder of them"
_ASF = "put the .asf beside the .amc files (mocap.cs.cmu.edu, resources.mpi-inf.mpg.de/HDM05)"


def bvh_motions(path: Path, reading: Reading) -> Iterator[MotionClip]:
    """All BVH files of a folder and below.

    Raises:
        Vid3dError: no file, one that is not BVH, or joints, unit or axes that cannot be guessed.
    """
    found = False
    for name, file in files_below(path, ".bvh", _ORIGIN):
        if not reading.wants(name):
            continue
        found = True
        skeleton, fps = read_bvh(file)
        try:
            named = find_joints(skeleton.names, dict(reading.joints))
            joints = to_h36m17(skeleton, named)
            joints *= reading.unit or _unit(joints)
            up = reading.up or upward(joints)
        except Vid3dError as error:
            raise Vid3dError(f"{file}: {error}") from error
        above = Path(os.path.abspath(file)).parent  # that of "." has no name
        actor = above.name if path.is_dir() else file.stem
        yield make_clip(name, actor, file.stem, joints, reading.fps or fps, up)
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def acclaim_motions(path: Path, reading: Reading) -> Iterator[MotionClip]:
    """All AMC files of a folder and below, each with the skeleton beside it.

    Raises:
        Vid3dError: no file, no skeleton, or one that is not of this format.
    """
    skeletons: dict[Path, Acclaim] = {}
    found = False
    for name, file in files_below(path, ".amc", _ASF):
        if not reading.wants(name):
            continue
        found = True
        asf = _skeleton_of(file)
        if asf not in skeletons:
            skeletons[asf] = read_asf(asf)
        skeleton = read_amc(file, skeletons[asf])
        try:
            joints = to_h36m17(skeleton, find_joints(skeleton.names, JOINTS | dict(reading.joints)))
        except Vid3dError as error:
            raise Vid3dError(f"{file}: {error}") from error
        yield make_clip(name, asf.stem, file.stem, joints, reading.fps or FPS, reading.up or "y")
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def _skeleton_of(file: Path) -> Path:
    """The ASF file beside an AMC file whose name its name begins with; the only one fits always."""
    found = with_suffix(file.parent.iterdir(), ".asf")
    beside = sorted(found, key=lambda asf: (-len(asf.stem), asf.name))
    fitting = [asf for asf in beside if file.stem.startswith(asf.stem)]
    if not fitting and len(beside) != 1:
        raise Vid3dError(f"there is no skeleton for {file}; {_ASF}")
    return (fitting or beside)[0]


def _unit(joints: np.ndarray) -> float:
    """Metres a unit, so that a person is as tall as people are.

    Raises:
        Vid3dError: no customary unit makes them so.
    """
    tall = {metres: stature(joints) * metres for metres in _UNITS.values()}
    best = min(tall, key=lambda metres: abs(np.log(max(tall[metres], 1e-9) / _TALL)))
    low, high = _SHORT_TALL
    if not low <= tall[best] <= high:
        raise Vid3dError(
            f"the person is {stature(joints):.3g} units tall, which is no customary unit; say how "
            "many metres a unit is with --unit"
        )
    return best


def _has(path: Path, suffix: str) -> bool:
    return any(with_suffix(path.rglob("*") if path.is_dir() else [path], suffix))


BVH = DataSet(
    name="bvh",
    title="BVH",
    holds=lambda path: _has(path, ".bvh"),
    origin=_ORIGIN,
    motions=bvh_motions,
    reads=("fps", "unit", "up", "joints"),
)
ACCLAIM = DataSet(
    name="amc",
    title="ASF/AMC (CMU, HDM05)",
    holds=lambda path: _has(path, ".amc"),
    origin=_ASF,
    motions=acclaim_motions,
    reads=("fps", "up", "joints"),
)
