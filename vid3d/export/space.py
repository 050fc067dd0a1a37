"""Where exported things lie: a rigid transform from the camera's frame to the frame of the file."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.errors import Vid3dError
from vid3d.given import real_numbers
from vid3d.motion import Motion
from vid3d.skeleton import H36M17
from vid3d.stature import stature
from vid3d.world import ground_of

Array = NDArray[np.float64]

CAMERA_TO_Y_UP = np.diag([1.0, -1.0, -1.0])
"""Camera (x right, y down, z forward) to y up: x right, y up, z towards the viewer."""
FROM_Y_UP = {"y": np.eye(3), "z": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])}
"""Rotations (3, 3) from y up to each axis up."""
AXES = {"y": "x right, y up, z towards the camera", "z": "x right, y away from the camera, z up"}
CONTACT = 0.5
ANKLE_SHARE = 0.039
"""Height of the ankle above the sole as a share of stature (Winter 2009, as in vid3d.stature)."""
LOWEST = 0.02
"""Share of foot contacts that may lie below the floor: one bad frame does not set its height."""

_ANKLES = H36M17.indices(["left_ankle", "right_ankle"])


@dataclass(frozen=True)
class Space:
    """The frame of exported files, as a rigid transform: `rotation @ camera_point + translation`.

    Attributes:
        rotation: (3, 3) proper rotation.
        translation: (3,) metres; the camera's centre in the file.
        up: which axis points up, `y` or `z`.
    """

    rotation: Array
    translation: Array
    up: str = "y"

    def __post_init__(self) -> None:
        rotation = real_numbers("rotation of the export frame", self.rotation)
        translation = real_numbers("translation of the export frame", self.translation)
        proper = rotation.shape == (3, 3) and np.allclose(rotation @ rotation.T, np.eye(3), 0, 1e-4)
        placed = translation.shape == (3,) and np.isfinite(translation).all()
        if not proper or np.linalg.det(rotation) < 0 or not placed:
            raise Vid3dError(
                "the export frame is not a rotation (3, 3) without mirroring and a finite "
                "translation (3,)"
            )
        if self.up not in AXES:
            raise Vid3dError(f"--up is {self.up!r}: give y or z")
        object.__setattr__(self, "rotation", rotation)
        object.__setattr__(self, "translation", translation)

    @property
    def axes(self) -> str:
        """Its axes in words, as files state them."""
        return AXES[self.up]

    def to_meta(self) -> dict[str, Any]:
        """What files say of it: file = rotation @ camera + translation, metres."""
        return {
            "axes": self.axes,
            "rotation": np.round(self.rotation, 6).tolist(),
            "translation": np.round(self.translation, 6).tolist(),
        }

    def place(self, points: ArrayLike) -> Array:
        """Points (..., 3) of the camera's frame, in this one."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def orientations(self, camera_rotation: ArrayLike) -> Array:
        """Rotations (F, 3, 3) from a camera's own frame to this one, of one that turns.

        Args:
            camera_rotation: (F, 3, 3) of a motion.
        """
        return self.rotation @ np.asarray(camera_rotation, np.float64).swapaxes(1, 2)

    def turned(self, up: str) -> "Space":
        """The same place with another axis up."""
        if up not in AXES:
            raise Vid3dError(f"--up is {up!r}: give y or z")
        turn = FROM_Y_UP[up] @ FROM_Y_UP[self.up].T
        return Space(turn @ self.rotation, turn @ self.translation, up)


def export_space(motion: Motion, up: str = "y", origin: str = "floor", floor: bool = True) -> Space:
    """The frame to export a motion in; `Space(rotation, translation)` gives any other.

    Args:
        motion: what is exported.
        up: axis that points up, `y` or `z`.
        origin: `floor` puts 0 on the floor below the camera, `camera` in the camera's centre.
        floor: level by the floor and gravity found under the people (vid3d.world). Without, the
            camera is held to be level (x right, y up, z towards the viewer), and the floor to be
            where feet touch it lowest.

    Raises:
        Vid3dError: an unknown axis or origin.
    """
    if origin not in ("floor", "camera"):
        raise Vid3dError(f"--origin is {origin!r}: give floor or camera")
    rotation, shift = CAMERA_TO_Y_UP, np.zeros(3)
    if floor:
        rotation, shift = ground_of(motion).to_world("y", origin)
    elif origin == "floor":
        shift = np.array([0.0, -lowest_contact(motion, rotation), 0.0])
    return Space(rotation, shift).turned(up)


def lowest_contact(motion: Motion, rotation: Array) -> float:
    """Height in metres of the floor in the frame turned by `rotation` (y up), 0 with nobody there.

    Contacts are frames where a foot touches the ground more likely than not; 2 % of them may be
    lower. Where no foot ever touches it, all frames count. A sole is 0.039 of the stature below the
    ankle.
    """
    soles, touching = [np.empty((0, 2))], [np.empty((0, 2))]
    for person in range(motion.people):
        here = motion.present[person]
        if here.any():
            joints = motion.joints3d[person, here].astype(np.float64)
            heights = joints[:, _ANKLES] @ rotation[1]
            soles.append(heights - ANKLE_SHARE * stature(joints))
            touching.append(motion.contacts[person, here])
    height, touch = np.concatenate(soles), np.concatenate(touching) > CONTACT
    counted = height[touch] if touch.any() else height.min(1, initial=np.inf)
    return float(np.quantile(counted, LOWEST)) if len(counted) else 0.0
