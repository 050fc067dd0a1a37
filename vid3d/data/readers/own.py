"""Files that vid3d wrote itself: to look into, to filter, and to join into one."""

from collections.abc import Iterator
from pathlib import Path

from vid3d.data.mocap import MotionClip, read_mocap
from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.data.readers.reading import DataSet, Reading
from vid3d.files import open_npz


def motions(path: Path, reading: Reading) -> Iterator[MotionClip]:
    """The clips of a compact motion file.

    Raises:
        Vid3dError: it is none.
    """
    return (clip for clip in read_mocap(path) if reading.wants(clip.name))


def pairs(path: Path, reading: Reading) -> Iterator[PairSequence]:
    """The sequences of a pair file.

    Raises:
        Vid3dError: it is none.
    """
    return (sequence for sequence in read_pairs(path) if reading.wants(sequence.name))


def _holds(path: Path, *names: str) -> bool:
    """Whether a file has arrays whose names end so."""
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with open_npz(path) as arrays:
            return all(any(key.endswith(name) for key in arrays.files) for name in names)
    except (OSError, ValueError):
        return False


MOTION = DataSet(
    name="motion",
    title="Motion file of vid3d",
    holds=lambda path: _holds(path, "lo", "hi", "offsets"),
    origin="write one with `vid3d data build PATH -o NAME.npz`",
    motions=motions,
)
PAIRS = DataSet(
    name="pairs",
    title="Pair file of vid3d",
    holds=lambda path: _holds(path, "/keypoints2d", "/frame_size"),
    origin="write one with `vid3d data build PATH -o NAME.pairs.npz`",
    pairs=pairs,
)
