"""Human3.6M in the layout of VideoPose3D: `data_3d_h36m.npz` and `data_2d_h36m_*.npz`.

3D: {subject: {action: (F, 32 or 17, 3) metres, world, z up}}; 2D: {subject: {action: [four arrays
(F, 17, 2) of pixels]}}, one a camera; both at 50 Hz. Cameras are read from a JSON of `intrinsics`
(calibration_matrix, distortion) and `extrinsics` (R, t in mm) by camera and subject, or else solved
from the true 2D. Lens distortion is taken out of the 2D, which the published readers leave in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.data.mocap import MotionClip
from vid3d.data.pairs import PairSequence
from vid3d.data.readers.calibrating import solve_camera, undistorted
from vid3d.data.readers.clips import make_clip
from vid3d.data.readers.pickles import load_object
from vid3d.data.readers.reading import DataSet, Reading, joints_of, need
from vid3d.errors import Vid3dError
from vid3d.files import read_json

Array = NDArray[np.floating]
View = tuple[Camera, Array, Array]
"""A camera, its rotation and its translation in metres."""

FPS = 50.0
_KEPT = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
_VIEWS = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
"""Cameras in the order of the 2D files, and the size of their pictures."""
_FILE_3D, _FILE_2D = "data_3d_h36m.npz", "data_2d_h36m_{}.npz"
_ORIGIN = (
    "register at vision.imar.ro/human3.6m, then prepare the files as VideoPose3D's DATASETS.md says"
)


def motions(path: Path, reading: Reading) -> Iterator[MotionClip]:
    """All takes as motion.

    Raises:
        Vid3dError: a file is missing, or not of this layout.
    """
    for name, subject, action, joints in _takes(path, reading):
        yield make_clip(name, f"h36m_{subject}", action, joints, reading.fps or FPS)


def pairs(path: Path, reading: Reading) -> Iterator[PairSequence]:
    """All takes through all cameras.

    Raises:
        Vid3dError: a file or a camera is missing, or the files do not belong together.
    """
    path = path.parent if path.is_file() else path
    seen = _load(path, _FILE_2D.format(reading.detections), "positions_2d")
    true = None
    if reading.cameras is None:
        try:
            true = _load(path, _FILE_2D.format("gt"), "positions_2d")
        except Vid3dError as error:
            raise Vid3dError(f"{error}; or give the camera parameters with --cameras") from error
    takes = list(_takes(path, reading))
    cameras = _read_cameras(reading.cameras) if reading.cameras else {}
    for name, subject, action, joints in takes:
        looks = _of(seen, subject, action, name)
        for view, (camera_name, size) in enumerate(_VIEWS.items()):
            if true is not None and (subject, camera_name) not in cameras:
                cameras[subject, camera_name] = _solve(takes, true, subject, view, size)
            if (subject, camera_name) not in cameras:
                raise Vid3dError(f"{reading.cameras} has no camera {camera_name} of {subject}")
            what = f"{name}.{camera_name}"
            yield _pair(what, joints, looks[view], cameras[subject, camera_name], reading)


def _pair(name: str, joints: Array, pixels: Any, view: View, reading: Reading) -> PairSequence:
    camera, rotation, translation = view
    keypoints = joints_of(np.asarray(pixels)[..., :2], 17, 2, name)
    frames = min(len(joints), len(keypoints))  # detections go on after the motion has ended
    plain, keypoints = undistorted(camera, keypoints[:frames])
    return PairSequence(
        name=name,
        keypoints2d=keypoints.astype(np.float32),
        confidence=np.asarray(np.isfinite(keypoints).all(-1), np.float32),
        joint_set="h36m17",
        joints3d=(joints[:frames] @ rotation.T + translation).astype(np.float32),
        camera=plain,
        fps=reading.fps or FPS,
    )


def _takes(path: Path, reading: Reading) -> Iterator[tuple[str, str, str, Array]]:
    """Name, subject, action and h36m17 joints (F, 17, 3) of every take that is wanted."""
    found = False
    for subject, actions in _load(path, _FILE_3D, "positions_3d").items():
        for action, positions in _dict(actions, subject).items():
            name = f"{subject}/{action}"
            if reading.wants(name):
                found = True
                count = np.asarray(positions).shape[1] if np.ndim(positions) == 3 else 32
                joints = joints_of(positions, 17 if count == 17 else 32, 3, f"3D of {name}")
                yield name, subject, action, joints if count == 17 else joints[:, list(_KEPT)]
    if not found:
        raise Vid3dError(f"{path} has nothing whose name begins with {', '.join(reading.only)}")


def _load(path: Path, name: str, key: str) -> dict[str, Any]:
    return _dict(load_object(need(path, name, _ORIGIN), key), name)


def _dict(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Vid3dError(f"{what} is not of VideoPose3D's layout: no dictionary of arrays")
    return value


def _of(seen: dict[str, Any], subject: str, action: str, name: str) -> Any:
    looks = seen.get(subject, {})
    looks = looks.get(action, ()) if isinstance(looks, dict) else ()
    if len(looks) != len(_VIEWS):
        raise Vid3dError(f"2D of {name} has {len(looks)} cameras, expected {len(_VIEWS)}")
    return looks


def _solve(
    takes: list[tuple[str, str, str, Array]],
    true: dict[str, Any],
    subject: str,
    view: int,
    size: tuple[int, int],
) -> View:
    """A camera from all takes of a subject."""
    points, pixels = [], []
    for name, other, action, joints in takes:
        if other == subject:
            seen = joints_of(_of(true, subject, action, name)[view], 17, 2, f"2D of {name}")
            count = min(len(joints), len(seen))
            points.append(joints[:count][::10])
            pixels.append(seen[:count][::10])
    what = f"{subject}, camera {list(_VIEWS)[view]}"
    return solve_camera(np.concatenate(points), np.concatenate(pixels), size, what)


def _read_cameras(path: Path) -> dict[tuple[str, str], View]:
    """Views by subject and camera."""
    cameras: dict[tuple[str, str], View] = {}
    try:
        fields = read_json(path)
        for subject, views in fields["extrinsics"].items():
            for name, where in views.items():
                inside = fields["intrinsics"][name]
                dist = tuple(float(value) for value in inside["distortion"])
                camera = Camera(inside["calibration_matrix"], _VIEWS[name], dist)
                rotation = np.array(where["R"], float).reshape(3, 3)
                cameras[subject, name] = camera, rotation, np.ravel(where["t"]) / 1000
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Vid3dError(
            f"{path} is not a JSON of Human3.6M's cameras ({error!r}); docs/data.md shows one, or "
            "leave --cameras out to have them solved from data_2d_h36m_gt.npz"
        ) from error
    return cameras


HUMAN36M = DataSet(
    name="h36m",
    title="Human3.6M, VideoPose3D's layout",
    holds=lambda path: path.name == _FILE_3D or (path / _FILE_3D).is_file(),
    origin=_ORIGIN,
    motions=motions,
    pairs=pairs,
    reads=("cameras", "detections", "fps"),
    splits={"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")},
)
