"""The figure that is shown: a capsule a bone, each vertex on one joint of the rig."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.export.rig import JOINTS, NAMES, Rig, height
from vid3d.export.rotations import shortest
from vid3d.render.style import OUTLINE, WHITE, Color, mix, person_color

Array = NDArray[np.float64]

SIDES = ("left", "right", "middle")
AROUND, RINGS = 14, 4  # vertices round a capsule, rings a cap
_RADIUS = {"Hips": 0.052, "Spine": 0.058, "Spine1": 0.064, "Neck": 0.026, "Head": 0.045,
           "Shoulder": 0.034, "Arm": 0.026, "ForeArm": 0.021, "Hand": 0.018, "UpLeg": 0.042,
           "Leg": 0.029, "Foot": 0.019}  # fmt: skip
"""Radius of each bone's capsule as a share of stature."""


@dataclass(frozen=True)
class Figure:
    """A triangle mesh around a rig in its rest pose, hips at 0.

    Attributes:
        points: (V, 3) metres.
        normals: (V, 3) unit vectors outwards.
        joints: (V,) the rig joint that moves each vertex.
        faces: triangles (T, 3) of the body's left, right and middle.
    """

    points: Array
    normals: Array
    joints: NDArray[np.int64]
    faces: dict[str, NDArray[np.int64]]


def figure(rig: Rig) -> Figure:
    """The capsule figure of a rig."""
    rest, tall = rig.rest(), height(rig)
    points, normals, joints, count = [], [], [], 0
    faces: dict[str, list[NDArray[np.int64]]] = {side: [] for side in SIDES}
    shape = _triangles()
    for index, joint in enumerate(JOINTS):
        radius = tall * _RADIUS[joint.name.removeprefix("Left").removeprefix("Right")]
        start, end = _bone(rig, joint.name, radius)
        at, outwards = capsule(rest[index] + start, rest[index] + end, radius)
        points.append(at)
        normals.append(outwards)
        joints.append(np.full(len(at), index))
        side = next((s for s in ("left", "right") if joint.name.lower().startswith(s)), "middle")
        faces[side].append(shape + count)
        count += len(at)
    return Figure(
        np.concatenate(points),
        np.concatenate(normals),
        np.concatenate(joints),
        {side: np.concatenate(parts) for side, parts in faces.items()},
    )


def side_colors(person: int) -> dict[str, list[float]]:
    """Linear RGB of the sides of the index-th person: left lighter, right darker, as everywhere."""
    color = person_color(person)
    shades = {"left": mix(color, WHITE, 0.5), "right": mix(color, OUTLINE, 0.38), "middle": color}
    return {side: _linear(shade) for side, shade in shades.items()}


def capsule(start: ArrayLike, end: ArrayLike, radius: float) -> tuple[Array, Array]:
    """Vertices (V, 3) and normals (V, 3) of a capsule between two points (3,)."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    length = float(np.linalg.norm(end - start))
    turn = shortest([0.0, 1.0, 0.0], (end - start) / length if length > 0 else [0.0, 1.0, 0.0])
    rise = np.radians(np.linspace(-90, 0, RINGS + 1))
    rise = np.concatenate([rise, -rise[::-1]])
    round_ = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    ring = np.stack([np.cos(round_), np.zeros(AROUND), -np.sin(round_)], axis=-1)
    normals = np.cos(rise)[:, None, None] * ring + np.sin(rise)[:, None, None] * [0.0, 1.0, 0.0]
    normals = (normals @ turn.T).reshape(-1, 3)
    ends = np.repeat([start, end], (RINGS + 1) * AROUND, axis=0)
    return ends + radius * normals, normals


def _triangles() -> NDArray[np.int64]:
    """Triangles (T, 3) of a capsule, counter-clockwise seen from outside."""
    lower = (np.arange(2 * RINGS + 1) * AROUND)[:, None] + np.arange(AROUND)
    right = np.roll(lower, -1, axis=1)
    upper, across = lower + AROUND, right + AROUND
    pairs = np.stack([[lower, right, across], [lower, across, upper]])  # (2, 3, rings, around)
    triangles: NDArray[np.int64] = np.moveaxis(pairs, 1, -1).reshape(-1, 3)
    return triangles


def _bone(rig: Rig, name: str, radius: float) -> tuple[Array, Array]:
    """Ends of a joint's capsule, relative to the joint in the rest pose."""
    index, start = NAMES.index(name), np.zeros(3)
    tip = rig.tips[index]
    if name == "Hips":
        hip = rig.offsets[NAMES.index("LeftUpLeg")]
        return -0.6 * hip, 0.6 * hip
    if name == "Head":
        return start, max(tip[1] - radius, 0.0) * np.array([0.0, 1.0, 0.0])
    if name.endswith("Foot"):  # along the sole, with a heel
        sole = np.array([0.0, tip[1] + radius, 0.0])
        return sole - [0, 0, 0.2 * tip[2]], sole + [0, 0, tip[2] - radius]
    if name.endswith("Hand"):
        return start, 0.8 * tip
    child = next(i for i, joint in enumerate(JOINTS) if joint.parent == name)
    return start, rig.offsets[child].copy()


def _linear(color: Color) -> list[float]:
    """BGR in sRGB to linear RGB."""
    srgb = np.array(color[::-1]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.round(linear, 5).tolist()
