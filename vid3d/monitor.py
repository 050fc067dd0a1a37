"""What a running pipeline tells its caller: progress and seconds of each stage, and warnings."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Advance = Callable[[int], None]


@dataclass
class Stage:
    """One finished or running stage.

    Attributes:
        name: what it does, as shown to users.
        unit: what is counted.
        done: how many are done.
        seconds: wall time from start to end.
    """

    name: str
    unit: str
    done: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Units a second."""
        return self.done / self.seconds if self.seconds > 0 else float("nan")


class Monitor:
    """Keeps times and warnings silently; front ends override `open_bar` and `warn` to show them."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "frames") -> Iterator[Advance]:
        """Time a stage; yields a function to call with the number of units just done."""
        stage = Stage(name, unit)
        self.stages.append(stage)
        start = time.perf_counter()
        with self.open_bar(name, total) as show:

            def advance(count: int) -> None:
                stage.done += count
                show(count)

            try:
                yield advance
            finally:
                stage.seconds = time.perf_counter() - start

    @contextmanager
    def open_bar(self, name: str, total: int | None) -> Iterator[Advance]:
        """Show progress of a stage; silent here."""
        yield lambda count: None

    def warn(self, text: str) -> None:
        """Keep a warning for the summary."""
        self.warnings.append(text)
