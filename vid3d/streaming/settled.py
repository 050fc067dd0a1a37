"""Settling people whose lifted pieces lie in a workplace: round by round, piece by piece."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.motion_schema import Stretch
from vid3d.streaming.following import Stored, Trace, get_piece
from vid3d.streaming.pieces import faded
from vid3d.streaming.reel import Person, get_stretch, put_stretch
from vid3d.streaming.workplace import Workplace
from vid3d.world.settle import Settling


def settled_people(
    traces: Sequence[Trace],
    lifted: Callable[[int, Stored], Stretch],
    settling: Settling,
    times: NDArray[np.float64],
    pictured: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]],
    place: Workplace,
    advance: Callable[[int], None],
) -> list[Person]:
    """The people of a reel.

    Args:
        traces: everybody who is wanted.
        lifted: gives a person's piece, in the frame of the results.
        settling: of these people; tells afterwards what was done.
        times: (F,) seconds of the clip's frames.
        pictured: gives keypoints (L, 17, 2) at looks (L,) where their pictures show them.
        place: where pieces lie and results are put, below `settled/`.
        advance: called with the number of frames just settled.
    """

    def calm(person: int, stored: Stored) -> Stretch:
        name = f"settled/{person}-calm-{stored.name}"
        return get_stretch(place, name, stored.start, times[stored.start : stored.stop])

    people = range(len(traces))
    for person in people:
        for stored in traces[person].pieces:
            stretch = settling.calmed(person, lifted(person, stored))
            put_stretch(place, f"settled/{person}-calm-{stored.name}", stretch)
    for person in settling.find_ground():
        for stored in traces[person].pieces:
            settling.measure(person, calm(person, stored))

    def settled(person: int, run: Sequence[Stored]) -> Iterator[Stretch]:
        for stored in run:
            yield settling.settled(person, calm(person, stored))
            advance(stored.stop - stored.start)

    return [
        Person(
            traces[person].id,
            [
                put_stretch(place, f"settled/{person}-{stretch.start}", stretch)
                for run in traces[person].runs
                for stretch in faded(settled(person, run))
            ],
            _put_sightings(place, person, traces[person], pictured),
        )
        for person in people
    ]


def _put_sightings(
    place: Workplace,
    person: int,
    trace: Trace,
    pictured: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]],
) -> list[tuple[str, int, int]]:
    """Keep 2D joints as a motion holds them: x, y and confidence, NaN where not seen."""
    kept = []
    for stored in trace.pieces:
        piece = get_piece(place, stored)
        own = piece.owned
        if len(piece.looks[own]):
            confidence = piece.confidence[own, :, None]
            name, looks = f"settled/{person}-seen-{stored.name}", piece.looks[own]
            xyc = np.concatenate([pictured(piece.keypoints[own], looks), confidence], -1)
            place.put(name, [looks, np.where(confidence > 0, xyc, np.nan)])
            kept.append((name, int(looks[0]), int(looks[-1]) + 1))
    return kept
