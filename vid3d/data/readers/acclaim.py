"""ASF/AMC, the Acclaim format of the CMU and HDM05 collections: a skeleton file and motions for it.

A bone has a direction, a length and axes in the world of the rest pose; its rotation M is given in
these axes (C): the bone turns by C M C^-1 within its parent. Where a bone ends is the joint that
this reader calls after it. Lengths are in 1/length inches, so that metres are
value / length * 0.0254.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.data.readers.skeletons import Skeleton
from vid3d.errors import Vid3dError

Array = NDArray[np.floating]

JOINTS = {
    "thorax": "thorax",
    "head": "upperneck",
    **{
        f"{side}_{joint}": side[0] + bone
        for side in ("left", "right")
        for joint, bone in (
            ("hip", "hipjoint"),
            ("knee", "femur"),
            ("ankle", "tibia"),
            ("shoulder", "clavicle"),
            ("elbow", "humerus"),
            ("wrist", "forearm_end"),
        )
    },
}
"""Joints of h36m17 by the bones that end there, as CMU and HDM05 call them."""
FPS = 120.0
"""The rate of both collections; AMC files do not say theirs."""
_WRIST = 0.65
"""Their radius ends before the wrist, which lies at this share of the bone called wrist."""
_INCH = 0.0254
_AXES = "XYZ"
_MOST_BONES = 2_000


@dataclass
class _Bone:
    name: str
    parent: int = -1
    direction: Array = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axes: Array = field(default_factory=lambda: np.eye(3))
    dof: tuple[str, ...] = ()


@dataclass(frozen=True)
class Acclaim:
    """A skeleton file: its bones, parents first, the root at 0, and metres a unit."""

    bones: tuple[_Bone, ...]
    metres: float


def read_asf(path: Path) -> Acclaim:
    """The skeleton of an ASF file.

    Raises:
        Vid3dError: no such file, or not a whole ASF file.
    """
    lines = _lines(path)
    try:
        sections = _sections(lines)
        units = dict(line[:2] for line in sections["units"] if len(line) > 1)
        if units.get("angle", "deg").lower() != "deg":
            raise ValueError("angles other than degrees")
        bones = {"root": _root(sections["root"])}
        for block in _blocks(sections["bonedata"]):
            bone = _bone(block)
            bones[bone.name] = bone
        if len(bones) > _MOST_BONES:
            raise ValueError(f"more than {_MOST_BONES} bones")
        return Acclaim(_linked(bones, sections["hierarchy"]), _INCH / float(units["length"]))
    except (ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise Vid3dError(f"{path} is not an ASF file ({error})") from error


def read_amc(path: Path, skeleton: Acclaim) -> Skeleton:
    """Where the bones of a skeleton end in a motion (AMC), in metres, y up.

    Joints `lforearm_end` and `rforearm_end` are added where the wrists are.

    Raises:
        Vid3dError: no such file, or it is no motion of this skeleton.
    """
    try:
        frames = _frames(_lines(path), {bone.name: len(bone.dof) for bone in skeleton.bones})
    except (ValueError, KeyError, IndexError) as error:
        raise Vid3dError(f"{path} is not an AMC file of that skeleton ({error})") from error
    names = [bone.name for bone in skeleton.bones]
    parents = [bone.parent for bone in skeleton.bones]
    places = _place(skeleton.bones, frames) * skeleton.metres
    for side in "lr":
        if {f"{side}radius", f"{side}wrist"} <= {*names}:
            near, far = names.index(f"{side}radius"), names.index(f"{side}wrist")
            wrist = places[:, near] + _WRIST * (places[:, far] - places[:, near])
            places = np.concatenate([places, wrist[:, None]], axis=1)
            names.append(f"{side}forearm_end")
            parents.append(near)
    return Skeleton(tuple(names), tuple(parents), places)


def _lines(path: Path) -> list[list[str]]:
    """Words of every line that is no comment."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    return [words for line in text.splitlines() if (words := line.split("#")[0].split())]


def _sections(lines: list[list[str]]) -> dict[str, list[list[str]]]:
    """Lines by the keyword with a colon above them; what follows a keyword is its first line."""
    sections: dict[str, list[list[str]]] = {}
    current: list[list[str]] = []
    for words in lines:
        if words[0].startswith(":"):
            current = sections.setdefault(words[0][1:].lower(), [])
            words = words[1:]
        if words:
            current.append(words)
    return sections


def _blocks(lines: list[list[str]]) -> Iterator[list[list[str]]]:
    """Lines between `begin` and `end`."""
    block: list[list[str]] = []
    for words in lines:
        if words[0] == "begin":
            block = []
        elif words[0] == "end":
            yield block
        else:
            block.append(words)


def _root(lines: list[list[str]]) -> _Bone:
    fields = {words[0].lower(): words[1:] for words in lines}
    axes = _turn(_numbers(fields["orientation"], 3), fields["axis"][0])
    return _Bone("root", axes=axes, dof=_freedom(fields["order"]))


def _bone(lines: list[list[str]]) -> _Bone:
    fields = {words[0].lower(): words[1:] for words in lines}
    direction = _numbers(fields["direction"], 3)
    return _Bone(
        fields["name"][0],
        direction=direction / max(float(np.linalg.norm(direction)), 1e-12),
        length=float(_numbers(fields["length"], 1)[0]),
        axes=_turn(_numbers(fields["axis"], 3), fields["axis"][3]),
        dof=_freedom(fields.get("dof", [])),
    )


def _freedom(words: list[str]) -> tuple[str, ...]:
    """Degrees of freedom: translations, rotations and length."""
    names = tuple(word.lower() for word in words)
    if unknown := {*names} - {"tx", "ty", "tz", "rx", "ry", "rz", "l"}:
        raise ValueError(f"degree of freedom {min(unknown)}")
    return names


def _linked(bones: dict[str, _Bone], hierarchy: list[list[str]]) -> tuple[_Bone, ...]:
    """Bones with their parents, parents first."""
    children = {words[0]: words[1:] for block in _blocks(hierarchy) for words in block}
    order, waiting = [bones["root"]], ["root"]
    while waiting:
        name = waiting.pop(0)
        above = next(row for row, bone in enumerate(order) if bone.name == name)
        for child in children.get(name, ()):
            if any(bone.name == child for bone in order):
                raise ValueError(f"bone {child} hangs on two")
            bones[child].parent = above
            order.append(bones[child])
            waiting.append(child)
    return tuple(order)


def _frames(lines: list[list[str]], dof: dict[str, int]) -> dict[str, Array]:
    """Values (F, D) of every bone with degrees of freedom."""
    frames: list[dict[str, Array]] = []
    for words in lines:
        if words[0].startswith(":"):
            if words[0].upper() == ":RADIANS":
                raise ValueError("angles other than degrees")
            continue
        if len(words) == 1 and words[0].isdecimal():
            frames.append({})
        else:
            frames[-1][words[0]] = _numbers(words[1:], dof[words[0]])
    if not frames:
        raise ValueError("no frame")
    return {
        name: np.array([frame[name] for frame in frames]) for name, count in dof.items() if count
    }


def _place(bones: tuple[_Bone, ...], values: dict[str, Array]) -> Array:
    """Where bones end (F, B, 3), in the file's unit, by forward kinematics."""
    count = len(values["root"])
    places = np.zeros((count, len(bones), 3))
    turns = np.zeros((count, len(bones), 3, 3))
    for row, bone in enumerate(bones):
        given = dict(zip(bone.dof, values.get(bone.name, np.zeros((count, 0))).T, strict=True))
        moved = np.tile(np.eye(3), (count, 1, 1))
        for turn in (name for name in bone.dof if name.startswith("r")):
            moved = _about(turn[1], given[turn]) @ moved  # the first is applied first
        local = bone.axes @ moved @ bone.axes.T
        if bone.parent < 0:
            turns[:, row] = local
            for axis, name in enumerate(("tx", "ty", "tz")):
                places[:, row, axis] = given.get(name, 0.0)
            continue
        turns[:, row] = turns[:, bone.parent] @ local
        places[:, row] = places[:, bone.parent] + turns[:, row] @ (bone.length * bone.direction)
    return places


def _turn(degrees: Array, order: str) -> Array:
    """The rotation (3, 3) by angles in the order of x, y, z, applied in the order of the axes."""
    turned = np.eye(3)
    for axis in order.upper():
        turned = _about(axis, degrees[[_AXES.index(axis)]])[0] @ turned
    return turned


def _about(axis: str, degrees: Array) -> Array:
    """Rotations (F, 3, 3) about an axis."""
    from scipy.spatial.transform import Rotation

    if axis.upper() not in _AXES:
        raise ValueError(f"axis {axis!r}")
    return Rotation.from_euler(axis.upper(), degrees[:, None], degrees=True).as_matrix()


def _numbers(words: list[str], count: int) -> Array:
    numbers = np.array([float(word) for word in words[:count]])
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"{' '.join(words)[:40]!r} where {count} numbers were expected")
    return numbers
