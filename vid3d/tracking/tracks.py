"""Tracks: one person through the looks of a clip, and choosing among several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.pose2d.people import People, areas

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Track:
    """One person's sightings, in the order of time.

    Attributes:
        id: positive number, or the number that a keypoint file gave.
        looks: (L,) int64 increasing indices into the clip's list of looks.
        weights: (L,) int64 how many looks each counts, with those spared at rest (`rest`).
        boxes: (L, 4) float32 x1, y1, x2, y2 in pixels.
        keypoints: (L, 17, 2) float32 pixels.
        confidence: (L, 17) float32 in 0..1; 0 means missing, whatever the coordinates.
    """

    id: int
    looks: NDArray[np.int64]
    weights: NDArray[np.int64]
    boxes: Array
    keypoints: Array
    confidence: Array

    def __len__(self) -> int:
        return len(self.looks)

    @property
    def seen(self) -> int:
        """At how many looks."""
        return int(self.weights.sum())

    @property
    def evidence(self) -> float:
        """Mean confidence of the joints, summed over looks: long and clear tracks have much."""
        return float(self.confidence.mean(-1) @ self.weights)

    @property
    def coverage(self) -> float:
        """Area of the boxes summed over looks, pixels^2: large and long tracks have much."""
        return float(areas(self.boxes) @ self.weights)


class Selectable(Protocol):
    """What choosing asks of a track, looks that were spared at rest counted in; see `Track`."""

    @property
    def id(self) -> int:
        """The person."""

    @property
    def seen(self) -> int:
        """At how many looks."""

    @property
    def evidence(self) -> float:
        """Mean confidence of the joints, summed over looks."""

    @property
    def coverage(self) -> float:
        """Area of the boxes summed over looks, pixels^2."""


One = TypeVar("One", bound=Selectable)


def strongest(tracks: Sequence[One], count: int | None) -> list[One]:
    """The `count` tracks with the most evidence, ordered by id; None keeps all.

    Raises:
        Vid3dError: the count is not positive.
    """
    if count is None:
        return list(tracks)
    if count < 1:
        raise Vid3dError(f"the number of people to keep is {count}, expected 1 or more")
    kept = sorted(tracks, key=lambda track: (-track.evidence, track.id))[:count]
    return sorted(kept, key=lambda track: track.id)


def select(tracks: Sequence[One], person: Literal["largest", "longest"] | int | str) -> One:
    """One person of several.

    Args:
        tracks: at least one.
        person: `largest` fills the most of the video (box area summed over looks), `longest` was
            seen at the most looks, a number is the id of a track.

    Raises:
        Vid3dError: nobody was tracked, or there is no such person.
    """
    if not tracks:
        raise Vid3dError("nobody was found in the video, so there is no person to select")
    if person == "largest":
        return max(tracks, key=lambda track: (track.coverage, -track.id))
    if person == "longest":
        return max(tracks, key=lambda track: (track.seen, track.evidence, -track.id))
    known = {str(track.id): track for track in tracks}
    if str(person) not in known:
        raise Vid3dError(
            f"no person {person!r} in the video; choose largest, longest or one of "
            f"{', '.join(known)}"
        )
    return known[str(person)]


def select_people(
    tracks: Sequence[One], person: str | None = None, max_people: int | None = None
) -> list[One]:
    """The people that a user asked for: one `person` (see `select`), or the `max_people` strongest.

    Raises:
        Vid3dError: there is no such person, or the number is not positive.
    """
    if person is not None and tracks:
        return [select(tracks, person)]
    return strongest(tracks, max_people)


def people_of(tracks: Sequence[Track], looks: int) -> list[People]:
    """The tracked people of each of so many looks, with their identities."""
    here: list[list[tuple[Track, int]]] = [[] for _ in range(looks)]
    for track in tracks:
        for row, look in enumerate(track.looks.tolist()):
            here[look].append((track, row))
    return [_people(each) if each else People.none() for each in here]


def _people(sightings: Sequence[tuple[Track, int]]) -> People:
    """Some sightings, given as tracks and rows in them."""
    return People(
        boxes=np.stack([track.boxes[row] for track, row in sightings]),
        scores=np.array([track.confidence[row].mean() for track, row in sightings], np.float32),
        keypoints=np.stack([track.keypoints[row] for track, row in sightings]),
        confidence=np.stack([track.confidence[row] for track, row in sightings]),
        ids=np.array([track.id for track, _ in sightings], np.int64),
    )
