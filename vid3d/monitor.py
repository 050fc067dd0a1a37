"""What a running pipeline tells its caller: progress and seconds of each stage, and warnings."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
    """Keeps times and warnings silently; front ends override `open_bar` and `warn` to show them.

    Attributes:
        stages: in the order in which they were begun.
        warnings: so far, of one clip if `begin` is called before each.
        stopping: a caller sets it to have long work end at the next look, with what there is.
    """

    def __init__(self) -> None:
        self.stages: list[Stage] = []
        self.warnings: list[str] = []
        self.stopping = False
        self._running: list[Stage] = []
        self._mark = 0.0

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "frames") -> Iterator[Advance]:
        """Time a stage; yields a function to call with the number of units just done.

        A stage within a stage stops the outer one's clock and shows no bar; one that is begun
        again goes on.
        """
        stage = next((one for one in self.stages if one.name == name), None)
        if stage is None:
            stage = Stage(name, unit)
            self.stages.append(stage)
        bar = nullcontext(_nothing) if self._running else self.open_bar(name, total)
        with bar as show:

            def advance(count: int) -> None:
                stage.done += count
                show(count)

            self._switch()
            self._running.append(stage)
            try:
                yield advance
            finally:
                self._switch()
                self._running.remove(stage)

    def _switch(self) -> None:
        """Add the time since the last switch to the stage that ran."""
        now = time.perf_counter()
        if self._running:
            self._running[-1].seconds += now - self._mark
        self._mark = now

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """While this lasts, `stopping` is heeded; front ends set it on Ctrl-C."""
        yield

    @contextmanager
    def open_bar(self, name: str, total: int | None) -> Iterator[Advance]:
        """Show progress of a stage; silent here."""
        yield _nothing

    def begin(self) -> None:
        """Forget what was told of a clip: another one begins."""
        self.stages.clear()
        self.warnings.clear()

    def warn(self, text: str) -> None:
        """Keep a warning for the summary."""
        self.warnings.append(text)


def _nothing(count: int) -> None:
    """Show no progress."""
