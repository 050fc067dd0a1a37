"""Damage to the bytes of a file, the same each time."""

import os
import pickle
import random
from pathlib import Path

TENTHS = range(1, 10)


def cut(path: Path, tenth: int) -> Path:
    """Keep that many tenths of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * tenth // 10])
    return path


def scrambled(path: Path, seed: int, length: int = 200, zero: bool = False) -> Path:
    """Replace bytes somewhere in the middle half of a file."""
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    length = min(length, len(content) // 4)
    at = chance.randrange(len(content) // 4, 3 * len(content) // 4 - length)
    content[at : at + length] = bytes(length) if zero else chance.randbytes(length)
    path.write_bytes(content)
    return path


def noise(path: Path, size: int = 5000) -> Path:
    """A file of random bytes."""
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def pipe(path: Path) -> Path:
    """A named pipe, into which nobody ever writes."""
    os.mkfifo(path)
    return path


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.canary), "w")


def pickled(path: Path) -> Path:
    """A pickle that makes the file `canary` beside it when it is loaded."""
    path.write_bytes(pickle.dumps({"state_dict": Touch(path.parent / "canary")}))
    return path
