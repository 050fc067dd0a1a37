"""Tracks cut into overlapping pieces, so that nothing is ever computed over a whole long video.

A person who is in view for hours is lifted and settled a minute at a time. Neighbours share some
seconds; the outer parts of what they share, where each lacks the other's context, are dropped and
the middle is faded over (`faded`).
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vid3d.motion_schema import Stretch
from vid3d.tracking.cleaning import cleaned
from vid3d.tracking.rest import at_rest, looks_counted

LONGEST = 60.0
"""Seconds after which a piece ends."""
OVERLAP = 9.0
"""Seconds that neighbours share: three windows of the lifter, whatever the stride."""
SHARED, LEAST = 4, 12
"""Sightings that neighbours share, and that a piece holds, at least; where looks are sparse."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Sighting:
    """One person at one look: the look's number, frame and seconds; the box (4,), the keypoints
    (17, 2) and their confidence (17,); the square pixels of the box in the look's own picture;
    whether nothing moved since the look before.
    """

    look: int
    frame: int
    time: float
    box: Array
    keypoints: Array
    confidence: Array
    area: float
    still: bool = False


@dataclass(frozen=True, eq=False)
class Piece:
    """Sightings of one person without a long gap, to be lifted at once.

    Attributes:
        number: of the track.
        looks, frames: (L,) int64 numbers of the looks and of their frames.
        times: (L,) seconds.
        boxes: (L, 4) pixels.
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        areas: (L,) pixels^2 of the boxes in the looks' own pictures.
        still: (L,) whether nothing moved since the look before.
        own: (first, stop) of the frames that are this piece's and no neighbour's.
    """

    number: int
    looks: NDArray[np.int64]
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    boxes: Array
    keypoints: Array
    confidence: Array
    areas: NDArray[np.float64]
    still: NDArray[np.bool_]
    own: tuple[int, int]

    @property
    def span(self) -> slice:
        """Frames from the first to the last sighting."""
        return slice(int(self.frames[0]), int(self.frames[-1]) + 1)

    @property
    def owned(self) -> slice:
        """Sightings at the frames of its own."""
        first, stop = np.searchsorted(self.frames, self.own)
        return slice(int(first), int(stop))

    @property
    def rested(self) -> NDArray[np.bool_]:
        """(L,) whether nothing moved since the sighting before, which the look before brought."""
        return at_rest(self.looks, self.still)

    @property
    def weights(self) -> NDArray[np.int64]:
        """(L,) how many looks each sighting counts, with those spared at rest."""
        return looks_counted(self.times, self.rested)

    @cached_property
    def digest(self) -> str:
        """Names the piece by all that it holds."""
        digest = hashlib.blake2b(repr((self.number, self.own)).encode(), digest_size=16)
        arrays = (self.looks, self.frames, self.times, self.keypoints, self.confidence, self.still)
        for array in arrays:
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def sightings(self) -> Iterator[Sighting]:
        """The sightings at the frames of its own."""
        for i in range(*self.owned.indices(len(self.looks))):
            yield Sighting(
                int(self.looks[i]),
                int(self.frames[i]),
                float(self.times[i]),
                self.boxes[i],
                self.keypoints[i],
                self.confidence[i],
                float(self.areas[i]),
                bool(self.still[i]),
            )


class Cutter:
    """Cuts sightings of one person, which come without a long gap, into pieces.

    Args:
        number: of the track.
        joint_set: of the keypoints, which are cleaned (`tracking.clean`).
    """

    def __init__(self, number: int, joint_set: str) -> None:
        self._number, self._joint_set = number, joint_set
        self._held: list[Sighting] = []
        self._begin = 0  # first frame that belongs to the piece at work

    def add(self, sighting: Sighting) -> Piece | None:
        """Take in the next sighting; returns a piece that ends before it, if one does."""
        held, piece = self._held, None
        if held and sighting.time - held[0].time > LONGEST and len(held) >= LEAST:
            since = held[-1].time - OVERLAP
            keep = max(SHARED, sum(one.time >= since for one in held))
            keep = min(keep, len(held) - 2 * SHARED)
            seam = (held[-keep].frame + held[-1].frame + 1) // 2
            piece = self._piece(seam)
            self._held, self._begin = held[-keep:], seam
        self._held.append(sighting)
        return piece

    def end(self) -> Piece:
        """The last piece."""
        return self._piece(self._held[-1].frame + 1)

    def _piece(self, stop: int) -> Piece:
        held = self._held
        boxes, keypoints, confidence = (
            np.stack([getattr(one, name) for one in held]).astype(np.float32)
            for name in ("box", "keypoints", "confidence")
        )
        times = np.array([one.time for one in held])
        keypoints, confidence = cleaned(boxes, keypoints, confidence, times, self._joint_set)
        return Piece(
            number=self._number,
            looks=np.array([one.look for one in held], np.int64),
            frames=np.array([one.frame for one in held], np.int64),
            times=times,
            boxes=boxes,
            keypoints=keypoints,
            confidence=confidence,
            areas=np.array([one.area for one in held]),
            still=np.array([one.still for one in held]),
            own=(max(self._begin, held[0].frame), stop),
        )


def faded(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Overlapping stretches of one person as stretches that follow each other.

    Over the middle third of what two share, one fades into the other.
    """
    held: Stretch | None = None
    for stretch in stretches:
        if held is not None:
            shared = max(held.stop - stretch.start, 0)
            yield held.part(held.start, held.stop - shared)
            if shared:
                stretch = _after(held.part(stretch.start, held.stop), stretch)
        held = stretch
    if held is not None:
        yield held


def _after(end: Stretch, stretch: Stretch) -> Stretch:
    """A stretch that begins as another one ends: both have the frames of `end` in common."""
    count = len(end)
    share = np.clip((np.arange(count) + 0.5) / count * 3 - 1, 0, 1).astype(np.float32)
    arrays = {}
    for name in ("joints3d", "spread", "root_spread", "contacts"):
        before, after = getattr(end, name), getattr(stretch, name)
        weight = share.reshape(-1, *[1] * (after.ndim - 1))
        mixed = (1 - weight) * before + weight * after[:count]
        arrays[name] = np.concatenate([mixed, after[count:]])
    return Stretch(stretch.start, stretch.times, **arrays)
