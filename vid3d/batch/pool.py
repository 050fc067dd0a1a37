"""Worker processes that are handed tasks one by one; one that dies takes only its task along."""

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait

from vid3d.batch.worker import Load, Outcome, Task, serve
from vid3d.errors import Vid3dError
from vid3d.machine import usable_cores

_MOST_WORKERS = 8
"""Unless asked for more: each holds its networks, most of a gigabyte."""
_PATIENCE = 5.0
"""Seconds that a worker has for ending by itself."""


def default_workers() -> int:
    """One for two cores, at most 8."""
    return min(_MOST_WORKERS, max(1, usable_cores() // 2))


class Worker:
    """The parent's side of a worker process.

    Attributes:
        task: that it works on, or None.
        ready: whether it has loaded what it needs.
    """

    def __init__(self, load: Load, threads: int) -> None:
        self.task: Task | None = None
        self.ready = False
        self._given = 0.0
        context = multiprocessing.get_context("spawn")  # threads and CUDA do not survive a fork
        self.connection, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other, load), daemon=True)
        with _environment("OMP_NUM_THREADS", str(threads)), _deaf():
            self._process.start()
        other.close()

    def give(self, task: Task | None) -> None:
        """Hand over a task, or None for the end; one that is dead already is noticed later."""
        self.task, self._given = task, time.perf_counter()
        with suppress(OSError):
            self.connection.send(task)

    @property
    def seconds(self) -> float:
        """Since the task was handed over."""
        return time.perf_counter() - self._given

    def end(self) -> str:
        """Make sure that the process is gone; returns how it ended."""
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        if code == -getattr(signal, "SIGKILL", 9):
            return "was killed, perhaps for want of memory; use fewer --workers"
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.join()
        self.connection.close()


class Pool:
    """Up to `count` workers with `threads` threads each; leaving the context ends them.

    Args:
        load: what each worker calls first.
        count: how many at most.
        threads: of each; None: its share of the cores.
    """

    def __init__(self, load: Load, count: int, threads: int | None = None) -> None:
        self._load, self._count = load, count
        self._threads = threads or max(1, usable_cores() // count)
        self._workers: list[Worker] = []

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.kill()

    def run(
        self, tasks: Sequence[Task], started: Callable[[Task], None]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes of the tasks as they end; `started` is told of each when it begins.

        Raises:
            Vid3dError: no worker could load what it needs.
        """
        waiting, broken = deque(tasks), 0
        while waiting or any(worker.task for worker in self._workers):
            busy = sum(worker.task is not None for worker in self._workers)
            wanted = min(self._count - broken, busy + len(waiting))
            while len(self._workers) < wanted:
                self._workers.append(Worker(self._load, self._threads))
            for worker in self._workers:
                if waiting and worker.ready and worker.task is None:
                    started(waiting[0])
                    worker.give(waiting.popleft())
            for worker in self._spoken():
                task, answer = worker.task, _answer(worker.connection)
                worker.task = None
                if isinstance(answer, Outcome) and task is not None:
                    yield task, answer
                    continue
                if answer is None:
                    worker.ready = True
                    continue
                self._workers.remove(worker)
                how = worker.end()
                if task is not None:
                    why = f"the process that lifted it {how}"
                    yield task, Outcome(worker.seconds, why, died=True)
                    continue
                broken += 1
                if broken == self._count:
                    raise Vid3dError(answer or f"a worker {how} before it began a video")

    def _spoken(self) -> list[Worker]:
        """Workers that answered or died, once there are any."""
        ready = wait([worker.connection for worker in self._workers])
        return [worker for worker in self._workers if worker.connection in ready]


def _answer(connection: Connection) -> Outcome | str | None:
    """An outcome; None from a worker that is ready; why it cannot be; "" from one that died."""
    try:
        return connection.recv()
    except (EOFError, OSError):
        return ""


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable for processes started inside."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes started inside hear no Ctrl-C, not even while they import what they need."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # which would unblock the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
