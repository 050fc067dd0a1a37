"""Where the work on one clip is kept until its results are written: a folder of small files."""

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path

LOCK = "lock"
"""File that is locked while somebody works in the folder."""


class Workplace:
    """A folder that holds what was computed: `journal` and arrays by name.

    It is removed at the end, unless the work broke off: then the same work goes on from it. Only
    one process works in it at a time.

    Args:
        folder: None for one that is always removed.

    Attributes:
        folder: the folder.
        temporary: whether it is always removed.
        keep: whether it stays even if all went well.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder or Path()
        self.temporary = folder is None
        self.keep = False
        self._held = ExitStack()

    def __enter__(self) -> "Workplace":
        """Make the folder and lock it.

        Raises:
            Vid3dError: another process works in it, or it cannot be written to.
        """
        try:
            if self.temporary:
                name = self._held.enter_context(tempfile.TemporaryDirectory(prefix="vid3d-"))
                self.folder = Path(name)
                return self
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / LOCK, timeout=0)
            self._held.enter_context(lock.acquire())
        except Timeout as error:
            raise Vid3dError(
                f"{self.folder} is in use: another run is making the same files; "
                "wait for it, or choose another place with -o"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise Vid3dError(
                f"cannot write to {self.folder} ({getattr(error, 'strerror', None) or error}); "
                "choose another folder with -o"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            if self.temporary:
                return
            begun = [path for path in self.folder.glob("*") if path.name != LOCK]
            if begun and (self.keep or error is not None):
                shutil.rmtree(self.folder / "settled", ignore_errors=True)  # never taken up again
                return
            for path in begun:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            self._leave()  # while the lock is held, or it might be somebody else's by then
        if os.name == "nt":  # where an open file cannot be removed, but nobody else's can either
            self._leave()

    def _leave(self) -> None:
        """Remove the lock and the empty folder."""
        with suppress(OSError):
            (self.folder / LOCK).unlink(missing_ok=True)
            self.folder.rmdir()

    @property
    def journal(self) -> Path:
        """File for the answers of the 2D networks."""
        return self.folder / "looks"

    def put(self, name: str, arrays: Sequence[NDArray[Any]]) -> None:
        """Keep arrays under a name; a slash in it makes folders.

        Raises:
            Vid3dError: they cannot be written.
        """
        with atomic_path(self.folder / name) as aside, open(aside, "wb") as file:
            for array in arrays:
                np.save(file, array, allow_pickle=False)

    def get(self, name: str, count: int) -> list[NDArray[Any]] | None:
        """The `count` arrays of a name; None where they are missing or not whole."""
        try:
            with open(self.folder / name, "rb") as file:
                return [np.load(file, allow_pickle=False) for _ in range(count)]
        except (OSError, ValueError, EOFError):
            return None

    def kept(
        self, name: str, count: int, make: Callable[[], Sequence[NDArray[Any]]]
    ) -> Sequence[NDArray[Any]]:
        """The arrays of a name: those kept earlier, or else made now and kept."""
        arrays: Sequence[NDArray[Any]] | None = self.get(name, count)
        if arrays is None:
            arrays = make()
            self.put(name, arrays)
        return arrays
