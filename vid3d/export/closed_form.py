"""Joint rotations straight from joint positions: the swing-twist rule, frame by frame.

Positions fix where a bone points (its swing), not how it is turned about itself (its twist). The
rule for twist: hips from the hip line and the lower spine; chest from the upper spine and the
shoulder line; the lower spine takes half the twist between them; an upper arm or thigh is turned so
that its elbow or knee bends as a hinge, and stays as the shortest swing leaves it where that joint
is straight; neck, head, collarbones, forearms, hands, shins and feet have no twist of their own.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.export.rig import JOINTS, NAMES, UP
from vid3d.export.rotations import (
    exponential,
    frame,
    from_swing_twist,
    logarithm,
    shortest,
    swing_twist,
    unit,
)
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

STRAIGHT = 0.25
"""Sine of the bend at which a hinge tells as much about twist as its rest does."""


def closed_form(joints: ArrayLike) -> tuple[Array, Array]:
    """Rotations (F, J, 3, 3) relative to parents, and the hips' place (F, 3), of poses.

    Args:
        joints: (F, 17, 3) h36m17 joints, metres, y up.
    """
    joints = np.asarray(joints, np.float64)

    def bone(start: str, end: str) -> Array:
        return unit(joints[:, H36M17.index(end)] - joints[:, H36M17.index(start)])

    local = np.broadcast_to(np.eye(3), (len(joints), len(JOINTS), 3, 3)).copy()
    _trunk(local, bone)
    for side in ("Left", "Right"):
        low = side.lower()
        chest, hips = _product(local, "Hips", "Spine", "Spine1"), local[:, 0]
        local[:, NAMES.index(f"{side}Shoulder")] = collar = _swing(
            chest, JOINTS[NAMES.index(f"{side}Shoulder")].axis, bone("thorax", f"{low}_shoulder")
        )
        for parent, upper, lower, chain in (
            (chest @ collar, f"{side}Arm", f"{side}ForeArm", ("shoulder", "elbow", "wrist")),
            (hips, f"{side}UpLeg", f"{side}Leg", ("hip", "knee", "ankle")),
        ):
            first, middle, last = (f"{low}_{joint}" for joint in chain)
            local[:, NAMES.index(upper)], local[:, NAMES.index(lower)] = _limb(
                parent,
                bone(first, middle),
                bone(middle, last),
                np.array(JOINTS[NAMES.index(upper)].axis),
                np.array(JOINTS[NAMES.index(lower)].axis),
            )
    return clamped(local), joints[:, 0].copy()


def clamped(rotations: Array) -> Array:
    """Rotations (F, J, 3, 3) brought within the joints' limits."""
    limited = rotations.copy()
    for index, joint in enumerate(JOINTS):
        if joint.free == "fixed" or (joint.swing >= 180 and joint.twist[1] >= 180):
            continue
        swing, twist = swing_twist(rotations[:, index], joint.axis)
        least, greatest = np.radians(joint.twist)
        angle = np.linalg.norm(swing, axis=-1, keepdims=True)
        share = np.minimum(1.0, np.radians(joint.swing) / np.maximum(angle, 1e-9))
        within = (share[:, 0] == 1) & (twist >= least) & (twist <= greatest)
        inside = from_swing_twist(swing * share, np.clip(twist, least, greatest), joint.axis)
        limited[:, index] = np.where(within[:, None, None], rotations[:, index], inside)
    return limited


def _trunk(local: Array, bone: Callable[[str, str], Array]) -> None:
    """Hips, spine, neck and head."""
    low, high = bone("pelvis", "spine"), bone("spine", "thorax")
    hips = frame(bone("right_hip", "left_hip"), low)
    upright = frame(high, -bone("right_shoulder", "left_shoulder"))  # its x axis is the chest's y
    chest = np.stack([-upright[..., 1], upright[..., 0], upright[..., 2]], axis=-1)
    _, twist = swing_twist(_transposed(hips) @ chest, UP)
    spine = from_swing_twist(logarithm(_swing(hips, UP, low)), twist / 2, UP)
    neck = _swing(chest, UP, bone("thorax", "nose"))
    head = _swing(chest @ neck, UP, bone("nose", "head"))
    parts = {"Hips": hips, "Spine": spine, "Spine1": _transposed(hips @ spine) @ chest,
             "Neck": neck, "Head": head}  # fmt: skip
    for name, rotation in parts.items():
        local[:, NAMES.index(name)] = rotation


def _limb(
    parent: Array, upper: Array, lower: Array, rest: Array, hinge: Array
) -> tuple[Array, Array]:
    """Rotations (F, 3, 3) of a ball joint and the hinge below it.

    Args:
        parent: (F, 3, 3) rotation above them.
        upper: (F, 3) unit vectors along the upper bone.
        lower: (F, 3) the same of the lower bone.
        rest: (3,) where both point at rest.
        hinge: (3,) axis about which the lower bone bends.
    """
    upper = np.where(upper.any(-1, keepdims=True), upper, parent @ rest)  # a bone without length
    neutral = parent @ _swing(parent, rest, upper) @ hinge
    across = np.cross(upper, lower) + STRAIGHT * neutral
    axis = unit(across - (across * upper).sum(-1, keepdims=True) * upper)
    axis = np.where(np.linalg.norm(axis, axis=-1, keepdims=True) > 0.5, axis, neutral)
    turned = np.stack([upper, axis, np.cross(upper, axis)], axis=-1)
    resting = np.stack([rest, hinge, np.cross(rest, hinge)], axis=-1)
    bend = np.arctan2((np.cross(upper, lower) * axis).sum(-1), (upper * lower).sum(-1))
    return _transposed(parent) @ turned @ resting.T, exponential(bend[:, None] * hinge)


def _swing(parent: Array, rest: ArrayLike, bone: Array) -> Array:
    """Shortest rotation (F, 3, 3), seen from `parent`, of a resting direction to a bone."""
    return shortest(rest, np.einsum("fji,fj->fi", parent, bone))


def _product(local: Array, *names: str) -> Array:
    """Rotation (F, 3, 3) of a chain of joints from the root on."""
    product = local[:, NAMES.index(names[0])]
    for name in names[1:]:
        product = product @ local[:, NAMES.index(name)]
    return product


def _transposed(matrices: Array) -> Array:
    return np.swapaxes(matrices, -1, -2)
