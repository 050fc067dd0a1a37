"""COCO keypoints from h36m17 joints, by offsets measured on posable bodies.

A detector's keypoints are not h36m17 joints: the face has none, shoulders lie higher and further
in, ankles higher. On posed bodies both sets are known; their differences, in frames that the
h36m17 joints themselves define and in units of the trunk, make a small table
(`coco_offsets.json`), from which training pairs come without meshes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vid3d.data.bodies import RESERVED, coco_keypoints, load_library, rig_joints
from vid3d.data.mocap import DEV_ACTORS, read_mocap
from vid3d.files import atomic_path
from vid3d.skeleton import COCO17, H36M17

TABLE = Path(__file__).with_name("coco_offsets.json")

_FACE = 5
"""The first five COCO keypoints are carried by the head."""

ORIGINS = [H36M17.index("nose")] * _FACE + H36M17.indices(COCO17.joints[_FACE:])
"""The h36m17 joint that each COCO keypoint is an offset from."""


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=-1, keepdim=True).clamp_min(1e-6)


def _frame(left: Tensor, up: Tensor) -> Tensor:
    """Rotations (..., 3, 3) whose columns are up orthogonalised left, up and forward."""
    up = _unit(up)
    left = _unit(left - (left * up).sum(-1, keepdim=True) * up)
    return torch.stack([left, up, torch.linalg.cross(left, up)], -1)


def _across(joints: Tensor, part: str) -> Tensor:
    """Vector (..., 3) from the right to the left of a pair of h36m17 joints (..., 17, 3)."""
    left, right = H36M17.indices([f"left_{part}", f"right_{part}"])
    return joints[..., left, :] - joints[..., right, :]


def _up(joints: Tensor, lower: str, upper: str) -> Tensor:
    return joints[..., H36M17.index(upper), :] - joints[..., H36M17.index(lower), :]


def pelvis_frames(joints: Tensor) -> Tensor:
    """Frame (..., 3, 3) of the pelvis of h36m17 joints (..., 17, 3): left, up, forward."""
    return _frame(_across(joints, "hip"), _up(joints, "pelvis", "spine"))


def chest_frames(joints: Tensor) -> Tensor:
    """Frame (..., 3, 3) of the chest of h36m17 joints (..., 17, 3): left, up, forward."""
    return _frame(_torso_across(joints), _up(joints, "spine", "thorax"))


def _torso_across(joints: Tensor) -> Tensor:
    return 0.75 * _unit(_across(joints, "shoulder")) + 0.25 * _unit(_across(joints, "hip"))


def local_frames(joints: Tensor) -> Tensor:
    """Frame (..., 17, 3, 3) that carries each COCO keypoint, from h36m17 joints (..., 17, 3).

    Columns: to the person's left, up along the carrying bone, forward. Face: the axis from the
    neck joint to the head, turned as the shoulders and hips are. Arms and shoulders: the chest.
    Hips: the pelvis. Knees and ankles: the shin's axis, turned as the hips are.
    """
    hips = _across(joints, "hip")
    head = _frame(_torso_across(joints), _up(joints, "nose", "head"))
    chest, pelvis = chest_frames(joints), pelvis_frames(joints)
    shins = {s: _frame(hips, _up(joints, f"{s}_ankle", f"{s}_knee")) for s in ("left", "right")}
    frames = [head] * _FACE
    for name in COCO17.joints[_FACE:]:
        side, kind = name.split("_")
        frames.append({"hip": pelvis, "knee": shins[side], "ankle": shins[side]}.get(kind, chest))
    return torch.stack(frames, -3)


def trunk_length(joints: Tensor) -> Tensor:
    """Distance (...,) from pelvis to thorax of h36m17 joints (..., 17, 3)."""
    return (joints[..., H36M17.index("thorax"), :] - joints[..., 0, :]).norm(dim=-1)


def measure_offsets(joints: Tensor, keypoints: Tensor) -> Tensor:
    """Offsets (F, 17, 3) of COCO keypoints from h36m17 joints, trunks, in `local_frames`."""
    moved = keypoints - joints[:, ORIGINS]
    local = (local_frames(joints).transpose(-1, -2) @ moved[..., None])[..., 0]
    return local / trunk_length(joints).median()


def coco_from_h36m(joints: Tensor, offsets: Tensor, head_turn: Tensor | None = None) -> Tensor:
    """COCO keypoints (..., 17, 3) of h36m17 joints (..., F, 17, 3).

    Args:
        joints: metres, any frame whose axes form a right-handed system.
        offsets: (..., 17, 3) one person's offsets, in trunks.
        head_turn: (..., F, 3, 3) rotation of the face in the head's frame; None for none.
    """
    frames = local_frames(joints)
    if head_turn is not None:
        turned = frames[..., :_FACE, :, :] @ head_turn[..., None, :, :]
        frames = torch.cat([turned, frames[..., _FACE:, :, :]], -3)
    trunk = trunk_length(joints).mean(-1)[..., None, None]
    local = (offsets * trunk)[..., None, :, :, None]
    return joints[..., ORIGINS, :] + (frames @ local)[..., 0]


def load_offsets(path: str | Path = TABLE) -> tuple[Tensor, Tensor]:
    """Mean offsets (bodies, 17, 3) and their deviation over poses (17, 3), in trunks."""
    table: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return torch.tensor(list(table["bodies"].values())), torch.tensor(table["deviation"])


def build_table(library: Any, clips: list[np.ndarray], path: str | Path = TABLE) -> None:
    """Measure every body that is not reserved on motion clips (F, 17, 3), z up; write the table."""
    means, deviations = {}, []
    for name in library.names:
        if name in RESERVED:
            continue
        body, measured = library[name], []
        for clip in clips:
            R, root = body.pose_from_h36m17(clip)
            joints, keypoints = rig_joints(body, R, root), coco_keypoints(body, R, root)
            measured.append(measure_offsets(torch.from_numpy(joints), torch.from_numpy(keypoints)))
        offsets = torch.cat(measured)
        means[name] = _rounded(offsets.median(0).values)
        deviations.append(offsets.std(0))
    table = {
        "about": "COCO-17 offsets from h36m17 joints in trunks; axes left, up, forward",
        "joints": list(COCO17.joints),
        "bodies": means,
        "deviation": _rounded(torch.stack(deviations).mean(0)),
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _rounded(rows: Tensor) -> list[list[float]]:
    return [[round(value, 4) for value in row] for row in rows.tolist()]


def main() -> None:
    """Rebuild the table: python -m vid3d.data.coco BODIES_FOLDER MOCAP_FOLDER."""
    parser = argparse.ArgumentParser(description="Rebuild the table of COCO offsets.")
    parser.add_argument("bodies", type=Path, help="folder of the posable bodies")
    parser.add_argument("mocap", type=Path, help="folder of motion files")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    clips = []
    for path in sorted(options.mocap.glob("train_*.npz")):
        long = [c for c in read_mocap(path) if len(c.joints) > 60 and c.actor not in DEV_ACTORS]
        for index in rng.choice(len(long), 4):
            start = rng.integers(0, len(long[index].joints) - 60)
            clips.append(long[index].joints[start : start + 60])
    build_table(load_library(options.bodies), clips)


if __name__ == "__main__":
    main()
