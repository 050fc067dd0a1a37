"""Which videos a batch works on, what they are called in it, and what their results are called."""

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from vid3d.errors import Vid3dError
from vid3d.files import expanded, missing, printable, safe_stem
from vid3d.given import unfit

VIDEO_SUFFIXES = (
    ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov",
    ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
"""What is taken for a video inside a folder; a file that is named or matched is taken as it is."""


@dataclass(frozen=True)
class Source:
    """A video of a batch.

    Attributes:
        key: its path below the batch's root as printable text with `/`: its name in the batch.
        path: of the file.
    """

    key: str
    path: Path


def find_sources(
    inputs: Sequence[str | os.PathLike[str]], output: Path
) -> tuple[Path, list[Source]]:
    """The videos that folders, files and globs name, and the folder that all of them lie in.

    Folders are searched with all below them. Left out are hidden files and folders, folders that
    are links, the output folder where it lies below one of them, and overlay videos that lie beside
    their motion file.

    Raises:
        Vid3dError: something is not there or cannot be read, or there is no video at all.
    """
    if isinstance(inputs, str | os.PathLike):
        raise unfit("inputs", inputs, "a list of folders, files and globs")
    roots: list[Path] = []
    found: set[Path] = set()
    for given in inputs:
        root, paths = _expand(given, output)
        roots.append(root)
        found.update(path for path in paths if not _is_result(path))
    try:
        root = Path(os.path.commonpath(roots))
    except ValueError as error:
        raise Vid3dError(
            "the inputs lie on different drives: give each drive a batch and an output of its own"
        ) from error
    if not found:
        raise Vid3dError(
            f"no video in {', '.join(map(str, inputs))} (looked for {' '.join(VIDEO_SUFFIXES)}); "
            "name other files, or give a glob such as 'FOLDER/**/*.dat'"
        )
    sources = [Source(key_of(path.relative_to(root)), path) for path in found]
    return root, sorted(sources, key=lambda source: source.key)


def name_outputs(keys: Sequence[str], held: Mapping[str, str]) -> dict[str, str]:
    """Where each video's results go: the path below the output folder that their names begin with.

    `a/b.mp4` becomes `a/b`. Videos that would share a name keep their suffix, `a/b.mp4` and
    `a/b.mov`, and where even that is taken, end in eight digits of a checksum of their key. Names
    that differ only in case count as the same, as some file systems take them.

    Args:
        keys: of the videos.
        held: outputs given by earlier runs, by key; they stay.
    """
    taken = {_folded(output) for output in held.values()}
    plain = {key: _output(key, PurePosixPath(key).stem) for key in {*keys, *held}}
    shared = Counter(_folded(output) for output in plain.values())
    named = {}
    for key in keys:
        if key in held:
            named[key] = held[key]
            continue
        whole = _output(key, PurePosixPath(key).name)
        digits = hashlib.sha256(key.encode()).hexdigest()[:8]
        choices = [plain[key], whole, _output(key, PurePosixPath(key).name, f"-{digits}")]
        choices = choices[1:] if shared[_folded(plain[key])] > 1 else choices
        named[key] = next(one for one in choices if _folded(one) not in taken)
        taken.add(_folded(named[key]))
    return named


def key_of(path: PurePath) -> str:
    """A path as printable text with `/`; different paths stay different."""
    return printable(path.as_posix().replace("\\", "\\\\"))


def inside(folder: Path, below: str) -> Path:
    """The path `below` a folder.

    Raises:
        Vid3dError: it leads out of the folder, by `..`, from the root, or through a link.
    """
    path = folder / below
    try:
        stays = path.resolve().is_relative_to(folder.resolve())
    except (ValueError, OSError, RuntimeError):  # a zero byte, a name too long, a circle of links
        stays = False
    if not stays:
        raise Vid3dError(f"{printable(str(path))} leads out of {folder}: nothing is written there")
    return path


def _expand(given: str | os.PathLike[str], output: Path) -> tuple[Path, list[Path]]:
    """The folder that one input is about, and the videos that it names."""
    path = Path(os.path.abspath(expanded(given)))
    if path.is_dir():
        return path, list(_walk(path, output))
    if path.exists():
        if not path.is_file():
            raise Vid3dError(f"{given} is neither a file nor a folder")
        return path.parent, [path]
    parts, first = path.parts, _first_pattern(path)
    root = Path(*parts[:first]) if first else path
    if not root.is_dir():
        raise Vid3dError(missing(Path(given), "file or folder"))
    try:
        matches = list(root.glob(str(Path(*parts[first:]))))
    except ValueError as error:
        raise Vid3dError(f"{given} is not a glob ({error})") from error
    found: list[Path] = []
    for match in matches:
        if any(part.startswith(".") for part in match.relative_to(root).parts):
            continue
        found += _walk(match, output) if match.is_dir() else [match]
    output = output.resolve()
    if root.resolve().is_relative_to(output):  # results go beside the videos
        return root, found
    return root, [one for one in found if not one.resolve().is_relative_to(output)]


def _first_pattern(path: Path) -> int:
    """Which part of a path is its first pattern, 0 for none; a folder may be `[2024] Trip`."""
    for i, part in enumerate(path.parts):
        if any(char in part for char in "*?[") and not Path(*path.parts[: i + 1]).exists():
            return i
    return 0


def _walk(folder: Path, output: Path) -> Iterator[Path]:
    """Videos in a folder and below."""

    def refuse(error: OSError) -> None:
        raise Vid3dError(f"cannot read {error.filename}: {error.strerror}; check permissions")

    output = output.resolve()
    for here, folders, files in os.walk(folder, onerror=refuse):
        place = Path(here)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and (place / name).resolve() != output
        ]
        for name in files:
            path = place / name
            if path.suffix.lower() in VIDEO_SUFFIXES and not name.startswith("."):
                yield path


def _is_result(path: Path) -> bool:
    """Whether a file is an overlay that a lift wrote."""
    whole = path.name.removesuffix(".overlay.mp4")
    return whole != path.name and path.with_name(f"{whole}.vid3d.npz").exists()


def _output(key: str, name: str, end: str = "") -> str:
    return str(PurePosixPath(key).parent / safe_stem(name, end))


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
