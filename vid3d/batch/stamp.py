"""Checksums of files, computed again only where a file was touched since."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from vid3d.files import sha256_of


@dataclass(frozen=True)
class Print:
    """The fingerprint of a file.

    Attributes:
        sha256: of its bytes.
        stamp: of its size and times; while it is the same, the bytes are taken to be the same.
    """

    sha256: str
    stamp: str

    @classmethod
    def of(cls, path: Path, sha256: str | None = None) -> Print:
        """The fingerprint of a file whose checksum may be known.

        Raises:
            OSError: it cannot be read.
        """
        stamp = stamp_of(path)
        return cls(sha256 or sha256_of(path), stamp)

    def fits(self, path: Path) -> bool:
        """Whether a file is there and has these bytes."""
        try:
            return stamp_of(path) == self.stamp or sha256_of(path) == self.sha256
        except OSError:
            return False


def stamp_of(path: Path) -> str:
    """Size in bytes, and the times of the last change of content and of the entry, in ns.

    Raises:
        OSError: there is no such file, or what is there may never end when it is read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise OSError(f"{path} is no file but a folder, a pipe or a device")
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
