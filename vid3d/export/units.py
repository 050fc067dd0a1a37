"""Units of length that files may be in."""

from vid3d.errors import Vid3dError

_PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0}
UNITS = tuple(_PER_METRE)


def scale(unit: str) -> float:
    """How many of a unit make a metre.

    Raises:
        Vid3dError: not one of `UNITS`.
    """
    if unit not in _PER_METRE:
        raise Vid3dError(f"--units is {unit!r}: give {', '.join(UNITS)}")
    return _PER_METRE[unit]
