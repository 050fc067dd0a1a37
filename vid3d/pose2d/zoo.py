"""Official OpenMMLab weights by name, downloaded once and kept in the user's cache.

After `fetch` a model is an ordinary folder with a manifest; `models.find_model` reads it. The
addresses and the eight digits of SHA-256 in checkpoint names are those of OpenMMLab's model zoo;
an exported .onnx is checked by the SHA-256 of the file inside its archive.
"""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, sha256_of
from vid3d.pose2d.download import download
from vid3d.pose2d.manifest import FILE_NAME

_HOST = "https://download.openmmlab.com"
_POSE = f"{_HOST}/mmpose/v1/projects/rtmposev1"
_KINDS = ("onnx", "pth")


@dataclass(frozen=True)
class ZooModel:
    """One official model.

    Attributes:
        task: "detection" or "pose".
        summary: a line for lists.
        checkpoint: address of the .pth.
        pth_sha256: its SHA-256, or the first digits of it.
        config: path of its config inside the mmpose or mmdet package (`package:path`).
        archive: address of the exported model, a .zip; None: there is no export.
        onnx_sha256: of the .onnx inside.
        manifest: input, decode and thresholds.
    """

    task: str
    summary: str
    checkpoint: str
    pth_sha256: str
    config: str
    archive: str | None = None
    onnx_sha256: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of files that it can be had as."""
        return _KINDS if self.archive else ("pth",)


@dataclass(frozen=True)
class ModelState:
    """What is known of a model on this machine: `kinds` that it has, `cached` ones here."""

    name: str
    task: str
    summary: str
    kinds: tuple[str, ...]
    cached: tuple[str, ...]


def _rtmpose(letter: str, ap: str, stem: str, config: str, onnx_sha256: str) -> ZooModel:
    return ZooModel(
        task="pose",
        summary=f"RTMPose-{letter} 256x192, 17 joints, trained on 7 public sets, COCO AP {ap}",
        checkpoint=f"{_POSE}/{stem}.pth",
        pth_sha256=stem.split("-")[-1].split("_")[0],
        config=f"mmpose:.mim/configs/body_2d_keypoint/rtmpose/body8/{config}",
        archive=f"{_POSE}/onnx_sdk/{stem}.zip",
        onnx_sha256=onnx_sha256,
        manifest={
            "input": {
                "size": [192, 256],
                "channels": "rgb",
                "mean": [123.675, 116.28, 103.53],
                "std": [58.395, 57.12, 57.375],
            },
            "decode": {"kind": "simcc"},
        },
    )


def _rtmdet(size: int, **fields: Any) -> ZooModel:
    manifest = {
        "input": {
            "size": [size, size],
            "channels": "bgr",
            "mean": [103.53, 116.28, 123.675],
            "std": [57.375, 57.12, 58.395],
        },
        "decode": {"kind": "end2end"},
        "thresholds": {"score": 0.35, "iou": 0.6},
    }
    return ZooModel(task="detection", manifest=manifest, **fields)


MODELS: dict[str, ZooModel] = {
    "rtmpose-t": _rtmpose(
        "t", "65.9", "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504",
        "rtmpose-t_8xb256-420e_body8-256x192.py",
        "a6c2f6a3896a4d51131d14d7a80a3d08b50f559af5a58a45d5b098aef510a70f",
    ),
    "rtmpose-s": _rtmpose(
        "s", "69.7", "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
        "rtmpose-s_8xb256-420e_body8-256x192.py",
        "9aeb635b83f86aea45cf45d85798f7eba1a162de8e0d721c44e54fe5eebaf47d",
    ),
    "rtmpose-m": _rtmpose(
        "m", "74.9", "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
        "rtmpose-m_8xb256-420e_body8-256x192.py",
        "5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
    ),
    "rtmdet-nano": _rtmdet(
        320,
        summary="RTMDet-nano 320, people only, trained on COCO and Objects365",
        checkpoint=f"{_HOST}/mmpose/v1/projects/rtmpose/"
        "rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth",
        pth_sha256="05d8511e",
        config="mmpose:.mim/demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py",
        archive=f"{_POSE}/onnx_sdk/rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.zip",
        onnx_sha256="8297e829ccc5590c8e2d32d5a211f322a0585fb7467eec85eb12c9525b0b95d6",
    ),
    "rtmdet-tiny": _rtmdet(
        640,
        summary="RTMDet-tiny 640, 80 classes of COCO, of which people are used",
        checkpoint=f"{_HOST}/mmdetection/v3.0/rtmdet/rtmdet_tiny_8xb32-300e_coco/"
        "rtmdet_tiny_8xb32-300e_coco_20220902_112414-78e30dcc.pth",
        pth_sha256="78e30dcc",
        config="mmdet:.mim/configs/rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    ),
}  # fmt: skip


def cache_dir() -> Path:
    """Folder of downloaded models in the user's cache."""
    from platformdirs import user_cache_path

    return user_cache_path("vid3d") / "models"


def list_models() -> list[ModelState]:
    """The official models, and what of them is in the cache."""
    return [
        ModelState(name, model.task, model.summary, model.kinds, tuple(_recorded(name)))
        for name, model in MODELS.items()
    ]


def fetch(name: str, kind: str | None = None) -> Path:
    """Download what is not in the cache yet, checked, and return the model's folder.

    Args:
        name: one of `MODELS`.
        kind: "onnx" or "pth" (checkpoint and config; needs OpenMMLab installed); None: "onnx"
            where the model has it, else "pth".

    Raises:
        Vid3dError: unknown name, no such kind, host not reached, or a damaged download.
    """
    model = _model(name)
    kind = kind or model.kinds[0]
    if kind not in model.kinds:
        other = "mmpose" if kind == "onnx" else "onnx"
        raise Vid3dError(f"official model {name} has no {kind} file; use --backend {other}")
    folder = cache_dir() / name
    if kind not in _recorded(name):
        files = _fetch_onnx(model, folder) if kind == "onnx" else _fetch_pth(model, folder)
        _record(name, model, folder, files)
    return folder


def verify(name: str) -> list[Path]:
    """Check the cached files of a model against their checksums and return them.

    Raises:
        Vid3dError: nothing of it is cached, or a file is missing or damaged.
    """
    _model(name)
    if not _recorded(name):
        raise Vid3dError(f"{name} is not in the cache; run: vid3d models fetch {name}")
    from vid3d.pose2d.manifest import load_manifest

    return [file.check() for file in load_manifest(cache_dir() / name).files.values()]


def _model(name: str) -> ZooModel:
    if name not in MODELS:
        raise Vid3dError(f"unknown official model {name!r}; there are {', '.join(MODELS)}")
    return MODELS[name]


def _recorded(name: str) -> list[str]:
    """Kinds of a model whose files are in the cache."""
    folder = cache_dir() / name
    try:
        files = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))["files"]
        return [k for k in _KINDS if k in files and (folder / files[k]["path"]).is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _fetch_onnx(model: ZooModel, folder: Path) -> dict[str, str]:
    """The .onnx out of the archive; returns file names by kind."""
    assert model.archive is not None
    target = folder / "model.onnx"
    with _downloaded(model.archive, folder) as archive:
        try:
            with zipfile.ZipFile(archive) as files:
                inside = next(n for n in files.namelist() if n.endswith("end2end.onnx"))
                with files.open(inside) as source, atomic_path(target) as temporary:
                    with open(temporary, "wb") as file:
                        shutil.copyfileobj(source, file)
                    _check(temporary, model.onnx_sha256, model.archive)
        except (zipfile.BadZipFile, StopIteration) as error:
            raise _damaged(model.archive) from error
    return {"onnx": target.name}


def _fetch_pth(model: ZooModel, folder: Path) -> dict[str, str]:
    """The checkpoint, and its config in one piece; returns file names by kind."""
    from vid3d.pose2d.openmmlab import prepare

    prepare()
    import importlib

    from mmengine.config import Config

    package, relative = model.config.split(":")
    source = Path(str(importlib.import_module(package).__file__)).parent / relative
    with _downloaded(model.checkpoint, folder) as checkpoint:
        _check(checkpoint, model.pth_sha256, model.checkpoint)
        with atomic_path(folder / "config.py") as temporary:
            Config.fromfile(source).dump(temporary)
        os.replace(checkpoint, folder / "model.pth")
    return {"pth": "model.pth", "config": "config.py"}


@contextmanager
def _downloaded(url: str, folder: Path) -> Iterator[Path]:
    """A file from the net beside its place in the cache; gone afterwards."""
    path = folder / url.rsplit("/", 1)[-1]
    if not path.is_file():  # put there by hand on a machine without network
        download(url, path)
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


def _record(name: str, model: ZooModel, folder: Path, files: Mapping[str, str]) -> None:
    """Write or extend the folder's manifest."""
    path = folder / FILE_NAME
    known = json.loads(path.read_text(encoding="utf-8"))["files"] if _recorded(name) else {}
    added = {
        kind: {"path": file, "sha256": sha256_of(folder / file)} for kind, file in files.items()
    }
    manifest = {
        "schema": 1,
        "name": name,
        "task": model.task,
        "files": {**known, **added},
        "licence": "Apache-2.0 (OpenMMLab); trained on public sets with terms of their own",
        **model.manifest,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
