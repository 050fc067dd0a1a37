"""OpenMMLab on today's Python: mmpose 1.3 and mmdet 3.3 over the pure-Python `mmcv-lite`.

`prepare()` must run before the first import of mmpose or mmdet. What is really installed always
wins: each stand-in below is used only where the import of the real thing fails.
"""

import contextlib
import importlib
import importlib.abc
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from vid3d.errors import Vid3dError
from vid3d.files import expanded

PINS = ("mmengine==0.10.7", "mmcv-lite==2.1.0", "mmpose==1.3.2", "mmdet==3.3.0")
"""As in requirements/openmmlab.txt, which lies in the repository alone."""
INSTALL = f"pip install --no-deps {' '.join(PINS)}"
INSTALL_OTHERS = 'pip install "vid3d[openmmlab]"'
INSTALL_ALL = f"{INSTALL_OTHERS} && {INSTALL}"
PACKAGES = ("mmengine", "mmcv", "mmdet", "mmpose")


def is_installed() -> bool:
    """Whether all four packages of OpenMMLab can be found."""
    return all(importlib.util.find_spec(package) is not None for package in PACKAGES)


@cache
def prepare() -> None:
    """Import mmpose and mmdet, and make their checkpoints load safely; once a process.

    Their networks and transforms are registered afterwards, each under its own scope.

    Raises:
        Vid3dError: OpenMMLab is not installed, or something that it imports is missing.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise Vid3dError(f"the mmpose backend needs {package}; run: {INSTALL}")
    if not any(isinstance(finder, _ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(_ExtensionFinder())
    try:
        with quiet():
            _use_pycocotools()
            _import_visualization()
            loader = importlib.import_module("mmengine.runner.checkpoint").CheckpointLoader
            for package in ("mmdet", "mmpose"):
                importlib.import_module(f"{package}.utils").register_all_modules(False)
    except (ImportError, AssertionError) as error:  # AssertionError: versions that do not fit
        raise Vid3dError(
            f"OpenMMLab cannot be imported ({error}); run: {INSTALL_OTHERS}"
        ) from error
    loader.register_scheme(prefixes="", loader=load_checkpoint, force=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """OpenMMLab prints notes and warnings about itself; users asked for people."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield


# ---------------------------------------------------------------- mmcv's compiled operators


def nms(
    boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int = 0
) -> torch.Tensor:
    """Greedy non-maximum suppression, as the compiled operator of mmcv does it.

    Args:
        boxes: (N, 4) left, top, right, bottom.
        scores: (N,).
        iou_threshold: a box that overlaps a better one by more is dropped.
        offset: 1 where right and bottom are inclusive pixels.

    Returns:
        int64 indices of the boxes that stay, best first.
    """
    order = scores.sort(descending=True, stable=True).indices
    ranked = boxes[order].detach().float().cpu().numpy()
    area = (ranked[:, 2:] - ranked[:, :2] + offset).clip(0).prod(1)
    alive = np.ones(len(ranked), bool)
    for i in range(len(ranked)):
        if alive[i]:
            rest = ranked[i + 1 :]
            low, high = (
                np.maximum(ranked[i, :2], rest[:, :2]),
                np.minimum(ranked[i, 2:], rest[:, 2:]),
            )
            shared = (high - low + offset).clip(0).prod(1)
            alive[i + 1 :] &= shared <= iou_threshold * (area[i] + area[i + 1 :] - shared)
    return order[torch.from_numpy(alive).to(order.device)]


def _missing_operator(name: str) -> Callable[..., Any]:
    def operator(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            f"mmcv operator {name!r} needs the compiled mmcv; only mmcv-lite is installed"
        )

    return operator


class _ExtensionLoader(importlib.abc.Loader):
    def exec_module(self, module: ModuleType) -> None:
        def operator(name: str) -> Callable[..., Any]:
            if name.startswith("__"):
                raise AttributeError(name)
            return _missing_operator(name)

        vars(module).update(
            nms=nms,
            get_compiler_version=lambda: "none (mmcv-lite)",
            get_compiling_cuda_version=lambda: "not available",
            __getattr__=operator,
        )


class _ExtensionFinder(importlib.abc.MetaPathFinder):
    """Asked last: a compiled mmcv._ext is found by the ordinary finders before."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "mmcv._ext":
            return None
        return ModuleSpec(fullname, _ExtensionLoader(), origin="vid3d stand-in")


# ---------------------------------------------------------------- imports that fail


def _use_pycocotools() -> None:
    """The wheels of xtcocotools are built for numpy 1, and there is none for Python 3.12.

    pycocotools, which it was forked from, has the same extension and, for all but the evaluation
    of keypoints, the same modules.
    """
    try:
        importlib.import_module("xtcocotools._mask")
    except (ImportError, ValueError):  # ValueError: "numpy.dtype size changed"
        _forget("xtcocotools")
        parts = ["._mask"]
        if importlib.util.find_spec("xtcocotools") is None:
            parts += ["", ".mask", ".coco", ".cocoeval"]
        for part in parts:
            sys.modules[f"xtcocotools{part}"] = importlib.import_module(f"pycocotools{part}")


def _import_visualization() -> None:
    """mmpose.visualization wants torchvision's ToPILImage, which nothing here calls."""
    try:
        importlib.import_module("torchvision.transforms")
    except (ImportError, RuntimeError):  # RuntimeError: its operators do not load
        _forget("torchvision")
        # imports transformers where that is installed, which must not see the stub
        importlib.import_module("mmengine.visualization")
        with _stub_torchvision():
            importlib.import_module("mmpose.visualization")


@contextlib.contextmanager
def _stub_torchvision() -> Iterator[None]:
    package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
    vars(transforms)["ToPILImage"] = _missing_operator("torchvision.transforms.ToPILImage")
    vars(package)["transforms"] = transforms
    sys.modules.update({"torchvision": package, "torchvision.transforms": transforms})
    try:
        yield
    finally:
        _forget("torchvision")


def _forget(package: str) -> None:
    """Drop what a failed import left behind."""
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


# ---------------------------------------------------------------- checkpoints


class _Dropped:
    """Takes the place of training history: state is accepted and thrown away."""

    def __setstate__(self, state: Any) -> None:
        pass


def _no_attribute(target: Any, name: str) -> None:
    """Takes the place of `getattr` in pickles: nothing is ever reached through a checkpoint."""


def _allowed_globals() -> list[Any]:
    """What OpenMMLab checkpoints hold beside tensors: numpy arrays and logged history."""
    multiarray = importlib.import_module("numpy._core.multiarray")
    allowed: list[Any] = [np.ndarray, np.dtype]
    for package in ("core", "_core"):  # the name of numpy 1 and of numpy 2
        for function in ("_reconstruct", "scalar"):
            where = f"numpy.{package}.multiarray.{function}"
            allowed.append((getattr(multiarray, function), where))
    types = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "U1", "S1")
    allowed += [type(np.dtype(name)) for name in types]
    allowed.append((_Dropped, "mmengine.logging.history_buffer.HistoryBuffer"))
    allowed.append((_no_attribute, "builtins.getattr"))
    return allowed


def load_checkpoint(path: str | Path, map_location: Any = "cpu") -> Any:
    """Read a checkpoint in torch's safe unpickler: tensors, numpy arrays, plain containers.

    Raises:
        Vid3dError: no such file, not a checkpoint, or one that would run code.
    """
    path = expanded(path)
    if not path.is_file():
        raise Vid3dError(f"no such checkpoint: {path}")
    try:
        with quiet(), torch.serialization.safe_globals(_allowed_globals()):
            return torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged files
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "empty"
        raise Vid3dError(
            f"{path} is not a checkpoint that can be loaded safely ({reason}); get it again, or "
            "save it anew with only its state_dict"
        ) from error
