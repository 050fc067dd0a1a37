"""Compact motion-capture files: 17 Human3.6M joints, metres, z up, 50 Hz.

A file is an npz of `lo` and `hi` (51, N) uint8: the low and high bytes of zigzag-coded
differences between successive frames, in multiples of `unit` metres; `offsets` (C + 1,) separates
the clips, named by `clips`, `actors` and `descs`. Differences run on across clips, modulo 2^16.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, open_npz

MOCAP_FPS = 50.0
_UNIT, _MOST_UNIT = 0.0005, 0.002
DEV_ACTORS = ("hdm05_tr", "cmu_s35", "cmu_s86")
"""Actors taken out of training: every choice is made on them."""


@dataclass(frozen=True)
class MotionClip:
    """One recorded motion.

    Attributes:
        name: of the clip.
        actor: who moves.
        description: what they do.
        joints: (F, 17, 3) float32 h36m17 joints, metres, z up, 50 Hz.
    """

    name: str
    actor: str
    description: str
    joints: NDArray[np.float32]


def read_mocap(path: str | Path) -> list[MotionClip]:
    """All clips of a compact motion-capture file.

    Raises:
        Vid3dError: no such file, or not of this format.
    """
    try:
        with open_npz(path) as arrays:
            low, high = arrays["lo"].T.astype(np.uint16), arrays["hi"].T.astype(np.uint16)
            unit, offsets = float(arrays["unit"]), arrays["offsets"].ravel().tolist()
            labels = [arrays[key].tolist() for key in ("clips", "actors", "descs")]
            frames = _decoded(low, high) * np.float32(unit)
            if offsets != sorted(offsets) or {*offsets[:1], *offsets[-1:]} != {0, len(frames)}:
                raise ValueError("its clips are not its frames")
            spans = pairwise(offsets)
            return [
                MotionClip(str(name), str(actor), str(text), frames[start:end])
                for name, actor, text, (start, end) in zip(*labels, spans, strict=True)
            ]
    except OSError as error:
        raise Vid3dError(f"cannot read motion file {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise Vid3dError(f"{path} is not a compact motion-capture file ({error})") from error


def _decoded(low: NDArray[np.uint16], high: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Joints (F, 17, 3), in units, of the bytes (F, 51) of differences from frame to frame."""
    code = (low | (high << 8)).astype(np.uint16)
    differences = (code >> 1) ^ (0 - (code & 1)).astype(np.uint16)  # zigzag: 0, -1, 1, -2, ...
    positions = np.cumsum(differences.view(np.int16), axis=0, dtype=np.int16)
    return positions.reshape(-1, 17, 3).astype(np.float32)


def write_mocap(path: str | Path, clips: Sequence[MotionClip]) -> None:
    """Write clips as a compact file, to half a millimetre; it appears whole or not at all.

    Clips that go further than 16 m from the origin are written in coarser steps, of up to 2 mm.

    Raises:
        Vid3dError: nothing to write, a clip goes too far, or the file cannot be written.
    """
    if not clips:
        raise Vid3dError(f"no clip to write to {path}")
    furthest = max(clips, key=lambda clip: float(np.abs(clip.joints).max()))
    unit = max(_UNIT, float(np.abs(furthest.joints).max()) / 32_767)
    if not unit <= _MOST_UNIT:
        raise Vid3dError(f"clip {furthest.name} goes {unit * 32_767:.0f} m from the origin; cut it")
    joints = np.concatenate([clip.joints for clip in clips]).reshape(-1, 51)
    positions = np.rint(joints.astype(np.float64) / unit).astype(np.int16)
    differences = np.diff(positions, axis=0, prepend=np.zeros((1, 51), np.int16))
    code = ((differences << 1) ^ (differences >> 15)).view(np.uint16)
    arrays: dict[str, Any] = {
        "lo": (code & 255).astype(np.uint8).T,
        "hi": (code >> 8).astype(np.uint8).T,
        "unit": np.float64(unit),
        "offsets": np.cumsum([0, *(len(clip.joints) for clip in clips)]),
        "clips": np.array([clip.name for clip in clips]),
        "actors": np.array([clip.actor for clip in clips]),
        "descs": np.array([clip.description for clip in clips]),
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def motion_files(
    folders: Iterable[str | Path], files: Sequence[str], skipped: Sequence[str] = ()
) -> list[Path]:
    """Paths of the named motion files, looked for in several folders.

    Args:
        folders: where to look, in this order.
        files: names of files, without `.npz`.
        skipped: names to leave out (for a run without HDM05, say).

    Raises:
        Vid3dError: a file is in none of the folders.
    """
    places = [Path(folder) for folder in folders]
    found = []
    for name in files:
        if name in skipped:
            continue
        paths = [place / f"{name}.npz" for place in places if (place / f"{name}.npz").is_file()]
        if not paths:
            looked = ", ".join(map(str, places)) or "no folder given"
            raise Vid3dError(f"no motion file {name}.npz in {looked}: name its folder with --data")
        found.append(paths[0])
    return found
