"""500 videos, a tenth of them broken, through `vid3d batch` that is killed twice and then finishes.

python benchmarks/batch/kill_and_resume.py WORK [--files 500] [--workers 1] [--ray ADDRESS]

Whole videos are three frames of a sample at 320 x 180, each another three. The command is killed
(SIGKILL to the parent, its workers follow) after a third and after two thirds, goes on to the end,
and is called once more. What must hold then is checked, and figures are printed as JSON.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import av
import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.files import sha256_of
from vid3d.video.writer import VideoWriter

REPO = Path(__file__).resolve().parents[2]
LIFT = ("--no-render", "--hypotheses", "1", "--device", "cpu", "--quiet")
BROKEN = ("empty", "text", "cut", "noise", "sound")


@click.command()
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--files", default=500, show_default=True)
@click.option("--workers", default=1, show_default=True)
@click.option("--ray", help="Address of a Ray cluster to run on.")
@click.option("--seed", default=0, show_default=True)
def main(work: Path, files: int, workers: int, ray: str | None, seed: int) -> None:
    """Make the videos, run, kill, go on, check."""
    rng = random.Random(seed)
    videos, output = work / "videos", work / "out"
    for folder in (videos, output):
        shutil.rmtree(folder, ignore_errors=True)
    broken = make_videos(videos, files, rng)
    command = [sys.executable, "-m", "vid3d", "batch", str(videos), "-o", str(output), *LIFT,
               "--workers", str(workers), *(("--ray", ray) if ray else ())]  # fmt: skip
    begin = time.perf_counter()
    in_hand = [kill_after(command, output, share * files // 3, rng) for share in (1, 2)]
    last = subprocess.run(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - begin
    once = results(output)
    begin = time.perf_counter()
    again = subprocess.run(command, cwd=REPO, stderr=subprocess.PIPE, text=True)
    figures = check(output, videos, broken, last, in_hand)
    kept = {path: stamp for path, stamp in results(output).items() if once[path] == stamp}
    figures |= {
        "wall_seconds_of_three_runs": round(seconds, 1),
        "seconds_of_a_further_run": round(time.perf_counter() - begin, 1),
        "a_further_run_touches_nothing_that_is_done": len(kept) == len(once),
        "and_fails_with": again.returncode,
    }
    click.echo(json.dumps(figures, indent=2))
    sys.exit(not all(value for value in figures.values() if isinstance(value, bool)))


def make_videos(folder: Path, files: int, rng: random.Random) -> set[str]:
    """Write the videos; keys of those that are broken, one in ten."""
    with av.open(str(REPO / "samples/two_people.mp4")) as container:
        frames = [
            frame.to_ndarray(width=320, height=180, format="bgr24")
            for frame, _ in zip(container.decode(video=0), range(100), strict=False)
        ]
    broken = set()
    for number in range(files):
        key = f"day{number % 7}/clip{number:03}.mp4"
        path, start, step = folder / key, number % 90, 1 + number // 90
        with VideoWriter(path, 25, (320, 180)) as writer:
            for frame in frames[start : start + 3 * step : step]:
                writer.write(frame)
        if number % 10 == 3:
            damage(path, BROKEN[number // 10 % len(BROKEN)], rng)
            broken.add(key)
    return broken


def damage(path: Path, how: str, rng: random.Random) -> None:
    """Break a video in one of five ways."""
    content = path.read_bytes()
    if how == "sound":
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=16000)
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.rate = 16000
            for packet in (*stream.encode(silence), *stream.encode(None)):
                container.mux(packet)
        return
    third = len(content) // 3
    path.write_bytes(
        {
            "empty": b"",
            "text": b"This is not a video.\n" * 40,
            "cut": content[: third // 4],
            "noise": rng.randbytes(third) + content[third:],
        }[how]
    )


def kill_after(command: list[str], output: Path, ended: int, rng: random.Random) -> list[str]:
    """Kill a run once so many videos have ended, at some moment; keys of those in hand then."""
    said = output.parent / "said.txt"
    with said.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=REPO, stderr=file)
    while sum(status in ("done", "failed") for status in states(output).values()) < ended:
        if process.poll() is not None:
            raise click.ClickException(
                f"the batch ended by itself: {said.read_text(encoding='utf-8')[-400:]}"
            )
        time.sleep(0.05)
    time.sleep(rng.uniform(0, 0.5))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return [key for key, status in states(output).items() if status == "running"]


def states(output: Path) -> dict[str, str]:
    """Status of every video in the manifest, by key."""
    return {key: status for key, status, *_ in rows(output)}


def rows(output: Path) -> list[tuple[str, str, int, str, float]]:
    """Key, status, runs, error and seconds of every video."""
    if not (output / "batch.sqlite").exists():
        return []
    with closing(sqlite3.connect(output / "batch.sqlite", timeout=30)) as db:
        try:
            return db.execute("SELECT source, status, runs, error, seconds FROM jobs").fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return []


def results(output: Path) -> dict[str, int]:
    """When every result was written, by its path below the output folder."""
    return {
        path.relative_to(output).as_posix(): path.stat().st_mtime_ns
        for path in output.rglob("*.vid3d.*")
        if ".vid3d-batch" not in path.parts
    }


def check(
    output: Path,
    videos: Path,
    broken: set[str],
    last: subprocess.CompletedProcess[str],
    in_hand: list[list[str]],
) -> dict[str, object]:
    """What holds after the last run: True and False are promises, numbers are figures."""
    jobs = {key: (status, runs, error) for key, status, runs, error, _ in rows(output)}
    seconds = sorted(row[4] for row in rows(output) if row[1] == "done")
    done = {key for key, (status, *_) in jobs.items() if status == "done"}
    failed = {key for key, (status, *_) in jobs.items() if status == "failed"}
    found = {path.relative_to(videos).as_posix() for path in videos.rglob("*.mp4")}
    with closing(sqlite3.connect(output / "batch.sqlite")) as db:
        whole = db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        held = dict(db.execute("SELECT path, sha256 FROM files"))
        seen = dict(db.execute("SELECT source, sha256 FROM jobs WHERE status = 'done'"))
    twice = {key for key in done if jobs[key][1] > 1}
    killed = {key for keys in in_hand for key in keys}
    listed = [line for line in last.stderr.splitlines() if line.startswith("vid3d: error: day")]
    return {
        "videos": len(found),
        "done": len(done),
        "failed": len(failed),
        "in_hand_at_the_kills": [len(keys) for keys in in_hand],
        "median_seconds_a_video": round(seconds[len(seconds) // 2], 3),
        "every_whole_video_is_done_and_every_broken_one_failed": (
            done == found - broken and failed == broken
        ),
        "only_what_was_in_hand_at_a_kill_was_begun_twice": twice <= killed,
        "every_failure_is_listed_in_one_line_with_status_1": (
            last.returncode == 1 and len(listed) == len(failed) == len(set(listed))
        ),
        "manifest_is_whole": whole,
        "results_are_those_of_the_manifest_byte_for_byte": (
            held.keys() == results(output).keys()
            and all(sha256_of(output / path) == sha for path, sha in held.items())
        ),
        "checksums_of_videos_are_right": all(
            sha256_of(videos / key) == sha for key, sha in seen.items()
        ),
        "nothing_half_done_is_left": [path.name for path in (output / ".vid3d-batch").iterdir()]
        == ["lock"],
        "errors": Counter(
            re.sub(r"\S*clip\d+", "CLIP", error) for *_, error in jobs.values() if error
        ),
    }


if __name__ == "__main__":
    main()
