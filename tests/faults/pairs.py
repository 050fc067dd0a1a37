"""Pair files (`.pairs.npz`), as `lift --keypoints`, `eval` and `info` read them."""

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np

from faults.bytes import TENTHS, Touch, cut, noise, pickled, pipe, scrambled
from faults.case import Case, Expected
from faults.keypoints import PAIRS as GOOD
from faults.motions import _header, _npy
from vid3d.pose2d.keypoint_files import read_keypoints

USES = cycle(["lift --keypoints {input} -o {out}", "eval vid3d-base --data {input} --strides 10"])


def _case(
    name: str,
    make: Callable[[Path], Any],
    expected: Expected = "refused",
    commands: tuple[str, ...] | None = None,
) -> Case:
    def made(folder: Path) -> Path:
        path = folder / f"{name}.pairs.npz"
        make(path)
        return path

    chosen = ("info {input}", next(USES)) if commands is None else commands
    return Case("pair files", name, made, read_keypoints, chosen, expected)


LIFT_ONLY = ("lift --keypoints {input} -o {out}",)


def _with(**changes: Any) -> Callable[[Path], Any]:
    """Writes the good file with other arrays of its first sequence."""

    def make(path: Path) -> None:
        with np.load(GOOD) as arrays:
            kept = dict(arrays)
        for name, change in changes.items():
            key = f"00000/{name}"
            kept[key] = change(kept[key]) if callable(change) else change
        np.savez(path, **{name: array for name, array in kept.items() if array is not None})

    return make


def pairs() -> Iterator[Case]:
    """Damaged bytes, wrong arrays."""
    yield _case("good", lambda p: copy(GOOD, p), "right")
    for tenth in TENTHS:
        yield _case(f"cut at {tenth} tenths", lambda p, n=tenth: cut(copy(GOOD, p), n))
    for seed in range(4):
        yield _case(f"random bytes {seed}", lambda p, n=seed: scrambled(copy(GOOD, p), n, 10))
    for name, make in {
        "noise": noise,
        "pickle": pickled,
        "pipe": pipe,
        "empty": Path.touch,
        "missing": lambda p: None,
        "folder": Path.mkdir,
        "one array": lambda p: p.write_bytes(_npy(np.zeros(3))),
    }.items():
        yield _case(name, make)
    yield _case("objects with code", _objects)
    yield _case("terabytes by a header", _vast)
    changes: dict[str, tuple[str, Any]] = {
        "no keypoints": ("keypoints2d", None),
        "no camera": ("intrinsics", None),
        "no rate": ("fps", None),
        "16 joints": ("keypoints2d", lambda a: a[:, :16]),
        "rate 0": ("fps", np.float64(0)),
        "rate NaN": ("fps", np.float64(np.nan)),
        "rate infinite": ("fps", np.float64(np.inf)),
        "rate of text": ("fps", np.array("fast")),
        "unknown joints": ("joint_set", np.array("body99")),
        "camera NaN": ("intrinsics", lambda a: a * np.nan),
        "camera of two rows": ("intrinsics", lambda a: a[:2]),
        "picture of no size": ("frame_size", np.zeros(2, int)),
        "picture of three sides": ("frame_size", np.ones(3, int)),
        "truth of other length": ("joints3d", lambda a: a[:-1]),
        "confidence of text": ("confidence", lambda a: a.astype(str).astype("U9") + "x"),
    }
    for name, (array, change) in changes.items():
        yield _case(name, _with(**{array: change}))
    yield _case("keypoints NaN", _with(keypoints2d=lambda a: a * np.nan), commands=LIFT_ONLY)
    yield _case("confidence of 7", _with(confidence=lambda a: a * 0 + 7), commands=LIFT_ONLY)
    same = np.array("two_people/f_cauc_25")
    yield _case("two of one name", _with(name=same), commands=LIFT_ONLY)
    yield _case("a name that leaves the folder", _with(name=np.array("../../x")), "right")
    yield _case("a name for terminals", _with(name=np.array("\x1b[2J\u202e\n</script>")), "right")
    yield _case("a name of a mile", _with(name=np.array("x" * 5000)), "right")
    yield _case("nobody seen", _with(confidence=lambda a: a * 0), "right", commands=LIFT_ONLY)


def _objects(path: Path) -> None:
    objects = np.empty(1, object)
    objects[0] = Touch(path.parent / "canary")
    np.savez(path, **{"00000/keypoints2d": objects})


def _vast(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("00000/keypoints2d.npy", _header((10**12, 17, 2)) + bytes(1000))


PAIRS: list[Case] = list(pairs())
