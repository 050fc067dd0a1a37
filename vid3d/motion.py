"""Motion: what a lift results in, and the one thing that everything after the lifter consumes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.files import open_npz
from vid3d.motion_checks import check_motion
from vid3d.motion_files import write_json, write_npz
from vid3d.motion_schema import (
    PLACE,
    SCHEMA,
    SHAPES,
    TURN,
    ZOOM,
    Moment,
    Stretch,
    camera_of,
    runs,
)
from vid3d.skeleton import H36M17, joint_set


@dataclass(frozen=True, eq=False)
class Motion:
    """People in space over the frames of one clip.

    Two motions are equal where they are the same object: arrays have no one equality.

    Attributes:
        joints3d: (P, F, 17, 3) h36m17 joints, metres, root placed in space, NaN where absent; in
            the frame of the camera, of one that moved as it stood at the first look.
        present: (P, F) whether a person is in the clip at a frame.
        spread: (P, F, 17) metres within which 68 % of root-relative errors are expected.
        root_spread: (P, F) the same for the root's place.
        contacts: (P, F, 2) probability that the left and the right foot touch the ground.
        keyframes: (K,) frames that were looked at.
        keypoints2d: (P, K, 17, 3) pixels and confidence at the looks, NaN where not detected.
        keypoint_set: joint set of `keypoints2d`.
        track_ids: (P,) identity of each person.
        timestamps: (F,) seconds from the video's first frame, also where `start` left that out.
        intrinsics: (3, 3) camera matrix in pixels.
        frame_size: (2,) width and height as displayed.
        meta: everything else worth keeping: schema, fps, source, options, model, version.
        camera_rotation: (F, 3, 3) takes points of `joints3d` to the camera's frame at each moment;
            (3, 3) stands for the same at all frames.
        camera_position: (F, 3) metres, where the camera was in the frame of `joints3d`; (3,) stands
            for the same at all frames.
        camera_zoom: (F,) focal length at each moment over that of `intrinsics`; a number stands
            for the same at all frames.
    """

    joints3d: NDArray[np.float32]
    present: NDArray[np.bool_]
    spread: NDArray[np.float32]
    root_spread: NDArray[np.float32]
    contacts: NDArray[np.float32]
    keyframes: NDArray[np.int64]
    keypoints2d: NDArray[np.float32]
    track_ids: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    intrinsics: NDArray[np.float32]
    frame_size: NDArray[np.int64]
    keypoint_set: str = "coco17"
    meta: dict[str, Any] = field(default_factory=dict)
    camera_rotation: NDArray[np.float32] = field(default_factory=lambda: np.eye(3, dtype="float32"))
    camera_position: NDArray[np.float32] = field(default_factory=lambda: np.zeros(3, "float32"))
    camera_zoom: NDArray[np.float32] = field(default_factory=lambda: np.ones((), "float32"))

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for name, (dtype, shape) in SHAPES.items():
            given: NDArray[Any] = np.asarray(getattr(self, name))
            if given.dtype.kind not in "biuf":
                raise Vid3dError(f"motion: {name} holds {given.dtype}, expected numbers")
            array: NDArray[Any] = given.astype(dtype, copy=False)
            expected = tuple(sizes.setdefault(n, size) if isinstance(n, str) else n
                             for n, size in zip(shape, array.shape, strict=False))  # fmt: skip
            if array.ndim != len(shape) or array.shape != expected:
                wanted = ", ".join(str(sizes.get(n, n)) if isinstance(n, str) else str(n)
                                   for n in shape)  # fmt: skip
                raise Vid3dError(f"motion: {name} has shape {array.shape}, expected ({wanted})")
            object.__setattr__(self, name, array)
        for name, one in ((TURN, (3, 3)), (PLACE, (3,)), (ZOOM, ())):
            object.__setattr__(
                self, name, _at_all_frames(name, getattr(self, name), self.frames, one)
            )
        joint_set(self.keypoint_set)
        if not isinstance(self.meta, dict):
            raise Vid3dError(f"motion: meta is {type(self.meta).__name__}, expected a dict")
        if not np.isfinite(self.joints3d[self.present]).all():
            raise Vid3dError("motion: joints3d is not finite where a person is present")
        if np.isfinite(self.joints3d[~self.present]).any():
            raise Vid3dError("motion: joints3d has values where a person is absent")
        if (np.diff(self.timestamps) <= 0).any():
            raise Vid3dError("motion: timestamps do not increase")

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.track_ids)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.timestamps)

    @property
    def fps(self) -> float:
        """Mean frame rate."""
        if "fps" in self.meta:
            return float(self.meta["fps"])
        span = self.timestamps[-1] - self.timestamps[0] if self.frames > 1 else 0.0
        return float((self.frames - 1) / span) if span > 0 else 25.0

    @property
    def camera(self) -> Camera:
        """The camera that the motion was seen through."""
        return camera_of(self)

    def stretches(self, person: int) -> Iterator[Stretch]:
        """The unbroken presences of a person, in order."""
        for start, stop in runs(self.present[person]):
            part = person, slice(start, stop)
            yield Stretch(
                start,
                self.timestamps[start:stop],
                self.joints3d[part],
                self.spread[part],
                self.root_spread[part],
                self.contacts[part],
            )

    def at(self, frame: int) -> Moment:
        """Who is there at a frame."""
        people = np.flatnonzero(self.present[:, frame])
        look = int(np.searchsorted(self.keyframes, frame))
        looked = look < len(self.keyframes) and self.keyframes[look] == frame
        keypoints = self.keypoints2d[people, look] if looked else None
        return Moment(people, self.joints3d[people, frame], self.spread[people, frame], keypoints)

    def path(self, person: int, first: int, stop: int) -> NDArray[np.float32]:
        """A person's root (F, 3) from frame `first` to before `stop`; NaN where absent."""
        return self.joints3d[person, first:stop, 0]

    def sightings(self, person: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Places (L,) in `keyframes` where a person was seen, and keypoints (L, 17, 3) there."""
        seen = np.flatnonzero(np.isfinite(self.keypoints2d[person, :, :, 2]).any(-1))
        yield seen, self.keypoints2d[person, seen]

    def rows(self, name: str, person: int) -> Iterator[NDArray[Any]]:
        """One person's row of an array, for `motion_files`."""
        yield getattr(self, name)[person]

    def save(self, path: str | Path) -> Path:
        """Write `.vid3d.npz` (schema 1); the file appears whole or not at all.

        Raises:
            Vid3dError: it cannot be written, or `load` would refuse it.
        """
        return write_npz(self._checked(), path)

    def save_json(self, path: str | Path) -> Path:
        """Write the same motion as JSON: one entry a person, arrays over its present frames."""
        return write_json(self._checked(), path)

    def _checked(self) -> "Motion":
        """Itself, if it can be read back: who made it, or changed its arrays, may have erred.

        Raises:
            Vid3dError: what is wrong.
        """
        checked = replace(self)
        check_motion(checked, {name: getattr(checked, name) for name in SHAPES})
        return checked

    @classmethod
    def load(cls, path: str | Path) -> "Motion":
        """Read a `.vid3d.npz`.

        Raises:
            Vid3dError: no such file, or not a motion file of a schema that this version knows.
        """
        if str(path).endswith(".vid3d.json"):
            raise Vid3dError(f"{path} is for other programs: give the .vid3d.npz beside it")
        try:
            with open_npz(path) as data:
                arrays = {name: data[name] for name in SHAPES}
                moves = {name: data[name] for name in (TURN, PLACE, ZOOM) if name in data}
                meta = json.loads(str(data["meta"]))
                joint_names = tuple(str(name) for name in data["joint_names"])
                keypoint_names = tuple(str(name) for name in data["keypoint_names"])
        except FileNotFoundError as error:
            raise Vid3dError(f"no such file: {path}") from error
        except (OSError, ValueError) as error:
            raise Vid3dError(
                f"{path} is not a vid3d motion file ({error}); make one with `vid3d lift`"
            ) from error
        schema = meta.get("schema") if isinstance(meta, dict) else None
        if schema != SCHEMA:
            raise Vid3dError(
                f"{path} has schema {str(schema)[:20]}, this vid3d reads {SCHEMA}: update vid3d"
            )
        if joint_names != H36M17.joints:
            raise Vid3dError(f"{path}: joint_names are not h36m17's")
        by_names = {joint_set(name).joints: name for name in ("h36m17", "coco17")}
        if keypoint_names not in by_names:
            raise Vid3dError(f"{path}: keypoint_names are neither coco17's nor h36m17's")
        try:
            names = by_names[keypoint_names]
            motion = cls(**arrays, keypoint_set=names, meta=meta, **moves)
            check_motion(motion, arrays)
        except (Vid3dError, TypeError, ValueError) as error:
            raise Vid3dError(f"{path}: {error}; make it anew with `vid3d lift`") from error
        return motion


def _at_all_frames(name: str, given: Any, frames: int, one: tuple[int, ...]) -> NDArray[np.float32]:
    """What an array (F, ...) holds, or one value of shape `one` at all frames.

    Raises:
        Vid3dError: it is of another shape, or not of numbers.
    """
    values, shape = np.asarray(given), (frames, *one)
    if values.ndim == len(shape) and len(values) and (values == values[0]).all():
        values = values[0]  # the same at all frames, however many these now are
    if values.dtype.kind != "f" or values.shape not in (one, shape):
        raise Vid3dError(
            f"motion: {name} is {values.dtype} {values.shape}, expected float32 {shape}"
        )
    with np.errstate(over="ignore"):
        return np.broadcast_to(values.astype(np.float32, copy=False), shape)
