"""One batch at a time in an output folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vid3d.batch.inputs import inside
from vid3d.errors import Vid3dError

PRIVATE = ".vid3d-batch"
"""Folder inside the output folder for the lock and for results that are not whole yet."""


@contextmanager
def locked(output: Path) -> Iterator[Path]:
    """Hold an output folder, made if missing; yields its private folder.

    The operating system drops the lock when the process ends, however it ends.

    Raises:
        Vid3dError: another batch holds it, or it cannot be written to.
    """
    private = inside(output, PRIVATE)
    try:
        private.mkdir(parents=True, exist_ok=True)
        lock = FileLock(private / "lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise Vid3dError(
            f"another batch is writing to {output}; wait for it, or choose another folder with -o"
        ) from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Vid3dError(f"cannot write to {output} ({reason}); choose a folder with -o") from error
    try:
        yield private
    finally:
        lock.release()
