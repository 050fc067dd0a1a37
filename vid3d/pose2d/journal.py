"""What the 2D networks answered, kept in a file while they work, so that work can go on after it.

A video that is decoded again asks the same questions in the same order. So a journal needs no
frame numbers: it gives the answers that it holds, one after the other, and then asks the networks.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.networks import Found


class Journal:
    """Answers of networks in the order in which they were asked for.

    The file appears with the first answer: a line of the key, then a line of JSON for each answer.
    A line that was cut off by an interruption is forgotten, and everything where the key differs.

    Args:
        path: of the file.
        key: what the answers depend on, for JSON: the video, the networks, the looks.
    """

    def __init__(self, path: Path, key: Mapping[str, Any]) -> None:
        self.path = path
        self._key = json.dumps(key, sort_keys=True)
        self._held, self._end = self._measure()
        self._answers = self._read(self._end)
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        """How many answers are held and not yet given."""
        return self._held

    def answer(self, ask: Callable[[], list[Found]]) -> list[Found]:
        """The next answer: out of the file, or else asked for and written down.

        Raises:
            Vid3dError: the file cannot be written.
        """
        if self._held:
            self._held -= 1
            return next(self._answers)
        found = ask()
        plain = [[[part.shape, part.tolist()] for part in parts] for parts in found]
        self._write(json.dumps(plain, separators=(",", ":")))
        return found

    def recorded(self, estimator: TopDown) -> TopDown:
        """The same estimator, whose networks answer through this journal."""
        return TopDown(Recorded(estimator.detect, self), Recorded(estimator.pose, self))

    def close(self) -> None:
        """Close the file and keep it."""
        self._answers.close()
        if self._file is not None:
            with contextlib.suppress(OSError):  # each line was flushed when it was written
                self._file.close()
            self._file = None

    def _measure(self) -> tuple[int, int]:
        """How many answers the file holds that are whole and of this key, and where they end."""
        count = end = 0
        with suppress(OSError, ValueError, TypeError), open(self.path, "rb") as file:
            if next(file, b"") == self._line(self._key):
                end = len(self._line(self._key))
                for line in file:
                    _parsed(line)
                    count, end = count + 1, end + len(line)
        return count, end

    def _read(self, end: int) -> Generator[list[Found], None, None]:
        """The answers in the file, which is as long as need be; memory holds one."""
        with open(self.path, "rb") as file:
            place = len(next(file))
            while place < end:
                line = next(file)
                place += len(line)
                yield _parsed(line)

    def _write(self, text: str) -> None:
        try:
            if self._file is None:
                self._answers.close()
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "r+b" if self._end else "wb")  # noqa: SIM115
                self._file.seek(self._end)
                self._file.truncate()
                if not self._end:
                    self._file.write(self._line(self._key))
            self._file.write(self._line(text))
            self._file.flush()
        except OSError as error:
            raise Vid3dError(
                f"cannot write {self.path}: {error.strerror or error}; check space and permissions"
            ) from error

    @staticmethod
    def _line(text: str) -> bytes:
        return text.encode() + b"\n"


class Recorded:
    """A detector or a pose network that answers through a journal."""

    def __init__(self, network: Any, journal: Journal) -> None:
        self.name: str = network.name
        self.joint_set: str = getattr(network, "joint_set", "")
        self._network = network
        self._journal = journal

    def __call__(self, *asked: Any, **named: Any) -> list[Found]:
        """The answer of the network, now or at an earlier run."""
        return self._journal.answer(lambda: self._network(*asked, **named))


def _parsed(line: bytes) -> list[Found]:
    """An answer out of its line; ValueError or TypeError where the line is not whole."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off")
    found = []
    for parts in json.loads(line):
        first, second = (np.array(values, np.float32).reshape(shape) for shape, values in parts)
        found.append((first, second))
    return found
