"""What a motion is made of, whether it is in memory or in files.

Axes: camera frame, x right, y down, z forward; metres, seconds, pixels (`.vid3d.npz`, schema 1).
Of a camera that moved, the frame in which it stood at the first look (of a film's, of the shot in
which most is seen); of one that zoomed, the intrinsics that it had then.
"""

# ruff: noqa: D102  What the members of `AnyMotion` mean is said once, at those of `Motion`.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera

SCHEMA = 1
AXES = "camera: x right, y down, z forward"
AXES_MOVED = "camera as it stood at the first look: x right, y down, z forward"
AXES_CUT = "camera of the shot in which most is seen: x right, y down, z forward"
UNITS = "metres, seconds, pixels"
SAME_FRAME = 0.1
"""Frame lengths by which true times may be off the even ones and still count as them."""
NOTED = 1e-3
"""Seconds to which a file notes cuts."""

# name -> (dtype, shape); P people, F frames, K keyframes
SHAPES: dict[str, tuple[type, tuple[int | str, ...]]] = {
    "joints3d": (np.float32, ("P", "F", 17, 3)),
    "present": (np.bool_, ("P", "F")),
    "spread": (np.float32, ("P", "F", 17)),
    "root_spread": (np.float32, ("P", "F")),
    "contacts": (np.float32, ("P", "F", 2)),
    "keyframes": (np.int64, ("K",)),
    "keypoints2d": (np.float32, ("P", "K", 17, 3)),
    "track_ids": (np.int64, ("P",)),
    "timestamps": (np.float64, ("F",)),
    "intrinsics": (np.float32, (3, 3)),
    "frame_size": (np.int64, (2,)),
}
TURN = "camera_rotation"
"""Array (F, 3, 3) float32 that only files of a camera that turned hold."""
PLACE = "camera_position"
"""Array (F, 3) float32 that only files of a camera that travelled hold."""
ZOOM = "camera_zoom"
"""Array (F,) float32 that only files of a camera that zoomed hold."""

ORIGIN = np.zeros((1, 3))
"""Where a camera is that does not travel, at all frames."""


@dataclass(frozen=True)
class Stretch:
    """One person's unbroken presence, or a part of it.

    Attributes:
        start: frame of the clip that it begins with.
        times: (F,) seconds.
        joints3d: (F, 17, 3) h36m17, camera frame, metres.
        spread: (F, 17) metres; NaN where not known.
        root_spread: (F,) metres; likewise.
        contacts: (F, 2) of the left and the right foot.
    """

    start: int
    times: NDArray[np.float64]
    joints3d: NDArray[np.floating]
    spread: NDArray[np.floating]
    root_spread: NDArray[np.floating]
    contacts: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.times)

    @property
    def stop(self) -> int:
        """The frame after the last."""
        return self.start + len(self)

    def part(self, first: int, stop: int) -> "Stretch":
        """The frames of the clip from `first` to before `stop`, as far as they are here."""
        cut = slice(max(first - self.start, 0), max(stop - self.start, 0))
        return Stretch(
            self.start + cut.start,
            self.times[cut],
            self.joints3d[cut],
            self.spread[cut],
            self.root_spread[cut],
            self.contacts[cut],
        )

    def scaled(self, factor: float, eyes: NDArray[np.floating] = ORIGIN) -> "Stretch":
        """Scaled about the camera, which leaves the picture of the person as it is.

        Args:
            factor: of the scale.
            eyes: (F, 3) where the camera was.
        """
        joints = self.joints3d * self.joints3d.dtype.type(factor)
        joints += ((1 - factor) * eyes[:, None]).astype(joints.dtype)
        return replace(
            self,
            joints3d=joints,
            spread=self.spread * self.spread.dtype.type(factor),
            root_spread=self.root_spread * self.root_spread.dtype.type(factor),
        )


@dataclass(frozen=True)
class Moment:
    """Who is there at one frame.

    Attributes:
        people: (N,) rows of those present.
        joints3d: (N, 17, 3) h36m17, camera frame, metres.
        spread: (N, 17) metres.
        keypoints2d: (N, 17, 3) pixels and confidence, NaN where not detected; None where the frame
            was not looked at.
    """

    people: NDArray[np.intp]
    joints3d: NDArray[np.float32]
    spread: NDArray[np.float32]
    keypoints2d: NDArray[np.float32] | None


class AnyMotion(Protocol):
    """People over the frames of one clip: a `Motion` in memory, or a `streaming.Reel` in files.

    What is read of both; attributes and methods mean what those of `Motion` do.
    """

    @property
    def people(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def fps(self) -> float: ...
    @property
    def camera(self) -> Camera: ...
    @property
    def keyframes(self) -> NDArray[np.int64]: ...
    @property
    def keypoint_set(self) -> str: ...
    @property
    def track_ids(self) -> NDArray[np.int64]: ...
    @property
    def timestamps(self) -> NDArray[np.float64]: ...
    @property
    def intrinsics(self) -> NDArray[np.float32]: ...
    @property
    def frame_size(self) -> NDArray[np.int64]: ...
    @property
    def camera_rotation(self) -> NDArray[np.float32]: ...
    @property
    def camera_position(self) -> NDArray[np.float32]: ...
    @property
    def camera_zoom(self) -> NDArray[np.float32]: ...
    @property
    def meta(self) -> dict[str, Any]: ...
    def stretches(self, person: int) -> Iterator[Stretch]: ...
    def at(self, frame: int) -> Moment: ...
    def path(self, person: int, first: int, stop: int) -> NDArray[np.float32]: ...
    def sightings(self, person: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]: ...
    def rows(self, name: str, person: int) -> Iterator[NDArray[Any]]: ...


def filmed_source(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name and checksum of the video that a motion was made from.

    Args:
        meta: of the motion.

    Returns:
        Its `source`; empty where that is a file of keypoints, or not known.
    """
    source, options = meta.get("source") or {}, meta.get("options") or {}
    return {} if source.get("name") == options.get("keypoints") else source


def camera_of(motion: AnyMotion) -> Camera:
    """The camera that a motion, in memory or in files, was seen through."""
    width, height = motion.frame_size
    dist = motion.meta.get("dist")
    return Camera(motion.intrinsics, (int(width), int(height)), tuple(dist) if dist else None)


def from_camera(
    motion: AnyMotion, points: NDArray[np.floating], frames: int | slice = slice(None)
) -> NDArray[np.floating]:
    """Points (..., 3) in the frame of the camera as it stood at their own moment.

    Args:
        motion: whose camera it is.
        points: (..., 3) of one frame, or (..., F, J, 3) of several.
        frames: which.
    """
    rotation = np.asarray(motion.camera_rotation[frames], points.dtype)
    eye = np.asarray(motion.camera_position[frames], points.dtype)
    return np.asarray((points - eye[..., None, :]) @ rotation.swapaxes(-1, -2))


def filmed(
    motion: AnyMotion, points: NDArray[np.floating], frames: int | slice = slice(None)
) -> NDArray[np.floating]:
    """Pixels (..., 2) in which the camera saw points (..., 3), as it stood and was zoomed then.

    Arguments as for `from_camera`.
    """
    camera, zoom = motion.camera, np.asarray(motion.camera_zoom)[frames, None]
    return camera.zoomed(camera.project(from_camera(motion, points, frames)), zoom)


def first_after_cuts(motion: AnyMotion) -> list[int]:
    """First frames after cuts of the film, rising; never the clip's own first."""
    seconds = np.array(motion.meta.get("cuts") or [], np.float64)
    frames = np.searchsorted(motion.timestamps, seconds - NOTED / 2)
    return np.unique(frames[(frames > 0) & (frames < motion.frames)]).tolist()


def largest_zoom(motion: AnyMotion) -> float:
    """The focal length that was farthest from that at the first look, over that one; 1 for none."""
    zoom = motion.camera_zoom
    return float(zoom[np.abs(np.log(zoom)).argmax()]) if len(zoom) else 1.0


def largest_turn(motion: AnyMotion) -> float:
    """Degrees by which the camera was turned at most against how it stood at the first look."""
    traces = np.einsum("fii->f", motion.camera_rotation, dtype=np.float64)
    return float(np.degrees(np.arccos(np.clip((traces.min() - 1) / 2, -1, 1))))


def moves_of(motion: AnyMotion) -> str:
    """What the camera did, in words; nothing where it stood."""
    if motion.meta.get("cuts") and moved(motion):
        return "another in each shot"
    turn, away, zoom = largest_turn(motion), farthest(motion), largest_zoom(motion)
    moves = [f"turned by up to {turn:.1f} degrees"] if turn else []
    moves += [f"travelled up to {away:.1f} m away"] if away else []
    moves += [f"zoomed by up to {zoom:.2f} times"] if zoom != 1 else []
    return ", ".join(moves)


def moved(motion: AnyMotion) -> bool:
    """Whether the camera did not stay as it stood at the first look."""
    return largest_turn(motion) > 0 or farthest(motion) > 0


def farthest(motion: AnyMotion) -> float:
    """Metres that the camera was away at most from the origin, where it stood at the first look."""
    return float(np.linalg.norm(motion.camera_position, axis=-1).max(initial=0.0))


def mean_rate(timestamps: NDArray[np.float64], noted: float) -> float:
    """Frames a second of frames at (F,) seconds: the noted rate where it leads to the last one.

    A file notes the mean of all that it holds, which a part of it, or a last frame that is shown
    for long, need not keep to. Else the frames' own mean.
    """
    span = float(timestamps[-1] - timestamps[0])
    steps = len(timestamps) - 1
    return noted if abs(span * noted - steps) <= SAME_FRAME else steps / span


def filmed_rate(timestamps: NDArray[np.float64], mean: float) -> float:
    """Frames a second of the even times that frames lie at but for missing ones; else the mean.

    Cameras and recorders that drop pictures keep the others where they belong: the mean is no rate
    that anybody filmed at. Where a third of the even times or more has no frame, they count for
    nothing.
    """
    gaps = np.diff(timestamps)
    if not len(gaps):
        return mean
    middle = np.quantile(gaps, 0.5, method="lower")
    steps = np.rint(gaps / gaps[np.abs(gaps / middle - 1) < 0.5].mean())
    rate = float(steps.sum() / gaps.sum())
    off = np.cumsum(steps) / rate - np.cumsum(gaps)
    even = (np.abs(off) <= SAME_FRAME / rate).all() and steps.sum() < 1.5 * len(gaps)
    return rate if even and abs(steps.sum() - mean * gaps.sum()) > SAME_FRAME else mean


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(start, stop) of every unbroken run of True in (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
