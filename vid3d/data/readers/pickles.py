"""Pickles of data sets, read without running anything that they name.

An ordinary unpickler imports and calls whatever a file says. This one knows the handful of names
that arrays, numbers and text need, each replaced by something harmless of this module (not even
numpy's own constructors are called with what a file says); every other name is refused.
"""

import codecs
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from vid3d.data.readers.arrays import ERRORS, check_size, read_header
from vid3d.errors import Vid3dError

_PLAIN = re.compile(r"[<>|=]?([biufc]\d{1,2}|\?|[SU]\d{1,9})")
_DEEPEST = 16


def load_pickle(path: Path) -> Any:
    """What a pickle holds: numbers, text, lists, dicts and arrays (of objects: lists).

    Raises:
        Vid3dError: no such file, damaged, too large, or it names anything but data.
    """
    try:
        check_size(path.stat().st_size)
        with path.open("rb") as file:
            return _load(file)
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    except _ERRORS as error:
        raise _refused(path, error) from error


def load_object(path: Path, key: str) -> Any:
    """The object in an .npz that `numpy.savez(path, key=object)` wrote, as `load_pickle`.

    Raises:
        Vid3dError: as `load_pickle`, or there is nothing called `key`.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            check_size(archive.getinfo(f"{key}.npy").file_size)
            shape, _, dtype = read_header(member)
            if shape != () or not dtype.hasobject:
                raise pickle.UnpicklingError(f"{key} is an array of shape {shape}, not an object")
            return _load(member)
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    except _ERRORS as error:
        raise _refused(path, error) from error


_ERRORS = (pickle.UnpicklingError, RecursionError, ImportError, AssertionError, *ERRORS)


def _refused(path: Path, error: BaseException) -> Vid3dError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Vid3dError(
        f"{path} is not read ({reason}): expected a file of arrays, numbers and text as its "
        "authors publish it; fetch it again"
    )


def _load(file: IO[bytes]) -> Any:
    value = _Reader(file, encoding="latin1").load()  # Python 2 wrote most of these files
    return _plain(value, {}, 0)


class _Type:
    """Stands for a numpy.dtype."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        text = code.decode("latin1") if isinstance(code, bytes) else code
        self.is_object = text in ("O", "O8", "O4", "|O")
        if not self.is_object and not (isinstance(text, str) and _PLAIN.fullmatch(text)):
            raise pickle.UnpicklingError(f"an array of {str(code)[:40]!r}")
        self._dtype = np.dtype(object if self.is_object else text)

    def __setstate__(self, state: Any) -> None:
        if state[1] in (">", b">"):
            self._dtype = self._dtype.newbyteorder(">")

    def read(self, data: Any, shape: Any, order: str = "C") -> Any:
        """The array (or what an array of objects holds) of a pickle's data."""
        if self.is_object:
            values = list(data)
            return values[0] if shape == () else values
        raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
        return np.frombuffer(raw, self._dtype).reshape(shape, order=order)  # type: ignore[call-overload]


class _Array:
    """Stands for a numpy.ndarray that its state will fill."""

    value: Any = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        if not isinstance(kind, _Type):
            raise pickle.UnpicklingError("an array without a type")
        self.value = kind.read(data, shape, "F" if fortran else "C")


def _new_array(kind: Any, shape: Any, code: Any) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, kind, order == "F", data))
    return array


def _scalar(kind: Any, data: Any = b"") -> Any:
    if not isinstance(kind, _Type):
        raise pickle.UnpicklingError("a number without a type")
    return data if kind.is_object else kind.read(data, (1,))[0].item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if codecs.lookup(str(encoding)[:20]).name not in ("iso8859-1", "utf-8", "ascii"):
        raise pickle.UnpicklingError(f"text in {encoding}")
    return str(text).encode(str(encoding))


def _bytes(value: Any = b"", encoding: Any = "latin1") -> bytes:
    return _encode(value, encoding) if isinstance(value, str) else bytes(memoryview(value))


_KNOWN: dict[str, Any] = {
    "numpy.ndarray": _Array,
    "numpy.dtype": _Type,
    "_codecs.encode": _encode,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "collections.OrderedDict": OrderedDict,
    **{
        f"numpy.{core}.{name}": stand_in
        for core in ("core", "_core")
        for name, stand_in in (
            ("multiarray._reconstruct", _new_array),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name; all others are refused before anything is imported."""
        known = f"{module.replace('__builtin__', 'builtins')}.{name}"  # Python 2's name of it
        if known not in _KNOWN:
            raise pickle.UnpicklingError(f"it names {known[:80]!r}, which is no data")
        return _KNOWN[known]


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """A value with stand-ins replaced by what they hold."""
    if depth > _DEEPEST:
        raise pickle.UnpicklingError("nested too deeply")
    if isinstance(value, _Array):
        if isinstance(value.value, np.ndarray):
            return value.value
        return _plain(value.value, done, depth + 1)
    if not isinstance(value, dict | list | tuple):
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return value
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__.strip('_')}")
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = {
                key: _plain(one, done, depth + 1)
                for key, one in value.items()
                if isinstance(key, str | int | bytes)
            }
        else:
            done[id(value)] = [_plain(one, done, depth + 1) for one in value]
    return done[id(value)]
