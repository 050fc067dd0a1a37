"""MPI-INF-3DHP in the layout of P-STMO, D3DP and FinePOSE: `data_{train,test}_3dhp.npz`.

Train: {"S1 Seq1": [{camera: {data_2d (F, 17, 2), data_3d (F, 17, 3) mm}}, fps]}; test:
{"TS1": {data_2d, data_3d, valid (F,)}}. Both are in the camera's frame and in the order of the
data set's own test joints, whose root is joint 14; the published code feeds them as they are to
networks that know Human3.6M's order. The intrinsics are fitted to the pairs.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.data.pairs import PairSequence
from vid3d.data.readers.calibrating import fit_intrinsics
from vid3d.data.readers.pickles import load_object
from vid3d.data.readers.reading import DataSet, Reading, joints_of, stretches
from vid3d.errors import Vid3dError

TO_H36M17 = (14, 8, 9, 10, 11, 12, 13, 15, 1, 16, 0, 5, 6, 7, 2, 3, 4)
"""Where each joint of h36m17 lies in the files: head top, neck, right arm, left arm, right leg,
left leg, pelvis, spine, head."""
FPS = 25.0
_FILES = ("data_train_3dhp.npz", "data_test_3dhp.npz")
_SQUARE, _WIDE = (2048, 2048), (1920, 1080)
_FAR = 20.0
"""Pixels: 3D that is further from its 2D is not that of this camera (univ_annot3 is not)."""
_ORIGIN = (
    "register at vcai.mpi-inf.mpg.de/3dhp-dataset, then prepare the files as P-STMO's README says, "
    "with annot3 instead of univ_annot3"
)


def pairs(path: Path, reading: Reading) -> Iterator[PairSequence]:
    """All sequences through all cameras; test sequences end where frames are not valid.

    Raises:
        Vid3dError: a file is missing, not of this layout, or its 3D is not that of its 2D.
    """
    files = [path] if path.is_file() else [path / name for name in _FILES if (path / name).exists()]
    if not files:
        raise Vid3dError(f"there is neither {' nor '.join(_FILES)} in {path}; {_ORIGIN}")
    found = False
    for file in files:
        for name, entry, fps in _entries(load_object(file, "data"), file):
            if reading.wants(name):
                found = True
                yield from _sequences(name, entry, reading.fps or fps, file)
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def _entries(data: Any, file: Path) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Name, arrays and rate of every recording."""
    if not isinstance(data, dict):
        raise Vid3dError(f"{file} is not of P-STMO's layout: no dictionary of sequences")
    for name, entry in data.items():
        if isinstance(entry, dict) and "data_3d" in entry:
            yield name, entry, FPS
            continue
        cameras = entry[0] if isinstance(entry, list) and entry else None
        if not isinstance(cameras, dict):
            raise Vid3dError(f"{file}: {name} is not of P-STMO's layout")
        fps = float(entry[1]) if len(entry) > 1 and isinstance(entry[1], int | float) else FPS
        for camera, arrays in cameras.items():
            yield f"{name.replace(' ', '/')}.{camera}", arrays, fps


def _sequences(name: str, entry: dict[str, Any], fps: float, file: Path) -> Iterator[PairSequence]:
    if not isinstance(entry, dict) or not {"data_2d", "data_3d"} <= entry.keys():
        raise Vid3dError(f"{file}: {name} has no data_2d and data_3d")
    order = list(TO_H36M17)
    points = joints_of(entry["data_3d"], 17, 3, f"data_3d of {name}")[:, order] / 1000
    pixels = joints_of(entry["data_2d"], 17, 2, f"data_2d of {name}")[:, order]
    valid = np.ravel(entry.get("valid", np.ones(len(points)))).astype(bool)
    if not len(points) == len(pixels) == len(valid):
        raise Vid3dError(f"{file}: arrays of {name} are not of the same length")
    size = _WIDE if re.match(r"TS[56]\b", name) else _SQUARE
    spans = stretches(valid)
    if not spans:
        return
    try:
        camera, left = fit_intrinsics(points[valid], pixels[valid], size)
    except Vid3dError as error:
        raise Vid3dError(f"{file}: no camera shows the 3D of {name} as its 2D: {error}") from error
    if left > _FAR:
        raise Vid3dError(
            f"{file}: the 3D of {name} is {left:.0f} pixels beside its 2D in every camera, as "
            "univ_annot3 is; prepare the files with annot3"
        )
    for number, span in enumerate(spans):
        yield PairSequence(
            name=name if len(spans) == 1 else f"{name}#{number}",
            keypoints2d=pixels[span].astype(np.float32),
            confidence=np.asarray(np.isfinite(pixels[span]).all(-1), np.float32),
            joint_set="h36m17",
            joints3d=points[span].astype(np.float32),
            camera=camera,
            fps=fps,
        )


MPI_INF_3DHP = DataSet(
    name="3dhp",
    title="MPI-INF-3DHP, P-STMO's layout",
    holds=lambda path: path.name in _FILES or any((path / name).is_file() for name in _FILES),
    origin=_ORIGIN,
    pairs=pairs,
    reads=("fps",),
    splits={"train": ("S",), "test": ("TS",)},
)
