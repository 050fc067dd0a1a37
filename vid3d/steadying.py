"""A camera that turns and zooms, taken out of what it saw: as if it had stood as at the first look.

`video.egomotion` tells how each look's picture was shifted. Here that becomes a rotation of the
camera and a zoom, and people are put where a camera that stands still would have seen them. So
everything after it, from tracking to feet on a floor, has a static camera. Results lie in the frame
of the camera as it stood at the first look; `Motion.camera_rotation` and `Motion.camera_zoom` lead
to how it was set at each frame.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.lifter.resample import turned
from vid3d.pose2d.people import Look, People
from vid3d.video.setting import Setting, setting_of

Array = NDArray[np.floating]

AT_REST = Setting(np.eye(3))
FARTHEST = 1e5
"""Pixels from the picture's corner beyond which nothing is in the steady view."""


_PART = 1 << 14  # frames at once


class Steadying:
    """Takes the turns and zooms of a camera out of its looks, and puts them back.

    Args:
        camera: that saw the looks.
        zooms: whether it may have zoomed; else what looks like it is a way towards things.

    Attributes:
        settings: of each look so far, against the first.
    """

    def __init__(self, camera: Camera, zooms: bool = True) -> None:
        self.camera, self._zooms = camera, zooms
        self.settings: list[Setting] = []

    def steadied(self, look: Look) -> Look:
        """The next look, as a camera would have had it that stands as at the first."""
        setting = AT_REST
        if look.shift is not None:
            setting = setting_of(look.shift, self.camera, self._zooms)
        self.settings.append(setting)
        people = look.people
        if look.shift is None or not len(people):
            return look
        keypoints = self._steady(people.keypoints, setting)
        near = np.asarray((np.abs(keypoints) < FARTHEST).all(-1))
        corners = people.boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]]
        corners = np.nan_to_num(self._steady(corners, setting), nan=FARTHEST)
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
            turn, zoom = setting = self.settings[look]
            if setting is not AT_REST:
                there = self.camera.project(self.camera.rays(keypoints[row]) @ turn)
                shown[row] = self.camera.zoomed(there, zoom)
        return shown

    def rotations(self, looked: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.float32]:
        """The camera's rotation (F, 3, 3) at every frame, from its frame at the first look.

        Args:
            looked: (K,) seconds of the looks.
            times: (F,) seconds of the frames; before the first look and after the last one the
                camera is held to stand still.
        """
        turns = [setting.turn for setting in self.settings]
        if all(turn is AT_REST.turn for turn in turns):
            return np.broadcast_to(AT_REST.turn.astype(np.float32), (len(times), 3, 3))
        known, moments = np.stack(turns).swapaxes(1, 2), np.array(looked)
        parts = np.array_split(times, len(times) // _PART + 1)
        return np.concatenate([turned(known, moments, part).astype(np.float32) for part in parts])

    def zooms(self, looked: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.float32]:
        """The focal length (F,) at every frame over that at the first look; see `rotations`."""
        logarithms = np.log([setting.zoom for setting in self.settings])
        return np.exp(np.interp(times, looked, logarithms)).astype(np.float32)

    def _steady(self, pixels: Array, setting: Setting) -> Array:
        """Pixels (..., 2) of the same things as at the first look; NaN behind the camera."""
        rays = self.camera.rays(self.camera.zoomed(pixels, 1 / setting.zoom))
        return self.camera.project(rays @ setting.turn.T)
