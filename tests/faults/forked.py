"""Runs in processes that are forked off one that has imported everything already.

Importing torch takes most of a short run. A forked run is the same command line in a process of
its own; it saves the import, and works where there is `os.fork`.
"""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from faults.case import REPO, Runner


def preload() -> None:
    """Import what commands import, without using any of it."""
    import av  # noqa: F401
    import matplotlib.figure  # noqa: F401
    import onnxruntime  # noqa: F401
    import scipy.optimize  # noqa: F401

    import vid3d.cli.lift
    import vid3d.lifter
    import vid3d.pipeline
    import vid3d.render  # noqa: F401


class Forked:
    """A run in a forked process, with what `Runner` uses of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path = REPO,
        env: Mapping[str, str] | None = None,
        preexec_fn: Callable[[], Any] | None = None,
    ) -> None:
        self.args = ["python", "-m", "vid3d", *arguments]
        self.returncode: int | None = None
        pipes = [os.pipe() for _ in range(2)]
        self._ends = [end for end, _ in pipes]
        self._texts = [b"", b""]
        self._pid = os.fork()
        if self._pid == 0:
            gc.freeze()  # frames of the parent wait for threads that are not here, when freed
            if preexec_fn is not None:
                preexec_fn()
            _become(arguments, cwd, env, *(end for _, end in pipes))
        for end, other in pipes:
            os.set_blocking(end, False)
            os.close(other)

    def send_signal(self, number: int) -> None:
        """Send a signal to the process unless it has ended."""
        if self.returncode is None:
            os.kill(self._pid, number)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 1e9) -> tuple[str, str]:
        """What it printed, once it has ended."""
        deadline = time.monotonic() + timeout
        while self.returncode is None:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
            self._read()
            if ended:
                break
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.02)
        out, err = (text.decode(errors="surrogateescape") for text in self._texts)
        return out, err

    def _read(self) -> None:
        """Take what is in the pipes."""
        for number, end in enumerate(self._ends):
            with contextlib.suppress(BlockingIOError):
                while part := os.read(end, 1 << 16):
                    self._texts[number] += part
            if self.returncode is not None:
                os.close(end)


class ForkedRunner(Runner):
    """Runs `vid3d` in forked processes."""

    def start(self, *arguments: str | Path, **options: Any) -> Forked:
        """Start a run."""
        return Forked([str(argument) for argument in arguments], **options)


def _become(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str] | None, out: int, err: int
) -> None:
    """Turn the child into a run of the command line; never returns."""
    status = 99
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(cwd)
        if env is not None:
            os.environ.update(env)
        sys.argv = ["vid3d", *arguments]
        from vid3d.cli import main

        main()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
