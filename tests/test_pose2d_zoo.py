"""Downloads from a server of our own: resuming, checksums, and words when there is no network."""

import hashlib
import io
import json
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vid3d.errors import Vid3dError
from vid3d.pose2d import download as download_module
from vid3d.pose2d import official, zoo
from vid3d.pose2d.download import download
from vid3d.pose2d.manifest import load_manifest
from vid3d.pose2d.openmmlab import is_installed

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks the connection after `limit` bytes for each entry of `limits`."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.limits, self.ranges, self.knows_ranges = {}, [], [], True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, content = self.server, self.server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        wanted = self.headers.get("Range")
        server.ranges.append(wanted)
        start = int(wanted[6:-1]) if wanted and server.knows_ranges else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        limit = server.limits.pop(0) if server.limits else len(content)
        self.wfile.write(content[start : start + limit])
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_download_that_breaks_off_goes_on(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    server.limits = [30_000, 10_000]
    seen = []
    download(f"{server.url}/a.bin", tmp_path / "a.bin", lambda done, total: seen.append(done))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=30000-", "bytes=40000-"]
    assert seen == sorted(seen)
    assert seen[-1] == len(CONTENT)
    assert not list(tmp_path.glob("*.part"))


def test_a_later_call_goes_on(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    server.limits = [1000]
    with pytest.raises(Vid3dError, match="broke off after 1000"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", attempts=1)
    assert not (tmp_path / "a.bin").exists()
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.files["/a.bin"], server.knows_ranges = CONTENT, False
    (tmp_path / "a.bin.part").write_bytes(b"old")
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT * 2)
    download(f"{server.url}/a.bin", tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_no_such_file_is_asked_for_once(server, tmp_path):
    with pytest.raises(Vid3dError, match=r"does not give it \(HTTP 404\)") as error:
        download(f"{server.url}/none.bin", tmp_path / "none.bin")
    assert f"download {server.url}/none.bin by hand to {tmp_path / 'none.bin'}" in str(error.value)


def test_offline_is_one_clear_line(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise download_module.urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(download_module.urllib.request, "urlopen", refuse)
    with pytest.raises(
        Vid3dError, match=r"is not in the cache and download\.openmmlab\.com cannot be"
    ):
        zoo.fetch("rtmpose-t", "onnx")


def test_a_network_that_fails_is_not_the_disk(tmp_path, monkeypatch):
    tries = []

    class Answer(io.BytesIO):
        status, headers = 200, {"Content-Length": "9"}

        def read(self, size):
            tries.append(size)
            raise OSError(113, "No route to host")

    monkeypatch.setattr(
        download_module.urllib.request.OpenerDirector, "open", lambda *_, **__: Answer()
    )
    with pytest.raises(Vid3dError, match=r"a\.org cannot be reached .*No route"):
        download("https://a.org/f", tmp_path / "f")
    assert len(tries) == 3


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Vid3dError, match="cannot write"):
        download("http://127.0.0.1:9/a", tmp_path / "file/a")


def archive(onnx):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as files:
        files.writestr("20230831/rtmpose_onnx/pipeline.json", "{}")
        files.writestr("20230831/rtmpose_onnx/end2end.onnx", onnx)
    return buffer.getvalue()


@pytest.fixture
def served(server, monkeypatch):
    """rtmpose-t on the local server; its .onnx holds four bytes."""
    model = replace(
        official.MODELS["rtmpose-t"],
        archive=f"{server.url}/a.zip",
        onnx_sha256=hashlib.sha256(b"onnx").hexdigest(),
        checkpoint=f"{server.url}/a.pth",
        pth_sha256=hashlib.sha256(b"pth").hexdigest()[:8],
    )
    monkeypatch.setitem(official.MODELS, "rtmpose-t", model)
    server.files.update({"/a.zip": archive(b"onnx"), "/a.pth": b"pth"})
    return server


def state():
    return next(model.state for model in zoo.list_models() if model.name == "rtmpose-t")


def test_fetch_makes_a_model_folder_once(served):
    assert state() == "not here"
    assert "not in the cache" in zoo.verify("rtmpose-t")
    folder = zoo.fetch("rtmpose-t")
    assert zoo.fetch("rtmpose-t", "onnx") == folder
    assert len(served.ranges) == 1
    manifest = load_manifest(folder)
    assert manifest.file("onnx").read_bytes() == b"onnx"
    assert (manifest.task, manifest.input.size, manifest.decode["kind"]) == (
        "pose", (192, 256), "simcc",
    )  # fmt: skip
    assert state() == "cached (onnx)"
    assert zoo.verify("rtmpose-t") is None
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "manifest.json", "model.onnx"]
    (folder / "model.onnx").write_bytes(b"xnno")
    assert "damaged" in zoo.verify("rtmpose-t")
    zoo.fetch("rtmpose-t")
    assert zoo.verify("rtmpose-t") is None
    for files in ({"onnx": "model.onnx"}, ["onnx"], {"onnx": {"path": 3}}):
        (folder / "manifest.json").write_text(json.dumps({"files": files}))
        assert state() == "not here"


def test_two_at_once_share_one_download(served, monkeypatch):
    def slow(*arguments):
        time.sleep(0.1)
        download(*arguments)

    monkeypatch.setattr(zoo, "download", slow)
    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(zoo.fetch, ["rtmpose-t"] * 2))) == 1
    assert len(served.ranges) == 1
    assert zoo.verify("rtmpose-t") is None


def test_another_file_than_the_official_one_is_refused(served):
    served.files["/a.zip"] = archive(b"evil")
    with pytest.raises(Vid3dError, match="is not the official file"):
        zoo.fetch("rtmpose-t")
    served.files["/a.zip"] = b"no archive"
    with pytest.raises(Vid3dError, match="is not the official file"):
        zoo.fetch("rtmpose-t")
    assert [path.name for path in zoo.cache_dir().glob("*/*")] == ["lock"]


def test_a_file_put_there_by_hand_needs_no_network(served):
    folder = zoo.cache_dir() / "rtmpose-t"
    folder.mkdir(parents=True)
    (folder / "a.zip").write_bytes(archive(b"onnx"))
    zoo.fetch("rtmpose-t")
    assert served.ranges == []


@pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")
def test_checkpoints_come_with_their_config(served):
    folder = zoo.fetch("rtmpose-t", "pth")
    manifest = load_manifest(zoo.fetch("rtmpose-t", "onnx"))
    assert set(manifest.files) == {"onnx", "pth", "config"}
    assert "RTMCCHead" in manifest.file("config").read_text()
    assert "_base_ =" not in manifest.file("config").read_text()
    assert manifest.file("pth").read_bytes() == b"pth"
    assert state() == "cached (onnx, pth)"
    (folder / "manifest.json").write_text("{")
    assert state() == "not here"


def test_names(monkeypatch):
    with pytest.raises(Vid3dError, match="unknown official model 'rtmpose-xxl'"):
        zoo.fetch("rtmpose-xxl")
    with pytest.raises(Vid3dError, match="rtmdet-tiny has no onnx file"):
        zoo.fetch("rtmdet-tiny", "onnx")


def test_the_table_is_consistent(tmp_path):
    from vid3d.pose2d.manifest import parse_manifest

    for name, model in official.MODELS.items():
        prefix = model.pth_sha256
        assert len(prefix) == 8
        assert prefix in model.checkpoint
        assert model.archive is None or (prefix in model.archive and len(model.onnx_sha256) == 64)
        files = {"onnx": {"path": "a.onnx"}}
        fields = {"schema": 1, "task": model.task, "files": files, **model.manifest}
        assert parse_manifest(json.loads(json.dumps(fields)), tmp_path / name).task == model.task


@pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")
def test_configs_are_where_the_table_says():
    import importlib.util
    from pathlib import Path

    for model in official.MODELS.values():
        package, path = model.config.split(":")
        home = importlib.util.find_spec(package).submodule_search_locations[0]
        assert (Path(home) / path).is_file()
