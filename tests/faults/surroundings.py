"""Surroundings: full disks, folders that cannot be written, kills, two runs at once, odd names."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Any

from motion_toys import make_video, walk

from faults.case import REPO, Done, Runner, Situation, assert_one_clear_line, assert_whole
from faults.clips import TINY
from faults.keypoints import _json

WRITERS = {
    "lift": "lift --keypoints {json} -o {out} --format bvh,csv,glb",
    "lift with a video": "lift {video} --keypoints {json} -o {out}",
    "detect": "detect {tiny} -o {out}/a.json --stride 20",
    "export": "export {motion} --to bvh,glb,csv,trc,json,npz -o {out}",
    "render": "render {motion} -o {out}/view.mp4 --height 120 --fps 5",
    "plot": "plot {motion} -o {out}",
    "view": "view {motion} -o {out}/page.html --no-video",
    "view with a video": "view {motion} -o {out}/page.html --video {video}",
}
"""Commands that write files."""


def _inputs(folder: Path) -> dict[str, Any]:
    """Good inputs in a folder, by the names that `WRITERS` use."""
    folder.mkdir(parents=True, exist_ok=True)
    motion = walk(12, (480, 270))
    return {
        "json": _json(folder / "a.json"),
        "motion": motion.save(folder / "m.vid3d.npz"),
        "video": make_video(folder / "m.mp4", walk(45, (480, 270))),
        "tiny": TINY,
    }


def _arguments(command: str, places: dict[str, Any]) -> list[str]:
    return [part.format(**places) for part in command.split()]


def _files(folder: Path) -> dict[str, bytes]:
    """Bytes of the files under final names."""
    paths = [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix != ".partial"]
    return {path.name: path.read_bytes() for path in paths if path.name[0] != "."}


# ------------------------------------------------------------------ disks


def _full(command: str, size: int, folder: Path, run: Runner) -> None:
    """A file may not grow beyond a size: what a full disk does to whoever writes."""
    import resource

    places = {**_inputs(folder), "out": folder / "out"}
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
    done = run(*_arguments(command, places), preexec_fn=limit)
    _failed_or_whole(done, folder / "out")


def _failed_or_whole(done: Done, out: Path) -> None:
    """One clear line that names the folder and leaves whole files only, or success."""
    if done.status == 0:
        assert_whole(out)
        return
    assert_one_clear_line(done, out)
    assert_whole(out)


def _read_only(command: str, folder: Path, run: Runner) -> None:
    """The folder of results may not be written."""
    locked = folder / "locked"
    locked.mkdir(mode=0o555, parents=True)
    if os.getuid() == 0:  # whom modes do not stop, but this system does
        locked = Path("/sys/vid3d-locked")
    places = {**_inputs(folder), "out": locked / "out"}
    done = run(*_arguments(command, places))
    assert done.status == 1, (done.status, done.err)
    assert_one_clear_line(done, locked)


def _occupied(command: str, folder: Path, run: Runner) -> None:
    """A file lies where the folder of results should be."""
    places = {**_inputs(folder), "out": folder / "taken"}
    (folder / "taken").write_text("mine")
    done = run(*_arguments(command, places))
    assert done.status == 1, (done.status, done.err)
    assert_one_clear_line(done, folder / "taken")
    assert (folder / "taken").read_text() == "mine"


# ------------------------------------------------------------------ kills and twins


def _killed(command: str, seed: int, folder: Path, run: Runner) -> None:
    """Killed at a random moment: whole files under final names; the next run makes them all."""
    places = _inputs(folder)
    good, out = folder / "good", folder / "out"
    begun = time.monotonic()
    assert run(*_arguments(command, {**places, "out": good})).status == 0
    process = run.start(*_arguments(command, {**places, "out": out}))
    share = random.Random(seed).uniform(0.3, 1.0)
    time.sleep(share * (time.monotonic() - begun))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for path in out.glob("[!.]*"):  # hidden files are what it was writing
        assert_whole(path)
    done = run(*_arguments(command, {**places, "out": out}))
    assert done.status == 0, done.err
    expected, found = _files(good), _files(out)
    assert set(found) == set(expected)
    for name, content in expected.items():
        assert found[name] == content or name.endswith((".html", ".export.json")), name


def _twins(command: str, folder: Path, run: Runner) -> None:
    """Two runs into one folder at once: both end well or say why not; the files are whole."""
    places = _inputs(folder)
    good, out = folder / "good", folder / "out"
    assert run(*_arguments(command, {**places, "out": good})).status == 0
    both = [run.start(*_arguments(command, {**places, "out": out})) for _ in range(2)]
    ended = []
    for process in both:
        text, err = process.communicate(timeout=run.limit)
        ended.append(Done(process.args[3:], process.returncode, text, err))
    assert any(done.status == 0 for done in ended), ended
    for done in ended:
        assert_one_clear_line(done, out)
    assert_whole(out)
    assert _files(out) == _files(good)


# ------------------------------------------------------------------ names

NAMES = {
    "spaces and marks": "a b'\"&;$(touch canary)`x`.mp4",
    "markup": "<script>x<|script>.mp4",
    "mathematics": "$\\frac{1}{2$.mp4",
    "percent": "100%s %d {0} {x}.mp4",
    "a dash first": "-o.mp4",
    "no text": os.fsdecode(b"\xff\xfe.mp4"),
    "terminal codes": "\x1b[2J\x07\u202e.mp4",
    "two lines": "a\nb.mp4",
    "dots": "....mp4",
    "240 letters": "x" * 240 + ".mp4",
    "a colon": "http:a.mp4",
}


def _named(name: str, folder: Path, run: Runner) -> None:
    """A good video of an odd name: lifted, drawn, shown."""
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(copy(TINY, folder / name))
    out = folder / "out"
    done = run(
        "lift",
        f"./{name}",
        "-o",
        out,
        "--stride",
        "20",
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    assert done.status == 0, (done.status, done.err)
    assert "\x1b" not in done.out + done.err
    assert_whole(out)
    (motion,) = out.glob("*.vid3d.npz")
    page = run("view", motion, "--video", path, "-o", folder / "page.html", "--link")
    assert page.status == 0, (page.status, page.err)
    assert_whole(folder / "page.html")
    assert not (folder / "canary").exists()


def _too_long(folder: Path, run: Runner) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for command in ("lift", "info", "render", "view", "plot"):
        extra = [] if command in ("lift", "info", "view") else ["-o", folder / "out"]
        done = run(command, "x" * 5000 + ".vid3d.npz", *extra)
        assert done.status in (1, 2), (done.status, done.err)
        lines = done.err.strip().splitlines()
        assert len(lines) == 1, done.err
        assert lines[0].startswith("vid3d: error: ")


def _same_stems(folder: Path, run: Runner) -> None:
    """Videos whose results would overwrite each other."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [copy(TINY, folder / name) for name in ("a b.mp4", "a_b.mp4")]
    done = run("lift", *paths, "-o", folder / "out")
    assert done.status == 2, (done.status, done.err)
    assert "overwrite" in done.err


# ------------------------------------------------------------------ all of them


def surroundings() -> Iterator[Situation]:
    """Every situation."""

    def one(group: str, name: str, play: Callable[[Path, Runner], None]) -> Situation:
        return Situation(group, name, play)

    for name, command in WRITERS.items():
        for size in (0, 3000, 30_000):
            if name != "detect" or size < 3001:
                yield one("disk full", f"{name}, at {size} bytes", partial(_full, command, size))
        yield one(
            "folder not to be written", f"{name}, write-protected", partial(_read_only, command)
        )
        yield one("folder not to be written", f"{name}, a file", partial(_occupied, command))
    for name in ("lift", "lift with a video", "detect", "export"):
        for seed in range(4):
            yield one(
                "killed (SIGKILL)", f"{name}, moment {seed}", partial(_killed, WRITERS[name], seed)
            )
        yield one("two runs into one folder", name, partial(_twins, WRITERS[name]))
    for name, file in NAMES.items():
        yield one("names of files", name, partial(_named, file))
    yield one("names of files", "5000 letters", _too_long)
    yield one("names of files", "the same when cleaned", _same_stems)


SURROUNDINGS: list[Situation] = list(surroundings())
