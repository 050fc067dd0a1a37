"""A batch on a Ray cluster that is running already: a task a video, paths instead of arrays.

Every machine of the cluster has the same vid3d, and sees the videos and the output folder under the
same paths. What a task is handed and what it returns is a few hundred bytes; pictures, poses and
results never pass through Ray's object store.
"""

import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from vid3d.batch.worker import Lift, Load, Outcome, Task, carry_out, describe
from vid3d.errors import Vid3dError

CPUS = 2
"""Of a task, or all of the largest machine where it has fewer: as many as a local worker's."""
MEMORY = 1 << 30
"""Bytes that a task asks for: its networks and one short clip."""
_PATIENCE = 5.0
"""Seconds in which an address must answer."""
_SETTINGS = b"\4"
"""Kind of the frame that both ends of HTTP/2, and so of gRPC, send first: its fourth byte."""
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + _SETTINGS + b"\0" * 5


class Cluster:
    """A Ray cluster that this process is connected to.

    Attributes:
        cpus: that a task asks for, which are its threads.
        gpus: that a task asks for, 0 or 1.
    """

    def __init__(self, ray: Any, device: str) -> None:
        self._ray, self._remote = ray, dict[Callable[..., Any], Any]()
        machines = self._machines()
        offered = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
        self.cpus = min(CPUS, offered) or CPUS
        has_gpu = any(machine.get("GPU", 0) >= 1 for machine in machines)
        self.gpus = int(device.startswith("cuda") or (device == "auto" and has_gpu))

    @property
    def slots(self) -> int:
        """How many tasks the machines that are there now can run at once."""
        return sum(
            min(int(machine.get(kind, 0)) // need for kind, need in self._needs().items())
            for machine in self._machines()
        )

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns on a machine of the cluster.

        Raises:
            Vid3dError: what the function raised, or the cluster cannot run it.
        """
        try:
            result, error = self._ray.get(self.submit(_guarded, function, *arguments))
        except self._ray.exceptions.RayError as failure:
            raise Vid3dError(
                f"the Ray cluster cannot run vid3d ({_brief(failure)}); install this version of "
                "vid3d[ray] on all its machines"
            ) from failure
        if error is not None:
            raise Vid3dError(error)
        return result

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Ray's reference to what a function will return; tasks that die are not tried again."""
        if function not in self._remote:  # each is sent to the cluster once
            options = {
                "num_cpus": self.cpus, "num_gpus": self.gpus, "memory": MEMORY, "max_retries": 0,
            }  # fmt: skip
            self._remote[function] = self._ray.remote(**options)(function)
        return self._remote[function].remote(*arguments)

    def wait(self, references: Sequence[Any]) -> Any:
        """One of the references, once it is there."""
        return self._ray.wait(list(references), num_returns=1)[0][0]

    def outcome(self, reference: Any, begun: float) -> Outcome:
        """How a task ended that was begun at a moment of `time.perf_counter`."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            why = f"the process that lifted it died ({_brief(error)})"
            return Outcome(time.perf_counter() - begun, why, died=True)

    def cancel(self, reference: Any) -> None:
        """End a task now."""
        with suppress(Exception):  # it ended by itself, or the cluster is gone
            self._ray.cancel(reference, force=True)

    def _needs(self) -> dict[str, int]:
        gpus = {"GPU": self.gpus} if self.gpus else {}
        return {"CPU": self.cpus, "memory": MEMORY} | gpus

    def _machines(self) -> list[dict[str, float]]:
        """Resources of each machine that is alive."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]


@contextmanager
def connected(address: str, device: str = "auto") -> Iterator[Cluster]:
    """Connect to a cluster; none is ever started here.

    Args:
        address: HOST:PORT, `ray://HOST:PORT` or `auto`: the one that this machine belongs to.
        device: of the lifts: with "cuda", and with "auto" where the cluster has GPUs, each task
            asks for one GPU.

    Raises:
        Vid3dError: ray is missing, or there is no cluster at this address.
    """
    ray = ray_package()
    mine = not ray.is_initialized()
    if mine:
        _knock(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except Exception as error:  # ConnectionError, ValueError, RuntimeError and Ray's own
            raise Vid3dError(
                f"no Ray cluster at {address} ({_brief(error)}); give the address that "
                "`ray start --head` printed"
            ) from error
    try:
        yield Cluster(ray, device)
    finally:
        if mine:
            ray.shutdown()


def ray_package() -> Any:
    """The package ray; raises Vid3dError where it is missing."""
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise Vid3dError("--ray needs the package ray: pip install 'vid3d[ray]'") from error
    return ray


class ClusterPool:
    """Runs tasks on a cluster; leaving the context ends what still runs.

    Args:
        cluster: where.
        load: what each worker process calls before its first task.
        workers: how many tasks at once; None: as many as the machines have room for.

    Raises:
        Vid3dError: there is no machine with room for a task, and nobody said how many to wait for.
    """

    def __init__(self, cluster: Cluster, load: Load, workers: int | None) -> None:
        self._cluster, self._load, self._workers = cluster, load, workers
        self._name, self._ready = uuid.uuid4().hex, False
        self._flying: dict[Any, tuple[Task, float]] = {}
        if workers is None and not cluster.slots:
            needs = f"{cluster.cpus} CPUs, 1 GiB{' and a GPU' if cluster.gpus else ''}"
            raise Vid3dError(
                f"no machine of the Ray cluster offers {needs}; with --workers N vid3d waits for "
                "machines to join"
            )

    def __enter__(self) -> "ClusterPool":
        return self

    def __exit__(self, *error: object) -> None:
        for reference in self._flying:
            self._cluster.cancel(reference)

    def run(
        self, tasks: Sequence[Task], started: Callable[[Task], None]
    ) -> Iterator[tuple[Task, Outcome]]:
        """Outcomes of the tasks as they end; `started` is told of each when it is handed over.

        Raises:
            Vid3dError: a first worker could not load what it needs.
        """
        waiting = deque(tasks)
        shared = (self._name, self._load, self._cluster.cpus)
        if waiting and not self._ready:
            self._cluster.call(_make_ready, *shared)
            self._ready = True
        while waiting or self._flying:
            room = (self._workers or max(1, self._cluster.slots)) - len(self._flying)
            for _ in range(min(room, len(waiting))):
                task = waiting.popleft()
                started(task)
                reference = self._cluster.submit(_attempt, *shared, task)
                self._flying[reference] = task, time.perf_counter()
            reference = self._cluster.wait(list(self._flying))
            task, begun = self._flying.pop(reference)
            yield task, self._cluster.outcome(reference, begun)


_LIFTS: dict[str, Lift] = {}
"""In a worker process: what it has loaded, by the name of the pool."""


def _make_ready(name: str, load: Load, threads: int) -> None:
    """Load in this worker process what its tasks need."""
    if name not in _LIFTS:
        os.environ["OMP_NUM_THREADS"] = str(threads)
        _LIFTS.clear()
        _LIFTS[name] = load()


def _attempt(name: str, load: Load, threads: int, task: Task) -> Outcome:
    """Body of a task: one video."""
    start, here = time.perf_counter(), socket.gethostname()
    if not task.folder.parent.is_dir():
        return Outcome(
            0.0,
            f"{task.folder.parent} is not there on {here}: videos and results must lie where all "
            "machines of the cluster see them under the same path",
        )
    try:
        _make_ready(name, load, threads)
    except Exception as error:  # another machine may do better
        return Outcome(time.perf_counter() - start, f"on {here}: {describe(error)}", died=True)
    return carry_out(task, _LIFTS[name])


def _guarded(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str | None]:
    """What a function returns, or its error as a line, without Ray's traceback around it."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, describe(error)


def _knock(address: str) -> None:
    """See whether gRPC answers at an address: Ray itself takes a quarter of an hour to give up.

    Raises:
        Vid3dError: it does not.
    """
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if not host or not port.isdecimal():  # Ray would start a cluster for "local"
            raise OSError("not HOST:PORT")
        with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as door:
            if os.environ.get("RAY_USE_TLS", "0").lower() in ("0", "false"):
                door.sendall(_GREETING)
                if door.recv(4)[3:] != _SETTINGS:
                    raise OSError("something else does, such as the dashboard")
    except (OSError, OverflowError) as error:
        raise Vid3dError(
            f"no Ray cluster answers at {address} ({error}); give the address that "
            "`ray start --head` printed"
        ) from error


def _brief(error: Exception) -> str:
    """The kind of an error and the first sentence of its text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
