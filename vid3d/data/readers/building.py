"""Data sets as files of vid3d: `vid3d data build` and `vid3d data info`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vid3d.data.mocap import MOCAP_FPS, MotionClip, write_mocap
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.data.readers.amass import AMASS
from vid3d.data.readers.captures import ACCLAIM, BVH
from vid3d.data.readers.human36m import HUMAN36M
from vid3d.data.readers.mpi_inf_3dhp import MPI_INF_3DHP
from vid3d.data.readers.own import MOTION, PAIRS
from vid3d.data.readers.reading import DataSet, Reading, check_read
from vid3d.data.readers.threedpw import THREEDPW
from vid3d.errors import Vid3dError
from vid3d.files import check_output
from vid3d.monitor import Monitor

DATA_SETS = {
    one.name: one for one in (HUMAN36M, MPI_INF_3DHP, THREEDPW, AMASS, BVH, ACCLAIM, MOTION, PAIRS)
}
_PAIRS = ".pairs.npz"


@dataclass
class Group:
    """What one actor, or one part of a data set, has.

    Attributes:
        name: of the actor, or the first part of the sequences' names.
        sequences: how many.
        frames: of all of them.
        seconds: of all of them.
    """

    name: str
    sequences: int = 0
    frames: int = 0
    seconds: float = 0.0


def build(
    paths: Sequence[Path],
    output: Path,
    kind: str | None = None,
    reading: Reading | None = None,
    monitor: Monitor | None = None,
) -> list[Group]:
    """Write data sets as one file: pairs where its name ends in `.pairs.npz`, else motion.

    Args:
        paths: files or folders.
        output: a compact motion file (h36m17, metres, z up, 50 Hz) or a pair file.
        kind: name of the data set; None: found by what lies there.
        reading: how they are read.
        monitor: told of progress.

    Returns:
        What was written, by actor.

    Raises:
        Vid3dError: a file is missing or not of its kind, or the set has no such contents.
    """
    if output.suffix != ".npz":
        raise Vid3dError(f"cannot write {output}: name it NAME.npz for motion, NAME{_PAIRS} for 2D")
    check_output(output, *paths)
    reading, monitor = reading or Reading(), monitor or Monitor()
    wants_pairs = output.name.endswith(_PAIRS)
    read: list[MotionClip | PairSequence] = []
    with monitor.stage("reading", unit="sequences") as advance:
        for one in _read_all(paths, kind, reading, wants_pairs):
            read.append(one)
            advance(1)
    if wants_pairs:
        write_pairs(output, [one for one in read if isinstance(one, PairSequence)])
    else:
        write_mocap(output, [one for one in read if isinstance(one, MotionClip)])
    return grouped(read)


def inspect(
    path: Path, kind: str | None = None, reading: Reading | None = None
) -> tuple[DataSet, list[Group]]:
    """What a data set holds, by actor; pairs where it has no motion of its own.

    Raises:
        Vid3dError: as `build`.
    """
    found = find_kind(path, kind)
    return found, grouped(_read_all([path], found.name, reading or Reading(), not found.motions))


def find_kind(path: Path, name: str | None) -> DataSet:
    """The data set called `name`, or the one that lies at a path.

    Raises:
        Vid3dError: no such name or path, or nothing there that is known.
    """
    if name is not None and name not in DATA_SETS:
        raise Vid3dError(f"data set is {name!r}, expected one of {', '.join(DATA_SETS)}")
    if not path.exists():
        origin = f"; {DATA_SETS[name].origin}" if name else ""
        raise Vid3dError(f"no such file or folder: {path}{origin}")
    if name is not None:
        return DATA_SETS[name]
    for one in DATA_SETS.values():
        if one.holds(path):
            return one
    raise Vid3dError(
        f"{path} holds no data set that vid3d knows ({', '.join(DATA_SETS)}); name it with --kind "
        "to hear what is missing"
    )


def grouped(read: Iterable[MotionClip | PairSequence]) -> list[Group]:
    """Totals by actor, or of pairs by the first part of their names."""
    groups: dict[str, Group] = {}
    for one in read:
        if isinstance(one, PairSequence):
            name, frames, fps = (
                one.name.split("/")[0].split(".")[0].split("#")[0],
                len(one),
                one.fps,
            )
        else:
            name, frames, fps = one.actor, len(one.joints), MOCAP_FPS
        group = groups.setdefault(name, Group(name))
        group.sequences += 1
        group.frames += frames
        group.seconds += frames / fps
    return [groups[name] for name in sorted(groups)]


def _read_all(
    paths: Sequence[Path], kind: str | None, reading: Reading, wants_pairs: bool
) -> Iterator[MotionClip | PairSequence]:
    sets = [find_kind(path, kind) for path in paths]
    check_read(sets, reading)
    for path, found in zip(paths, sets, strict=True):
        reader = found.pairs if wants_pairs else found.motions
        if reader is None:
            raise Vid3dError(
                f"{found.title} has no 2D: name the output NAME.npz for its motion"
                if wants_pairs
                else f"{found.title} is read as pairs only: name the output NAME{_PAIRS}"
            )
        yield from reader(path, found.part(reading))
