"""Identity over looks that are 0.1 to 0.4 s apart, where boxes of one person no longer overlap.

The libraries of trackers were weighed first: ByteTrack, OC-SORT and their kin (supervision,
trackers, boxmot) pair boxes by overlap at full frame rate, which fails at sparse looks; norfair
takes a pose distance but pairs greedily and counts frames instead of seconds. What is left for us
is small: a motion model in seconds (`person`), a cost that knows poses (`association`) and the
rules of birth and death here. That weak detections may continue a track is ByteTrack's idea (Zhang
et al. 2022, section 3), but they compete with the strong ones in one assignment instead of coming
after them: where people cross, one sure box around two is a worse match than a doubtful one around
each. The rule that time unseen counts, not frames, is ours.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.pose2d.people import Look, People, centres, sizes
from vid3d.steadying import Steadying
from vid3d.tracking.association import assign, pairing_costs
from vid3d.tracking.belief import evidence, is_person
from vid3d.tracking.person import Person, Sightings
from vid3d.tracking.rest import at_rest, looks_counted
from vid3d.tracking.similarity import common_share, duplicates, pose_weights
from vid3d.tracking.tracks import Track

Array = NDArray[np.floating]

STRONG, WEAK = 0.35, 0.1
"""Box scores: a strong sighting may begin a track, a weak one may only continue one."""

MIN_JOINTS = 4
"""A pose with fewer joints is no evidence of a person."""

FORGET, GONE = 1.0, 2.0
"""Seconds unseen after which a person is matched only as a return, and after which never."""

# Likeness (OKS) to a better person of the same look from which on a strong, or a weak, sighting is
# a duplicate. Weak ones are often a part of somebody who has a box already.
_DUPLICATE = (0.75, 0.45)

# Highest costs at which a pair is made: of those seen lately, and of returns.
_LASTING, _RETURN = 12.0, 6.0

# Share of the smaller of two boxes that they have in common, from which on they are in one place;
# sizes within which nobody else may be for that to say who it is: in crowds it is mostly another.
_SAME_PLACE, _ALONE = 0.2, 2.0

# By how much a weak sighting must fit better than a strong one, to be preferred to it.
_DOUBT = 4.0


@dataclass(frozen=True)
class Step:
    """What one look tells.

    Attributes:
        seen: number of each person who was seen, and their row in the look's `People`.
        gone: numbers of those who will not be seen again, and whether each is a person.
    """

    seen: list[tuple[int, int]]
    gone: dict[int, bool] = field(default_factory=dict)


@dataclass
class _Trail:
    """A person being tracked, and what their sightings say.

    Attributes:
        number: from 1, by first sighting, then from left to right.
        person: state of the motion model.
        begun, seen: seconds of the first and the last sighting.
        evidence: log odds of every sighting.
        speeds: of the box from each sighting to the next, sizes a second.
        box: (4,) at the last sighting.
    """

    number: int
    person: Person
    begun: float
    seen: float
    box: Array
    evidence: array = field(default_factory=lambda: array("d"))
    speeds: array = field(default_factory=lambda: array("d"))

    def saw(self, box: Array, odds: float, time: float) -> None:
        """Take in a sighting."""
        self.evidence.append(odds)
        if time > self.seen:
            step = np.linalg.norm(centres(box) - centres(self.box))
            self.speeds.append(float(step / sizes(box) / (time - self.seen)))
        self.seen, self.box = time, box

    def unseen(self, time: float) -> float:
        """Seconds since the first look that missed the person."""
        return 0.0 if self.person.missed_since is None else time - self.person.missed_since

    def believed(self, looks: int) -> bool:
        """Whether it is a person, as far as so many looks tell."""
        throughout = len(self.evidence) == looks
        if throughout:
            return is_person(self.evidence)
        speed = float(np.median(self.speeds)) if self.speeds else np.inf  # seen once: nobody knows
        return is_person(self.evidence, self.seen - self.begun, speed)


class Tracker:
    """Tracks people look by look, in the order of time; looks are not kept.

    Args:
        joint_set: name of the set that the looks' keypoints are in.
    """

    def __init__(self, joint_set: str = "coco17") -> None:
        self._joint_set = joint_set
        self._looks = 0
        self._begun = 0
        self._active: list[_Trail] = []

    def update(self, look: Look) -> Step:
        """Take in the next look."""
        time, them = look.time, look.people
        ended: dict[int, bool] = {}
        if look.cut:  # others, in another place
            ended, self._active, self._looks = self.believes(), [], 0
        self._looks += 1
        odds = evidence(them.boxes, them.keypoints, them.confidence, them.scores, self._joint_set)
        sightings = self._usable(them)
        before = [trail for trail in self._active if trail.unseen(time) < FORGET]
        faded = [trail for trail in self._active if trail.unseen(time) >= FORGET]
        seen: list[tuple[_Trail, int]] = []
        lasting, rest = _match(before, sightings, _LASTING, time, seen)
        strong = rest.only(np.flatnonzero(rest.scores >= STRONG))
        lasting, strong = self._go_on(lasting, strong, sightings, time, seen)
        faded, strong = _match(faded, strong, _RETURN, time, seen)
        for trail in lasting + faded:
            if trail.person.missed_since is None:
                trail.person.missed_since = time
        for place in np.lexsort(centres(strong.boxes).T[::-1]).tolist():
            seen.append((self._begin(strong, place, time), int(strong.rows[place])))
        for trail, row in seen:
            trail.saw(them.boxes[row], float(odds[row]), time)
        gone = [trail for trail in self._active if trail.unseen(time) > GONE]
        self._active = [trail for trail in self._active if trail.unseen(time) <= GONE]
        return Step(
            [(trail.number, row) for trail, row in seen],
            ended | {trail.number: trail.believed(self._looks) for trail in gone},
        )

    def believes(self) -> dict[int, bool]:
        """Of everybody who may still be seen again: whether it is a person, as far as known."""
        return {trail.number: trail.believed(self._looks) for trail in self._active}

    def believed(self, number: int) -> bool:
        """The same of one of them."""
        return next(one for one in self._active if one.number == number).believed(self._looks)

    @staticmethod
    def identities(numbers: Sequence[int]) -> list[int]:
        """The ids of believed people with rising numbers: from 1 without gaps."""
        return list(range(1, len(numbers) + 1))

    def _go_on(
        self,
        trails: list[_Trail],
        strong: Sightings,
        sightings: Sightings,
        time: float,
        seen: list[tuple[_Trail, int]],
    ) -> tuple[list[_Trail], Sightings]:
        """Continue trails whose motion nobody could foresee, as of somebody who jumps.

        A person does not vanish as another appears in their place: who was seen at the last look
        goes on as the only one of all `sightings` who is there now, from a new state. As `_match`.
        """
        if not trails or not len(strong.rows):
            return trails, strong
        alone = _alone(self._active, sightings)
        places = {row: place for place, row in enumerate(strong.rows.tolist())}
        left: list[_Trail] = []
        for trail in trails:
            row = alone.get(trail.number, -1)
            if trail.person.missed_since is None and row in places:
                trail.person = Person(strong, places.pop(row), time, self._joint_set)
                seen.append((trail, row))
            else:
                left.append(trail)
        return left, strong.only(np.array(sorted(places.values()), np.int64))

    def _begin(self, seen: Sightings, place: int, time: float) -> _Trail:
        self._begun += 1
        person = Person(seen, place, time, self._joint_set)
        self._active.append(_Trail(self._begun, person, time, time, seen.boxes[place]))
        return self._active[-1]

    def _usable(self, people: People) -> Sightings:
        """Sightings that are strong or weak, without duplicates and poses that say nothing."""
        posed = (pose_weights(people.confidence) > 0).sum(-1) >= MIN_JOINTS
        usable = posed & (people.scores >= WEAK)
        rows = np.flatnonzero(usable)
        usable[rows] &= ~duplicates(
            people.boxes[rows],
            people.keypoints[rows],
            people.confidence[rows],
            people.scores[rows],
            np.where(people.scores[rows] >= STRONG, *_DUPLICATE),
            self._joint_set,
        )
        arrays = (people.boxes, people.keypoints, people.confidence, people.scores)
        return Sightings.of(*arrays, usable)


def _match(
    trails: list[_Trail],
    sightings: Sightings,
    limit: float,
    time: float,
    seen: list[tuple[_Trail, int]],
) -> tuple[list[_Trail], Sightings]:
    """Continue trails by sightings, noted in `seen`; returns what is left of both."""
    if not trails or not len(sightings.rows):
        return trails, sightings
    costs = pairing_costs([trail.person.predict(time) for trail in trails], sightings)
    total = costs.total + _DOUBT * (sightings.scores < STRONG)
    pairs = assign(total, limit)
    taken = {i for i, _ in pairs}
    left = [i for i in range(len(trails)) if i not in taken]
    for i, row in pairs:
        shared = bool((total[left, row] <= limit).any())
        trails[i].person.update(sightings, row, costs.shift[i, row], time, shared)
        seen.append((trails[i], int(sightings.rows[row])))
    rest = np.setdiff1d(np.arange(len(sightings.rows)), [row for _, row in pairs])
    return [trails[i] for i in left], sightings.only(rest)


def _alone(trails: list[_Trail], sightings: Sightings) -> dict[int, int]:
    """Rows of sightings far from all others, by number of the trail whose place they are in."""
    boxes = np.stack([trail.box for trail in trails])
    there = common_share(boxes, sightings.boxes) >= _SAME_PLACE
    away = np.linalg.norm(centres(boxes)[:, None] - centres(sightings.boxes), axis=-1)
    near = away / sizes(sightings.boxes) < _ALONE
    only = there & (there.sum(1, keepdims=True) == 1) & (near.sum(0) - near == 0)
    return {trails[i].number: int(sightings.rows[j]) for i, j in np.argwhere(only).tolist()}


class GivenIdentities:
    """Stands in for a `Tracker` where looks bring identities: these are the numbers."""

    def __init__(self) -> None:
        self._known: set[int] = set()

    def update(self, look: Look) -> Step:
        """Take in the next look; of two people with one id in it, the surer one counts."""
        people, rows = look.people, {}
        if people.ids is not None:
            for row in np.argsort(people.scores, kind="stable").tolist():
                if (people.confidence[row] > 0).any():
                    rows[int(people.ids[row])] = row
        self._known |= set(rows)
        return Step(sorted(rows.items()))

    def believes(self) -> dict[int, bool]:
        """Everybody who was seen is a person."""
        return dict.fromkeys(self._known, True)

    def believed(self, number: int) -> bool:
        """Whether somebody is a person, as everybody is who was seen."""
        return number in self._known

    @staticmethod
    def identities(numbers: Sequence[int]) -> list[int]:
        """The ids of people are their numbers."""
        return list(numbers)


def tracker_of(identified: bool, joint_set: str = "coco17") -> Tracker | GivenIdentities:
    """What tells people apart in looks that bring identities, or that do not."""
    return GivenIdentities() if identified else Tracker(joint_set)


def _track(number: int, places: Sequence[tuple[int, int]], looks: Sequence[Look]) -> Track:
    """The sightings at some places as one track."""
    people = [(looks[index].people, row) for index, row in places]
    indices = np.array([index for index, _ in places], np.int64)
    times = np.array([looks[index].time for index, _ in places])
    still = np.array([looks[index].still for index, _ in places])
    return Track(
        id=number,
        looks=indices,
        weights=looks_counted(times, at_rest(indices, still)),
        boxes=np.stack([them.boxes[row] for them, row in people]),
        keypoints=np.stack([them.keypoints[row] for them, row in people]),
        confidence=np.stack([them.confidence[row] for them, row in people]),
    )


def track_people(
    looks: Sequence[Look],
    frame_size: tuple[int, int],
    joint_set: str = "coco17",
    camera: Camera | None = None,
) -> list[Track]:
    """Identities over the looks of one clip.

    Where every person of every look brings an identity (a keypoint file's `ids`), it is kept.

    Args:
        looks: in the order of time, with whatever spacing.
        frame_size: width and height in pixels.
        joint_set: name of the set that the looks' keypoints are in.
        camera: that saw them, if it is known.

    Returns:
        Tracks ordered by id.
    """
    tracker = tracker_of(has_identities(looks), joint_set)
    steadying = Steadying(camera or Camera.from_fov(ASSUMED_FOV, frame_size))
    places: dict[int, list[tuple[int, int]]] = {}
    believed: dict[int, bool] = {}
    for index, look in enumerate(looks):
        step = tracker.update(steadying.steadied(look))
        believed |= step.gone
        for number, row in step.seen:
            places.setdefault(number, []).append((index, row))
    believed |= tracker.believes()
    numbers = sorted(number for number, is_one in believed.items() if is_one)
    return [
        _track(identity, places[number], looks)
        for identity, number in zip(tracker.identities(numbers), numbers, strict=True)
    ]


def has_identities(looks: Sequence[Look]) -> bool:
    """Whether every person of every look brings an identity; None and negative ones are none."""
    ids = [look.people.ids for look in looks if len(look.people)]
    return all(each is not None and bool((each >= 0).all()) for each in ids)
