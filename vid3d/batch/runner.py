"""Running a batch: a plan, workers, and a manifest that knows at every moment what is done."""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vid3d.batch.cluster import Cluster, ClusterPool
from vid3d.batch.inputs import find_sources, inside
from vid3d.batch.lock import locked
from vid3d.batch.manifest import NAME, Manifest
from vid3d.batch.plan import Job, Plan, make_plan
from vid3d.batch.pool import Pool, default_workers
from vid3d.batch.stamp import Print
from vid3d.batch.worker import Load, Outcome, Task, describe
from vid3d.errors import Vid3dError
from vid3d.given import whole_number
from vid3d.monitor import Monitor

TRIES = 3
"""How often a video is begun whose process died: for want of memory, say, or with its machine."""


@dataclass
class Report:
    """What a run did.

    Attributes:
        total: videos in the batch.
        kept: videos whose results were up to date.
        done: lifted now.
        failed: error by key of the video.
        interrupted: whether Ctrl-C ended it before the last video.
        seconds: it took.
    """

    total: int
    kept: int
    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0


def run_batch(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    recipe: str,
    load: Load,
    workers: int | None = None,
    resume: bool = True,
    cluster: Cluster | None = None,
    monitor: Monitor | None = None,
    ended: Callable[[str, Outcome], None] = lambda source, outcome: None,
) -> Report:
    """Lift every video that is not up to date; results mirror the folders of the videos.

    Args:
        inputs: folders, files and globs.
        output: folder of the results and of the manifest, `batch.sqlite`.
        recipe: what results depend on beside the video: videos done with another are done again.
        load: called once in each worker process, gives the function that lifts.
        workers: how many processes; None: one for two cores, at most 8, or on a cluster as many
            as its machines have room for.
        resume: whether videos are kept whose results are up to date.
        cluster: a Ray cluster to work on; None: processes of this machine.
        monitor: told of progress and warnings.
        ended: told of each video that ended, by its key.

    Raises:
        Vid3dError: no videos, an output folder that cannot be used, a number of workers that
            cannot be, or no worker could begin.
    """
    if workers is not None:
        whole_number("workers", workers, 1)
    monitor, begin = monitor or Monitor(), time.perf_counter()
    found = find_sources(inputs, output)
    with locked(output) as private, Manifest(inside(output, NAME)) as manifest:
        manifest.interrupt()
        plan = make_plan(*found, output, recipe, manifest, resume, monitor)
        _tidy(private, {_work_of(job.source) for job in plan.jobs})
        report = Report(len(found[1]), len(plan.kept))
        staging = private.absolute() / f"run-{uuid.uuid4().hex[:12]}"
        videos = {source.path.resolve() for source in found[1]}
        run = _Run(plan, videos, output, staging, manifest, monitor)
        try:
            for source, outcome in run.outcomes(load, workers, cluster):
                if outcome.error is None:
                    report.done += 1
                else:
                    report.failed[source] = outcome.error
                ended(source, outcome)
        except KeyboardInterrupt:
            report.interrupted = True
        finally:
            run.close()
    report.seconds = time.perf_counter() - begin
    return report


def _work_of(source: str) -> str:
    """Where the work on a video is kept, below the private folder."""
    return f"work/{hashlib.sha256(source.encode()).hexdigest()[:16]}"


def _tidy(private: Path, wanted: Set[str]) -> None:
    """Remove what a run that was killed left, but work that goes on."""
    for left in (*private.glob("run-*"), *private.glob("work/*")):
        if left.relative_to(private).as_posix() not in wanted:
            shutil.rmtree(left, ignore_errors=True)


class _Run:
    """One run: hands jobs to workers, and puts what they made where it belongs."""

    def __init__(
        self,
        plan: Plan,
        videos: Set[Path],
        output: Path,
        staging: Path,
        manifest: Manifest,
        monitor: Monitor,
    ) -> None:
        self._plan, self._videos, self._output, self._staging = plan, videos, output, staging
        self._manifest, self._monitor = manifest, monitor
        manifest.begin(plan.root, plan.recipe, {job.source: job.output for job in plan.jobs})

    def close(self) -> None:
        """Forget what was not finished."""
        shutil.rmtree(self._staging, ignore_errors=True)
        with suppress(OSError):  # not empty after an interruption
            (self._staging.parent / "work").rmdir()
        self._manifest.interrupt()

    def outcomes(
        self, load: Load, workers: int | None, cluster: Cluster | None
    ) -> Iterator[tuple[str, Outcome]]:
        """Videos that ended, and how; those whose process died are begun again at the end."""
        left = self._plan.jobs
        if not left:
            return
        self._make_staging()
        if cluster is not None:
            pool: Pool | ClusterPool = ClusterPool(cluster, load, workers)
        else:
            count = default_workers() if workers is None else workers
            pool = Pool(load, min(len(left), count))
        with self._monitor.stage("lifting", len(left), "files") as advance, pool:
            for tries in range(1, TRIES + 1):
                tasks = {self._task(f"{tries}-{i}", job): job for i, job in enumerate(left)}
                left = []
                for task, outcome in pool.run(list(tasks), self._started):
                    job = tasks[task]
                    if outcome.died and tries < TRIES:
                        left.append(job)
                        continue
                    yield job.source, self._ended(job, task, outcome)
                    advance(1)

    def _make_staging(self) -> None:
        try:
            self._staging.mkdir()
        except OSError as error:
            raise Vid3dError(
                f"cannot write to {self._output} ({error.strerror or error}); check space and "
                "permissions"
            ) from error

    def _task(self, name: str, job: Job) -> Task:
        stem = PurePosixPath(job.output).name
        work = self._staging.parent / _work_of(job.source)
        return Task(job.source, job.path, stem, self._staging / name, work)

    def _started(self, task: Task) -> None:
        self._manifest.start(task.source, self._plan.recipe)

    def _ended(self, job: Job, task: Task, outcome: Outcome) -> Outcome:
        """Put the results of a video in their place and note how it ended."""
        try:
            if outcome.made is not None and outcome.print is not None:
                files = self._publish(job, task.folder, outcome.files)
                self._remove_older(job.source, files)
                self._manifest.finish(
                    job.source, outcome.print, outcome.seconds, outcome.made, files
                )
                for text in outcome.made.warnings:
                    self._monitor.warn(f"{job.source}: {text}")
        except (OSError, Vid3dError) as error:
            outcome = Outcome(outcome.seconds, describe(error))
        if outcome.error is not None:
            self._manifest.fail(job.source, outcome.seconds, outcome.error, outcome.trace)
        for folder in (task.folder, task.work):
            shutil.rmtree(folder, ignore_errors=True)
        return outcome

    def _publish(self, job: Job, folder: Path, files: Mapping[str, str]) -> dict[str, Print]:
        """Move results to where they belong; their fingerprints by path below the output folder."""
        targets = {name: str(PurePosixPath(job.output).parent / name) for name in files}
        for below in targets.values():
            owner = self._manifest.owner(below)
            if owner not in (None, job.source):
                raise Vid3dError(f"{below} is a result of {owner}; rename one of the two videos")
            if inside(self._output, below).resolve() in self._videos:
                raise Vid3dError(f"{below} is a video of this batch: choose another folder with -o")
        published = {}
        for name, below in targets.items():
            target = inside(self._output, below)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / name, target)
            published[below] = Print.of(target, files[name])
        return published

    def _remove_older(self, source: str, files: Mapping[str, Print]) -> None:
        """Remove results of an earlier run that this one did not make and nobody changed."""
        for below, seen in self._manifest.results(source).items():
            with suppress(Vid3dError):  # a manifest that somebody edited may name any path
                if below not in files and seen.fits(path := inside(self._output, below)):
                    path.unlink()
