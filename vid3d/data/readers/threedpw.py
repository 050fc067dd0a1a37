"""3DPW: a pickle a sequence, written by Python 2, with one or two people.

Per person: jointPositions (F, 72), 24 SMPL joints in the world, metres; poses2d (F, 3, 18), what
OpenPose found, zeros where it found nobody; campose_valid (F,). Once: cam_poses (F, 4, 4), world to
camera, and cam_intrinsics (3, 3). 30 Hz.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence
from vid3d.data.readers.pickles import load_pickle
from vid3d.data.readers.reading import DataSet, Reading, files_below, stretches, with_suffix
from vid3d.data.readers.skeletons import Skeleton, to_h36m17
from vid3d.data.readers.smpl import JOINTS, NAMES, PARENTS
from vid3d.errors import Vid3dError

FPS = 30.0
_COCO17 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""Where each joint of coco17 lies among OpenPose's 18."""
_FOLDER = "sequenceFiles"
"""What the archive unpacks to; names are relative to it."""
_ORIGIN = "fetch sequenceFiles.zip from virtualhumans.mpi-inf.mpg.de/3DPW"


def pairs(path: Path, reading: Reading) -> Iterator[PairSequence]:
    """Every person of every sequence, cut where the camera is not known; 2D is coco17.

    Raises:
        Vid3dError: no file, or one that is not of this layout.
    """
    found = False
    inside = path / _FOLDER
    for name, file in files_below(inside if inside.is_dir() else path, ".pkl", _ORIGIN):
        if reading.wants(name):
            found = True
            yield from _people(name, file, load_pickle(file), reading.fps or FPS)
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def _people(name: str, file: Path, fields: Any, fps: float) -> Iterator[PairSequence]:
    try:
        camera = _camera(np.asarray(fields["cam_intrinsics"], float))
        world = np.asarray(fields["cam_poses"], float).reshape(-1, 4, 4)
        for person, positions in enumerate(fields["jointPositions"]):
            joints = np.asarray(positions, float).reshape(-1, 24, 3)
            found = np.asarray(fields["poses2d"][person], float).reshape(-1, 3, 18)
            valid = np.ravel(fields["campose_valid"][person]).astype(bool)
            frames = min(len(joints), len(found), len(world), len(valid))
            joints = joints[:frames] @ world[:frames, :3, :3].transpose(0, 2, 1)
            joints += world[:frames, None, :3, 3]
            spans = stretches(valid[:frames] & np.isfinite(joints).all((1, 2)))
            for number, span in enumerate(spans):
                part = "" if len(spans) == 1 else f"#{number}"
                yield _pair(f"{name}.{person}{part}", joints[span], found[span], camera, fps)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Vid3dError(f"{file} is not a sequence of 3DPW ({error!r}); {_ORIGIN}") from error


def _pair(
    name: str, joints: np.ndarray, found: np.ndarray, camera: Camera, fps: float
) -> PairSequence:
    seen = found[:, :, list(_COCO17)].transpose(0, 2, 1)
    return PairSequence(
        name=name,
        keypoints2d=seen[..., :2].astype(np.float32),
        confidence=np.clip(seen[..., 2], 0, 1).astype(np.float32),
        joint_set="coco17",
        joints3d=to_h36m17(Skeleton(NAMES, PARENTS, joints), JOINTS).astype(np.float32),
        camera=camera,
        fps=fps,
    )


def _camera(intrinsics: np.ndarray) -> Camera:
    """The camera; phones filmed at 1080 x 1920 or 1920 x 1080, with the axis in the middle."""
    upright = intrinsics[0, 2] < intrinsics[1, 2]
    return Camera(intrinsics, (1080, 1920) if upright else (1920, 1080))


THREEDPW = DataSet(
    name="3dpw",
    title="3DPW",
    holds=lambda path: any(with_suffix(path.rglob("*") if path.is_dir() else [path], ".pkl")),
    origin=_ORIGIN,
    pairs=pairs,
    reads=("fps",),
    splits={part: (f"{part}/",) for part in ("train", "validation", "test")},
)
