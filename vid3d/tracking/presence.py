"""When a tracked person is there: from first to last look, with short gaps filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vid3d.pose2d.people import Look
from vid3d.tracking.tracks import Track

MAX_GAP = 0.5
"""Seconds unseen that are filled; longer, and the person is absent in between."""


@dataclass(frozen=True)
class Segment:
    """An unbroken stretch of one track, to be lifted on its own.

    Attributes:
        sightings: slice into the track's arrays.
        frames: slice of the clip's frames, from the first to the last sighting.
    """

    sightings: slice
    frames: slice


def segments(track: Track, looks: Sequence[Look]) -> list[Segment]:
    """Cut a track where its person was unseen for more than `MAX_GAP`.

    Time unseen runs from the first look that missed the person to the look that sees them again,
    so that people seen at every look are never cut, however far apart the looks are.
    """
    if not len(track):
        return []
    times = np.array([look.time for look in looks])
    unseen = times[track.looks[1:]] - times[track.looks[:-1] + 1]
    # Timestamps are sums of floating-point frame durations.
    cuts = np.flatnonzero(unseen > MAX_GAP + 1e-6) + 1
    bounds = [0, *cuts.tolist(), len(track)]
    return [
        Segment(slice(a, b), slice(_frame(track, looks, a), _frame(track, looks, b - 1) + 1))
        for a, b in pairwise(bounds)
    ]


def _frame(track: Track, looks: Sequence[Look], sighting: int) -> int:
    return looks[int(track.looks[sighting])].frame
