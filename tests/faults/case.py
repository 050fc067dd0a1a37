"""What a case is, how the command line is run on it, and what it promises."""

import json
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import av

from vid3d.files import printable
from vid3d.motion import Motion

REPO = Path(__file__).resolve().parent.parent.parent
LIMIT = 300.0
"""Seconds after which a run counts as hanging; the longest takes 5 on an idle core."""

Expected = Literal["refused", "right", "either"]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes:
        group: row of the table in docs/robustness.md.
        name: of the case.
        make: writes the input into a folder and returns its path.
        read: the library function that reads it.
        commands: arguments of `vid3d`; {input}, {folder} and {out} stand for paths.
        expected: an error line (refused), a right result, or either.
        right: asserts that what `read` gave is right, where it is not refused.
        result: asserts that the files in {out} are right, likewise.
    """

    group: str
    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    commands: tuple[str, ...]
    expected: Expected = "refused"
    right: Callable[[Any], None] = lambda read: None
    result: Callable[[Path], None] = lambda out: None

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


@dataclass(frozen=True)
class Situation:
    """Surroundings of runs: a full disk, a kill, a second run.

    Attributes:
        group: row of the table in docs/robustness.md.
        name: of the situation.
        play: runs commands in a folder, by a runner, and asserts what they promise.
    """

    group: str
    name: str
    play: Callable[[Path, "Runner"], None]

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


@dataclass(frozen=True)
class Done:
    """How a run ended: exit status (None: it hung), and what it printed."""

    arguments: Sequence[str]
    status: int | None
    out: str
    err: str


@dataclass
class Runner:
    """Runs `vid3d` in processes of their own.

    Attributes:
        limit: seconds after which a run is ended.
        options: of `subprocess.Popen`.
    """

    limit: float = LIMIT
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, **options: Any) -> Done:
        """Run to the end."""
        process = self.start(*arguments, **options)
        try:
            out, err = process.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            return Done(process.args[3:], None, out, err)
        return Done(process.args[3:], process.returncode, out, err)

    def start(self, *arguments: str | Path, **options: Any) -> Any:
        """Start a run."""
        return subprocess.Popen(
            [sys.executable, "-m", "vid3d", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            **{"cwd": REPO, **self.options, **options},
        )


def play(case: Case, folder: Path, run: Runner) -> None:
    """Run a case's commands and assert that every promise is kept."""
    folder.mkdir(parents=True)
    made = case.make(folder)
    for number, command in enumerate(case.commands):
        out = folder / f"out{number}"
        places = {"input": made, "folder": folder, "out": out}
        done = run(*(part.format(**places) for part in command.split()))
        assert_one_clear_line(done, made)
        assert (done.status == 0) in _statuses(case.expected), (done.status, done.err)
        assert_whole(out)
        if done.status == 0:
            case.result(out)
    assert not (folder / "canary").exists(), "code out of a file was run"


def _statuses(expected: Expected) -> tuple[bool, ...]:
    return {"refused": (False,), "right": (True,), "either": (True, False)}[expected]


def assert_one_clear_line(done: Done, made: Path) -> None:
    """No hang, no traceback; where it failed, a line that names the input and says what to do."""
    assert done.status is not None, "hangs"
    lines = done.err.strip().splitlines()
    assert all(line.startswith("vid3d: ") for line in lines), done.err[-2000:]
    assert "error: unexpected" not in done.err, done.err[-2000:]
    assert done.status in (0, 1, 2), (done.status, done.err)
    if done.status:
        (last,) = [line for line in lines if line.startswith("vid3d: error: ")]
        assert len(last) < 1000, last
        assert any(printable(part) in last for part in (made.name, str(made)) if part), last


def assert_whole(folder: Path) -> None:
    """Nothing half made in a folder of results: all that is there can be read, none is hidden.

    What a run that was interrupted goes on from lies in folders and files called `.partial`.
    """
    for path in folder.rglob("*") if folder.is_dir() else [folder] * folder.is_file():
        if any(part.endswith(".partial") for part in path.parts):
            continue
        assert not path.name.startswith("."), f"{path.name} was left behind"
        if path.is_file():
            assert_whole_file(path)


def assert_whole_file(path: Path) -> None:
    """A file that was written to its end."""
    if path.suffix == ".npz":
        Motion.load(path)
    elif path.suffix in (".json", ".gltf"):
        json.loads(path.read_text(encoding="utf-8"))
    elif path.suffix == ".svg":
        xml.etree.ElementTree.parse(path)
    elif path.suffix == ".html":
        assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    elif path.suffix in (".mp4", ".png"):
        with av.open(f"file:{path}") as container:
            shown = sum(1 for _ in container.decode(video=0))
            assert shown >= max(1, container.streams.video[0].frames)
    elif path.suffix == ".bvh":
        lines = path.read_text().splitlines()
        at = lines.index("MOTION")
        assert len(lines) - at - 3 == int(lines[at + 1].split()[-1])
    else:
        assert path.stat().st_size > 0, f"{path} is empty"
