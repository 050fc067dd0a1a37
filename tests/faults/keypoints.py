"""Keypoints in files: COCO-style JSON, folders of OpenPose, text of MOTChallenge."""

import gzip
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from faults.bytes import TENTHS, cut, noise, pickled, pipe, scrambled
from faults.case import REPO, Case, Expected
from faults.clips import lifted
from vid3d.data.pairs import read_pairs
from vid3d.files import MOST_JSON
from vid3d.pose2d.keypoint_files import read_keypoints

LIFT = ("lift --keypoints {input} -o {out}",)
PAIRS = REPO / "tests/data/tiny.pairs.npz"
_BODY25 = (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11)


@cache
def _looks() -> Any:
    """(2, 8, 17, 3) keypoints of two people on every sixth frame."""
    return np.stack(
        [
            np.concatenate([s.keypoints2d, s.confidence[..., None]], -1)[::6].round(2)
            for s in read_pairs(PAIRS)
        ]
    )


def document() -> dict[str, Any]:
    """A COCO-style document of two people in 45 frames, good in every way."""
    looks = _looks()
    images = [
        {"id": i, "frame": 6 * i, "time": round(i / 5, 3), "width": 480, "height": 270}
        for i in range(looks.shape[1])
    ]
    annotations = [
        {
            "id": 2 * i + p,
            "image_id": i,
            "keypoints": looks[p, i].astype(float).ravel().tolist(),
            "score": 0.9,
            "track_id": p + 1,
        }
        for i in range(looks.shape[1])
        for p in range(2)
    ]
    return {"info": {"fps": 30, "frames": 45}, "images": images, "annotations": annotations}


def _two(out: Path) -> None:
    assert lifted(out).people == 2


def case(
    group: str,
    name: str,
    make: Callable[[Path], Any],
    expected: Expected = "refused",
    result: Any = None,
    commands: tuple[str, ...] = LIFT,
) -> Case:
    """A case of a file `name`, which `make` writes."""

    def made(folder: Path) -> Path:
        path = folder / name
        make(path)
        return path

    checks = {"result": result} if result else {}
    return Case(group, name, made, read_keypoints, commands, expected, **checks)


def _json(path: Path) -> Path:
    path.write_text(json.dumps(document()))
    return path


def _with(*places: Any, value: Any) -> Callable[[Path], Any]:
    """Writes the good document with another value at a place."""

    def make(path: Path) -> None:
        whole = document()
        inner: Any = whole
        for key in places[:-1]:
            inner = inner[key]
        inner[places[-1]] = value
        path.write_text(json.dumps(whole))

    return make


def _without(key: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(
        json.dumps({k: v for k, v in document().items() if k != key})
    )


def coco() -> Iterator[Case]:
    """COCO-style JSON."""
    group = "keypoints: COCO-style JSON"
    yield case(group, "good.json", _json, "right", _two)
    yield case(
        group,
        "with a mark of byte order.json",
        lambda p: p.write_text(json.dumps(document()), "utf-8-sig"),
        "right",
        _two,
    )
    for tenth in TENTHS:
        yield case(group, f"cut at {tenth} tenths.json", lambda p, n=tenth: cut(_json(p), n))
    for seed in range(3):
        yield case(group, f"random bytes {seed}.json", lambda p, n=seed: scrambled(_json(p), n))
    texts = {
        "empty": "",
        "null": "null",
        "number": "3",
        "string": '"x"',
        "empty list": "[]",
        "empty object": "{}",
        "deep lists": "[" * 200_000,
        "deep objects": '{"a":' * 100_000,
        "deep but closed": "[" * 100_000 + "]" * 100_000,
        "long number": "1" * 100_000,
    }
    for name, text in texts.items():
        yield case(group, f"{name}.json", lambda p, t=text: p.write_text(t))
    yield case(group, "noise.json", noise)
    yield case(group, "pickle.json", pickled)
    yield case(group, "pipe.json", pipe)
    yield case(group, "device.json", lambda p: p.symlink_to("/dev/zero"))
    yield case(group, "gigabytes.json", _huge)
    yield case(group, "packed.json", lambda p: p.write_bytes(gzip.compress(_json(p).read_bytes())))
    yield case(group, "sixteen bits.json", lambda p: p.write_text(json.dumps(document()), "utf-16"))
    yield from _values(group)
    yield from _lies(group)


def _huge(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MOST_JSON + 1)


def _values(group: str) -> Iterator[Case]:
    """Wrong values at every place."""
    number = {
        "NaN": np.nan,
        "Infinity": np.inf,
        "1e308": 1e308,
        "text": "x",
        "null": None,
        "list": [1],
        "true": True,
    }
    for name, value in number.items():
        expected: Expected = "refused" if name != "true" else "either"
        yield case(
            group,
            f"coordinate {name}.json",
            _with("annotations", 3, "keypoints", 4, value=value),
            expected,
            _two,
        )
    for key in ("images", "annotations"):
        yield case(group, f"without {key}.json", _without(key))
        for name, value in {"text": "x", "number": 1, "null": None, "list of lists": [[]]}.items():
            yield case(group, f"{key} {name}.json", _with(key, value=value))
    for name, value in {"0": 0, "-1": -1, "NaN": np.nan, "1e300": 1e300, "text": "fast"}.items():
        yield case(group, f"rate {name}.json", _with("info", "fps", value=value))
    for name, value in {"repeated": 0.2, "NaN": np.nan, "backwards": -5, "1e300": 1e300}.items():
        yield case(group, f"time {name}.json", _with("images", 2, "time", value=value))
    for name, value in {"repeated": 6, "-1": -1, "half": 1.5, "text": "3"}.items():
        yield case(group, f"frame {name}.json", _with("images", 2, "frame", value=value))
    for name, value in {"0": 0, "-1": -1, "1e9": 10**9, "text": "wide", "half": 1.5}.items():
        yield case(group, f"width {name}.json", _with("images", 0, "width", value=value))
    for name, value in {
        "short": [1.0] * 48,
        "odd": [1.0] * 50,
        "none": [],
        "object": {},
        "nested unevenly": [[1, 2], [3]],
    }.items():
        yield case(
            group, f"keypoints {name}.json", _with("annotations", 3, "keypoints", value=value)
        )
    yield case(
        group, "identity text.json", _with("annotations", 3, "track_id", value="x"), "right", _two
    )
    yield case(
        group,
        "identity of 30 digits.json",
        _with("annotations", 3, "track_id", value=10**30),
        "right",
        _two,
    )
    yield case(group, "shares of the picture.json", _shares)


def _shares(path: Path) -> None:
    whole = document()
    for annotation in whole["annotations"]:
        annotation["keypoints"] = [v / 480 if v > 1 else v for v in annotation["keypoints"]]
    path.write_text(json.dumps(whole))


def _lies(group: str) -> Iterator[Case]:
    """Sizes that would fill the memory, and crowds."""
    for frames in (10**8, 10**15, 1e300):
        yield case(group, f"{frames:.0e} frames.json", _with("info", "frames", value=frames))
    yield case(group, "a frame far away.json", _with("images", 7, "frame", value=999_999_999))
    yield case(group, "a time far away.json", _with("images", 7, "time", value=999_999_999.0))
    yield case(group, "a crowd of 150.json", _crowd, "right", lambda out: None)


def _crowd(path: Path) -> None:
    whole = document()
    one = whole["annotations"][0]
    whole["images"] = whole["images"][:3]
    whole["annotations"] = [
        {
            **one,
            "image_id": image["id"],
            "track_id": None,
            "keypoints": (np.reshape(one["keypoints"], (17, 3)) + [3 * n, n % 7, 0])
            .ravel()
            .tolist(),
        }
        for image in whole["images"]
        for n in range(150)
    ]
    path.write_text(json.dumps(whole))


def openpose() -> Iterator[Case]:
    """Folders of OpenPose, with a video that gives the rate."""
    group = "keypoints: OpenPose folder"
    lift = ("lift tests/data/tiny.mp4 --keypoints {input} -o {out} --no-render",)

    def one(name: str, spoil: Callable[[Path], Any], expected: Expected = "refused") -> Case:
        def make(folder: Path) -> None:
            _openpose(folder)
            spoil(folder / _file(24))

        return case(group, name, make, expected, _two, lift)

    yield one("good", lambda file: None, "right")
    yield one("a file less", Path.unlink, "right")
    for tenth in (1, 5, 9):
        yield one(f"a file cut at {tenth} tenths", lambda file, n=tenth: cut(file, n))
    yield one("a file empty", lambda file: file.write_text(""))
    yield one("a file deep", lambda file: file.write_text("[" * 100_000))
    yield one("a file of noise", noise)
    yield one("a file huge", _huge)
    yield one("a folder for a file", lambda file: (file.unlink(), file.mkdir()))
    yield one("a pipe for a file", lambda file: (file.unlink(), pipe(file)))
    yield one("NaN", lambda file: file.write_text(file.read_text().replace("0.9,", "NaN,")))
    yield one(
        "other joints",
        lambda file: file.write_text(json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 60}]})),
    )
    yield one("a number far away", lambda file: file.rename(file.with_name(_file(10**14))))
    yield case(group, "folder without files", Path.mkdir, commands=lift)


def _openpose(folder: Path) -> None:
    folder.mkdir()
    looks = _looks()
    for index in range(looks.shape[1]):
        people = []
        for points in looks[:, index]:
            joints = np.zeros((25, 3))
            joints[list(_BODY25)] = [(x, y, 0.9) for x, y, _ in points]
            people.append({"person_id": [-1], "pose_keypoints_2d": joints.ravel().tolist()})
        (folder / _file(6 * index)).write_text(json.dumps({"version": 1.3, "people": people}))


def _file(number: int) -> str:
    return f"clip_{number:012d}_keypoints.json"


def mot() -> Iterator[Case]:
    """MOTChallenge text has no joints, whatever else is wrong with it."""
    group = "keypoints: MOT text"
    good = "1,1,10,20,30,60,0.9,-1,-1,-1\n"
    for name, text in {
        "good": good * 9,
        "cut": good[:7],
        "NaN": "1,1,nan,inf,1,1,1,-1,-1,-1\n",
        "empty": "",
        "letters": "hello\n",
    }.items():
        yield case(group, f"{name}.txt", lambda p, t=text: p.write_text(t))


KEYPOINTS: list[Case] = [*coco(), *openpose(), *mot()]
