"""Batches: what is found, what is done once, what survives failures, deaths and interruptions."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import pytest
from batch_toys import die_load, fail_load, toy_load
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid3d.batch.inputs import find_sources, inside, key_of, name_outputs
from vid3d.batch.lifting import _anchored
from vid3d.batch.lock import locked
from vid3d.batch.manifest import NAME, Entry, Manifest
from vid3d.batch.plan import _reason, plan_batch
from vid3d.batch.pool import Pool, Worker
from vid3d.batch.runner import TRIES, _work_of, run_batch
from vid3d.batch.stamp import Print
from vid3d.batch.worker import Made, Task, carry_out
from vid3d.cli import cli
from vid3d.errors import Vid3dError
from vid3d.files import expanded, printable, safe_stem
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor

TOYS = Path(__file__).with_name("batch_toys.py")


def write(folder, **files):
    """Files of given text; `a__b_mp4` is a/b.mp4."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def keys(inputs, output):
    return [source.key for source in find_sources(inputs, output)[1]]


def rows(output, what="source, status, runs", order="source"):
    with sqlite3.connect(output / NAME) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return db.execute(f"SELECT {what} FROM jobs ORDER BY {order}").fetchall()


def tree(folder):
    """Every file below a folder but the lock, with its bytes."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def assert_consistent(output):
    """The files table says exactly what lies in the folder, and nothing is left over."""
    with sqlite3.connect(output / NAME) as db:
        held = dict(db.execute("SELECT path, sha256 FROM files"))
        done = {row[0] for row in db.execute("SELECT source FROM jobs WHERE status = 'done'")}
        owners = {row[0] for row in db.execute("SELECT source FROM files")}
    assert owners == done
    found = tree(output)
    del found[NAME]
    assert set(held) == set(found)
    assert all(Print(sha, "").fits(output / path) for path, sha in held.items())


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


# --- what workers are told


def test_paths_do_not_depend_on_the_folder_of_a_worker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("base.safetensors", "a+b.safetensors", "vid3d-pose"):
        (tmp_path / name).touch()

    def model(name):
        return _anchored(LiftOptions(model=name)).model

    base, adapter = str(tmp_path / "base.safetensors"), str(tmp_path / "a+b.safetensors")
    assert model("base.safetensors") == base
    assert model("vid3d-base") == "vid3d-base"
    assert model("vid3d-base+a+b.safetensors") == f"vid3d-base+{adapter}"
    assert model("base.safetensors+a+b.safetensors+none") == f"{base}+{adapter}+none"
    assert _anchored(LiftOptions(pose="vid3d-pose")).pose == "vid3d-pose"  # what ships comes first


# --- what is found, and its names


def test_names_that_begin_like_a_home_are_names(tmp_path, output, monkeypatch):
    (tmp_path / "~draft.mp4").touch()
    monkeypatch.chdir(tmp_path)
    assert keys(["~draft.mp4"], output) == ["~draft.mp4"]
    assert expanded("~draft.mp4") == Path("~draft.mp4")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    assert expanded("~/clips") == Path("/home/me/clips")


def test_folders_globs_and_files_are_found_below_one_root(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="", b__c_MOV="", b__d_txt="", _e_mp4="")
    write(folder, _trash__f_mp4="", _trash__f_txt="")
    assert (folder / ".e.mp4").exists()
    assert keys([folder], output) == ["a.mp4", "b/c.MOV"]
    assert keys([folder / "**/*.txt"], output) == ["b/d.txt"]
    assert keys([folder / "b" / "d.txt"], output) == ["d.txt"]
    assert keys([folder / "b", folder / "a.mp4", folder], output) == ["a.mp4", "b/c.MOV"]
    assert keys([folder / "*"], output) == ["a.mp4", "b/c.MOV"]


def test_globs_in_folders_with_brackets_in_their_names(tmp_path, output):
    folder = write(tmp_path / "[2024] Trip", a_mp4="", b__c_mp4="", b__d_txt="")
    assert keys([folder / "*.mp4"], output) == ["a.mp4"]
    assert keys([folder / "**/[cd].*"], output) == ["b/c.mp4", "b/d.txt"]


def test_results_are_not_lifted_again(tmp_path):
    folder = write(tmp_path, a_mp4="", out__a_mp4="", a_overlay_mp4="", a_vid3d_npz="")
    write(folder, cut_overlay_mp4="")  # somebody's own file
    write(folder, b_mp4="", b_mp4_vid3d_npz="")  # of one that has a twin b.mov
    videos = ["a.mp4", "b.mp4", "cut.overlay.mp4"]
    assert keys([folder], folder / "out") == videos
    assert keys([folder / "**/*.mp4"], folder / "out") == videos


@pytest.mark.parametrize("given_input", [".", "*.mp4", "**/*.mp4", "a.mp4"])
def test_results_may_go_beside_the_videos(tmp_path, given_input, monkeypatch):
    folder = write(tmp_path / "in", a_mp4="", a_overlay_mp4="", a_vid3d_npz="")
    monkeypatch.chdir(folder)
    assert keys([given_input], Path()) == ["a.mp4"]
    assert keys([given_input], Path("..")) == ["a.mp4"]


@pytest.mark.parametrize(
    ("given_input", "message"),
    [
        ("none", "no such file or folder: .*none; check"),
        ("none/*.mp4", r"no such file or folder: .*none.\*\.mp4"),
        ("in/none.mp4", "no such file or folder: .*none.mp4"),
        ("empty", "no video in .*empty"),
        ("in/*.mp4", r"no video in .*in.\*\.mp4"),
        ("in/a.fifo", "neither a file nor a folder"),
    ],
)
def test_inputs_without_a_video_are_refused_and_nothing_is_written(
    tmp_path, output, given_input, message
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "in").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "in" / "a.fifo")
    elif given_input == "in/a.fifo":
        pytest.skip("needs named pipes")
    with pytest.raises(Vid3dError, match=message):
        run_batch([tmp_path / given_input], output, "", toy_load)
    assert not output.exists()


def test_names_mirror_folders_and_twins_keep_their_suffix():
    named = name_outputs(["x/a.mp4", "x/a.mov", "a.mp4", "b c.mp4", "b_c.mp4", "D.mp4"], {})
    assert named == {
        "x/a.mp4": "x/a.mp4", "x/a.mov": "x/a.mov", "a.mp4": "a", "D.mp4": "D",
        "b c.mp4": "b_c.mp4", "b_c.mp4": "b_c.mp4-" + named["b_c.mp4"][-8:],
    }  # fmt: skip
    later = name_outputs(["D.mp4", "d.mkv"], {"D.mp4": "D"})
    assert later == {"D.mp4": "D", "d.mkv": "d.mkv"}


@pytest.mark.parametrize("letter", ["x", "\u4e2d"])
def test_long_names_that_end_in_another_letter_stay_apart(letter):
    # Files take 200 bytes of a name, which end before the digit; 191 and a dash and eight digits.
    length = 210 // len(letter.encode())
    first, second = (f"{letter * length}{i}.mp4" for i in (1, 2))
    named = name_outputs([f"in/{first}", f"in/{second}"], {})
    files = [safe_stem(PurePosixPath(output).name) for output in named.values()]
    assert [f"in/{file}" for file in files] == list(named.values())  # written as they are called
    assert files[0] == letter * (200 // len(letter.encode()))
    assert re.fullmatch(rf"{letter * (191 // len(letter.encode()))}-[0-9a-f]{{8}}", files[1])


NAMES = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), unique=True, max_size=12))
def test_outputs_never_collide_and_never_leave_the_folder(paths):
    found = sorted({key_of(PurePosixPath(path)) for path in paths})
    named = name_outputs(found, {})
    assert len({output.casefold() for output in named.values()}) == len(found)
    assert name_outputs(found, named) == named
    for output in named.values():
        assert output.encode()
        assert ".." not in output.split("/")


def test_printable_escapes_what_terminals_and_databases_choke_on():
    assert printable("ä\u3000b\n\x1b[31m\udcff") == "ä\u3000b\\n\\x1b[31m\\udcff"
    assert key_of(Path("a/\n")) != key_of(Path("a/\\n"))


@pytest.mark.parametrize("below", ["../x", "/etc/x", "link/x", "a/../../x"])
def test_paths_stay_inside(tmp_path, output, below):
    output.mkdir()
    (output / "link").symlink_to(tmp_path)
    with pytest.raises(Vid3dError, match="leads out"):
        inside(output, below)
    assert inside(output, "a/../b") == output / "a/../b"


# --- one run


def test_failures_of_all_kinds_do_not_stop_a_batch(tmp_path, output):
    folder = write(
        tmp_path / "in", a_mp4="odd", b__a_mp4="fine", b__a_mov="twin", c_mp4="broken",
        d_mp4="bug", e_mp4="die", f_mp4="grow", g_mp4="fine",
    )  # fmt: skip
    (folder / "gone.mp4").symlink_to("nowhere")
    seen, monitor = [], Monitor()
    report = run_batch(
        [folder], output, "r", toy_load, workers=2, monitor=monitor,
        ended=lambda source, outcome: seen.append(source),
    )  # fmt: skip
    assert (report.total, report.done, report.kept, report.interrupted) == (9, 4, 0, False)
    assert set(report.failed) == {"c.mp4", "d.mp4", "e.mp4", "f.mp4", "gone.mp4"}
    assert report.failed["c.mp4"] == "c.mp4 is broken; mend it"
    assert "unexpected KeyError" in report.failed["d.mp4"]
    assert "killed" in report.failed["e.mp4"]
    assert "changed while" in report.failed["f.mp4"]
    assert len(seen) == 9
    assert monitor.warnings == ["a.mp4: looks odd"]
    assert (output / "b/a.mp4.vid3d.npz").read_text() == "FINE"
    assert (output / "b/a.mov.vid3d.npz").read_text() == "TWIN"
    assert_consistent(output)
    trace = dict(rows(output, "source, trace"))
    assert "toy_lift" in trace["d.mp4"]
    assert trace["c.mp4"] is None
    made = rows(output, "frames, people, warnings, error, length(sha256), started IS NOT NULL")
    assert made[0] == (3, 1, "looks odd", None, 64, 1)


def test_a_second_run_does_only_what_is_new_changed_failed_or_lost(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1", b_mp4="22", c_mp4="33", d_mp4="broken", e_mp4="5")
    journal = tmp_path / "journal"
    run = partial(run_batch, [folder], output, load=partial(toy_load, journal), workers=1)
    run(recipe="r")
    journal.unlink()
    write(folder, b_mp4="44", n_mp4="new")
    (output / "c.vid3d.npz").write_text("33 and more")
    (folder / "a.mp4").touch()  # other times, same bytes
    before = tree(tmp_path)
    reasons = {job.source: job.reason for job in plan_batch([folder], output, "r").jobs}
    assert tree(tmp_path) == before
    assert reasons == {
        "b.mp4": "changed", "c.mp4": "results missing or changed", "d.mp4": "failed before",
        "n.mp4": "new",
    }  # fmt: skip
    report = run(recipe="r")
    assert (report.total, report.kept, report.done, list(report.failed)) == (6, 2, 3, ["d.mp4"])
    assert journal.read_text().split() == ["b.mp4", "c.mp4", "d.mp4", "n.mp4"]
    assert_consistent(output)
    assert len(plan_batch([folder], output, "other").jobs) == 6
    assert len(plan_batch([folder], output, "r", resume=False).jobs) == 6


@pytest.mark.skipif(os.name == "nt", reason="names that are not text")
@pytest.mark.parametrize(
    ("changes", "resume", "reason"),
    [
        ({}, True, None),
        ({}, False, "all are lifted again"),
        ({"status": "waiting"}, True, "not begun yet"),
        ({"status": "running"}, True, "interrupted"),
        ({"status": "failed"}, True, "failed before"),
        ({"print": None}, True, "interrupted"),
        ({"recipe": "other"}, True, "other options or models"),
        ({"print": Print("0", "touched")}, True, "changed"),
        ({"files": {}}, True, "results missing or changed"),
        ({"files": {"a.txt": Print("0", "touched")}}, True, "results missing or changed"),
        ({"files": {"../in/a.mp4": Print("0", "")}}, True, "results missing or changed"),
    ],
)
def test_why_a_video_is_lifted(tmp_path, output, changes, resume, reason):
    video = write(tmp_path / "in", a_mp4="video") / "a.mp4"
    result = write(output, a_txt="result") / "a.txt"
    files = {"a.txt": Print(Print.of(result).sha256, "touched")}
    whole = Entry("a", "done", "recipe", Print(Print.of(video).sha256, "touched"), files)
    assert _reason(video, replace(whole, **changes), output, "recipe", resume) == reason
    assert _reason(video, None, output, "recipe", resume) == "new"


def test_names_that_are_not_text_or_would_drive_a_terminal(tmp_path, output):
    folder = tmp_path / os.fsdecode(b"in\xff")
    for name in (b"d\xff/\x1b[2J.mp4", b"d\xff/broken\xfe.mp4"):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("broken" if b"broken" in name else "odd")
    report = run_batch([folder], output, "r", toy_load, workers=1)
    assert report.done == 1
    ((key, error),) = report.failed.items()
    assert key == "d\\udcff/broken\\udcfe.mp4"
    assert error == "broken\\udcfe.mp4 is broken; mend it"
    assert_consistent(output)
    assert run_batch([folder], output, "r", toy_load, workers=1).kept == 1


def test_older_results_that_a_run_does_not_make_are_removed_unless_changed(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1", b_mp4="2")
    run_batch([folder], output, "r", toy_load, workers=1)
    with Manifest(output / NAME) as manifest:
        for name in "ab":
            (output / f"{name}.bvh").write_text("")
            files = manifest.results(f"{name}.mp4")
            files[f"{name}.bvh"] = Print.of(output / f"{name}.bvh")
            manifest._db.execute(
                "INSERT INTO files VALUES (?, ?, ?, ?)",
                (f"{name}.bvh", f"{name}.mp4", files[f"{name}.bvh"].sha256, ""),
            )
        manifest._db.commit()
    (output / "b.bvh").write_text("edited")
    run_batch([folder], output, "other", toy_load, workers=1)
    assert not (output / "a.bvh").exists()
    assert (output / "b.bvh").exists()


def test_no_result_is_written_over_a_video(tmp_path):
    folder = write(tmp_path / "in", a_mp4="1", a_overlay_mp4="mine")
    report = run_batch([folder], folder, "r", toy_load, workers=1)
    assert list(report.failed) == ["a.mp4"]
    assert "is a video of this batch" in report.failed["a.mp4"]
    assert (folder / "a.overlay.mp4").read_text() == "mine"
    assert not (folder / "a.vid3d.npz").exists()


def test_results_of_another_folder_are_not_mixed_in_but_a_moved_one_goes_on(tmp_path, output):
    one, two = write(tmp_path / "1", a_mp4="1"), write(tmp_path / "2", a_mp4="1")
    run_batch([one], output, "r", toy_load)
    with pytest.raises(Vid3dError, match="holds the results of"):
        run_batch([two], output, "r", toy_load)
    shutil.rmtree(one)
    assert run_batch([two], output, "r", toy_load).kept == 1


def test_the_same_folder_by_another_name_goes_on(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1")
    (tmp_path / "link").symlink_to(folder)
    run_batch([folder], output, "r", toy_load)
    assert run_batch([tmp_path / "link"], output, "r", toy_load).kept == 1


def test_no_writing_through_links_that_leave_the_folder(tmp_path, output):
    folder = write(tmp_path / "in", a__a_mp4="1", b__a_mp4="2")
    output.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (output / "a").symlink_to(tmp_path / "elsewhere")
    report = run_batch([folder], output, "r", toy_load, workers=1)
    assert list(report.failed) == ["a/a.mp4"]
    assert not list((tmp_path / "elsewhere").iterdir())


# --- workers


@pytest.mark.parametrize("workers", [0, -2, 1.5])
def test_a_number_of_workers_that_cannot_be(tmp_path, workers):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(Vid3dError, match=r"workers is .*, expected a whole number from 1 up"):
        run_batch([tmp_path / "a.mp4"], tmp_path / "out", "", toy_load, workers=workers)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("load", "words"), [(fail_load, "damaged"), (die_load, "killed")])
def test_workers_that_cannot_begin_end_the_batch_in_one_line(tmp_path, output, load, words):
    folder = write(tmp_path / "in", a_mp4="1", b_mp4="2", c_mp4="3")
    with pytest.raises(Vid3dError, match=words):
        run_batch([folder], output, "r", load, workers=2)
    assert {status for _, status, _ in rows(output)} == {"waiting"}


def threads_of_a_worker():
    def lift(task):
        raise Vid3dError(f"{os.environ['OMP_NUM_THREADS']} threads")

    return lift


def test_a_worker_has_its_share_of_threads(tmp_path):
    write(tmp_path, a_mp4="")
    before = dict(os.environ)
    with Pool(threads_of_a_worker, 1, 3) as pool:
        task = Task("a.mp4", tmp_path / "a.mp4", "a", tmp_path / "a", tmp_path / "w")
        ((_, outcome),) = pool.run([task], lambda task: None)
    assert outcome.error == "3 threads"
    assert dict(os.environ) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_is_left_to_the_parent_even_while_a_worker_starts():
    worker = Worker(toy_load, 1)
    try:
        os.kill(worker._process.pid, signal.SIGINT)
        assert worker.connection.recv() is None  # ready
    finally:
        worker.kill()


def test_a_video_whose_process_died_is_begun_again_with_its_work(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="long", b_mp4="die", c_mp4="3")
    report = run_batch([folder], output, "r", toy_load, workers=1)
    assert (report.done, list(report.failed)) == (2, ["b.mp4"])
    assert dict(rows(output, "source, runs")) == {"a.mp4": 2, "b.mp4": TRIES, "c.mp4": 1}
    assert_consistent(output)
    assert [path.name for path in (output / ".vid3d-batch").iterdir()] == ["lock"]


def test_work_that_does_not_go_on_is_removed(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="long", b_mp4="2")
    work = output / ".vid3d-batch/work"
    for source in ("a.mp4", "gone.mp4"):
        half = work.parent / _work_of(source) / "half"
        half.parent.mkdir(parents=True)
        half.touch()
    run_batch([folder], output, "r", toy_load, workers=1)
    assert dict(rows(output, "source, runs")) == {"a.mp4": 1, "b.mp4": 1}
    assert not work.exists()


def test_running_out_of_memory_fails_the_video(tmp_path):
    def lift(task):
        raise MemoryError

    write(tmp_path, a_mp4="")
    task = Task("a.mp4", tmp_path / "a.mp4", "a", tmp_path / "a", tmp_path / "w")
    outcome = carry_out(task, lift)
    assert "out of memory" in outcome.error


# --- two runs, and bad manifests


def test_one_batch_at_a_time_in_a_folder(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1")
    with locked(output), pytest.raises(Vid3dError, match="another batch is writing"):
        run_batch([folder], output, "r", toy_load)
    assert run_batch([folder], output, "r", toy_load).done == 1


def test_what_is_not_a_manifest_is_refused_and_kept(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1")
    output.mkdir()
    for content in (b"not a database at all" * 100, b"SQLite format 3\0" + bytes(84)):
        (output / NAME).write_bytes(content)
        with pytest.raises(Vid3dError, match=NAME):
            run_batch([folder], output, "r", toy_load)
        assert (output / NAME).read_bytes() == content
    (output / NAME).unlink()
    with sqlite3.connect(output / NAME) as db:
        db.execute("CREATE TABLE jobs (name)")
    with pytest.raises(Vid3dError, match="not a batch manifest"):
        run_batch([folder], output, "r", toy_load)


def test_a_manifest_left_in_mid_transaction_can_be_looked_at(tmp_path, output):
    run_batch([write(tmp_path / "in", a_mp4="1")], output, "r", toy_load)
    before = rows(output)
    code = """if True:
        import os, sqlite3, sys
        db = sqlite3.connect(sys.argv[1])
        db.execute("PRAGMA cache_size = 1")  # so that half of it is in the file
        db.execute("UPDATE jobs SET status = 'failed'")
        db.executemany("INSERT INTO recipes VALUES (?, ?)", [(i, "x" * 3000) for i in range(99)])
        os._exit(9)"""
    subprocess.run([sys.executable, "-c", code, output / NAME], check=False)
    assert (output / f"{NAME}-journal").exists()
    with Manifest(output / NAME, writable=False) as manifest:
        assert [entry.status for entry in manifest.entries().values()] == ["done"]
        with pytest.raises(Vid3dError, match="readonly"):
            manifest.interrupt()
    assert rows(output) == before


def test_a_manifest_cannot_lead_out_of_the_folder(tmp_path, output):
    folder, keep = write(tmp_path / "in", a_mp4="1", b_mp4="2"), tmp_path / "keep.txt"
    keep.write_text("keep")
    run_batch([folder], output, "r", toy_load, workers=1)
    with sqlite3.connect(output / NAME) as db:
        db.execute("UPDATE jobs SET output = '../../evil' WHERE source = 'a.mp4'")
        seen = Print.of(keep)
        db.execute("INSERT INTO files VALUES ('../keep.txt', 'b.mp4', ?, '')", (seen.sha256,))
    report = run_batch([folder], output, "other", toy_load, workers=1)
    assert "leads out of" in report.failed["a.mp4"]
    assert report.done == 1
    assert keep.read_text() == "keep"
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "keep.txt"}


@given(st.data())
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_manifest_is_refused_or_read(tmp_path, data):
    folder = write(tmp_path / "in", a_mp4="1", b_mp4="2")
    path = tmp_path / "fuzz" / NAME
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with Manifest(path) as manifest:
        manifest.begin(folder, "r", {"a.mp4": "a", "b.mp4": "b"})
        manifest.finish("a.mp4", Print("0", "1"), 1, Made(1, 1), {"a.vid3d.npz": Print("2", "3")})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        used = data.draw(st.sampled_from([i for i, byte in enumerate(content) if byte]))
        content[used] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(Vid3dError):
        plan_batch([folder], path.parent, "r")


def test_an_output_folder_that_cannot_be_made(tmp_path):
    folder = write(tmp_path / "in", a_mp4="1")
    with pytest.raises(Vid3dError, match="-o"):
        run_batch([folder], folder / "a.mp4", "r", toy_load)


# --- interruptions


def start(folder, output, journal, seconds, workers=2):
    command = [sys.executable, str(TOYS), folder, output, journal, str(seconds), str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(TOYS.parent.parent)}
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment
    )


def wait_for(journal, lines, process):
    deadline = time.monotonic() + 60
    while len(journal.read_text().split() if journal.exists() else []) < lines:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def group_is_gone(group):
    """Whether all processes of a session ended: the parent, and its workers after it."""
    for _ in range(500):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_batch_goes_on_and_does_all_once(tmp_path, output, how):
    texts = {f"v{number}_mp4": "broken" if number == 3 else str(number) for number in range(8)}
    folder, journal = write(tmp_path / "in", **texts), tmp_path / "journal"
    process = start(folder, output, journal, 2.0)  # six seconds are left when the signal comes
    wait_for(journal, 4, process)
    if how == signal.SIGKILL:
        process.kill()  # the parent alone: its workers must follow
    else:
        os.killpg(process.pid, how)  # all of them, as Ctrl-C does
    _, errors = process.communicate(timeout=30)
    assert process.returncode == (130 if how == signal.SIGINT else -how), errors
    assert group_is_gone(process.pid)
    statuses = Counter(status for _, status, _ in rows(output))
    assert statuses["interrupted" if how == signal.SIGINT else "running"] in (1, 2)
    done = {source for source, status, _ in rows(output) if status == "done"}
    report = run_batch([folder], output, "recipe", partial(toy_load, journal), workers=2)
    assert (report.kept, report.done) == (len(done), 7 - len(done))
    assert list(report.failed) == ["v3.mp4"]
    assert Counter(journal.read_text().split()).keys() == {f"v{n}.mp4" for n in range(8)}
    assert all(runs == 1 for source, _, runs in rows(output) if source in done)
    assert_consistent(output)
    assert [path.name for path in (output / ".vid3d-batch").iterdir()] == ["lock"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_500_files_a_tenth_broken_killed_twice(tmp_path, output):
    random.seed(1)
    texts = {f"f{n % 7}__v{n}_mp4": "broken" if n % 10 == 0 else str(n) for n in range(500)}
    folder, journal = write(tmp_path / "in", **texts), tmp_path / "journal"
    for target in (120, 330):
        process = start(folder, output, journal, 0.01)
        wait_for(journal, target + random.randrange(20), process)
        process.kill()
        process.communicate(timeout=30)
        assert group_is_gone(process.pid)
    process = start(folder, output, journal, 0.0)
    process.communicate(timeout=300)
    assert process.returncode == 1
    states = rows(output, "source, status, runs, error")
    assert Counter(status for _, status, _, _ in states) == {"done": 450, "failed": 50}
    assert all("is broken" in error for _, status, _, error in states if status == "failed")
    again = Counter(journal.read_text().split())
    redone = [source for source, status, runs, _ in states if status == "done" and runs > 1]
    assert len(redone) <= 4  # two workers, killed twice: what they had in hand
    assert all(again[Path(source).name] == 1 for source, status, runs, _ in states if runs == 1)
    for source, status, _, _ in states:
        result = (output / source).with_suffix(".vid3d.npz")
        text = texts[source.replace("/", "__").replace(".", "_")]
        assert (result.read_text() == text.upper()) if status == "done" else not result.exists()
    assert_consistent(output)


# --- the command


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_the_command_from_end_to_end(repo, tmp_path, output):
    folder = tmp_path / "in"
    write(folder, text_mp4="this is text", zero__empty_mov="")
    shutil.copy(repo / "tests/data/tiny.mp4", folder / "good.mp4")
    (folder / "zero/cut.mp4").write_bytes((folder / "good.mp4").read_bytes()[:9000])
    options = ["-o", output, "--no-render", "--end", "0.4", "--format", "csv", "--workers", "1"]
    dry = run("batch", folder, *options, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "good.mp4 -> good.vid3d.npz  (new)" in dry.output
    assert not output.exists()
    first = run("batch", folder, *options)
    assert first.exit_code == 1, first.output
    assert "1 done, 0 up to date, 3 failed of 4 in" in first.stdout
    for name in ("text.mp4", "zero/empty.mov", "zero/cut.mp4"):
        assert f"vid3d: error: {name}: " in first.stderr
    assert "Traceback" not in first.output
    names = {"good.vid3d.npz", "good.vid3d.json", "good.csv", "good.export.json", NAME}
    assert set(tree(output)) == names
    assert_consistent(output)
    again = run("batch", folder, *options, "--dry-run")
    assert "would lift 3; 1 up to date" in again.stdout
    other = run("batch", folder, *options, "--dry-run", "--seed", "7")
    assert "good.mp4 -> good.vid3d.npz  (other options or models)" in other.stdout


def test_the_recipe_knows_options_and_models_by_their_bytes(repo, tmp_path):
    from vid3d.batch.lifting import recipe
    from vid3d.pipeline import LiftOptions
    from vid3d.results import Wanted

    known = recipe(LiftOptions(device="cpu"), Wanted())
    assert str(repo) not in known
    model = shutil.copytree(repo / "weights/vid3d-base", tmp_path / "vid3d-base")
    (model / "README.md").write_text("other words")
    same = LiftOptions(device="cpu", model=str(model))
    assert recipe(same, Wanted()) == known
    (model / "manifest.json").write_text((model / "manifest.json").read_text() + "\n")
    others = [
        (same, Wanted()), (LiftOptions(device="cpu", height={None: 1.8, 2: 1.6}), Wanted()),
        (LiftOptions(device="cpu", fov=60), Wanted()), (LiftOptions(device="cpu"), Wanted(False)),
    ]  # fmt: skip
    assert len({known, *(recipe(*other) for other in others)}) == 5


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["batch"], 2, "FOLDER"),
        (["batch", "."], 2, "--output"),
        (["batch", ".", "-o", "x", "--workers", "0"], 2, "workers"),
        (["batch", ".", "-o", "x", "--fov", "50", "--camera", "c.json"], 2, "exclude"),
        (["batch", "none", "-o", "x"], 1, "no such file or folder"),
        (["batch", "none", "-o", "x", "--model", "none"], 1, "unknown model"),
        (["batch", "none", "-o", "x", "--pose", "none"], 1, "unknown model"),
    ],
)
def test_wrong_usage_is_one_line(arguments, status, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert words in result.stderr
    assert not list(tmp_path.iterdir())


def test_one_folder_is_no_list_of_folders(tmp_path):
    """Its letters were taken for folders, "/" among them."""
    for folder in ("empty", tmp_path):
        with pytest.raises(Vid3dError, match=r"inputs is .* expected a list of folders"):
            find_sources(folder, tmp_path)


def test_who_reads_the_manifest_is_waited_for(tmp_path, output, monkeypatch):
    run_batch([write(tmp_path / "in", a_mp4="1")], output, "r", toy_load)
    with closing(sqlite3.connect(output / NAME, check_same_thread=False)) as tool:
        tool.execute("INSERT INTO recipes VALUES ('x', 'y')")  # not yet committed
        with Manifest(output / NAME) as manifest:
            threading.Timer(0.3, tool.rollback).start()
            manifest.interrupt()
        tool.execute("INSERT INTO recipes VALUES ('x', 'y')")
        monkeypatch.setattr("vid3d.batch.manifest.PATIENCE", 0.1)
        with (
            Manifest(output / NAME) as manifest,
            pytest.raises(Vid3dError, match="held by another program"),
        ):
            manifest.interrupt()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_videos_fails_and_the_rest_is_done(tmp_path, output):
    folder = write(tmp_path / "in", a_mp4="1", c_mp4="3")
    os.mkfifo(folder / "b.mp4")
    report = run_batch([folder], output, "r", toy_load)
    assert report.done == 2
    assert "pipe" in report.failed["b.mp4"]
