"""Pair files (`.pairs.npz`): full-rate 2D keypoints with, where known, the 3D joints behind them.

Schema 1: for sequence i (zero-padded to five digits) the arrays `i/keypoints2d` (F, 17, 2) pixels,
`i/confidence` (F, 17), `i/joint_set`, `i/joints3d` (F, 17, 3) metres in the camera frame (x right,
y down, z forward), absolute, always h36m17 (absent in pure 2D files), `i/intrinsics` (3, 3),
`i/frame_size` (2,) width and height, `i/fps`, `i/name`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, open_npz, printable
from vid3d.skeleton import joint_set

Array = NDArray[np.floating]


@dataclass(frozen=True)
class PairSequence:
    """One person in one clip, at full rate.

    Attributes:
        name: of the sequence.
        keypoints2d: (F, 17, 2) float32 pixels; meaningless where the confidence is 0.
        confidence: (F, 17) float32 in 0..1, 0 where missing.
        joint_set: name of the set that keypoints2d is in, `h36m17` or `coco17`.
        joints3d: (F, 17, 3) float32 metres, camera frame, absolute, h36m17; None in pure 2D files.
        camera: the camera it is seen through.
        fps: frames a second.
    """

    name: str
    keypoints2d: Array
    confidence: Array
    joint_set: str
    joints3d: Array | None
    camera: Camera
    fps: float

    def __post_init__(self) -> None:
        joint_set(self.joint_set)
        frames = len(self.keypoints2d)
        self._check("keypoints2d", self.keypoints2d, (frames, 17, 2))
        self._check("confidence", self.confidence, (frames, 17))
        if self.joints3d is not None:
            self._check("joints3d", self.joints3d, (frames, 17, 3))
        if frames == 0 or not 0 < self.fps < 1e5:
            raise Vid3dError(f"sequence {self.name!r} has {frames} frames at {self.fps} fps")

    def _check(self, field: str, array: Array, shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise Vid3dError(
                f"sequence {self.name!r}: {field} is {array.shape}, expected {shape}: "
                "write pair files as docs/formats.md says"
            )

    def __len__(self) -> int:
        return len(self.keypoints2d)


def read_pairs(path: str | Path) -> list[PairSequence]:
    """The sequences of a pair file, in their order.

    Raises:
        Vid3dError: no such file, not a pair file, or an array missing or of a wrong shape.
    """
    try:
        with open_npz(path) as arrays:
            prefixes = sorted({key.split("/")[0] for key in arrays.files if "/" in key})
            sequences = [_read_sequence(arrays, prefix) for prefix in prefixes]
    except OSError as error:
        raise Vid3dError(f"cannot read pair file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise Vid3dError(f"{path} is not a pair file ({error}); see docs/formats.md") from error
    except Vid3dError as error:
        raise Vid3dError(f"{path}: {error}") from error
    if not sequences:
        raise Vid3dError(f"pair file {path} holds no sequence; see docs/formats.md")
    return sequences


def _read_sequence(arrays: Any, prefix: str) -> PairSequence:
    def optional(field: str) -> Any:
        key = f"{prefix}/{field}"
        return arrays[key] if key in arrays.files else None

    keypoints = arrays[f"{prefix}/keypoints2d"].astype(np.float32)
    confidence, joints3d, name = (optional(field) for field in ("confidence", "joints3d", "name"))
    width, height = (int(side) for side in arrays[f"{prefix}/frame_size"])
    return PairSequence(
        name=printable(prefix if name is None else str(name))[:200],
        keypoints2d=keypoints,
        confidence=(
            np.isfinite(keypoints).all(-1).astype(np.float32)
            if confidence is None
            else confidence.astype(np.float32)
        ),
        joint_set=str(optional("joint_set") or "h36m17"),
        joints3d=None if joints3d is None else joints3d.astype(np.float32),
        camera=Camera(arrays[f"{prefix}/intrinsics"], (width, height)),
        fps=float(arrays[f"{prefix}/fps"]),
    )


def write_pairs(path: str | Path, sequences: Sequence[PairSequence]) -> None:
    """Write sequences as a pair file; it appears whole or not at all.

    Raises:
        Vid3dError: nothing to write, or the file cannot be written.
    """
    if not sequences:
        raise Vid3dError(f"no sequence to write to {path}")
    arrays: dict[str, Any] = {}
    for index, sequence in enumerate(sequences):
        fields = {
            "keypoints2d": sequence.keypoints2d.astype(np.float32),
            "confidence": sequence.confidence.astype(np.float32),
            "joint_set": np.array(sequence.joint_set),
            "intrinsics": sequence.camera.intrinsics.astype(np.float32),
            "frame_size": np.array(sequence.camera.frame_size, np.int64),
            "fps": np.float64(sequence.fps),
            "name": np.array(sequence.name),
        }
        if sequence.joints3d is not None:
            fields["joints3d"] = sequence.joints3d.astype(np.float32)
        arrays |= {f"{index:05d}/{field}": value for field, value in fields.items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)
