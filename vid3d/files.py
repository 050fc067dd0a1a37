"""Writing files so that they appear whole or not at all, and checksums."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vid3d.errors import Vid3dError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, so that writers which choose a format by suffix work.

    Raises:
        Vid3dError: the folder cannot be made or written to.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent
        )
        os.close(handle)
    except OSError as error:
        raise Vid3dError(
            f"cannot write {target}: {error.strerror or error}; choose another folder with -o"
        ) from error
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files private
        os.replace(temporary, target)
    except OSError as error:
        raise Vid3dError(
            f"cannot write {target}: {error.strerror or error}; check space and permissions"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def safe_stem(name: str) -> str:
    """What files of a clip called `name` begin with: letters, digits and `_ . + -` only."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "clip"


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
