"""Fuzzing of the readers with atheris (libFuzzer), where it is installed; else with random bytes.

    python tests/fuzz.py keypoints|openpose|pairs|motion|camera|manifest|lifter [SECONDS]

Whatever the bytes are, a reader gives something or raises Vid3dError in one line; anything else
ends the run with a traceback and the input in ./crash-*. Needs `pip install atheris` for guidance
by coverage. tests/test_faults_fuzz.py runs the same targets with hypothesis.
"""

import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests")]


def _watched() -> contextlib.AbstractContextManager[object]:
    """Lets atheris see which lines of vid3d an input reaches, where it is installed."""
    if __name__ != "__main__" or find_spec("atheris") is None:
        return contextlib.nullcontext()
    import atheris

    return atheris.instrument_imports(include=["vid3d"])


with _watched():
    from vid3d.camera import Camera
    from vid3d.data.pairs import read_pairs
    from vid3d.errors import Vid3dError
    from vid3d.lifter.checkpoint import load_networks
    from vid3d.motion import Motion
    from vid3d.pose2d.keypoint_files import read_keypoints
    from vid3d.pose2d.manifest import load_manifest

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "keypoints": ("a.json", read_keypoints),
    "openpose": ("clip_1_keypoints.json", lambda path: read_keypoints(path.parent)),
    "pairs": ("a.pairs.npz", read_pairs),
    "motion": ("a.vid3d.npz", Motion.load),
    "camera": ("a.json", Camera.from_json),
    "manifest": ("manifest.json", load_manifest),
    "lifter": ("a.safetensors", load_networks),
}
"""Name of the file that bytes become, and what reads it."""


def seeds(target: str) -> list[bytes]:
    """Good inputs, which fuzzing starts from."""
    from faults.cameras import GOOD
    from faults.keypoints import PAIRS, _openpose, document
    from faults.motions import good
    from faults.networks import _parts, _written

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if target == "keypoints":
            return [json.dumps(document()).encode()]
        if target == "openpose":
            _openpose(place / "op")
            return [next((place / "op").iterdir()).read_bytes()]
        if target == "camera":
            return [json.dumps(GOOD).encode()]
        if target == "manifest":
            return [path.read_bytes() for path in (REPO / "tests/data/manifests").glob("*.json")]
        if target == "motion":
            return [good(place / "a.vid3d.npz").read_bytes()]
        if target == "lifter":
            header, _ = _parts()
            return [_written(place / "a", header, b"").read_bytes()]
        return [PAIRS.read_bytes()]


def check(target: str, content: bytes, folder: Path) -> bool:
    """Read bytes; whether they were accepted. Anything but a result or one clear line raises."""
    name, read = READERS[target]
    path = folder / name
    path.write_bytes(content)
    try:
        read(path)
    except Vid3dError as error:
        text = str(error)
        assert "\n" not in text.strip(), text
        assert len(text) < 2000, text
        return False
    return True


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """Bytes with a few changed, cut, doubled or moved."""
    spoilt = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(spoilt) + 1)
        kind = chance.randrange(5)
        if kind == 0 and spoilt:
            spoilt[at % len(spoilt)] = chance.randrange(256)
        elif kind == 1:
            spoilt[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 2:
            del spoilt[at : at + chance.randrange(1, 40)]
        elif kind == 3:
            part = spoilt[at : at + chance.randrange(1, 40)]
            spoilt[at:at] = part
        else:
            spoilt[at : at + 4] = chance.choice((b"NaN,", b"1e99", b"-1,0", b"null", b"\xff" * 4))
    return bytes(spoilt)


def main(target: str, seconds: float = 60.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, corpus = Path(folder), Path(folder) / "seeds"
        corpus.mkdir()
        for number, seed in enumerate(seeds(target)):
            (corpus / str(number)).write_bytes(seed)
        work = place / "work"
        work.mkdir()
        if find_spec("atheris") is not None:
            import atheris

            arguments = [sys.argv[0], f"-max_total_time={seconds:.0f}", "-timeout=20", str(corpus)]
            atheris.Setup(arguments, lambda content: _one(target, content, work))
            atheris.Fuzz()  # ends the process
        chance, until, count = random.Random(0), time.monotonic() + seconds, 0
        while time.monotonic() < until:
            content = spoiled(chance.choice(seeds_of(corpus)), chance)
            try:
                check(target, content, work)
            except Exception:
                Path(f"crash-{target}").write_bytes(content)
                raise
            count += 1
        print(f"{target}: {count} inputs, none broke the reader")


def _one(target: str, content: bytes, folder: Path) -> None:
    check(target, content, folder)


def seeds_of(corpus: Path) -> list[bytes]:
    """The files of a folder."""
    return [path.read_bytes() for path in sorted(corpus.iterdir())]


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
