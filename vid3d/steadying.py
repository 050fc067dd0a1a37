"""A camera that turns, taken out of what it saw: as if it had stood as at the first look.

`video.egomotion` tells how each look's picture was shifted. Here that becomes a rotation of the
camera, and people are put where a camera that stands still would have seen them. So everything
after it, from tracking to feet on a floor, has a static camera. Results lie in the frame of the
camera as it stood at the first look; `Motion.camera_rotation` leads to where it was at each frame.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from vid3d.camera import Camera
from vid3d.pose2d.people import Look, People
from vid3d.video.egomotion import rotation_of

Array = NDArray[np.floating]

AT_REST = np.eye(3)
FARTHEST = 1e5
"""Pixels from the picture's corner beyond which nothing is in the steady view."""


_PART = 1 << 14  # frames at once


class Steadying:
    """Takes the turns of a camera out of its looks, and puts them back.

    Args:
        camera: that saw the looks.

    Attributes:
        turns: (3, 3) of each look so far, from the camera's frame to its frame at the first look.
    """

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.turns: list[Array] = []

    def steadied(self, look: Look) -> Look:
        """The next look, as a camera would have had it that stands as at the first."""
        self.turns.append(AT_REST if look.shift is None else rotation_of(look.shift, self.camera))
        people = look.people
        if look.shift is None or not len(people):
            return look
        keypoints = self._turned(people.keypoints, self.turns[-1])
        near = np.asarray((np.abs(keypoints) < FARTHEST).all(-1))
        corners = people.boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]]
        corners = np.nan_to_num(self._turned(corners, self.turns[-1]), nan=FARTHEST)
        moved = People(
            boxes=np.concatenate([corners.min(1), corners.max(1)], -1).astype(np.float32),
            scores=people.scores,
            keypoints=np.where(near[..., None], keypoints, 0).astype(np.float32),
            confidence=np.where(near, people.confidence, 0).astype(np.float32),
            ids=people.ids,
        )
        return replace(look, people=moved, shift=None)

    def pictured(
        self, keypoints: NDArray[np.float32], looks: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Steady keypoints (L, 17, 2) at looks (L,), where the pictures of these show them."""
        shown = keypoints.copy()
        for row, look in enumerate(looks.tolist()):
            if self.turns[look] is not AT_REST:
                shown[row] = self._turned(keypoints[row], self.turns[look].T)
        return shown

    def rotations(self, looked: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.float32]:
        """The camera's rotation (F, 3, 3) at every frame, from its frame at the first look.

        Args:
            looked: (K,) seconds of the looks.
            times: (F,) seconds of the frames; before the first look and after the last one the
                camera is held to stand still.
        """
        if all(turn is AT_REST for turn in self.turns):
            return np.broadcast_to(AT_REST.astype(np.float32), (len(times), 3, 3))
        if len(self.turns) == 1:
            return np.repeat(self.turns[0].T[None], len(times), 0).astype(np.float32)
        known = Slerp(looked, Rotation.from_matrix(np.stack(self.turns)))
        parts = np.array_split(np.clip(times, looked[0], looked[-1]), len(times) // _PART + 1)
        turned = [known(part).inv().as_matrix().astype(np.float32) for part in parts]
        return np.concatenate(turned)

    def _turned(self, pixels: Array, turn: Array) -> Array:
        """Pixels (..., 2) of the same things once the camera is turned back; NaN behind it."""
        return self.camera.project(self.camera.rays(pixels) @ turn.T)
