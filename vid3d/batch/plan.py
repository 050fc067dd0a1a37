"""What a batch has to do: which videos are new, changed or unfinished, and which are up to date."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vid3d.batch.inputs import Source, find_sources, inside, name_outputs
from vid3d.batch.manifest import NAME, Entry, Manifest, digest_of
from vid3d.batch.stamp import Print
from vid3d.errors import Vid3dError
from vid3d.files import printable
from vid3d.monitor import Monitor


@dataclass(frozen=True)
class Job:
    """A video to lift.

    Attributes:
        source: its key in the batch.
        path: of the file.
        output: path below the output folder that its results' names begin with.
        reason: why it is lifted.
    """

    source: str
    path: Path
    output: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        root: the folder that all videos lie in.
        recipe: what they are lifted with, see `lifting.recipe`.
        jobs: in order.
        kept: keys of videos whose results are up to date.
    """

    root: Path
    recipe: str
    jobs: list[Job]
    kept: list[str]


def plan_batch(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    recipe: str,
    resume: bool = True,
    monitor: Monitor | None = None,
) -> Plan:
    """What `run_batch` would do with the same arguments; writes nothing.

    Raises:
        Vid3dError: as `run_batch`.
    """
    found, monitor = find_sources(inputs, output), monitor or Monitor()
    if not (output / NAME).exists():
        return make_plan(*found, output, recipe, None, resume, monitor)
    with Manifest(output / NAME, writable=False) as manifest:
        return make_plan(*found, output, recipe, manifest, resume, monitor)


def make_plan(
    root: Path,
    sources: Sequence[Source],
    output: Path,
    recipe: str,
    manifest: Manifest | None,
    resume: bool,
    monitor: Monitor,
) -> Plan:
    """The plan beside a manifest that is open, or None where there is none yet."""
    known = manifest.entries() if manifest else {}
    before = manifest.root if manifest else None
    if before is not None and _is_another(before, root):
        raise Vid3dError(
            f"{output} holds the results of {before}, not of {root}; choose another folder with -o"
        )
    held = {key: entry.output for key, entry in known.items()}
    outputs = name_outputs([source.key for source in sources], held)
    jobs, kept = [], []
    with monitor.stage("checking", len(sources), "files") as advance:
        for source in sources:
            entry = known.get(source.key)
            reason = _reason(source.path, entry, output, digest_of(recipe), resume)
            if reason:
                jobs.append(Job(source.key, source.path, outputs[source.key], reason))
            else:
                kept.append(source.key)
            advance(1)
    return Plan(root, recipe, jobs, kept)


def _is_another(before: Path, root: Path) -> bool:
    """Whether a folder is there still, and is not `root` by another name (a link, another case)."""
    try:
        return before != Path(printable(str(root))) and not before.samefile(root)
    except OSError:  # it moved
        return False


def _reason(path: Path, entry: Entry | None, output: Path, recipe: str, resume: bool) -> str | None:
    """Why a video is lifted, or None where its results are up to date."""
    if entry is None:
        return "new"
    if not resume:
        return "all are lifted again"
    if entry.status != "done" or entry.print is None:
        states = {"failed": "failed before", "waiting": "not begun yet"}
        return states.get(entry.status, "interrupted")
    if entry.recipe != recipe:
        return "other options or models"
    if not entry.print.fits(path):
        return "changed"
    if not _whole(entry.files, output):
        return "results missing or changed"
    return None


def _whole(files: Mapping[str, Print], output: Path) -> bool:
    """Whether every result is there as it was written."""
    try:
        return bool(files) and all(seen.fits(inside(output, path)) for path, seen in files.items())
    except Vid3dError:
        return False
