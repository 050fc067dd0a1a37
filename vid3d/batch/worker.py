"""A process that lifts one video after another, its networks loaded once."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from vid3d.batch.stamp import Print, stamp_of
from vid3d.errors import Vid3dError
from vid3d.files import printable, sha256_of


@dataclass(frozen=True)
class Made:
    """What a lift says of its result.

    Attributes:
        frames: of the video.
        people: found in it.
        warnings: for the user.
    """

    frames: int
    people: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One video to lift.

    Attributes:
        source: its key in the batch.
        path: of the file.
        stem: that the names of its results begin with.
        folder: for the results, of this task alone.
        work: folder of this video alone, perhaps not there yet; what is left in it when the process
            dies, the next try finds.
    """

    source: str
    path: Path
    stem: str
    folder: Path
    work: Path


Lift = Callable[[Task], Made]
"""Lifts a video and writes files whose names begin with the stem into the task's folder."""
Load = Callable[[], Lift]
"""Loads what a lift needs; called once in each worker, so it must be picklable."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended: well, or with an error.

    Attributes:
        seconds: it took.
        error: one line that says why it failed, or None.
        trace: where in the program, for errors that nobody foresaw.
        print: of the video.
        made: what the lift says of the result.
        files: checksums of the results by name in the task's folder.
        died: whether its process failed rather than the lift, so that another may succeed.
    """

    seconds: float
    error: str | None = None
    trace: str | None = None
    print: Print | None = None
    made: Made | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    died: bool = False


def serve(connection: Connection, load: Load) -> None:
    """Body of a worker: says None when it is ready, or why it cannot be; then answers tasks.

    Ctrl-C is left to the parent, and a worker ends with its parent, even in the middle of a task.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        lift = load()
    except Exception as error:
        connection.send(describe(error))
        return
    connection.send(None)
    while (task := connection.recv()) is not None:
        connection.send(carry_out(task, lift))


def carry_out(task: Task, lift: Lift) -> Outcome:
    """Lift one video; whatever goes wrong is its outcome."""
    start = time.perf_counter()
    try:
        before = Print.of(task.path)
        task.folder.mkdir(parents=True)
        made = lift(task)
        if stamp_of(task.path) != before.stamp:
            raise Vid3dError(f"{task.path} changed while it was lifted; run the batch again")
        written = sorted(path for path in task.folder.iterdir() if path.is_file())
        files = {path.name: sha256_of(path) for path in written}
        made = replace(made, warnings=tuple(map(printable, made.warnings)))
    except Exception as error:
        foreseen = isinstance(error, (Vid3dError, OSError, MemoryError))
        lines = [] if foreseen else traceback.format_exc().splitlines()
        trace = "\n".join(map(printable, lines)) or None
        return Outcome(time.perf_counter() - start, describe(error), trace)
    return Outcome(time.perf_counter() - start, print=before, made=made, files=files)


def describe(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, MemoryError):
        return "out of memory; use fewer --workers"
    text = printable(" ".join(str(error).split()))
    if isinstance(error, (Vid3dError, OSError)):
        return text
    return f"unexpected {type(error).__name__}: {text}"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
