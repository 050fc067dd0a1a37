"""Results (`.vid3d.npz`), as `info`, `export`, `render`, `plot` and `view` read them."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from motion_toys import walk

from faults.bytes import TENTHS, Touch, cut, noise, pickled, pipe, scrambled
from faults.case import Case, Expected
from vid3d.motion import Motion

USES = cycle(
    [
        "export {input} --to bvh,glb,csv,trc,json,npz -o {out}",
        "view {input} -o {out}/page.html --no-video",
        "plot {input} -o {out} --format svg",
        "render {input} -o {out}/view.mp4 --height 120 --fps 5",
    ]
)
"""Each case is read by `info` and by one of these in turn."""
GROUP = "results (.vid3d.npz)"
HOSTILE = "</script><script>x</script><img src=x onerror=x>\"'&lt; $\\frac{1}$ \x1b[2J \u202e\n"
"""Text that would do something in a page, a figure or on a terminal."""


def case(
    name: str,
    make: Callable[[Path], Any],
    expected: Expected = "refused",
    commands: tuple[str, ...] | None = None,
    result: Any = None,
    right: Any = None,
) -> Case:
    """A case of a motion file, which `make` writes."""

    def made(folder: Path) -> Path:
        path = folder / f"{name}.vid3d.npz"
        make(path)
        return path

    chosen = ("info {input}", next(USES)) if commands is None else commands
    checks = {key: check for key, check in (("right", right), ("result", result)) if check}
    return Case(GROUP, name, made, Motion.load, chosen, expected, **checks)


def good(path: Path) -> Path:
    """Two people, 12 frames."""
    return walk().save(path)


def _arrays(path: Path) -> dict[str, Any]:
    good(path)
    with np.load(path) as arrays:
        return dict(arrays)


def _with(**changes: Any) -> Callable[[Path], Any]:
    """Writes the good motion with other arrays; None leaves one out, a function changes it."""

    def make(path: Path) -> None:
        arrays = _arrays(path)
        for name, change in changes.items():
            arrays[name] = change(arrays[name]) if callable(change) else change
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez(path, **kept)

    return make


def _meta(**changes: Any) -> Callable[[Path], Any]:
    """Writes the good motion with other entries of meta."""

    def changed(array: Any) -> Any:
        return np.array(json.dumps({**json.loads(str(array)), **changes}))

    return _with(meta=changed)


def _at(place: Any, value: Any) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array = array.copy()
        array[place] = value
        return array

    return change


def damaged() -> Iterator[Case]:
    """Bytes that are wrong."""
    yield case("good", good, "right", ("info {input}", *(next(USES) for _ in range(4))))
    for tenth in TENTHS:
        yield case(f"cut at {tenth} tenths", lambda p, n=tenth: cut(good(p), n))
    for seed in range(4):
        yield case(
            f"random bytes {seed}",
            lambda p, n=seed: scrambled(good(p), n, 10),
            "either",
            right=_same,
        )
    for name, make in {
        "noise": noise,
        "pickle": pickled,
        "pipe": pipe,
        "empty": Path.touch,
        "text": lambda p: p.write_text("hello"),
        "folder": Path.mkdir,
        "device": lambda p: p.symlink_to("/dev/zero"),
        "missing": lambda p: None,
    }.items():
        yield case(name, make)
    yield case("one array", lambda p: p.write_bytes(_npy(np.zeros(3))))
    yield case("objects with code", _objects)
    yield case("terabytes by an array's header", _vast)
    yield case("terabytes by the archive's index", _vast_by_index)
    yield case("a negative shape", lambda p: _member(p, "joints3d", _header((-1, 17, 3))))
    yield case("a header with code", lambda p: _member(p, "joints3d", _header("__import__('os')")))
    open_bracket = _header((9,)).replace(b"(9,)", b"((((")
    yield case("a header without an end", lambda p: _member(p, "joints3d", open_bracket))
    yield case("a member that is no array", lambda p: _member(p, "joints3d", b"hello"))


def _same(motion: Motion) -> None:
    """Bytes between the arrays do not matter: dates, say."""
    np.testing.assert_array_equal(motion.joints3d, walk().joints3d)
    np.testing.assert_array_equal(motion.timestamps, walk().timestamps)


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _header(shape: Any) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n"


def _member(path: Path, name: str, content: bytes) -> None:
    """The good motion with other bytes in place of an array's."""
    arrays = _arrays(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, array in arrays.items():
            archive.writestr(f"{key}.npy", content if key == name else _npy(array))


def _vast(path: Path) -> None:
    _member(path, "joints3d", _header((10**6, 10**6, 17, 3)) + bytes(1000))


def _vast_by_index(path: Path) -> None:
    _vast(path)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)  # size of the first member
    path.write_bytes(content)


def _objects(path: Path) -> None:
    objects = np.empty(1, object)
    objects[0] = Touch(path.parent / "canary")
    np.savez(path, **{**_arrays(path), "joints3d": objects})


def values() -> Iterator[Case]:
    """Arrays that are missing or wrong."""
    for name in ("joints3d", "present", "timestamps", "keypoints2d", "meta", "joint_names"):
        yield case(f"without {name}", _with(**{name: None}))
    changes: dict[str, tuple[str, Any]] = {
        "times NaN": ("timestamps", _at(3, np.nan)),
        "times repeated": ("timestamps", _at(3, 0.08)),
        "times of ages": ("timestamps", _at(-1, 1e15)),
        "times as text": ("timestamps", lambda a: a.astype(str)),
        "joints infinite": ("joints3d", _at((0, 0, 0, 0), np.inf)),
        "joints NaN where present": ("joints3d", _at((0, 0), np.nan)),
        "joints beyond the moon": ("joints3d", _at((0, 0, 0), 1e30)),
        "joints complex": ("joints3d", lambda a: a.astype(complex)),
        "spread negative": ("spread", _at((0, 0, 0), -1)),
        "contacts of 7": ("contacts", _at((0, 0, 0), 7)),
        "looks beyond the end": ("keyframes", _at(-1, 999)),
        "looks negative": ("keyframes", _at(0, -3)),
        "looks falling": ("keyframes", lambda a: a[::-1]),
        "identities repeated": ("track_ids", lambda a: a * 0),
        "picture of no size": ("frame_size", lambda a: a * 0),
        "picture of a billion": ("frame_size", lambda a: a * 0 + 10**9),
        "camera NaN": ("intrinsics", _at((0, 0), np.nan)),
        "camera of focal length 0": ("intrinsics", _at((0, 0), 0)),
        "camera turned": ("intrinsics", _at((2, 2), 0)),
        "points infinite": ("keypoints2d", _at((0, 0, 0, 0), np.inf)),
        "other joints": ("joint_names", lambda a: a[::-1]),
        "other keypoints": ("keypoint_names", lambda a: a[::-1]),
    }
    for name, (array, change) in changes.items():
        yield case(name, _with(**{array: change}))
    nothing = {
        "joints3d": lambda a: a[:, :0],
        "present": lambda a: a[:, :0],
        "spread": lambda a: a[:, :0],
        "root_spread": lambda a: a[:, :0],
        "contacts": lambda a: a[:, :0],
        "timestamps": lambda a: a[:0],
        "keyframes": lambda a: a[:0],
        "keypoints2d": lambda a: a[:, :0],
    }
    yield case("no frames", _with(**nothing))
    nobody = {
        name: lambda a: a[:0]
        for name in (
            "joints3d",
            "present",
            "spread",
            "root_spread",
            "contacts",
            "keypoints2d",
            "track_ids",
        )
    }
    yield case("nobody", _with(**nobody), "either")


def metas() -> Iterator[Case]:
    """Entries of `meta` that are wrong."""
    texts = {"no JSON": "{", "a list": "[]", "deep": "[" * 100_000, "a number": "3"}
    for name, text in texts.items():
        yield case(f"meta {name}", _with(meta=np.array(text)))
    entries: dict[str, tuple[str, Any]] = {
        "schema 99": ("schema", 99),
        "schema of text": ("schema", "x" * 9999),
        "rate of text": ("fps", "fast"),
        "rate 0": ("fps", 0),
        "rate NaN": ("fps", np.nan),
        "rate of a billion": ("fps", 1e9),
        "source of text": ("source", "x"),
        "model a list": ("model", []),
        "floor without normal": ("ground", {"height": 1}),
        "floor without direction": ("ground", {"normal": [0, 0, 0], "height": 1, "confidence": 1}),
        "floor of text": ("ground", "flat"),
        "feet of text": ("feet", {"slide_before": "a", "slide_after": 1}),
        "smooth a list": ("smooth", [1]),
        "distortion of three": ("dist", [1, 2, 3]),
        "distortion NaN": ("dist", [0, 0, np.nan, 0]),
    }
    for name, (key, value) in entries.items():
        yield case(name, _meta(**{key: value}))
    hostile = {
        "source": {"name": HOSTILE, "sha256": HOSTILE},
        "model": {"name": HOSTILE},
        "vid3d": HOSTILE,
        "pose2d": HOSTILE,
        "options": {HOSTILE: HOSTILE},
    }
    everything = ("info {input}", *(next(USES) for _ in range(4)))
    yield case("hostile text", _meta(**hostile), "right", everything, _harmless)


def _harmless(out: Path) -> None:
    """No element or control character of `HOSTILE` came through."""
    for path in out.glob("*.*"):
        if path.suffix in (".html", ".svg", ".csv", ".trc", ".bvh"):
            text = path.read_text(encoding="utf-8")
            assert not set("\x1b\u202e") & set(text), path.name
            if path.suffix in (".html", ".svg"):
                assert_no_elements(text)


def assert_no_elements(text: str) -> None:
    """A page or figure has no script besides its own, and no image that loads or handles events."""

    class Reader(HTMLParser):
        scripts = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.scripts += tag == "script"
            assert not any(name.startswith("on") for name, _ in attrs), (tag, attrs)
            assert dict(attrs).get("src") != "x"

    reader = Reader()
    reader.feed(text)
    own = text.count('<script id="') + text.count("<script>") + text.count('<script type="')
    assert reader.scripts == own
    assert "<script>x" not in text


MOTIONS: list[Case] = [*damaged(), *values(), *metas()]
