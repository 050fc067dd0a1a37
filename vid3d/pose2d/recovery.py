"""People whom the detector misses for a while, looked for where they are expected.

Who was clear at the last looks and has no box now stands in the shade, flies through the air, or
shares a box with somebody else. The pose network is asked in the box that is expected, and
believed where it is nearly as sure as before, near what is expected and on nobody else (boxes
propagated from the last poses: Xiao, Wu & Wei 2018, section 3; with motion over time in place of
optical flow, since looks are too far apart for that).

In a box around two the network sees parts of both. Where its pose there is less sure than before,
it is asked in the expected boxes of both, and believed if that parts them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vid3d.pose2d.carrying import boxes_beyond, extents
from vid3d.pose2d.networks import PoseNetwork
from vid3d.pose2d.people import People, areas, centres, common_areas, sizes
from vid3d.video.frame import Image

SCORE = 0.3
"""Box score of who was recovered: too weak to begin a track."""

LONGEST, UNSEEN = 2.0, 0.7
"""Seconds after the last box of the detector, and without any pose, up to which to look on.

The first look after a pose asks in any case, however far away `--stride auto` put it.
"""

DETECTIONS, CLEAR = 2, 0.5
"""Boxes of the detector, and mean confidence in the last one, that make a person worth it."""

LEAST, SHARE = 0.35, 0.6
"""Mean confidence of a recovered pose, at least; and as a share of that in the last box."""

REACH, SPEED = 0.2, 0.8
"""Mean distance of joints from where they are expected: in sizes, and in sizes a second."""

OTHER = 0.2
"""Mean distance of joints, in sizes, below which two poses are of one body."""

COVERED = 0.6
"""Share of the box of who is missed, in somebody else's, from which the two may share that."""

FADE = 1.0
"""Seconds after which a velocity that nobody confirms has faded to 37 %."""

Array = NDArray[np.floating]


@dataclass(frozen=True)
class _Known:
    """A person as last seen.

    Attributes:
        person: alone.
        time: of the last look that showed it, with or without a box.
        velocity: (2,) pixels a second.
        margins: (1, 4) how far the detector's box reached beyond the joints, in sizes.
        clarity: mean confidence in the detector's last box.
        boxed: time of that.
        detections: boxes of the detector so far.
    """

    person: People
    time: float
    velocity: Array
    margins: Array
    clarity: float
    boxed: float
    detections: int

    def expected(self, time: float) -> People:
        """Where the person should be at a time."""
        step = self.velocity * FADE * (1 - np.exp((self.time - time) / FADE))
        boxes = self.person.boxes + np.tile(step, 2)
        return replace(self.person, boxes=boxes, keypoints=self.person.keypoints + step)

    def reach(self, time: float) -> float:
        """How far joints may be from where they are expected, in sizes."""
        return REACH + SPEED * (time - self.time)

    def is_wanted(self, time: float, before: float, expected: People, image: Image) -> bool:
        """Whether to look for the person: clear before, not long ago, not out of the picture.

        `before` is the time of the last look.
        """
        box = expected.boxes
        inside = box.clip(0, [*image.shape[1::-1], *image.shape[1::-1]])
        here = (inside[0, 2:] - inside[0, :2]).prod() > 0.5 * sizes(box)[0] ** 2
        clear = self.detections >= DETECTIONS and self.clarity >= CLEAR
        recent = self.time >= before or time - self.time <= UNSEEN
        return bool(here) and clear and recent and time - self.boxed <= LONGEST

    def is_shown(self, person: People, time: float, expected: People) -> bool:
        """Whether a pose in the expected box is the person's."""
        sure = person.confidence.mean() >= max(LEAST, SHARE * self.clarity)
        return bool(sure and _apart(expected, person)[0, 0] <= self.reach(time))

    def boxed_like(self, person: People) -> People:
        """A sighting whose box reaches beyond its joints as the detector's last one did."""
        boxes = boxes_beyond(person, self.margins * sizes(self.person.boxes)[:, None])
        return replace(person, boxes=boxes.astype(np.float32))

    def seen(self, person: People, time: float, boxed: bool) -> "_Known":
        """The person after another look."""
        step = (centres(person.boxes) - centres(self.person.boxes))[0]
        velocity = step / max(time - self.time, 1e-3)
        if not boxed:
            return replace(self, person=person, time=time, velocity=velocity)
        return replace(_known(person, time), velocity=velocity, detections=self.detections + 1)


class Recovery:
    """Completes the people of looks, in the order of time.

    Args:
        pose: the network to ask.
    """

    def __init__(self, pose: PoseNetwork) -> None:
        self._pose = pose
        self._known: list[_Known] = []
        self._before = -np.inf  # time of the last look

    def complete(self, image: Image, time: float, people: People) -> People:
        """The people whom a detector found in a BGR image (H, W, 3), then whom it missed."""
        expected = [known.expected(time) for known in self._known]
        rows = _matched(expected, people, [known.reach(time) for known in self._known])
        missed = [
            place
            for place, known in enumerate(self._known)
            if rows[place] is None and known.is_wanted(time, self._before, expected[place], image)
        ]
        shared = [
            (place, *whose)
            for place in missed
            if (whose := self._sharing(expected[place], rows, people)) is not None
        ]
        places = sorted({*missed, *(other for _, other, _ in shared)})
        asked = dict(zip(places, self._asked(image, [expected[i] for i in places]), strict=True))
        parted = set()
        for place, other, theirs in shared:
            both = [(self._known[i], asked[i], expected[i]) for i in (place, other)]
            if _are_two(people, theirs, both, time):
                people = _with(people, theirs, self._known[other].boxed_like(asked[other]))
                parted.add(place)
        now, them = [], [people]
        for place, known in enumerate(self._known):
            row, person, hope = rows[place], asked.get(place), expected[place]
            if row is not None:
                known = known.seen(_only(people, row), time, boxed=True)
            elif person and known.is_shown(person, time, hope) and _is_new(person, them):
                person = known.boxed_like(person)
                known = known.seen(person, time, boxed=False)
                if place in parted:  # the box is both people's
                    known = replace(known, boxed=time)
                them.append(person)
            now.append(known)
        new = set(range(len(people))) - set(rows)
        now += [_known(_only(people, row), time) for row in sorted(new)]
        self._known = [known for known in now if time - known.boxed <= LONGEST]
        self._before = time
        return _joined(them)

    def _sharing(
        self, expected: People, rows: Sequence[int | None], people: People
    ) -> tuple[int, int] | None:
        """Who was seen in a box that also covers somebody expected, and less clearly than before.

        Returns:
            The place among those known, and the row, of the one whose box covers most.
        """
        shared = common_areas(expected.boxes, people.boxes)[0]
        shares = shared / np.maximum(areas(expected.boxes), 1e-6)
        most, found = COVERED, None
        for place, row in enumerate(rows):
            if row is None:
                continue
            unsure = people.confidence[row].mean() < self._known[place].clarity
            if unsure and shares[row] > most:
                most, found = float(shares[row]), (place, row)
        return found

    def _asked(self, image: Image, expected: Sequence[People]) -> list[People]:
        """What the network sees where people are expected, each alone."""
        if not expected:
            return []
        boxes = np.concatenate([person.boxes for person in expected])
        keypoints, confidence = self._pose([image], [boxes])[0]
        scores = np.full(len(boxes), SCORE, np.float32)
        found = People(boxes, scores, keypoints, confidence)
        return [_only(found, row) for row in range(len(found))]


def _known(person: People, time: float) -> _Known:
    """Somebody new, in a box of the detector."""
    margins = (person.boxes - extents(person)) / sizes(person.boxes)[:, None]
    clarity = float(person.confidence.mean())
    return _Known(person, time, np.zeros(2), margins, clarity, time, 1)


def _only(people: People, row: int) -> People:
    """One of the people."""
    some = slice(row, row + 1)
    return People(
        people.boxes[some], people.scores[some], people.keypoints[some], people.confidence[some]
    )


def _joined(parts: Sequence[People]) -> People:
    """All people of the parts, in order."""
    if len(parts) == 1:
        return parts[0]
    names = ("boxes", "scores", "keypoints", "confidence")
    return People(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _are_two(
    people: People, row: int, both: Sequence[tuple[_Known, People, People]], time: float
) -> bool:
    """Whether two are in the box of a row: the network sees them apart, the second one clearer.

    `both` has what is known, seen and expected of each.
    """
    first, second = (seen for _, seen, _ in both)
    shown = all(known.is_shown(seen, time, expected) for known, seen, expected in both)
    clearer = second.confidence.mean() > people.confidence[row].mean()
    return bool(shown and clearer and _apart(first, second)[0, 0] >= OTHER)


def _with(people: People, row: int, person: People) -> People:
    """People with another pose and box in a row."""
    parts = {name: getattr(people, name).copy() for name in ("boxes", "keypoints", "confidence")}
    for name, values in parts.items():
        values[row] = getattr(person, name)[0]
    return replace(people, **parts)


def _is_new(person: People, others: Sequence[People]) -> bool:
    """Whether a pose lies on nobody else's body."""
    return not any((_apart(person, each) < OTHER).any() for each in others)


def _matched(
    expected: Sequence[People], people: People, reaches: Sequence[float]
) -> list[int | None]:
    """The row of `people` that each expected person is, if any: nearest poses, pair by pair."""
    rows: list[int | None] = [None] * len(expected)
    if not expected or not len(people):
        return rows
    apart = np.concatenate([_apart(person, people) for person in expected])
    costs = np.minimum(apart / np.array(reaches)[:, None], 1.0)
    for place, row in zip(*linear_sum_assignment(costs), strict=True):
        if costs[place, row] < 1.0:
            rows[place] = int(row)
    return rows


def _apart(first: People, second: People) -> Array:
    """(A, B) mean distance of joints in sizes, weighted by confidence; infinite if none shared."""
    weights = np.minimum(first.confidence[:, None], second.confidence[None])
    steps = np.where(weights[..., None] > 0, first.keypoints[:, None] - second.keypoints[None], 0)
    total = (weights * np.linalg.norm(steps, axis=-1)).sum(-1)
    size = np.sqrt(np.outer(sizes(first.boxes), sizes(second.boxes)))
    shared = weights.sum(-1)
    return np.where(shared > 0, total / np.maximum(shared, 1e-6) / size, np.inf)
