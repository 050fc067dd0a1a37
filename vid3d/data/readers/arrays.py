"""Single arrays out of an .npz whose other members may be anything, as those of others often are.

`vid3d.files.open_npz` refuses a file with one pickled member; here only what is asked for is read.
"""

import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from vid3d.files import MOST_ARRAYS

ERRORS = (
    zipfile.BadZipFile, zlib.error, struct.error, ValueError, LookupError, TypeError,
    AttributeError, EOFError, MemoryError, OverflowError, RuntimeError, SyntaxError,
)  # fmt: skip
"""What reading a file that is damaged or made up may raise, beside OSError."""


def names_in(path: Path) -> list[str]:
    """Names of the arrays in an .npz.

    Raises:
        OSError: no such file.
        ValueError: it is no .npz.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except ERRORS as error:
        raise ValueError(str(error)) from error


def read_array(path: Path, name: str) -> Any:
    """An array of numbers or text.

    Raises:
        OSError: no such file.
        ValueError: it is not there, damaged, too large, or an array of objects.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
            check_size(archive.getinfo(f"{name}.npy").file_size)
            shape, fortran, dtype = read_header(member)
            if dtype.hasobject:
                raise ValueError(f"{name} is a pickled object")
            values = np.frombuffer(member.read(), dtype)
            return values.reshape(shape, order="F" if fortran else "C")
    except KeyError as error:
        raise ValueError(f"it has no {name}") from error
    except ERRORS as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type of an .npy stream, which stands at its data then.

    Raises:
        ValueError: it is no .npy.
    """
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(member)
    if version not in read:
        raise ValueError(f"array format {version}")
    return read[version](member)


def check_size(size: int) -> None:
    """Refuse what takes more memory than is allowed.

    Raises:
        ValueError: it does.
    """
    if size > MOST_ARRAYS:
        raise ValueError(f"larger than {MOST_ARRAYS >> 30} GiB")
