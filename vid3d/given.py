"""What callers of the library give: as the code needs it, or one line that says why not."""

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError

SEEDS = -(2**63), 2**63 - 1
"""Whole numbers that seeds may be."""


def whole_number(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """A whole number of Python's or numpy's; truth values, text and 2.0 are none.

    Raises:
        Vid3dError: it is none, or not between `low` and `high`.
    """
    expected = "a whole number"
    if low is not None:
        expected += f" from {low} " + ("up" if high is None else f"to {high}")
    try:
        number = operator.index(value)
    except TypeError as error:
        raise unfit(name, value, expected) from error
    below = low is not None and number < low
    if _is_truth(value) or below or (high is not None and number > high):
        raise unfit(name, value, expected)
    return number


def real_number(name: str, value: Any, expected: str = "a number") -> float:
    """A number of Python's, numpy's or torch's; truth values and text are none.

    Args:
        name: of what is given.
        value: what is given.
        expected: what it is to be, for the complaint.

    Raises:
        Vid3dError: it is none.
    """
    try:
        if _is_truth(value) or isinstance(value, str | bytes) or np.ndim(value):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise unfit(name, value, expected) from error


def real_numbers(name: str, value: Any) -> NDArray[np.float64]:
    """An array of numbers, a copy.

    Raises:
        Vid3dError: it is none.
    """
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last: torch's
        raise unfit(name, value, f"an array of numbers ({error})") from error


def truth(name: str, value: Any) -> bool:
    """True or False: words like "off" would count as true.

    Raises:
        Vid3dError: neither of them.
    """
    if not _is_truth(value):
        raise unfit(name, value, "True or False")
    return bool(value)


def words(name: str, value: Any) -> str:
    """Text.

    Raises:
        Vid3dError: it is none.
    """
    if not isinstance(value, str):
        raise unfit(name, value, "text")
    return value


def file_path(name: str, value: Any) -> Path:
    """A path from text or a path.

    Raises:
        Vid3dError: neither of them.
    """
    try:
        return Path(os.fspath(value))
    except TypeError as error:
        raise unfit(name, value, "the path of one file, as text or a Path") from error


def unfit(name: str, value: Any, expected: str) -> Vid3dError:
    """The complaint about a value, in one line of bearable length."""
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return Vid3dError(f"{name} is {shown}, expected {' '.join(expected.split())}")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)
