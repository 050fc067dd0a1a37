"""Joints of the posable CC0 bodies: h36m17 from the rig, coco17 as a 2D detector sees them.

World frame: y up, metres; the rest body faces +z and its own left is +x. A pose is `(R, root)`:
R (F, B, 3, 3) the global rotation of every bone relative to rest, root (F, 3) the head of the
pelvis bone, as `Body.pose_from_h36m17` returns them.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.skeleton import COCO17, H36M17

Array = NDArray[np.floating]

RESERVED = ("m_asian_35", "f_cauc_25", "f_old_68")
"""Bodies of samples, tracking tests and evaluation: never in training data."""

_RIG_BONES = {
    "hip": "upperleg01", "knee": "lowerleg01", "ankle": "foot",
    "shoulder": "upperarm01", "elbow": "lowerarm01", "wrist": "wrist",
}  # fmt: skip
_FACE_SETS = {
    "nose": "nose", "left_eye": "l_eye", "right_eye": "r_eye", "left_ear": "l_ear",
    "right_ear": "r_ear",
}  # fmt: skip
_SHIFT_BONES = {"shoulder": "shoulder01", "ankle": "lowerleg02", "elbow": "upperarm02"}

# Where the motion-capture skeletons have their trunk joints, as shares of the trunk (pelvis to
# thorax), medians over all training files: the spine at 0.55 of the trunk and 0.03 behind it; the
# neck joint 0.31 above and 0.035 before the thorax; the head top 0.25 above that. Their thorax is
# 0.03 above the shoulder centres, which is where the rig's clavicles meet.
_SPINE = (0.55, -0.03)
_NECK = np.array([0.0, 0.31, 0.035])
_HEAD = np.array([0.0, 0.25, 0.02])


def load_library(folder: str | Path) -> Any:
    """The library of bodies in a folder: `library[name]` is a Body, `library.names` lists them.

    Raises:
        Vid3dError: the folder holds no body.py with its bodies.npz.
    """
    folder = Path(folder)
    for name in ("body.py", "bodies.npz", "garments.npz"):
        if not (folder / name).is_file():
            raise Vid3dError(f"no {name} in {folder}: give the folder of the posable bodies")
    return _import_file(folder / "body.py").Library(str(folder))


def _import_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"vid3d_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Vid3dError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def rig_joints(body: Any, R: Array, root: Array) -> Array:
    """The h36m17 joints (F, 17, 3) of a posed body: joint centres of its rig, world frame.

    The thorax is where the clavicles meet (base of the neck); spine, neck ("nose") and head lie
    where the motion-capture skeletons have them.
    """
    anchors = [_rest_anchor(body, joint) for joint in H36M17.joints]
    bones = [bone for bone, _ in anchors]
    points = np.stack([point for _, point in anchors])
    joints = _attached(body, R, root, bones, points)
    joints[:, 0] = (joints[:, 1] + joints[:, 4]) / 2
    return joints


def coco_keypoints(body: Any, R: Array, root: Array) -> Array:
    """The coco17 keypoints (F, 17, 3) of a posed body, world frame.

    The vectorised twin of `Body.keypoints`, with its shifts of shoulders and ankles to where
    networks trained on COCO put them.
    """
    keypoints = np.zeros((len(R), 17, 3))
    heads = body.heads(R, root)
    for index, joint in enumerate(COCO17.joints):
        if joint in _FACE_SETS:
            keypoints[:, index] = _skinned_mean(body, R, heads, _FACE_SETS[joint])
            continue
        side, kind = joint.split("_")
        bone = _bone_index(body, _RIG_BONES[kind], side)
        keypoints[:, index] = heads[:, bone]
        if kind in _SHIFT_BONES:
            mirror = np.array([1.0 if side == "left" else -1.0, 1.0, 1.0])
            shift = (
                np.array(sys.modules[type(body).__module__].KP_SHIFT[kind]) * mirror * body.trunk
            )
            keypoints[:, index] += R[:, _bone_index(body, _SHIFT_BONES[kind], side)] @ shift
    return keypoints


def _bone_index(body: Any, bone: str, side: str) -> int:
    return int(body.ix[f"{bone}.{'L' if side == 'left' else 'R'}"])


def _rest_anchor(body: Any, joint: str) -> tuple[int, Array]:
    """Bone that carries an h36m17 joint and the joint's place in the rest body."""
    heads = body.h
    if "_" in joint:
        side, kind = joint.split("_")
        bone = _bone_index(body, _RIG_BONES[kind], side)
        return bone, heads[bone]
    hips = [heads[_bone_index(body, "upperleg01", side)] for side in ("left", "right")]
    clavicles = [heads[_bone_index(body, "clavicle", side)] for side in ("left", "right")]
    pelvis, thorax = np.mean(hips, 0), np.mean(clavicles, 0)
    trunk = float(np.linalg.norm(thorax - pelvis))
    along, forward = _SPINE
    neck = thorax + _NECK * trunk
    return {
        "pelvis": (body.ix["pelvis"], pelvis),
        "spine": (body.ix["spine03"], pelvis + along * (thorax - pelvis) + [0, 0, forward * trunk]),
        "thorax": (body.ix["spine01"], thorax),
        "nose": (body.ix["neck02"], neck),
        "head": (body.ix["head"], neck + _HEAD * trunk),
    }[joint]


def _attached(body: Any, R: Array, root: Array, bones: list[int], points: Array) -> Array:
    """Points (N, 3) of the rest body, each carried by one bone, in the poses: (F, N, 3)."""
    heads = body.heads(R, root)[:, bones]
    return heads + np.einsum("fnij,nj->fni", R[:, bones], points - body.h[bones])


def _skinned_mean(body: Any, R: Array, heads: Array, vertex_set: str) -> Array:
    """Mean (F, 3) of a skinned vertex set; by linearity each bone carries one weighted point."""
    vertices = body.kp_sets[vertex_set]
    table = body.lib.b
    weights = np.zeros((len(vertices), body.nb))
    rows = np.arange(len(vertices))[:, None]
    np.add.at(weights, (rows, table["w_bone"][vertices]), table["w_val"][vertices])
    weights /= weights.sum(1, keepdims=True)
    shares = weights.mean(0)
    moments = np.einsum("vb,vbi->bi", weights, body.all[vertices][:, None] - body.h) / len(vertices)
    return np.einsum("b,fbi->fi", shares, heads) + np.einsum("fbij,bj->fi", R, moments)
