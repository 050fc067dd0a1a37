"""The exported skeleton: joints of a T-pose with fixed bone lengths, how each may turn, and FK.

Names and tree are those of Mixamo and HumanIK, so that retargeting tools recognise them. The rest
pose stands upright, arms held out, and looks along +z; y is up, x to the person's left. Every
h36m17 joint is the head of a rig joint or the tip of the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.export.space import ANKLE_SHARE
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

TOE_SHARE = 0.11
"""Ankle to tip of the toes, forward, as a share of stature (Winter 2009: a foot is 0.152 long)."""
HAND_SHARE = 0.108
SPINE_SHARE = 0.25
"""Where the spine leaves the hips on the way from pelvis to spine: no two joints coincide."""


@dataclass(frozen=True)
class RigJoint:
    """One joint of the rig and how it may turn.

    Attributes:
        name: as files call it.
        parent: name of its parent, empty for the root.
        at: the h36m17 joint that it lies on, empty for none.
        points: where the bone that it turns points in the rest pose.
        axis: what its twist is measured about: the bone for a ball joint, the hinge for a hinge.
        free: axes it may turn about: `ball` (three), `swing` (two, across the bone), `hinge` (its
            axis), `fixed` (none).
        twist: least and greatest twist or flexion, degrees.
        swing: greatest swing, degrees.
        looseness: radians by which an unseen twist strays from rest (prior).
    """

    name: str
    parent: str
    at: str
    points: tuple[float, float, float]
    axis: tuple[float, float, float]
    free: str
    twist: tuple[float, float] = (-180.0, 180.0)
    swing: float = 180.0
    looseness: float = 1.0


UP, DOWN, FORWARD = (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0)


def _side(side: str) -> list[RigJoint]:
    out = (1.0, 0.0, 0.0) if side == "Left" else (-1.0, 0.0, 0.0)
    low = side.lower()
    elbow = (0.0, -out[0], 0.0)  # bends the forearm of the T-pose forward
    return [
        RigJoint(f"{side}Shoulder", "Spine1", "thorax", out, out, "swing", swing=60),
        RigJoint(f"{side}Arm", f"{side}Shoulder", f"{low}_shoulder", out, out, "ball",
                 (-100, 100), 150, 1.0),
        RigJoint(f"{side}ForeArm", f"{side}Arm", f"{low}_elbow", out, elbow, "hinge", (0, 155)),
        RigJoint(f"{side}Hand", f"{side}ForeArm", f"{low}_wrist", out, out, "fixed"),
        RigJoint(f"{side}UpLeg", "Hips", f"{low}_hip", DOWN, DOWN, "ball", (-60, 60), 140, 0.6),
        RigJoint(f"{side}Leg", f"{side}UpLeg", f"{low}_knee", DOWN, (1.0, 0.0, 0.0), "hinge",
                 (0, 155)),
        RigJoint(f"{side}Foot", f"{side}Leg", f"{low}_ankle", FORWARD, FORWARD, "fixed"),
    ]  # fmt: skip


JOINTS: tuple[RigJoint, ...] = (
    RigJoint("Hips", "", "pelvis", UP, UP, "ball"),
    RigJoint("Spine", "Hips", "", UP, UP, "ball", (-60, 60), 75, 0.4),
    RigJoint("Spine1", "Spine", "spine", UP, UP, "ball", (-60, 60), 75, 0.4),
    RigJoint("Neck", "Spine1", "thorax", UP, UP, "swing", swing=80),
    RigJoint("Head", "Neck", "nose", UP, UP, "swing", swing=80),
    *_side("Left"),
    *_side("Right"),
)
NAMES = tuple(joint.name for joint in JOINTS)
PARENTS = tuple(NAMES.index(joint.parent) if joint.parent else -1 for joint in JOINTS)
TIPS = ("Head", "LeftHand", "RightHand", "LeftFoot", "RightFoot")
"""Joints that end a chain; each has a tip (BVH's End Site)."""

PLACES = [NAMES.index(next(j.name for j in JOINTS if j.at == joint)) if joint != "head" else -1
          for joint in H36M17.joints]  # fmt: skip
"""Rig joint that lies on each h36m17 joint; -1 for the top of the head, which is the head's tip."""


@dataclass(frozen=True)
class Rig:
    """A skeleton with fixed bone lengths in its rest pose.

    Attributes:
        offsets: (J, 3) metres from each joint's parent, 0 for the root.
        tips: (J, 3) metres from each joint to its tip; 0 for joints without one.
    """

    offsets: Array
    tips: Array

    def rest(self) -> Array:
        """Places (J, 3) of the joints in the rest pose with the hips at 0."""
        return self.pose(np.broadcast_to(np.eye(3), (1, len(JOINTS), 3, 3)), np.zeros((1, 3)))[0][0]

    def pose(self, rotations: Array, root: Array) -> tuple[Array, Array]:
        """Forward kinematics.

        Args:
            rotations: (F, J, 3, 3) of each joint relative to its parent.
            root: (F, 3) place of the hips, metres.

        Returns:
            Places (F, J, 3) and rotations (F, J, 3, 3) of the joints in the frame of `root`.
        """
        places, turns = np.empty(rotations.shape[:-1]), np.empty(rotations.shape)
        places[:, 0], turns[:, 0] = root, rotations[:, 0]
        for joint, parent in enumerate(PARENTS):
            if parent >= 0:
                places[:, joint] = places[:, parent] + turns[:, parent] @ self.offsets[joint]
                turns[:, joint] = turns[:, parent] @ rotations[:, joint]
        return places, turns

    def h36m(self, rotations: Array, root: Array) -> Array:
        """The h36m17 joints (F, 17, 3) of poses, as in `pose`."""
        places, turns = self.pose(rotations, root)
        head = NAMES.index("Head")
        joints = places[:, PLACES]
        joints[:, H36M17.index("head")] = places[:, head] + turns[:, head] @ self.tips[head]
        return joints


def fit_rig(joints: ArrayLike, weights: ArrayLike | None = None) -> Rig:
    """The rig with the bone lengths of a person: weighted medians over frames, left as right.

    Args:
        joints: (F, 17, 3) h36m17, metres; F > 0.
        weights: (F, 17) how far each joint is trusted; a bone counts as its weaker end.
    """
    joints = np.asarray(joints, np.float64)
    trust = np.ones(joints.shape[:2]) if weights is None else np.asarray(weights, np.float64)
    lengths = {}
    for parent, child in H36M17.bones:
        twins = [(parent, child), (H36M17.flip[parent], H36M17.flip[child])]
        values = [np.linalg.norm(joints[:, c] - joints[:, p], axis=-1) for p, c in twins]
        counted = [np.minimum(trust[:, p], trust[:, c]) for p, c in twins]
        lengths[H36M17.joints[child]] = _median(np.concatenate(values), np.concatenate(counted))
    return rig_of(lengths)


def rig_of(lengths: dict[str, float]) -> Rig:
    """The rig whose bones, named by the h36m17 joint at their far end, have lengths in metres."""
    upright = ("left_knee", "left_ankle", "spine", "thorax", "nose", "head")
    tall = sum(lengths[name] for name in upright) / (1 - ANKLE_SHARE)
    offsets, tips = np.zeros((len(JOINTS), 3)), np.zeros((len(JOINTS), 3))
    for index, joint in enumerate(JOINTS):
        if not joint.parent:
            continue
        parent = JOINTS[PARENTS[index]]
        if joint.name == "Spine":
            offsets[index] = SPINE_SHARE * lengths["spine"] * np.array(UP)
        elif joint.name == "Spine1":
            offsets[index] = (1 - SPINE_SHARE) * lengths["spine"] * np.array(UP)
        elif parent.name == "Hips":  # thighs begin beside the pelvis
            offsets[index] = lengths[joint.at] * np.array(
                [1.0 if "Left" in joint.name else -1.0, 0, 0]
            )
        elif joint.at != parent.at:
            offsets[index] = lengths[joint.at] * np.array(parent.points)
    tips[NAMES.index("Head")] = lengths["head"] * np.array(UP)
    for side in ("Left", "Right"):
        hand, foot = NAMES.index(f"{side}Hand"), NAMES.index(f"{side}Foot")
        tips[hand] = HAND_SHARE * tall * np.array(JOINTS[hand].points)
        tips[foot] = tall * np.array([0.0, -ANKLE_SHARE, TOE_SHARE])
    return Rig(offsets, tips)


def height(rig: Rig) -> float:
    """Standing height in metres, sole to the top of the head."""
    head, foot = NAMES.index("Head"), NAMES.index("LeftFoot")
    rest = rig.rest()
    return float(rest[head, 1] + rig.tips[head, 1] - rest[foot, 1] - rig.tips[foot, 1])


def _median(values: Array, weights: Array) -> float:
    """Weighted median; the plain one where nothing has weight."""
    if not weights.sum() > 0:
        return float(np.median(values))
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])
