"""BVH: a hierarchy with offsets and channels, then a line of numbers a frame.

A joint's rotation is the product of its rotation channels in the order of the file; position
channels replace its offset. The format knows neither units nor axes nor what joints are called.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.data.readers.skeletons import Skeleton
from vid3d.errors import Vid3dError

Array = NDArray[np.floating]

_MOST_JOINTS = 2_000
_AXES = {"xposition": 0, "yposition": 1, "zposition": 2}
_TURNS = {"xrotation": "X", "yrotation": "Y", "zrotation": "Z"}


@dataclass
class _Joint:
    name: str
    parent: int
    offset: Array = field(default_factory=lambda: np.zeros(3))
    channels: list[str] = field(default_factory=list)


def read_bvh(path: Path) -> tuple[Skeleton, float]:
    """Where all joints of a BVH file are, in its own unit and axes, and its frames a second.

    Raises:
        Vid3dError: no such file, or not a whole BVH file.
    """
    try:
        words = path.read_text(encoding="utf-8-sig", errors="replace").split()
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        stream = iter(words)
        joints = _read_hierarchy(stream)
        values, fps = _read_motion(stream, sum(len(joint.channels) for joint in joints))
    except StopIteration as error:
        raise Vid3dError(f"{path} ends too early to be a whole BVH file") from error
    except (ValueError, OverflowError) as error:
        raise Vid3dError(f"{path} is not a BVH file ({error})") from error
    names = tuple(joint.name for joint in joints)
    return Skeleton(names, tuple(joint.parent for joint in joints), _place(joints, values)), fps


def _read_hierarchy(words: Iterator[str]) -> list[_Joint]:
    """Joints in the order of the file, tips included, up to and with the word MOTION."""
    _expect(words, "HIERARCHY")
    joints: list[_Joint] = []
    inside: list[int] = []
    for word in words:
        key = word.upper()
        if key in ("ROOT", "JOINT", "END"):
            name = _name(words)
            parent = inside[-1] if inside else -1
            if (parent < 0) != (key == "ROOT") or (joints and key == "ROOT"):
                raise ValueError(f"{word} {name} is out of place; one root a file")
            joints.append(_Joint(f"{joints[parent].name}_end" if key == "END" else name, parent))
            inside.append(len(joints) - 1)
        elif key == "OFFSET" and inside:
            joints[inside[-1]].offset = np.array([_number(next(words)) for _ in range(3)])
        elif key == "CHANNELS" and inside:
            channels = [next(words).lower() for _ in range(_count(next(words), 6))]
            if not {*channels} <= {*_AXES, *_TURNS}:
                raise ValueError(f"unknown channels {' '.join(channels)[:60]}")
            joints[inside[-1]].channels = channels
        elif key == "}" and inside:
            inside.pop()
        elif key == "MOTION" and not inside and joints:
            return joints
        else:
            raise ValueError(f"{word[:40]!r} in the hierarchy")
        if len(joints) > _MOST_JOINTS:
            raise ValueError(f"more than {_MOST_JOINTS} joints")
    raise StopIteration


def _read_motion(words: Iterator[str], channels: int) -> tuple[Array, float]:
    """Channels (F, C), and frames a second."""
    frames = _count(_behind(words, "FRAMES:"), 1 << 31)
    _expect(words, "FRAME")
    period = _number(_behind(words, "TIME:"))
    if not 1e-4 <= period <= 10:
        raise ValueError(f"a frame time of {period} s")
    values = np.array([float(word) for word in words])
    if frames == 0 or channels == 0 or len(values) < frames * channels:
        raise ValueError(f"{len(values)} numbers for {frames} frames of {channels} channels")
    values = values[: frames * channels].reshape(frames, channels)
    if not np.isfinite(values).all():
        raise ValueError("numbers that are not finite")
    return values, 1 / period


def _place(joints: list[_Joint], values: Array) -> Array:
    """Positions (F, J, 3) by forward kinematics."""
    from scipy.spatial.transform import Rotation

    places = np.zeros((len(values), len(joints), 3))
    turns = np.zeros((len(values), len(joints), 3, 3))
    column = 0
    for row, joint in enumerate(joints):
        offset = np.tile(joint.offset, (len(values), 1))
        turn = np.tile(np.eye(3), (len(values), 1, 1))
        for channel in joint.channels:
            if channel in _AXES:
                offset[:, _AXES[channel]] = values[:, column]
            else:
                about = Rotation.from_euler(_TURNS[channel], values[:, [column]], degrees=True)
                turn = turn @ about.as_matrix()
            column += 1
        if joint.parent < 0:
            places[:, row], turns[:, row] = offset, turn
            continue
        above = turns[:, joint.parent]
        places[:, row] = places[:, joint.parent] + np.einsum("fij,fj->fi", above, offset)
        turns[:, row] = above @ turn
    return places


def _name(words: Iterator[str]) -> str:
    """A joint's name, up to and with the brace behind it; those of 3ds Max's Biped hold spaces."""
    name: list[str] = []
    while (word := next(words)) != "{":
        if word.upper() in ("OFFSET", "CHANNELS", "}"):
            raise ValueError(f"{word!r} where {{ was expected")
        name.append(word)
    return " ".join(name)


def _expect(words: Iterator[str], wanted: str) -> None:
    word = next(words)
    if word.upper() != wanted:
        raise ValueError(f"{word[:40]!r} where {wanted} was expected")


def _behind(words: Iterator[str], label: str) -> str:
    """The word behind a label; there may be no space between them."""
    word = next(words)
    if not word.upper().startswith(label):
        raise ValueError(f"{word[:40]!r} where {label} was expected")
    return word[len(label) :] or next(words)


def _count(word: str, most: int) -> int:
    number = int(word)
    if not 0 <= number <= most:
        raise ValueError(f"{number} where at most {most} was expected")
    return number


def _number(word: str) -> float:
    number = float(word)
    if not np.isfinite(number):
        raise ValueError(f"the number {word[:20]}")
    return number
