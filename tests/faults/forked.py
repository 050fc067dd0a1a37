"""Runs in processes that are forked off one that has imported everything already.

Importing torch takes most of a short run. A forked run is the same command line in a process of
its own; it saves the import, and works where there is `os.fork`.
"""

import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faults.case import LIMIT, REPO, Done


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


def run_forked(
    *arguments: str | Path, cwd: Path = REPO, env: Mapping[str, str] | None = None, **options: Any
) -> Done:
    """Run `vid3d` to the end, as `faults.case.Runner` does."""
    plain = [str(argument) for argument in arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            _become(plain, cwd, env, out.fileno(), err.fileno())
        status = _waited(child)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="surrogateescape"))
    return Done(plain, status, *texts)


def _become(
    arguments: list[str], cwd: Path, env: Mapping[str, str] | None, out: int, err: int
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


def _waited(child: int) -> int | None:
    """Exit status of a child, None where it had to be ended."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
