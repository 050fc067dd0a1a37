"""BVH: one file a person; hips with six channels, every other joint with three rotations.

Channel order is Zrotation Xrotation Yrotation (R = Rz Rx Ry), degrees; the root's offset is 0 and
its position channels hold its place: what Blender, MotionBuilder and Maya read alike. BVH has no
field for units or axes: they are metres (or `--units`) and y up (or `--up z`).
"""

from pathlib import Path

import numpy as np

from vid3d.export.rig import JOINTS, PARENTS, TIPS
from vid3d.export.rotations import euler_zxy
from vid3d.export.take import Animation, Take
from vid3d.export.units import scale
from vid3d.files import atomic_path

UNITS = "m"
_PLACE, _TURN = "Xposition Yposition Zposition", "Zrotation Xrotation Yrotation"


def write(take: Take, folder: Path, stem: str) -> list[Path]:
    """Write STEM.personID.bvh for everybody, from their first to their last present frame.

    Gaps in between are bridged (BVH cannot say absent).
    """
    paths = []
    for animation in take.animations:
        path = folder / f"{stem}.person{animation.track_id}.bvh"
        text = bvh(animation.turned(take.space.up), take.steady.fps, scale(take.units or UNITS))
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="ascii", newline="\n")
        paths.append(path)
    return paths


def bvh(animation: Animation, rate: float, size: float = 1.0) -> str:
    """The text of a BVH file, lengths times `size`."""
    lines = ["HIERARCHY", *_joint(animation, 0, size, ""), "MOTION"]
    lines += [f"Frames: {len(animation.root)}", f"Frame Time: {1 / rate:.9f}"]
    turns = [euler_zxy(animation.rotations[:, joint]) for joint in _order(0)]
    for values in np.concatenate([size * animation.root, *turns], axis=1):
        lines.append(" ".join(f"{value:.5f}" for value in values))
    return "\n".join(lines) + "\n"


def _joint(animation: Animation, joint: int, size: float, indent: str) -> list[str]:
    """Lines of a joint and everything below it."""
    root = PARENTS[joint] < 0
    channels = f"6 {_PLACE} {_TURN}" if root else f"3 {_TURN}"
    inner = indent + "  "
    lines = [
        f"{indent}{'ROOT' if root else 'JOINT'} {JOINTS[joint].name}",
        f"{indent}{{",
        f"{inner}OFFSET {_offset(size * animation.rig.offsets[joint])}",
        f"{inner}CHANNELS {channels}",
    ]
    for child in _children(joint):
        lines += _joint(animation, child, size, inner)
    if JOINTS[joint].name in TIPS:
        tip = _offset(size * animation.rig.tips[joint])
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {tip}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _offset(vector: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in vector + 0.0)


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(PARENTS) if parent == joint]


def _order(joint: int) -> list[int]:
    """Joints in the order of the file, depth first."""
    return [joint] + [below for child in _children(joint) for below in _order(child)]
