"""Files of a camera."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faults.bytes import TENTHS, cut, noise, pickled, pipe
from faults.case import Case, Expected
from faults.keypoints import PAIRS, _huge
from vid3d.camera import Camera

GOOD = {"fx": 460.0, "fy": 460.0, "cx": 239.5, "cy": 134.5, "width": 480, "height": 270}
COMMANDS = (f"lift --keypoints {PAIRS} --camera {{input}} -o {{out}}",)


def _case(name: str, make: Any, expected: Expected = "refused") -> Case:
    def made(folder: Path) -> Path:
        path = folder / name
        make(path)
        return path

    def read(path: Path) -> Camera:
        return Camera.from_json(path, (480, 270))

    return Case("camera file", name, made, read, COMMANDS, expected)


def _written(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**GOOD, **changes}))
    return path


def cameras() -> Iterator[Case]:
    """Broken files, wrong values."""
    yield _case("good.json", _written, "right")
    for tenth in TENTHS[::2]:
        yield _case(f"cut at {tenth} tenths.json", lambda p, n=tenth: cut(_written(p), n))
    for name, make in {
        "missing": lambda p: None,
        "noise": noise,
        "pickle": pickled,
        "pipe": pipe,
        "folder": Path.mkdir,
        "gigabytes": _huge,
    }.items():
        yield _case(f"{name}.json", make)
    for name, text in {"list": "[]", "deep": "[" * 100_000, "null": "null"}.items():
        yield _case(f"{name}.json", lambda p, t=text: p.write_text(t))
    values = {
        "NaN": np.nan,
        "Infinity": np.inf,
        "0": 0,
        "-1": -1,
        "text": "460",
        "null": None,
        "true": True,
        "list": [460],
    }
    for name, value in values.items():
        yield _case(f"fx {name}.json", lambda p, v=value: _written(p, fx=v))
        yield _case(f"width {name}.json", lambda p, v=value: _written(p, width=v))
    yield _case("width 480.5.json", lambda p: _written(p, width=480.5))
    yield _case("width of 300 digits.json", lambda p: _written(p, width=10**300))
    yield _case("fx of 400 digits.json", lambda p: _written(p, fx=10**400))
    yield _case("another shape.json", lambda p: _written(p, height=480))
    for name, value in {
        "NaN": [0, 0, np.nan, 0],
        "three": [0, 0, 0],
        "text": "none",
        "number": 4,
        "200": [0.0] * 200,
    }.items():
        yield _case(f"dist {name}.json", lambda p, v=value: _written(p, dist=v))


CAMERAS: list[Case] = list(cameras())
