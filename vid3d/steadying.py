"""A camera that turns and zooms, taken out of what it saw: as if it had stood as at the first look.

`video.egomotion` tells how each look's picture was shifted. Here that becomes a rotation of the
camera and a zoom, and people are put where a camera that stands still would have seen them. So
everything after it, from tracking to feet on a floor, has a static camera. Results lie in the frame
of the camera as it stood at the first look, and after a cut of the film at the first one of the
shot; `Motion.camera_rotation` and `Motion.camera_zoom` lead to how it was set at each frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

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
        camera: that saw the pictures to which the looks' shifts lead.
        zooms: whether it may have zoomed; else what looks like it is a way towards things.

    Attributes:
        settings: of each look so far: turned since the first of its shot, zoomed against `camera`.
    """

    def __init__(self, camera: Camera, zooms: bool = True) -> None:
        self.camera, self._zooms = camera, zooms
        self.settings: list[Setting] = []
        self._firsts: list[int] = []  # look of each shot
        self._begun = AT_REST  # how the camera was set there

    def steadied(self, look: Look) -> Look:
        """The next look, as a camera would have had it that stands as at the first of its shot.

        The shifts of a file may lead to an earlier picture, which is not among the looks. The first
        look's turn is then left out of all. Its zoom is not, as `camera` is that picture's.
        """
        setting = AT_REST
        if look.shift is not None:
            setting = setting_of(look.shift, self.camera, self._zooms)
        if look.cut or not self.settings:
            self._firsts.append(len(self.settings))
            self._begun = setting
        if self._begun is not AT_REST:
            setting = Setting(setting.since(self._begun).turn, setting.zoom)
        self.settings.append(setting)
        people = look.people
        if setting is AT_REST or not len(people):
            return look if look.shift is None else replace(look, shift=None)
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
            times: (F,) seconds of the frames; before the first look of each shot and after its last
                one the camera is held to stand still.
        """
        turns = [setting.turn for setting in self.settings]
        if all(turn is AT_REST.turn for turn in turns):
            return np.broadcast_to(AT_REST.turn.astype(np.float32), (len(times), 3, 3))
        known, moments = np.stack(turns).swapaxes(1, 2), np.array(looked)
        rotations = np.empty((len(times), 3, 3), np.float32)
        for looks, frames in self._shots(moments, times):
            for start in range(frames.start, frames.stop, _PART):
                part = slice(start, min(start + _PART, frames.stop))
                rotations[part] = turned(known[looks], moments[looks], times[part])
        return rotations

    def zooms(self, looked: Sequence[float], times: NDArray[np.float64]) -> NDArray[np.float32]:
        """The focal length (F,) at every frame over that of `camera`; see `rotations`."""
        logarithms, moments = np.log([one.zoom for one in self.settings]), np.array(looked)
        zooms = np.empty(len(times), np.float32)
        for looks, frames in self._shots(moments, times):
            known = np.interp(times[frames], moments[looks], logarithms[looks])
            zooms[frames] = np.exp(known)
        return zooms

    def _shots(
        self, looked: NDArray[np.float64], times: NDArray[np.float64]
    ) -> Iterator[tuple[slice, slice]]:
        """Looks and frames of each part between cuts, which begins at its first look."""
        later = self._firsts[1:]
        looks = pairwise([0, *later, len(looked)])
        frames = pairwise([0, *np.searchsorted(times, looked[later]).tolist(), len(times)])
        for seen, shown in zip(looks, frames, strict=True):
            yield slice(*seen), slice(*shown)

    def _steady(self, pixels: Array, setting: Setting) -> Array:
        """Pixels (..., 2) of the same things as at the first look; NaN behind the camera."""
        rays = self.camera.rays(self.camera.zoomed(pixels, 1 / setting.zoom))
        return self.camera.project(rays @ setting.turn.T)
