"""People followed through the looks of a clip, their tracks cut into pieces as they come."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import Look
from vid3d.streaming.pieces import Cutter, Piece, Sighting
from vid3d.streaming.workplace import Workplace
from vid3d.tracking.presence import MAX_GAP
from vid3d.tracking.tracker import GivenIdentities, Tracker


@dataclass(frozen=True)
class Stored:
    """A piece in the workplace.

    Attributes:
        name: its digest, which also names what is made of it.
        start, stop: first frame, and the frame after the last.
    """

    name: str
    start: int
    stop: int


@dataclass(eq=False)
class Trace:
    """One track, its pieces in the workplace, and what choosing among tracks asks.

    Attributes:
        number: of all that was ever tracked, by first sighting.
        id: the person's; given when it is known who is one.
        runs: pieces that follow each other, of every stretch without a long gap.
        seen, evidence, coverage: see `tracking.Track`; of boxes in the looks' own pictures.
    """

    number: int
    id: int = 0
    runs: list[list[Stored]] = field(default_factory=list)
    seen: int = 0
    evidence: float = 0.0
    coverage: float = 0.0

    @property
    def pieces(self) -> list[Stored]:
        """All pieces, in the order of time."""
        return [stored for run in self.runs for stored in run]

    def count(self, piece: Piece) -> None:
        """Take a piece into account."""
        own = piece.owned
        weights = piece.weights[own]
        self.seen += int(weights.sum())
        self.evidence += float(piece.confidence[own].mean(-1) @ weights)
        self.coverage += float(piece.areas[own] @ weights)


class Tracing:
    """Makes a trace of sightings.

    A run ends where the person was unseen for more than `MAX_GAP`: from the first look that missed
    them to the look that sees them again.

    Args:
        trace: to begin with.
        joint_set: of the keypoints.
        look_times: seconds of all looks so far.
        place: where pieces are put.
    """

    def __init__(
        self, trace: Trace, joint_set: str, look_times: Sequence[float], place: Workplace
    ) -> None:
        self.trace = trace
        self._joint_set, self._look_times, self._place = joint_set, look_times, place
        self._cutter: Cutter | None = None
        self._last = 0  # look

    def add(self, sighting: Sighting) -> bool:
        """Take in the next sighting; returns whether it ended a piece."""
        if self._cutter is not None:
            unseen = sighting.time - self._look_times[self._last + 1]
            if unseen > MAX_GAP + 1e-6:  # times are sums of floating-point frame durations
                self.end()
        if self._cutter is None:
            self._cutter = Cutter(self.trace.number, self._joint_set)
            self.trace.runs.append([])
        piece = self._cutter.add(sighting)
        self._store(piece)
        self._last = sighting.look
        return piece is not None

    def end(self) -> Trace:
        """End the run; the trace so far."""
        if self._cutter is not None:
            self._store(self._cutter.end())
            self._cutter = None
        return self.trace

    def _store(self, piece: Piece | None) -> None:
        if piece is None or ((piece.confidence > 0).sum(-1) < 2).all():  # nothing to lift
            return
        put_piece(self._place, piece)
        self.trace.count(piece)
        self.trace.runs[-1].append(Stored(piece.digest, piece.span.start, piece.span.stop))


class Follower:
    """Follows the people of one clip, look by look.

    Args:
        tracker: tells people apart.
        joint_set: of the keypoints.
        place: where pieces are put.
        ahead: called with traces that have a new piece and seem to be people, to lift it at once.

    Attributes:
        frames: of all looks.
        times: seconds of all looks.
    """

    def __init__(
        self,
        tracker: Tracker | GivenIdentities,
        joint_set: str,
        place: Workplace,
        ahead: Callable[[Trace], None],
    ) -> None:
        self.frames, self.times = array("q"), array("d")
        self._tracker, self._joint_set, self._place, self._ahead = tracker, joint_set, place, ahead
        self._open: dict[int, Tracing] = {}
        self._people: list[Trace] = []

    def see(self, look: Look, areas: NDArray[np.floating]) -> None:
        """Take in the next look, steadied, and the areas (N,) of its boxes before it was."""
        number = len(self.times)
        self.frames.append(look.frame)
        self.times.append(look.time)
        step = self._tracker.update(look)
        for person, row in step.seen:
            longer = self._sight(person, number, look, row, float(areas[row]))
            if longer and self._tracker.believed(person):
                self._ahead(self._open[person].trace)
        for person, believable in step.gone.items():
            self._close(person, believable)

    def finish(self) -> list[Trace]:
        """Everybody who is a person, ordered by id."""
        for person, believable in self._tracker.believes().items():
            self._close(person, believable)
        people = sorted(self._people, key=lambda trace: trace.number)
        ids = self._tracker.identities([trace.number for trace in people])
        for trace, identity in zip(people, ids, strict=True):
            trace.id = identity
        return people

    def _sight(self, person: int, number: int, look: Look, row: int, area: float) -> bool:
        if person not in self._open:
            self._open[person] = Tracing(Trace(person), self._joint_set, self.times, self._place)
        them = look.people
        return self._open[person].add(
            Sighting(
                number,
                look.frame,
                look.time,
                them.boxes[row],
                them.keypoints[row],
                them.confidence[row],
                area,
                look.still,
            )
        )

    def _close(self, person: int, believable: bool) -> None:
        trace = self._open.pop(person).end()
        if believable and trace.pieces:
            self._people.append(trace)
            self._ahead(trace)


def joined_traces(
    traces: Sequence[Trace],
    pairs: Sequence[tuple[int, int]],
    joint_set: str,
    look_times: Sequence[float],
    place: Workplace,
) -> list[Trace]:
    """Traces put together by pairs (earlier, later) of their places; each keeps its first id."""
    after = dict(pairs)
    later = set(after.values())
    whole = []
    for start, trace in enumerate(traces):
        if start in later:
            continue
        if start in after:
            tracing = Tracing(Trace(trace.number, trace.id), joint_set, look_times, place)
            part: int | None = start
            while part is not None:
                for sighting in _sightings(traces[part], place):
                    tracing.add(sighting)
                part = after.get(part)
            trace = tracing.end()
        whole.append(trace)
    return whole


def put_piece(place: Workplace, piece: Piece) -> None:
    """Put a piece into a workplace, if it is not there yet."""
    place.kept(f"pieces/{piece.digest}", 8, lambda: _arrays(piece))


def get_piece(place: Workplace, stored: Stored) -> Piece:
    """A piece that was put into a workplace."""
    arrays = place.get(f"pieces/{stored.name}", 8)
    assert arrays is not None, stored
    (number, first, stop), (looks, frames), *rest = arrays
    times, boxes, keypoints, confidence, areas, still = rest
    own = int(first), int(stop)
    return Piece(int(number), looks, frames, times, boxes, keypoints, confidence, areas, still, own)


def _arrays(piece: Piece) -> list[np.ndarray]:
    return [
        np.array([piece.number, *piece.own]),
        np.stack([piece.looks, piece.frames]),
        piece.times,
        piece.boxes,
        piece.keypoints,
        piece.confidence,
        piece.areas,
        piece.still,
    ]


def _sightings(trace: Trace, place: Workplace) -> Iterator[Sighting]:
    for stored in trace.pieces:
        yield from get_piece(place, stored).sightings()
