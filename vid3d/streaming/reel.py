"""A motion that lies in files: made and read part by part, however long the clip is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.motion import Motion
from vid3d.motion_files import write_json, write_npz
from vid3d.motion_schema import SHAPES, Moment, Stretch, camera_of
from vid3d.streaming.workplace import Workplace

_GAP = 1024  # absent frames written at once
_ARRAYS = ("joints3d", "spread", "root_spread", "contacts")


@dataclass(frozen=True)
class Person:
    """What a reel holds of one person, by names in its workplace.

    Attributes:
        id: identity.
        parts: name, first frame and the frame after the last of every stretch, in order.
        sightings: name of the keypoints, first look and the look after the last, in order.
    """

    id: int
    parts: list[tuple[str, int, int]]
    sightings: list[tuple[str, int, int]]


@dataclass(frozen=True)
class Reel:
    """A motion in a workplace; `motion` brings it into memory.

    Attributes:
        cast: what there is of each person.
        keyframes, timestamps, intrinsics, frame_size, keypoint_set, meta, camera_rotation,
            camera_position, camera_zoom: as of a `Motion`.
        place: the workplace.
    """

    cast: list[Person]
    keyframes: NDArray[np.int64]
    timestamps: NDArray[np.float64]
    intrinsics: NDArray[np.float32]
    frame_size: NDArray[np.int64]
    keypoint_set: str
    meta: dict[str, Any]
    camera_rotation: NDArray[np.float32]
    camera_position: NDArray[np.float32]
    camera_zoom: NDArray[np.float32]
    place: Workplace

    @property
    def track_ids(self) -> NDArray[np.int64]:
        """(P,) identity of each person."""
        return np.array([person.id for person in self.cast], np.int64)

    @property
    def people(self) -> int:
        """Number of people."""
        return len(self.cast)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.timestamps)

    @property
    def fps(self) -> float:
        """Mean frame rate."""
        return float(self.meta["fps"])

    @property
    def camera(self) -> Camera:
        """The camera that the motion was seen through."""
        return camera_of(self)

    def stretches(self, person: int) -> Iterator[Stretch]:
        """A person's presences in order; one may follow another without a gap."""
        for name, start, stop in self.cast[person].parts:
            yield self._stretch(name, start, stop)

    def sightings(self, person: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Places (L,) in `keyframes` where a person was seen, and keypoints (L, 17, 3) there."""
        for name, _, _ in self.cast[person].sightings:
            looks, keypoints = _found(self.place.get(name, 2))
            yield looks, keypoints

    def at(self, frame: int) -> Moment:
        """Who is there at a frame; quick for one frame after the other."""
        rows, joints, spreads = [], [], []
        for row, name, start, stop in self._parts.around(frame):
            stretch = self._part(name, start, stop)
            rows.append(row)
            joints.append(stretch.joints3d[frame - start])
            spreads.append(stretch.spread[frame - start])
        people, keypoints = np.array(rows, np.intp), None
        look = int(np.searchsorted(self.keyframes, frame))
        if look < len(self.keyframes) and self.keyframes[look] == frame:
            keypoints = np.full((len(rows), 17, 3), np.nan, np.float32)
            for row, name, _, _ in self._sighted.around(look):
                looks, seen = self._seen(name)
                found = looks == look
                if found.any() and row in rows:
                    keypoints[rows.index(row)] = seen[found][0]
        shape = (len(rows), 17)
        return Moment(
            people, np.reshape(joints, (*shape, 3)), np.reshape(spreads, shape), keypoints
        )

    def path(self, person: int, first: int, stop: int) -> NDArray[np.float32]:
        """A person's root (F, 3) from frame `first` to before `stop`; NaN where absent."""
        path = np.full((stop - first, 3), np.nan, np.float32)
        for name, start, end in self.cast[person].parts:
            if start < stop and end > first:
                part = self._part(name, start, end).part(first, stop)
                path[part.start - first : part.stop - first] = part.joints3d[:, 0]
        return path

    def rows(self, name: str, person: int) -> Iterator[NDArray[Any]]:
        """One person's row of an array, in parts that follow each other."""
        dtype, shape = SHAPES[name]
        width = [int(size) for size in shape[2:]]
        absent: NDArray[Any] = np.full((_GAP, *width), np.nan if dtype is np.float32 else 0, dtype)
        known = self._looked(person) if name == "keypoints2d" else self._lifted(name, person)
        end = 0
        for start, values in known:
            yield from _repeated(absent, start - end)
            yield values
            end = start + len(values)
        total = len(self.keyframes) if name == "keypoints2d" else self.frames
        yield from _repeated(absent, total - end)

    def motion(self) -> Motion:
        """The whole motion in memory."""
        people = range(self.people)
        sizes = {"P": self.people, "F": self.frames, "K": len(self.keyframes)}
        arrays: dict[str, NDArray[Any]] = {}
        for name, (dtype, shape) in SHAPES.items():
            if shape[0] == "P" and len(shape) > 1:
                full = [sizes[n] if isinstance(n, str) else n for n in shape]
                array: NDArray[Any] = np.empty(full, dtype)
                for person in people:
                    end = 0
                    for part in self.rows(name, person):
                        array[person, end : end + len(part)] = part
                        end += len(part)
                arrays[name] = array
            else:
                arrays[name] = getattr(self, name)
        return Motion(
            **arrays,
            keypoint_set=self.keypoint_set,
            meta=self.meta,
            camera_rotation=self.camera_rotation,
            camera_position=self.camera_position,
            camera_zoom=self.camera_zoom,
        )

    def save(self, path: str | Path) -> Path:
        """Write `.vid3d.npz`, the same bytes as `Motion.save`."""
        return write_npz(self, path)

    def save_json(self, path: str | Path) -> Path:
        """Write JSON, the same text as `Motion.save_json`."""
        return write_json(self, path)

    @cached_property
    def _parts(self) -> "Spans":
        return Spans([person.parts for person in self.cast])

    @cached_property
    def _sighted(self) -> "Spans":
        return Spans([person.sightings for person in self.cast])

    @cached_property
    def _part(self) -> Callable[[str, int, int], Stretch]:
        return lru_cache(2 * self._parts.most)(self._stretch)

    @cached_property
    def _seen(self) -> Callable[[str], list[NDArray[Any]]]:
        return lru_cache(2 * self._sighted.most)(lambda name: _found(self.place.get(name, 2)))

    def _stretch(self, name: str, start: int, stop: int) -> Stretch:
        return Stretch(start, self.timestamps[start:stop], *_found(self.place.get(name, 4)))

    def _lifted(self, name: str, person: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """First frame and values of each stretch."""
        for part, start, stop in self.cast[person].parts:
            if name == "present":
                yield start, np.ones(stop - start, bool)
            else:
                yield start, getattr(self._stretch(part, start, stop), name)

    def _looked(self, person: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """First look and keypoints, NaN where not seen, of each part."""
        for looks, keypoints in self.sightings(person):
            first = int(looks[0])
            rows = np.full((int(looks[-1]) + 1 - first, *keypoints.shape[1:]), np.nan, np.float32)
            rows[looks - first] = keypoints
            yield first, rows


class Spans:
    """Named spans of everybody, and which of them hold a frame (or a look)."""

    def __init__(self, spans: Sequence[Sequence[tuple[str, int, int]]]) -> None:
        self._spans = [(row, *span) for row, own in enumerate(spans) for span in own]
        self._starts = np.array([span[2] for span in self._spans], np.int64)
        self._stops = np.array([span[3] for span in self._spans], np.int64)

    @property
    def most(self) -> int:
        """How many there are at one place, at most; at least 1."""
        begun = np.searchsorted(np.sort(self._starts), self._starts, "right")
        ended = np.searchsorted(np.sort(self._stops), self._starts, "right")
        return int((begun - ended).max(initial=1))

    def around(self, place: int) -> list[tuple[int, str, int, int]]:
        """Row of the person, name, start and stop of each span, ordered by person."""
        inside = (self._starts <= place) & (place < self._stops)
        return [self._spans[i] for i in np.flatnonzero(inside).tolist()]


def put_stretch(place: Workplace, name: str, stretch: Stretch) -> tuple[str, int, int]:
    """Keep a stretch as a part of a reel.

    Raises:
        Vid3dError: its joints are not finite.
    """
    if not np.isfinite(stretch.joints3d).all():
        raise Vid3dError("the lifter gave values that are not finite; check the 2D keypoints")
    place.put(name, [np.asarray(getattr(stretch, one), np.float32) for one in _ARRAYS])
    return name, stretch.start, stretch.stop


def get_stretch(place: Workplace, name: str, start: int, times: NDArray[np.float64]) -> Stretch:
    """A stretch that was kept, with its times."""
    return Stretch(start, times, *_found(place.get(name, len(_ARRAYS))))


def _repeated(absent: NDArray[Any], count: int) -> Iterator[NDArray[Any]]:
    for start in range(0, count, _GAP):
        yield absent[: min(_GAP, count - start)]


def _found(arrays: list[NDArray[Any]] | None) -> list[NDArray[Any]]:
    if arrays is None:
        raise Vid3dError("a file of work in progress is gone or damaged; lift the video again")
    return arrays
