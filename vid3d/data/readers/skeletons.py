"""Named skeletons of motion capture as h36m17: which joint is which, and what has to be made.

Limbs are taken by name. The pelvis is the middle of the hips; the spine lies half-way along the
chain from there to the base of the neck; nose and head top lie on the head's own axis, 6 and 19 cm
above the head joint of a person 1.75 m tall (they have no counterpart: leave them out of scores).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]

_LEG = 0.84
"""Metres from hip to ankle of a person 1.75 m tall."""
_NOSE, _TOP = 0.06, 0.19
_LIMBS = {
    "hip": ("upleg", "upperleg", "thigh", "hip", "femur"),
    "knee": ("knee", "leg", "lowleg", "lowerleg", "shin", "calf", "tibia"),
    "ankle": ("ankle", "foot"),
    "shoulder": ("arm", "uarm", "uparm", "upperarm", "humerus", "shldr", "shoulder"),
    "elbow": ("elbow", "forearm", "farm", "lowarm", "lowerarm", "radius"),
    "wrist": ("wrist", "hand"),
}
"""What a joint is called, best first, by itself or by the segment that begins there.

A rig's LeftShoulder may be the collar and its LeftHip the pelvis' side, so these come last; beside
a LeftAnkle, LeftFoot is the toes.
"""
_TRUNK = {
    "thorax": ("neck", "neck1", "neck01", "lowerneck", "neckbase", "thorax"),
    "head": ("head", "head1", "skull"),
}


@dataclass(frozen=True)
class Skeleton:
    """A moving tree of joints.

    Attributes:
        names: of the joints; `NAME_end` for the tip of a joint without children.
        parents: index of each joint's parent, -1 for the root; parents come first.
        positions: (F, J, 3) in any unit and axes.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    positions: Array

    def index(self, name: str) -> int:
        """Index of a joint by name."""
        return self.names.index(name)

    def chain(self, low: int, high: int) -> list[int]:
        """Joints between an ancestor and a joint below it, both left out; [] if it is none."""
        found = []
        while (high := self.parents[high]) not in (-1, low):
            found.append(high)
        return found[::-1] if high == low else []


def find_joints(names: tuple[str, ...], given: Mapping[str, str]) -> dict[str, str]:
    """Names of the joints that h36m17 is made of: both sides' limbs, `thorax` and `head`.

    Args:
        names: of a skeleton.
        given: what is known, by the name in h36m17; the rest is guessed from customary names of
            the other joints.

    Raises:
        Vid3dError: a joint is given that is not there, or one cannot be guessed.
    """
    plain: dict[str, str] = {}
    for name in names:
        if name not in given.values():
            plain.setdefault(_plain(name), name)
    wanted = _TRUNK | {
        f"{side}_{joint}": tuple(
            spelled for one in choices for spelled in (side + one, side[0] + one, one + side[0])
        )
        for joint, choices in _LIMBS.items()
        for side in ("left", "right")
    }
    unknown = sorted({*given.values()} - {*names} | {*given} - {*wanted})
    if unknown:
        raise Vid3dError(
            f"--joints names {', '.join(unknown)}: give {', '.join(sorted(wanted))} as names of "
            f"this skeleton, {_short(names)}"
        )
    found = dict(given)
    for joint, choices in wanted.items():
        match = next((plain[choice] for choice in choices if choice in plain), None)
        if joint not in found and match is None:
            raise Vid3dError(
                f"which joint is the {joint.replace('_', ' ')}? Name it in a JSON file, "
                f'{{"{joint}": "..."}}, with --joints; there are {_short(names)}'
            )
        found.setdefault(joint, match or "")
    return found


def to_h36m17(skeleton: Skeleton, named: Mapping[str, str]) -> Array:
    """Joints (F, 17, 3) of h36m17 in the skeleton's unit and axes.

    Args:
        skeleton: the moving skeleton.
        named: as `find_joints` returns.
    """
    places = skeleton.positions
    rows = {joint: skeleton.index(name) for joint, name in named.items()}
    joints = np.zeros((len(places), 17, 3))
    for joint, row in rows.items():
        joints[:, H36M17.index(joint)] = places[:, row]
    hips = places[:, [rows["left_hip"], rows["right_hip"]]]
    joints[:, 0] = hips.mean(1)
    root = skeleton.parents.index(-1)
    chain = skeleton.chain(root, rows["thorax"]) or []
    line = np.stack([joints[:, 0], *(places[:, row] for row in chain), places[:, rows["thorax"]]])
    joints[:, H36M17.index("spine")] = _halfway(line)
    head = places[:, rows["head"]]
    axis = _head_axis(skeleton, rows["head"], head, places[:, rows["thorax"]])
    size = _leg(joints) / _LEG
    joints[:, H36M17.index("nose")] = head + _NOSE * size * axis
    joints[:, H36M17.index("head")] = head + _TOP * size * axis
    return joints


def _halfway(line: Array) -> Array:
    """The point (F, 3) half-way along lines (N, F, 3), at the same share of the same part always.

    A line may turn back at its beginning (a root below or above the middle of the hips), so lengths
    are those of the whole clip's median.
    """
    lengths = np.median(np.linalg.norm(np.diff(line, axis=0), axis=-1), axis=1)
    ends = np.cumsum(lengths)
    part = int(np.searchsorted(ends, ends[-1] / 2))
    share = 1 - (ends[part] - ends[-1] / 2) / max(lengths[part], 1e-9)
    return line[part] + share * (line[part + 1] - line[part])


def _head_axis(skeleton: Skeleton, row: int, head: Array, neck: Array) -> Array:
    """Unit vectors (F, 3) up through the head: to its tip where it has one, else from the neck."""
    tips = [child for child, parent in enumerate(skeleton.parents) if parent == row]
    straight = head - neck
    for tip in tips:
        toward = skeleton.positions[:, tip] - head
        along = (toward * straight).sum(-1)
        if len(tips) == 1 and np.median(along) > 0.3 * np.median((straight**2).sum(-1)):
            straight = toward
    return straight / np.maximum(np.linalg.norm(straight, axis=-1, keepdims=True), 1e-9)


def _leg(joints: Array) -> float:
    """Length from hip to ankle, both legs' mean."""
    bones = [H36M17.indices([f"{side}_{joint}" for joint in ("hip", "knee", "ankle")])
             for side in ("left", "right")]  # fmt: skip
    lengths = [
        np.median(np.linalg.norm(np.diff(joints[:, bone], axis=1), axis=-1), axis=0).sum()
        for bone in bones
    ]
    return float(np.mean(lengths))


def _plain(name: str) -> str:
    """A joint's name without prefix, case and punctuation: `mixamorig:LeftUpLeg` is leftupleg."""
    plain = re.sub(r"[^a-z0-9]", "", re.split(r"[:|]", name)[-1].lower())
    return re.sub(r"^(mixamorig\d*|bip0*1)", "", plain)


def _short(names: tuple[str, ...]) -> str:
    return ", ".join(names[:40]) + (" ..." if len(names) > 40 else "")
