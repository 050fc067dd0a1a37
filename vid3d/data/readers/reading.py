"""What all readers of data sets are told, and what they share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.data.mocap import MotionClip
from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Reading:
    """How a data set is read; each reader takes what concerns it (`DataSet.reads`).

    Attributes:
        only: keep what has a name that begins with one of these; empty: everything. Numbers count
            whole: S1 is not S11.
        split: keep the customary `train` or `test` part instead of `only`.
        cameras: Human3.6M: camera parameters as JSON; None: solved from the true 2D.
        detections: Human3.6M: which `data_2d_h36m_*.npz` the 2D comes from.
        body_model: AMASS: a model.npz of SMPL-H, or a folder of `male`, `female`, `neutral`.
        fps: the rate where a format does not say it, or wrongly.
        unit: BVH: metres a unit; None: so that the person is about as tall as people are.
        up: BVH: the axis that points up; None: the one along which people stand.
        joints: BVH, ASF/AMC: names of joints by their name in h36m17, where they are not customary.
    """

    only: tuple[str, ...] = ()
    split: str | None = None
    cameras: Path | None = None
    detections: str = "gt"
    body_model: Path | None = None
    fps: float | None = None
    unit: float | None = None
    up: str | None = None
    joints: tuple[tuple[str, str], ...] = ()

    def wants(self, name: str) -> bool:
        """Whether something of this name is kept."""
        return not self.only or any(
            name.startswith(one) and not (one[-1].isdigit() and name[len(one) :][:1].isdigit())
            for one in self.only
        )


@dataclass(frozen=True)
class DataSet:
    """A kind of data set.

    Attributes:
        name: in commands.
        title: for people.
        holds: whether a path looks like it.
        origin: where users get it, in a few words.
        motions: its clips, from a path; None where it has none.
        pairs: its sequences of 2D and 3D; None where it has none.
        reads: what its readers take of a `Reading`, besides what all do: names and parts.
        splits: what the customary parts' names begin with.
    """

    name: str
    title: str
    holds: Callable[[Path], bool]
    origin: str
    motions: Callable[[Path, Reading], Iterator[MotionClip]] | None = None
    pairs: Callable[[Path, Reading], Iterator[PairSequence]] | None = None
    reads: tuple[str, ...] = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def part(self, reading: Reading) -> Reading:
        """The reading with its split as names.

        Raises:
            Vid3dError: the data set has no such part.
        """
        if reading.split is None:
            return reading
        if reading.only or reading.split not in self.splits:
            parts = ", ".join(self.splits) or "none"
            raise Vid3dError(
                f"{self.title} cannot be split by {reading.split!r} (it knows {parts}, and not "
                "together with --only); choose with --only"
            )
        return replace(reading, only=self.splits[reading.split], split=None)


def check_read(sets: Iterable[DataSet], reading: Reading) -> None:
    """Refuse what none of the data sets takes of how they are to be read.

    Raises:
        Vid3dError: there is such an option.
    """
    reads = {one.title: one.reads for one in sets}
    taken = {"only", "split"}.union(*reads.values())
    idle = [
        f"--{one.name.replace('_', '-')}"
        for one in fields(Reading)
        if one.name not in taken and getattr(reading, one.name) != one.default
    ]
    if idle:
        raise Vid3dError(f"leave out {', '.join(idle)}, of no use to {', '.join(reads)}")


def need(path: Path, name: str, origin: str) -> Path:
    """A file called `name`: the path itself, or in the folder.

    Raises:
        Vid3dError: it is not there; the message says where users get it.
    """
    file = path if path.name == name else path / name
    if not file.is_file():
        raise Vid3dError(f"there is no {name} in {path}; {origin}")
    return file


def with_suffix(paths: Iterable[Path], suffix: str) -> Iterator[Path]:
    """Files with a suffix, given in lower case; files may have it in capitals.

    Hidden ones are left out: macOS puts a `._NAME` beside every NAME on foreign disks.
    """
    for path in paths:
        hidden = path.name.startswith(".")
        if path.suffix.lower() == suffix and not hidden and path.is_file():
            yield path


def files_below(path: Path, suffix: str, origin: str) -> list[tuple[str, Path]]:
    """Files with a suffix, with names relative to a folder without the suffix; a file is itself.

    Raises:
        Vid3dError: there is none; the message says where users get them.
    """
    if path.is_file():
        return [(path.stem, path)]
    found = sorted(with_suffix(path.rglob("*"), suffix))
    if not found:
        raise Vid3dError(f"no {suffix} file in {path}; {origin}")
    return [(file.relative_to(path).with_suffix("").as_posix(), file) for file in found]


def stretches(valid: Iterable[bool]) -> list[slice]:
    """Where a flag holds, without a gap."""
    edges = np.diff(np.concatenate([[False], np.asarray(list(valid), bool), [False]]).astype(int))
    begins, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    return [slice(int(a), int(b)) for a, b in zip(begins, ends, strict=True)]


def joints_of(value: object, count: int, width: int, what: str) -> Array:
    """An array (F, count, width) out of what a file holds.

    Raises:
        Vid3dError: it has another shape.
    """
    array = np.asarray(value, np.float64)
    if array.ndim == 4 and array.shape[1] == 1:  # (F, 1, J, D), as MATLAB files come out
        array = array[:, 0]
    if array.ndim != 3 or array.shape[1:] != (count, width):
        raise Vid3dError(f"{what} is {array.shape}, expected (frames, {count}, {width})")
    return array
