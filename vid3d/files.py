"""Files: written whole or not at all, read within limits, and checksums."""

import hashlib
import json
import os
import re
import secrets
import shlex
import stat
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from vid3d.errors import Vid3dError

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

MOST_JSON = 1 << 28
"""Bytes of the largest JSON file that is read; parsed it takes about ten times as much memory."""
MOST_ARRAYS = 1 << 32
"""Bytes of the arrays of the largest .npz file that is read: a few megabytes can hold terabytes."""
_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: control, format (such as right-to-left marks), surrogates, separators."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, so that writers which choose a format by suffix work.
    Errors inside the block that are about something else than this file are passed on.

    Raises:
        Vid3dError: the folder cannot be made or written to, the disk is full, or a pipe or a device
            has that name, which renaming would take away (root may do so to /dev/null).
    """
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        raise Vid3dError(f"cannot write {target}: a pipe or a device; give the name of a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f".{target.stem[:40]}-{secrets.token_hex(8)}{target.suffix}"
        temporary = target.parent / name
        temporary.touch(exist_ok=False)  # with the permissions that the process gives its files
    except OSError as error:
        raise Vid3dError(
            f"cannot write {target}: {error.strerror or error}; choose another folder with -o"
        ) from error
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if not _is_about(error, temporary):
            raise
        raise Vid3dError(
            f"cannot write {target}: {error.strerror or error}; check space and permissions"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def held(folder: Path, who: str, wait: float = 0.0) -> Iterator[None]:
    """Have a folder, made if missing, to oneself; the lock in it ends with the process.

    Args:
        folder: to work in.
        who: else may be at work there, for the complaint.
        wait: seconds until the complaint.

    Raises:
        Vid3dError: another process holds it all that time, or it cannot be written to.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=wait)
        lock.acquire()
    except Timeout as error:
        raise Vid3dError(f"{who} is at work in {folder}; wait for it, or name another") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise Vid3dError(f"cannot write to {folder} ({reason}); name another folder") from error
    try:
        yield
    finally:
        lock.release()


def _is_about(error: OSError, written: Path) -> bool:
    """Whether an error while a file is written is the file's.

    It names the file, or none at all, as where the disk is full: then the file is already open.
    Connections (a process that is told of progress and is gone) name none either.
    """
    if error.filename is None:
        return not isinstance(error, ConnectionError)
    return written.name in str(error.filename)  # some libraries put `file:` before it


def read_json(path: str | os.PathLike[str]) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: not JSON, larger than `MOST_JSON`, nested too deeply, or no ordinary file.
    """
    if _size_of_file(path) > MOST_JSON:
        raise ValueError(f"larger than {MOST_JSON >> 20} MiB")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator["NpzFile"]:
    """The arrays of an .npz file, checked before any of them is read.

    Nothing in it can run code (pickled objects are refused) or ask for more memory than the file
    states and `MOST_ARRAYS` allows. What goes wrong while the arrays are used inside the `with`
    block is reported in the same way.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: not such a file, too large, an array missing, or one that does not fit its use.
    """
    import struct
    import tokenize  # numpy parses headers as Python literals
    import zipfile
    import zlib

    import numpy as np

    _size_of_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            _check_arrays(archive)
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except KeyError as error:
        raise ValueError(f"it lacks {str(error)[:200]}") from error
    except (AttributeError, EOFError, MemoryError, OverflowError, RuntimeError, SyntaxError,
            TypeError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
            zlib.error) as error:  # fmt: skip
        raise ValueError(str(error)[:200] or type(error).__name__) from error


def _check_arrays(archive: Any) -> None:
    """Refuse members that are no plain arrays of exactly their stated size, and too much of them.

    Raises:
        ValueError: such a member, or more than `MOST_ARRAYS` bytes in all.
    """
    import math

    from numpy.lib import format as npy

    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MOST_ARRAYS:
        raise ValueError(f"its arrays are larger than {MOST_ARRAYS >> 30} GiB")
    for entry in entries:
        with archive.open(entry) as member:
            version = npy.read_magic(member)
            if version not in ((1, 0), (2, 0)):
                raise ValueError(f"{entry.filename} has array format {version}")
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(member)
            stated = math.prod(shape) * dtype.itemsize + member.tell()
        if dtype.hasobject or min(shape, default=0) < 0 or stated != entry.file_size:
            raise ValueError(f"{entry.filename} is not a plain array of the size that it states")


def _size_of_file(path: str | os.PathLike[str]) -> int:
    """Bytes of an ordinary file: pipes and devices may never end.

    Raises:
        OSError: no such file.
        ValueError: not an ordinary file.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device")
    return status.st_size


def below(folder: Path, name: str) -> Path:
    """The path of a file that something in `folder` names, which must not lead out of it.

    Raises:
        ValueError: an absolute path, or one with `..`.
    """
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts or "\0" in name:
            raise ValueError(f"{name!r} leads out of its folder; files lie beside what names them")
    return folder / name


def printable(text: str) -> str:
    """Text with what terminals, UTF-8 or databases choke on escaped."""
    return "".join(
        ascii(char)[1:-1] if unicodedata.category(char) in _ESCAPED else char for char in text
    )


def as_argument(text: str) -> str:
    """Text as an argument of a command that users paste, quoted where their shell asks for it."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path with ~ and ~USER put in; what only begins like them, as ~draft.mp4 does, stays."""
    return Path(os.path.expanduser(path))


def safe_stem(name: str, end: str = "") -> str:
    """What files of a clip called `name` begin with: letters, digits and `_ . + -` only.

    Marks belong to their letters: Hindi and Thai names would be the same without their vowels, and
    macOS writes accents so. Long names are cut, so that with a suffix they fit what file systems
    take (255 bytes); an `end`, of such letters, is put behind what that leaves.
    """
    plain = unicodedata.normalize("NFC", name)
    spaced = "".join(char if _is_of_a_word(char) or char in ".+-" else " " for char in plain)
    stem = re.sub(" +", "_", spaced).strip("._") or "clip"
    return stem.encode()[: 200 - len(end.encode())].decode(errors="ignore") + end


def _is_of_a_word(char: str) -> bool:
    """Whether a character is a letter, a digit, `_`, or a mark on a letter."""
    return char == "_" or char.isalnum() or unicodedata.category(char).startswith("M")


def missing(path: Path, kind: str = "file") -> str:
    """What to say of a file, or another kind of thing, that is not there."""
    if found := re.match(r"([a-z][a-z0-9+.-]+):/+(.*)", path.as_posix(), re.IGNORECASE):
        address = "://".join(found.groups())  # paths hold one / where addresses have two
        return f"{address} is an address, which is not read: download the file and give its path"
    return f"no such {kind}: {path}; check the spelling"


def check_output(output: Path, *inputs: Path | None, option: str = "-o") -> None:
    """Refuse to write over what is read, onto a folder, or to a file of the name of a pipe.

    Args:
        output: the file to write.
        inputs: what is read; None for nothing.
        option: of a command that names the output.

    Raises:
        Vid3dError: the output is a folder, `-` or one of the inputs.
    """
    if str(output) == "-":
        raise Vid3dError(f"nothing is written to pipes: give the name of a file with {option}")
    if output.is_dir():
        raise Vid3dError(f"{output} is a folder; give the file to write with {option}")
    for path in inputs:
        if path is not None and output.exists() and path.exists() and output.samefile(path):
            raise Vid3dError(f"{output} is what is read: choose another file with {option}")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
