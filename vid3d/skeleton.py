"""Named sets of joints: names, parents, left-right pairs and limb groups.

Every array of joints in vid3d is 17 wide, so the name of its set always travels with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from vid3d.errors import Vid3dError


@dataclass(frozen=True)
class JointSet:
    """A named set of joints forming a tree.

    Attributes:
        name: how files and options call it.
        joints: joint names; `left_*` and `right_*` are the person's own sides.
        parents: index of each joint's parent, -1 for the root.
        edges: pairs of joints that a skeleton is drawn with.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    edges: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Index of a joint by name."""
        return self.joints.index(joint)

    def indices(self, joints: Sequence[str]) -> list[int]:
        """Indices of several joints by name."""
        return [self.index(joint) for joint in joints]

    @cached_property
    def left(self) -> list[int]:
        """Joints of the person's left side, in joint order."""
        return [i for i, joint in enumerate(self.joints) if joint.startswith("left_")]

    @cached_property
    def right(self) -> list[int]:
        """The right-hand twin of every joint in `left`, in the same order."""
        return [self.index(self.joints[i].replace("left_", "right_")) for i in self.left]

    @cached_property
    def flip(self) -> list[int]:
        """Permutation that exchanges left and right: `mirrored = joints[..., flip, :]`."""
        order = list(range(len(self)))
        for left, right in zip(self.left, self.right, strict=True):
            order[left], order[right] = right, left
        return order

    @cached_property
    def bones(self) -> list[tuple[int, int]]:
        """(parent, child) of every joint that has a parent."""
        return [(parent, child) for child, parent in enumerate(self.parents) if parent >= 0]

    @cached_property
    def bone_pairs(self) -> list[tuple[int, int]]:
        """Indices into `bones` of every left bone and its right twin."""
        by_child = {child: i for i, (_, child) in enumerate(self.bones)}
        return [
            (by_child[left], by_child[right])
            for left, right in zip(self.left, self.right, strict=True)
            if left in by_child
        ]


_H36M17_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

H36M17 = JointSet(
    name="h36m17",
    joints=(
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "nose", "head", "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    parents=_H36M17_PARENTS,
    edges=tuple((parent, child) for child, parent in enumerate(_H36M17_PARENTS) if parent >= 0),
)  # fmt: skip

COCO17 = JointSet(
    name="coco17",
    joints=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    # COCO has no trunk joint: arms hang on the shoulders, legs on the hips, both on the nose.
    parents=(-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    edges=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7),
        (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4),
    ),
)  # fmt: skip

JOINT_SETS = {joint_set.name: joint_set for joint_set in (H36M17, COCO17)}

_GROUPS = {
    "trunk": ("pelvis", "spine", "thorax", "nose", "head", "left_eye", "right_eye", "left_ear",
              "right_ear"),
    "left_arm": ("left_shoulder", "left_elbow", "left_wrist"),
    "right_arm": ("right_shoulder", "right_elbow", "right_wrist"),
    "left_leg": ("left_hip", "left_knee", "left_ankle"),
    "right_leg": ("right_hip", "right_knee", "right_ankle"),
}  # fmt: skip
LIMB_GROUPS = tuple(_GROUPS)


def joint_set(name: str) -> JointSet:
    """The joint set called `name`.

    Raises:
        Vid3dError: there is none of that name.
    """
    if name not in JOINT_SETS:
        raise Vid3dError(
            f"unknown joint set {name!r}; vid3d knows {', '.join(JOINT_SETS)}: convert to one"
        )
    return JOINT_SETS[name]


def limb_groups(joints: JointSet) -> list[list[int]]:
    """Joint indices of each of `LIMB_GROUPS` (trunk and head, arms, legs) in a joint set."""
    return [
        [i for i, joint in enumerate(joints.joints) if joint in members]
        for members in _GROUPS.values()
    ]
