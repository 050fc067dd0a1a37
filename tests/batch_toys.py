"""Stand-ins for a lift, which spawned workers import, and a batch to be killed."""

import os
import signal
import sys
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from vid3d.batch.cluster import connected
from vid3d.batch.runner import run_batch
from vid3d.batch.worker import Made
from vid3d.errors import Vid3dError


def toy_load(journal=None, seconds=0.0):
    """A lift that copies a text in capitals; what the text says may go wrong."""
    return partial(toy_lift, journal, seconds)


def toy_lift(journal, seconds, task):
    video = task.path
    text = video.read_text()
    if journal:
        with open(journal, "a") as file:
            file.write(f"{video.name}\n")
    time.sleep(seconds)
    if "broken" in text:
        raise Vid3dError(f"{video.name} is broken; mend it")
    if "bug" in text:
        raise KeyError("joint")
    if "die" in text:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang" in text:
        hang_once(video.with_suffix(".pid"))
    if "grow" in text:
        video.write_text(text + "more")
    if "long" in text:
        die_halfway(task.work)
    (task.folder / f"{task.stem}.vid3d.npz").write_text(text.upper())
    (task.folder / f"{task.stem}.overlay.mp4").write_text(text[::-1])
    return Made(len(text), 1, ("looks odd",) if "odd" in text else ())


def hang_once(note):
    """Say who hangs and wait to be killed; the next to come goes on."""
    if not note.exists():
        note.with_suffix(".part").write_text(str(os.getpid()))
        os.replace(note.with_suffix(".part"), note)
        time.sleep(120)


def die_halfway(work):
    """Leave the first half behind; the second needs it."""
    if not (work / "half").exists():
        work.mkdir(parents=True)
        (work / "half").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def fail_load():
    raise Vid3dError("the weights are damaged; fetch them again")


def die_load():
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    # where the tests run in the background of a shell, Ctrl-C is ignored by all that they start
    signal.signal(signal.SIGINT, signal.default_int_handler)
    source, output, journal, seconds, workers = sys.argv[1:6]
    load = partial(toy_load, journal, float(seconds))
    with connected(sys.argv[6]) if sys.argv[6:] else nullcontext() as cluster:
        report = run_batch([source], Path(output), "recipe", load, int(workers), cluster=cluster)
    sys.exit(130 if report.interrupted else bool(report.failed))
