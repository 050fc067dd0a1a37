"""What the 2D stage hands on: the people of one look, as arrays."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.motion_checks import MOST_FRAMES

JOINTS = 17
"""Width of every array of joints, whatever the joint set."""


@dataclass(frozen=True)
class People:
    """N people in one image. Coordinates are pixels with pixel centres at integers.

    Attributes:
        boxes: (N, 4) float32 left, top, right, bottom.
        scores: (N,) float32 how sure the detector is, 0 to 1.
        keypoints: (N, 17, 2) float32 x, y; never to be used where `confidence` is 0.
        confidence: (N, 17) float32 0 to 1; 0 marks a missing joint.
        ids: (N,) int64 identities where the source knows them, else None.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    keypoints: NDArray[np.float32]
    confidence: NDArray[np.float32]
    ids: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        keypoints = np.asarray(self.keypoints, np.float32)
        if keypoints.ndim != 3 or keypoints.shape[1:] != (JOINTS, 2):
            raise Vid3dError(
                f"keypoints have shape {keypoints.shape}, expected (people, {JOINTS}, 2)"
            )
        count = len(keypoints)
        self._store("keypoints", keypoints, keypoints.shape)
        self._store("boxes", np.asarray(self.boxes, np.float32), (count, 4))
        self._store("scores", np.asarray(self.scores, np.float32), (count,))
        self._store("confidence", np.asarray(self.confidence, np.float32), (count, JOINTS))
        if self.ids is not None:
            self._store("ids", np.asarray(self.ids, np.int64), (count,))
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise Vid3dError("keypoint confidence lies outside 0 to 1")
        if not np.isfinite(self.keypoints[self.confidence > 0]).all():
            raise Vid3dError("a keypoint with positive confidence is not a finite number")

    def _store(self, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
        if array.shape != shape:
            raise Vid3dError(f"{name} of people have shape {array.shape}, expected {shape}")
        object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.keypoints)

    @classmethod
    def none(cls) -> "People":
        """An image without people."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros((0, JOINTS, 2), np.float32),
            np.zeros((0, JOINTS), np.float32),
        )


@dataclass(frozen=True)
class Look:
    """The people of one frame that was looked at.

    Attributes:
        frame: index of the frame in its clip, from 0.
        time: seconds from the video's first frame.
        people: who was found there.
        still: whether nothing moved since the look before, which is why none was taken in between.
        shift: homography (3, 3) from its pixels to those of a camera that stands as at the first
            look (`video.egomotion`); None where the camera does.
        cut: whether the film was cut since the look before: other people, another camera.
        fov: degrees that the camera sees across its longer side, where nobody knew and turns have
            told it by now (`video.lens`).
    """

    frame: int
    time: float
    people: People
    still: bool = False
    shift: NDArray[np.float64] | None = None
    cut: bool = False
    fov: float | None = None

    def __post_init__(self) -> None:
        if self.frame < 0 or not np.isfinite(self.time):
            raise Vid3dError(f"a look has frame {self.frame} and time {self.time}")


def camera_seen_by(looks: Iterable[Look], frame_size: tuple[int, int]) -> Camera | None:
    """The camera that the last of the looks tells; None where it does not."""
    found = [look.fov for look in looks][-1:]
    return Camera.from_fov(found[0], frame_size) if found and found[0] else None


@dataclass(frozen=True)
class KeypointClip:
    """2D people of one clip out of a file.

    Attributes:
        name: of the file or the sequence.
        looks: in the order of their frames.
        joint_set: of the keypoints.
        frames: how many frames the clip has.
        rate: frames a second; None where the file does not say.
        size: width and height of the images; None where the file does not say.
        camera: None where the file does not say.
        timed: whether the looks' times are the file's own, not made up of their frames.
    """

    name: str
    looks: list[Look]
    joint_set: str
    frames: int
    rate: float | None = None
    size: tuple[int, int] | None = None
    camera: Camera | None = None
    timed: bool = False

    def __post_init__(self) -> None:
        at = [look.frame for look in self.looks]
        if any(later <= earlier for earlier, later in pairwise(at)):
            raise Vid3dError("looks are not in the order of their frames, each once")
        if self.frames > MOST_FRAMES:
            raise Vid3dError(f"{self.frames} frames are more than {MOST_FRAMES}: cut the clip")
        if any(later.time <= earlier.time for earlier, later in pairwise(self.looks)):
            raise Vid3dError("times of the looks do not rise with their frames")
        span = self.looks[-1].time - self.looks[0].time if self.looks else 0.0
        if span * (self.rate or 25) > MOST_FRAMES:
            raise Vid3dError(f"the looks span {span:.0f} s, more than {MOST_FRAMES} frames")
        if self.looks and not at[-1] < self.frames:
            raise Vid3dError(f"frame {at[-1]} lies beyond the clip's {self.frames} frames")
        if self.rate is not None and not 0 < self.rate < 1e5:
            raise Vid3dError(f"frame rate is {self.rate}, expected a positive number")

    @property
    def fps(self) -> float:
        """Frames a second.

        Raises:
            Vid3dError: the file does not say.
        """
        if self.rate is None:
            raise Vid3dError(f"keypoints of {self.name} do not say their fps: give the video too")
        return self.rate

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the images.

        Raises:
            Vid3dError: the file does not say.
        """
        if self.size is None:
            raise Vid3dError(
                f"keypoints of {self.name} do not say the size of the images: give the video too"
            )
        return self.size

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """(frames,) seconds of every frame: the looks' own, in between and beyond them at pace.

        Raises:
            Vid3dError: the file does not say its frame rate.
        """
        if not self.looks:
            return np.arange(self.frames) / self.fps
        at = np.array([look.frame for look in self.looks], np.float64)
        times = np.array([look.time for look in self.looks])
        frames = np.arange(self.frames)
        beyond = frames - np.clip(frames, at[0], at[-1])
        return np.interp(frames, at, times) + beyond / self.fps


def sizes(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """(...,) root of the box area in pixels, at least 1."""
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 1.0)
    return np.sqrt(sides[..., 0] * sides[..., 1])


def areas(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """(...,) square pixels of boxes (..., 4)."""
    return np.asarray((boxes[..., 2:] - boxes[..., :2]).prod(-1))


def common_areas(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.floating]:
    """(A, B) square pixels that each of boxes (A, 4) shares with each of boxes (B, 4)."""
    a, b = first[:, None], second[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    return np.asarray(np.clip(sides, 0, None).prod(-1))


def centres(boxes: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., 2) middle of boxes (..., 4)."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def boxes_around(
    keypoints: NDArray[np.floating], confidence: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Boxes (N, 4) around the joints that are there, a tenth wider than they are.

    For sources that give joints without boxes. People without a joint get an empty box at 0.
    """
    seen = (confidence > 0)[..., None]
    low = np.where(seen, keypoints, np.inf).min(1)
    high = np.where(seen, keypoints, -np.inf).max(1)
    margin = 0.1 * (high - low)
    boxes = np.concatenate([low - margin, high + margin], -1)
    return np.where(seen.any(1), boxes, 0).astype(np.float32)
