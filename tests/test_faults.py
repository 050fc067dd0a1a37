"""Bad and unusual input: every case of the corpus is read right or refused in one clear line."""

import re
import socket
import threading
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from faults.case import Runner, play
from faults.clips import TINY, Reference, lifted
from faults.corpus import CASES, SITUATIONS
from faults.keypoints import PAIRS as GOOD_PAIRS
from faults.motions import HOSTILE, assert_no_elements, good
from faults.videos import PLAYLIST
from motion_toys import walk

from vid3d import files
from vid3d.data.pairs import read_pairs, write_pairs
from vid3d.errors import Vid3dError
from vid3d.files import below, open_npz, read_json, safe_stem
from vid3d.lifter.adapters import Adapter, write_adapter
from vid3d.lifter.checkpoint import load_networks, save_networks
from vid3d.pose2d.download import download
from vid3d.pose2d.official import MODELS
from vid3d.render.page import write_page
from vid3d.render.plots import plot_motion
from vid3d.training.fitting import write_state
from vid3d.video import VideoReader

LONG = ("x265", "webm", "10 bits", "HDR", "prores", "16000", "checkpoint", ".png", "sequence")
"""Cases that take long to make: the slow test has them."""
QUICK = [case for case in CASES if not any(word in case.name for word in LONG)]


@pytest.mark.parametrize("case", QUICK, ids=str)
def test_inputs_are_read_right_or_refused_in_one_line(case, tmp_path):
    path = case.make(tmp_path)
    refusal = None
    try:
        read = case.read(path)
    except Vid3dError as error:
        refusal = str(error)
    assert not (tmp_path / "canary").exists()
    if refusal is None:
        assert case.expected != "refused"
        case.right(read)
    else:
        assert case.expected != "right", refusal
        assert len(refusal.splitlines()) == 1
        assert len(refusal) < 1000
        assert path.name in refusal


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The tiny clip, lifted once, that disguised clips are compared with."""
    out = tmp_path_factory.mktemp("reference")
    assert Runner()("lift", TINY, "-o", out, "--no-render").status == 0
    Reference.motion = lifted(out)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_command_line_keeps_its_promise(case, tmp_path, reference):
    play(case, tmp_path / "case", Runner())


@pytest.mark.slow
@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_promises_hold_in_bad_surroundings(situation, tmp_path):
    situation.play(tmp_path / "situation", Runner())


def test_names_of_cases_are_their_own():
    names = [str(case) for case in (*CASES, *SITUATIONS)]
    assert len(set(names)) == len(names)


# --- the disk


@contextmanager
def full_disk(size):
    """No file may grow beyond a size."""
    resource = pytest.importorskip("resource", reason="limits of file sizes are POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 1000])
def test_a_full_disk_leaves_no_half_file(tmp_path, size):
    motion, state = walk(9), {"weight": torch.zeros(1000)}
    adapter = Adapter("a", "vid3d-base", "0", state)
    (tmp_path / "m.vid3d.npz").write_bytes(b"older")
    writers = {
        "m.vid3d.npz": motion.save,
        "m.vid3d.json": motion.save_json,
        "m.html": lambda path: write_page(motion, path),
        "m.pairs.npz": lambda path: write_pairs(path, read_pairs(GOOD_PAIRS)),
        "checkpoint.pth": lambda path: write_state(path, state),
        "m.safetensors": lambda path: write_adapter(path, adapter),
        "model.safetensors": lambda path: save_networks(path, load_networks("vid3d-base")),
    }
    for name, write in writers.items():
        with full_disk(size), pytest.raises(Vid3dError, match=f"cannot write .*{name}"):
            write(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["m.vid3d.npz"]
    assert (tmp_path / "m.vid3d.npz").read_bytes() == b"older"


# --- what files may ask for


def test_json_is_bounded(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("[1, 2, 3]")
    assert read_json(path) == [1, 2, 3]
    monkeypatch.setattr(files, "MOST_JSON", 8)
    with pytest.raises(ValueError, match="larger than"):
        read_json(path)


def test_archives_are_bounded_by_what_they_state(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(1000), b=np.zeros(1000))
    assert path.stat().st_size < 1000
    with open_npz(path) as arrays:
        assert len(arrays["b"]) == 1000
    monkeypatch.setattr(files, "MOST_ARRAYS", 16_000)
    with pytest.raises(ValueError, match="larger than"), open_npz(path):
        pass


def test_an_archive_cannot_understate_its_arrays(tmp_path):
    """A member that states fewer bytes than its header asks for is refused before it is read."""
    path = tmp_path / "a.npz"
    np.savez(path, a=np.zeros(4))
    with zipfile.ZipFile(path) as archive:
        content = bytearray(archive.read("a.npy"))
    content = content.replace(b"(4,)", b"(9,)")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", bytes(content))
    with pytest.raises(ValueError, match="not a plain array"), open_npz(path):
        pass


# --- paths and names


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../../b", "C:\\a", "\\\\host\\a", "..\\a", "a\0b"]
)
def test_what_files_name_stays_in_their_folder(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        below(tmp_path, name)


def test_names_beside_and_below_are_fine(tmp_path):
    assert below(tmp_path, "a/b..c") == tmp_path / "a/b..c"


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\\b", "", "..", "x" * 999, "ü" * 999,
                                  "</script>", "CON\n"])  # fmt: skip
def test_stems_are_names_of_files(name):
    stem = safe_stem(name)
    assert stem
    assert stem == Path(stem).name
    assert not re.search(r"[/\\\s<>\0]", stem)
    assert len(f"{stem}.overlay.mp4".encode()) < 255
    assert stem not in (".", "..")


def test_stems_keep_the_marks_of_letters():
    assert safe_stem("हिन्दी 1") == "हिन्दी_1"
    assert safe_stem("กิ") != safe_stem("กี")  # two syllables of Thai
    assert safe_stem("cafe\u0301 (2)") == "caf\u00e9_2"  # as macOS writes it


# --- what leads elsewhere


@pytest.fixture
def listener():
    """Address of a host that notes who calls."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)

        def listen():
            while not done.is_set():
                try:
                    calls.append(server.accept())
                except TimeoutError:
                    continue

        done, thread = threading.Event(), threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", calls
        done.set()
        thread.join()


@pytest.mark.parametrize("name", ["a.m3u8", "a.mp4", "a.sdp"])
def test_videos_call_no_host(tmp_path, listener, name):
    host, calls = listener
    (tmp_path / name).write_text(PLAYLIST.format(f"{host}/a.ts"))
    for path in (tmp_path / name, f"{host}/a.mp4"):
        with pytest.raises(Vid3dError):
            VideoReader(path)
    assert calls == []


def test_official_addresses_are_encrypted():
    addresses = [a for model in MODELS.values() for a in (model.checkpoint, model.archive) if a]
    assert all(address.startswith("https://") for address in addresses)
    assert all(len(m.onnx_sha256) == 64 for m in MODELS.values() if m.archive)
    assert all(len(m.pth_sha256) >= 8 for m in MODELS.values())


def test_downloads_do_not_leave_tls(tmp_path):
    from vid3d.pose2d.download import _Redirects

    request = urllib.request.Request("https://a.example/x")
    with pytest.raises(urllib.error.URLError, match="without TLS"):
        _Redirects().redirect_request(request, None, 302, "", {}, "http://a.example/x")
    onward = _Redirects().redirect_request(request, None, 302, "", {}, "https://b.example/x")
    assert onward.full_url == "https://b.example/x"


def test_downloads_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("vid3d.pose2d.download.MOST", 3)
    (tmp_path / "source").write_bytes(b"12345")
    with pytest.raises(Vid3dError, match="sends more than"):
        download((tmp_path / "source").as_uri(), tmp_path / "target", attempts=1)
    assert not (tmp_path / "target").exists()


# --- what the code itself may do

FORBIDDEN = {
    "pickles in arrays": r"allow_pickle=True",
    "torch.load without weights_only": r"torch\.load\((?!.*weights_only=True)",
    "pickle": r"\bpickle\.loads?\(|\bshelve\b|\bmarshal\b|joblib",
    "a shell": r"shell=True|os\.system|os\.popen|subprocess\.getoutput",
    "eval or exec": r"(?<![.\w])(eval|exec)\(",
    "yaml.load": r"yaml\.(unsafe_)?load\(",
    "unchecked certificates": r"_create_unverified_context|CERT_NONE|verify=False",
    "unpacking anywhere": r"\.extractall\(|unpack_archive",
    "names that can be guessed": r"tempfile\.mktemp\(",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_code_never_uses(what, repo):
    found = [
        f"{path.relative_to(repo)}:{number}: {line.strip()}"
        for folder in ("vid3d", "benchmarks", "samples", "configs")
        for path in sorted((repo / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(FORBIDDEN[what], line)
    ]
    assert not found


# --- text out of files, in what is written


def test_pages_and_figures_escape_what_comes_from_files(tmp_path):
    meta = {"fps": 25, "source": {"name": HOSTILE}, "model": {"name": HOSTILE}, "vid3d": HOSTILE}
    motion = walk(4)
    motion.meta.update(meta)
    write_page(motion, tmp_path / "page.html")
    assert_no_elements((tmp_path / "page.html").read_text())
    for path in plot_motion(motion, tmp_path, safe_stem(HOSTILE), ["svg"]):
        if path.suffix == ".svg":
            assert_no_elements(path.read_text())
            assert path.parent == tmp_path


def test_info_prints_no_control_characters(tmp_path):
    from click.testing import CliRunner

    from vid3d.cli import cli

    path = good(tmp_path / "m.vid3d.npz")
    motion = walk(4)
    motion.meta.update(source={"name": HOSTILE}, pose2d=HOSTILE)
    motion.save(path)
    printed = CliRunner().invoke(cli, ["info", str(path)]).output
    assert printed.count("\n") == len(printed.splitlines())
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", printed)
