"""Weights by name: those that ship, and official OpenMMLab ones, downloaded into the user's cache.

After `fetch` an official model is an ordinary folder with a manifest; `models.find_model` reads it.
"""

import importlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, held, read_json, sha256_of
from vid3d.pose2d.download import MOST, Progress, download
from vid3d.pose2d.manifest import FILE_NAME
from vid3d.pose2d.official import KINDS, LICENCE, MODELS, OfficialModel
from vid3d.weights import check_model, shipped_models, weights_dir

PATIENCE = 3600.0
"""Seconds to wait for another process that downloads the same model."""


@dataclass(frozen=True)
class ModelState:
    """A model that has a name: where it is, and what a reader should know of it.

    Attributes:
        name: as options take it.
        task: "detection", "pose" or "lifter".
        state: "ships", "cached (onnx)", "cached (onnx, pth)" and so on, or "not here".
        licence: of the weights.
        summary: a line about it.
    """

    name: str
    task: str
    state: str
    licence: str
    summary: str


def cache_dir() -> Path:
    """Folder of downloaded models in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("vid3d") / "models"


def list_models() -> list[ModelState]:
    """Every model that has a name: those that ship, then the official ones."""
    shipped = [_shipped_state(name) for name in shipped_models()]
    official = []
    for name, model in MODELS.items():
        cached = _recorded(name)
        state = f"cached ({', '.join(cached)})" if cached else "not here"
        official.append(ModelState(name, model.task, state, LICENCE, model.summary))
    return shipped + official


def _shipped_state(name: str) -> ModelState:
    fields = _fields(weights_dir() / name)
    texts = (str(fields.get(key, "")) for key in ("task", "licence", "about"))
    task, licence, about = texts
    return ModelState(name, task, "ships", licence, about)


def fetch(name: str, kind: str | None = None, progress: Progress | None = None) -> Path:
    """Download what is not in the cache yet, checked, and return the model's folder.

    Args:
        name: an official name; a shipped one needs no download.
        kind: "onnx" or "pth" (checkpoint and config; needs OpenMMLab installed); None: "onnx"
            where the model has it, else "pth".
        progress: told of bytes so far and in all.

    Raises:
        Vid3dError: unknown name, no such kind, host not reached, or a damaged download.
    """
    if name in shipped_models():
        return weights_dir() / name
    model = _model(name)
    kind = kind or model.kinds[0]
    if kind not in model.kinds:
        other = "mmpose" if kind == "onnx" else "onnx"
        raise Vid3dError(f"official model {name} has no {kind} file; use --backend {other}")
    folder = cache_dir() / name
    if not _is_whole(name, kind):
        with held(folder, "another download", PATIENCE):
            if not _is_whole(name, kind):  # nor has it come while we waited
                fetch_kind = _fetch_onnx if kind == "onnx" else _fetch_pth
                files = fetch_kind(model, folder, progress)
                _record(name, model, folder, files)
    return folder


def verify(name: str) -> str | None:
    """What is wrong with the files of a model, shipped or cached, by their checksums; None: whole.

    Raises:
        Vid3dError: there is no model of that name.
    """
    folder = weights_dir() / name
    if name not in shipped_models():
        _model(name)
        folder = cache_dir() / name
        if not _recorded(name):
            return f"not in the cache; run: vid3d models fetch {name}"
    try:
        check_model(folder)
    except Vid3dError as error:
        return str(error)
    return None


def _model(name: str) -> OfficialModel:
    if name not in MODELS:
        raise Vid3dError(f"unknown official model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]


def _fields(folder: Path) -> dict[str, Any]:
    """Fields of a folder's manifest; none where there is no readable one."""
    try:
        fields = read_json(folder / FILE_NAME)
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _recorded(name: str) -> list[str]:
    """Kinds of an official model whose files are in the cache."""
    folder = cache_dir() / name
    files = _files(folder)
    return [kind for kind in KINDS if kind in files and (folder / files[kind]["path"]).is_file()]


def _files(folder: Path) -> dict[str, dict[str, str]]:
    """What a folder's manifest says of its files, as far as it makes sense."""
    files = _fields(folder).get("files")
    entries = files.items() if isinstance(files, dict) else ()
    return {
        kind: entry
        for kind, entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("path"), str)
    }


def _is_whole(name: str, kind: str) -> bool:
    """Whether a file of an official model is in the cache, with the checksum that was noted."""
    if kind not in _recorded(name):
        return False
    folder = cache_dir() / name
    entry = _files(folder)[kind]
    return entry.get("sha256") in (None, sha256_of(folder / entry["path"]))


def _fetch_onnx(model: OfficialModel, folder: Path, progress: Progress | None) -> dict[str, str]:
    """The .onnx out of the archive; returns file names by kind."""
    assert model.archive is not None
    target = folder / "model.onnx"
    with _downloaded(model.archive, folder, progress) as archive:
        try:
            with zipfile.ZipFile(archive) as files:
                inside = next(n for n in files.namelist() if n.endswith("end2end.onnx"))
                if files.getinfo(inside).file_size > MOST:
                    raise _damaged(model.archive)
                with files.open(inside) as source, atomic_path(target) as temporary:
                    with open(temporary, "wb") as file:
                        shutil.copyfileobj(source, file)
                    _check(temporary, model.onnx_sha256, model.archive)
        except (zipfile.BadZipFile, StopIteration) as error:
            raise _damaged(model.archive) from error
    return {"onnx": target.name}


def _fetch_pth(model: OfficialModel, folder: Path, progress: Progress | None) -> dict[str, str]:
    """The checkpoint, and its config in one piece; returns file names by kind."""
    from vid3d.pose2d.openmmlab import prepare

    prepare()
    from mmengine.config import Config

    package, relative = model.config.split(":")
    source = Path(str(importlib.import_module(package).__file__)).parent / relative
    with _downloaded(model.checkpoint, folder, progress) as checkpoint:
        _check(checkpoint, model.pth_sha256, model.checkpoint)
        fields = Config.fromfile(source).to_dict()  # Config.dump takes seconds to format
        with atomic_path(folder / "config.py") as temporary:
            text = "".join(f"{name} = {value!r}\n" for name, value in fields.items())
            temporary.write_text(text, encoding="utf-8")
        os.replace(checkpoint, folder / "model.pth")
    return {"pth": "model.pth", "config": "config.py"}


@contextmanager
def _downloaded(url: str, folder: Path, progress: Progress | None) -> Iterator[Path]:
    """A file from the net beside its place in the cache; gone afterwards."""
    path = folder / url.rsplit("/", 1)[-1]
    if not path.is_file():  # put there by hand on a machine without network
        download(url, path, progress)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _check(path: Path, sha256: str, url: str) -> None:
    if not sha256_of(path).startswith(sha256):
        raise _damaged(url)


def _damaged(url: str) -> Vid3dError:
    return Vid3dError(
        f"what came from {url} is not the official file (its SHA-256 differs); try again, and "
        "look for a proxy that rewrites downloads"
    )


def _record(name: str, model: OfficialModel, folder: Path, files: Mapping[str, str]) -> None:
    """Write or extend the folder's manifest."""
    path = folder / FILE_NAME
    known = _fields(folder).get("files", {})
    added = {
        kind: {"path": file, "sha256": sha256_of(folder / file)} for kind, file in files.items()
    }
    manifest = {
        "schema": 1,
        "name": name,
        "task": model.task,
        "files": {**known, **added},
        "licence": LICENCE,
        **model.manifest,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
