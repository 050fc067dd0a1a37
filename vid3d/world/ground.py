"""Floor and gravity in the camera frame, and the way from there to a world with an axis up."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.world.balance import unit

Array = NDArray[np.floating]

CAMERA_UP = np.array([0.0, -1.0, 0.0])
ANKLE_HEIGHT = 0.085
"""Metres from the floor to the ankle of a standing foot (median of the dev actors)."""


@dataclass(frozen=True)
class Ground:
    """The floor in the camera frame, metres: points X on it have normal . X + height = 0.

    Attributes:
        normal: (3,) unit vector, up: away from gravity.
        height: metres of the camera above the floor.
        confidence: chance in 0..1 that the slope is right to 5 degrees and the height to 10 %;
            0 where the floor is an assumption (camera upright, floor under the lowest ankles).
    """

    normal: NDArray[np.float64]
    height: float
    confidence: float

    def above(self, points: Array) -> NDArray[np.float64]:
        """Metres of points (..., 3) above the floor."""
        return np.asarray(points, np.float64) @ self.normal + self.height

    def to_world(
        self, up: str = "y", origin: str = "floor"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rigid transform (R, t) from the camera frame: world = R @ camera + t.

        The world is right-handed. Its ground axes are the camera's right, levelled, and, with
        `up="y"`, z towards the camera's back, with `up="z"`, y away from the camera.

        Args:
            up: "y" or "z", the axis that points up.
            origin: "floor", the point of the floor under the camera, or "camera".
        """
        if up not in ("y", "z") or origin not in ("floor", "camera"):
            raise ValueError(f"up is {up!r} (y or z), origin is {origin!r} (floor or camera)")
        right, forward = level_axes(self.normal)
        rows = [right, self.normal, -forward] if up == "y" else [right, forward, self.normal]
        rotation = np.stack(rows)
        above = self.height if origin == "floor" else 0.0
        return rotation, above * np.array([0.0, 1.0, 0.0] if up == "y" else [0.0, 0.0, 1.0])

    def to_meta(self) -> dict[str, Any]:
        """What `Motion.meta["ground"]` holds."""
        return {
            "normal": [round(float(value), 6) for value in self.normal],
            "height": round(float(self.height), 4),
            "confidence": round(float(self.confidence), 3),
        }


def level_axes(normal: Array) -> NDArray[np.float64]:
    """Rows (2, 3): the camera's right and forward in the plane; its up, if it looks straight down.

    With the normal they form a right-handed set (right, forward, up).
    """
    for axis in (np.array([0.0, 0.0, 1.0]), CAMERA_UP * -np.sign(normal[2] or 1.0)):
        forward = axis - (axis @ normal) * normal
        if np.linalg.norm(forward) > 0.05:
            break
    forward = unit(forward)
    return np.stack([np.cross(forward, normal), forward])
