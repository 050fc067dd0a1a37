"""What commands print: a progress bar a stage, warnings, and the closing summary."""

import logging
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from vid3d.files import printable
from vid3d.monitor import Advance, Monitor


class Console(Monitor):
    """A monitor that shows bars on a terminal, and nothing but text anywhere else."""

    def __init__(self, quiet: bool = False, verbosity: int = 0) -> None:
        super().__init__()
        self.quiet = quiet
        self.verbosity = verbosity
        if verbosity < 2:
            warnings.simplefilter("ignore")
            logging.disable(logging.WARNING)

    def say(self, text: str = "") -> None:
        """Print a line unless quiet."""
        if not self.quiet:
            click.echo(text)

    def detail(self, text: str) -> None:
        """Print a line that -v asks for."""
        if self.verbosity >= 1:
            self.say(text)

    def error(self, text: str) -> None:
        """Print an error line without ending."""
        click.echo(f"vid3d: error: {printable(' '.join(text.split()))}", err=True)

    def warn(self, text: str) -> None:
        """Print a warning to the error stream, once a clip."""
        if text not in self.warnings and not self.quiet:
            click.echo(f"vid3d: warning: {printable(text)}", err=True)
        super().warn(text)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Ctrl-C asks to stop at the next look; a second one ends everything at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGINT, before)
            self.stopping = True
            if not self.quiet:
                click.echo("\nstopping: results so far are being written ...", err=True)

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def open_bar(self, name: str, total: int | None) -> Iterator[Advance]:
        """A bar on the error stream while it is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda count: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        with Progress(*columns, console=RichConsole(stderr=True)) as progress:
            task = progress.add_task(name, total=total)

            def show(count: int) -> None:
                progress.advance(task, count)

            yield show
            if total is None:
                progress.update(task, total=progress.tasks[task].completed)

    def summary(self) -> str:
        """Seconds and units a second of each stage, a line each; then starts afresh."""
        width = max((len(stage.name) for stage in self.stages), default=0)
        lines = [
            f"  {stage.name:<{width}}  {stage.seconds:7.2f} s  {stage.rate:8.1f} {stage.unit}/s"
            for stage in self.stages
        ]
        self.begin()
        return "\n".join(lines)
