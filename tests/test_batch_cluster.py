"""Batches on Ray: what is said without a cluster, and the same results and manifest on one."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from batch_toys import die_load, fail_load, toy_load
from click.testing import CliRunner

from vid3d.batch.cluster import Cluster, ClusterPool, _attempt, _knock, connected
from vid3d.batch.manifest import NAME
from vid3d.batch.runner import TRIES, run_batch
from vid3d.batch.worker import Task
from vid3d.cli import cli
from vid3d.errors import Vid3dError

TESTS = Path(__file__).parent
TEXTS = {
    "a": "odd", "b": "broken", "c": "bug", "d": "die", "e": "fine", "f": "good", "g": "well",
}  # fmt: skip


def write(folder, texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.mp4").write_text(text)
    return folder


def read(output, columns):
    with closing(sqlite3.connect(output / NAME)) as db:
        return db.execute(f"SELECT {columns} FROM jobs ORDER BY source").fetchall()


def results(output):
    """Bytes of every result by its path."""
    found = (path for path in output.rglob("*.vid3d.npz"))
    return {str(path.relative_to(output)): path.read_bytes() for path in found}


# --- without a cluster


def closed_port():
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def run(*arguments):
    return CliRunner().invoke(cli, ["batch", *map(str, arguments)])


def test_without_ray_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    folder = write(tmp_path / "in", {"a": ""})
    result = run(folder, "-o", tmp_path / "out", "--ray", "auto")
    assert result.exit_code == 1
    assert result.stderr == "vid3d: error: --ray needs the package ray: pip install 'vid3d[ray]'\n"
    assert not (tmp_path / "out").exists()


def test_an_address_that_does_not_answer(tmp_path):
    pytest.importorskip("ray", reason="needs ray: pip install 'vid3d[ray]'")
    folder, begin = write(tmp_path / "in", {"a": ""}), time.monotonic()
    for prefix in ("", "ray://"):
        address = f"{prefix}127.0.0.1:{closed_port()}"
        result = run(folder, "-o", tmp_path / "out", "--ray", address)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert f"no Ray cluster answers at {address}" in result.stderr
    for address in ("nonsense", "local", ""):  # Ray would start a cluster for "local"
        result = run(folder, "-o", tmp_path / "out", "--ray", address)
        assert result.stderr.startswith(f"vid3d: error: no Ray cluster answers at {address}")
        assert result.exit_code == 1
    assert time.monotonic() - begin < 15
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_an_address_where_something_else_answers(says):
    with closing(socket.create_server(("127.0.0.1", 0))) as other:

        def answer():
            with closing(other.accept()[0]) as door:
                door.recv(100)
                door.sendall(says)

        threading.Thread(target=answer, daemon=True).start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(Vid3dError, match=f"no Ray cluster answers at {address}"):
            _knock(address)


class Machines:
    """Stands in for ray where only the machines matter."""

    def __init__(self, *resources):
        self._resources = resources

    def nodes(self):
        return [{"Alive": alive, "Resources": one} for one, alive in self._resources]


def machine(cpus, gpus=0, alive=True, memory=64):
    return {"CPU": cpus, "GPU": gpus, "memory": memory * 2.0**30}, alive


def test_tasks_ask_for_what_machines_have():
    some = Cluster(Machines(machine(8.0), machine(3), machine(64, alive=False)), "auto")
    assert (some.cpus, some.gpus, some.slots) == (2, 0, 5)
    small = Cluster(Machines(machine(1.0)), "cpu")
    assert (small.cpus, small.slots) == (1, 1)
    assert Cluster(Machines(machine(8, memory=3), machine(8, memory=0.5)), "cpu").slots == 3
    mixed = Machines(machine(8.0, 1.0), machine(8.0))
    assert (Cluster(mixed, "auto").gpus, Cluster(mixed, "auto").slots) == (1, 1)
    assert (Cluster(mixed, "cpu").gpus, Cluster(mixed, "cpu").slots) == (0, 8)
    with pytest.raises(Vid3dError, match="2 CPUs, 1 GiB and a GPU"):
        ClusterPool(Cluster(Machines(machine(8.0)), "cuda"), toy_load, None)


def test_a_machine_that_does_not_see_the_folder_or_cannot_load_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which workers set for themselves
    here, task = socket.gethostname(), Task("a", tmp_path / "a", "a", tmp_path / "none/0", tmp_path)
    unseen = _attempt("x", toy_load, 2, task)
    assert f"none is not there on {here}" in unseen.error
    assert not unseen.died
    task = Task("a", tmp_path / "a", "a", tmp_path / "0", tmp_path)
    unable = _attempt("x", fail_load, 2, task)
    assert unable.error == f"on {here}: the weights are damaged; fetch them again"
    assert unable.died  # another machine may do better


def test_a_machine_with_other_models_does_not_lift():
    from vid3d.batch.lifting import _load_same
    from vid3d.pipeline import LiftOptions
    from vid3d.results import Wanted

    with pytest.raises(Vid3dError, match="other models or another version"):
        _load_same("something else", LiftOptions(device="cpu"), Wanted())


# --- on one


@pytest.fixture(scope="module")
def address():
    """A cluster of one machine with room for three tasks of two CPUs."""
    pytest.importorskip("ray", reason="needs ray: pip install 'vid3d[ray]'")
    port = closed_port()
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}", "RAY_ADDRESS": ""}
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={port}",
             "--num-cpus=6", "--num-gpus=0", "--include-dashboard=false", "--disable-usage-stats",
             f"--object-store-memory={80 << 20}", f"--temp-dir={folder}", "--block"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        try:
            wait_until_answers(port, process)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()  # ends what it started, too
            process.wait(60)


def wait_until_answers(port, process):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "ray start failed"
        try:
            with connected(f"127.0.0.1:{port}", "cpu") as cluster:
                assert cluster.slots == 3
                return
        except Vid3dError:
            time.sleep(0.5)
    pytest.fail("the Ray cluster did not begin")


def kill_who_hangs(note):
    def wait_and_kill():
        deadline = time.monotonic() + 90
        while not note.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(int(note.read_text()), signal.SIGKILL)

    threading.Thread(target=wait_and_kill, daemon=True).start()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_the_same_results_and_manifest_though_a_worker_is_killed(tmp_path, address):
    folder = write(tmp_path / "in", {**TEXTS, "h": "hang"})
    with connected(address, "cpu") as cluster:
        kill_who_hangs(folder / "h.pid")
        far = run_batch([folder], tmp_path / "far", "r", toy_load, cluster=cluster)
    (folder / "h.pid").unlink()
    kill_who_hangs(folder / "h.pid")
    near = run_batch([folder], tmp_path / "near", "r", toy_load, workers=2)
    assert (far.total, far.done, far.kept) == (near.total, near.done, near.kept) == (8, 5, 0)
    assert set(far.failed) == set(near.failed) == {"b.mp4", "c.mp4", "d.mp4"}
    assert results(tmp_path / "far") == results(tmp_path / "near")
    columns = "source, output, status, recipe, sha256, stamp, runs, frames, people, warnings"
    assert read(tmp_path / "far", columns) == read(tmp_path / "near", columns)
    runs = dict(read(tmp_path / "far", "source, runs"))
    assert (runs["h.mp4"], runs["d.mp4"], runs["b.mp4"]) == (2, TRIES, 1)
    errors = [dict(read(tmp_path / where, "source, error")) for where in ("far", "near")]
    for text in errors:
        assert text.pop("d.mp4").startswith("the process that lifted it")
    assert errors[0] == errors[1]
    again = run_batch([folder], tmp_path / "far", "r", toy_load, workers=1)
    assert (again.kept, again.done) == (5, 0)  # local and cluster share one manifest
    assert [path.name for path in (tmp_path / "far/.vid3d-batch").iterdir()] == ["lock"]


@pytest.mark.slow
@pytest.mark.parametrize(("load", "words"), [(fail_load, "damaged"), (die_load, "cannot run")])
def test_workers_that_cannot_begin_end_the_batch_in_one_line(tmp_path, address, load, words):
    folder = write(tmp_path / "in", {"a": "1", "b": "2"})
    with connected(address, "cpu") as cluster, pytest.raises(Vid3dError, match=words):
        run_batch([folder], tmp_path / "out", "r", load, cluster=cluster)
    assert {status for (status,) in read(tmp_path / "out", "status")} == {"waiting"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_batch_goes_on(tmp_path, address, how):
    folder = write(tmp_path / "in", {str(number): str(number) for number in range(12)})
    journal = tmp_path / "journal"
    command = [sys.executable, TESTS / "batch_toys.py", folder, tmp_path / "out", journal]
    process = subprocess.Popen(
        [*map(str, command), "0.5", "3", address], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )  # fmt: skip
    while not journal.exists() or len(journal.read_text().split()) < 5:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.send_signal(how)
    process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    done = {
        source for source, status in read(tmp_path / "out", "source, status") if status == "done"
    }
    assert 0 < len(done) < 12
    with connected(address, "cpu") as cluster:
        load = partial(toy_load, journal)
        report = run_batch([folder], tmp_path / "out", "recipe", load, cluster=cluster)
    assert (report.kept, report.done) == (len(done), 12 - len(done))
    begun = Counter(journal.read_text().split())
    assert all(begun[source] == 1 for source in done)
    assert len(results(tmp_path / "out")) == 12


@pytest.mark.slow
def test_a_real_lift_has_the_same_bytes(repo, tmp_path, address):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/clip.mp4").write_bytes((repo / "tests/data/tiny.mp4").read_bytes())
    options = [tmp_path / "in", "--no-render", "--end", "0.2", "--device", "cpu"]
    far = run(*options, "-o", tmp_path / "far", "--ray", address)
    assert far.exit_code == 0, far.output
    near = run(*options, "-o", tmp_path / "near", "--workers", "1")
    assert near.exit_code == 0, near.output
    assert results(tmp_path / "far") == results(tmp_path / "near")
    columns = "source, output, status, recipe, sha256, runs, frames, people, warnings"
    assert read(tmp_path / "far", columns) == read(tmp_path / "near", columns)
