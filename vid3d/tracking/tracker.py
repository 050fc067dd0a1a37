"""Identity over looks that are 0.1 to 0.4 s apart, where boxes of one person no longer overlap.

The libraries of trackers were weighed first: ByteTrack, OC-SORT and their kin (supervision,
trackers, boxmot) pair boxes by overlap at full frame rate, which fails at sparse looks; norfair
takes a pose distance but pairs greedily and counts frames instead of seconds. What is left for us
is small: a motion model in seconds (`person`), a cost that knows poses (`association`) and the
rules of birth and death here. The second pass for weak detections is ByteTrack's idea (Zhang et
al. 2022, section 3); the rule that time unseen counts, not frames, is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import Look, People
from vid3d.tracking.association import assign, pairing_costs
from vid3d.tracking.belief import evidence, is_person
from vid3d.tracking.person import Person, Sightings
from vid3d.tracking.similarity import centres, duplicates, pose_weights
from vid3d.tracking.tracks import Track

STRONG, WEAK = 0.35, 0.1
"""Box scores: a strong sighting may begin a track, a weak one may only continue one."""

SURE = 0.6
"""A track seen only once needs this box score to be believed, unless the clip has only one look."""

MIN_JOINTS = 4
"""A pose with fewer joints is no evidence of a person."""

FORGET, GONE = 1.0, 2.0
"""Seconds unseen after which a person is matched only as a return, and after which never."""

# Likeness (OKS) to a better person of the same look from which on a strong, or a weak, sighting is
# a duplicate. Weak ones are often a part of somebody who has a box already.
_DUPLICATE = (0.75, 0.45)

# Highest costs at which a pair is made: strong sightings, weak ones, returns.
_LIMITS = (12.0, 8.0, 6.0)


@dataclass
class _Trail:
    """A person being tracked, the places (look, row) where they were seen, and what that says."""

    person: Person
    places: list[tuple[int, int]] = field(default_factory=list)
    evidence: list[float] = field(default_factory=list)

    def unseen(self, time: float) -> float:
        """Seconds since the first look that missed the person."""
        return 0.0 if self.person.missed_since is None else time - self.person.missed_since


class Tracker:
    """Tracks people look by look, in the order of time.

    Args:
        joint_set: name of the set that the looks' keypoints are in.
    """

    def __init__(self, joint_set: str = "coco17") -> None:
        self._joint_set = joint_set
        self._looks: list[Look] = []
        self._evidence: list[NDArray[np.floating]] = []
        self._active: list[_Trail] = []
        self._finished: list[_Trail] = []

    def update(self, look: Look) -> None:
        """Take in the next look."""
        index, time = len(self._looks), look.time
        self._looks.append(look)
        them = look.people
        self._evidence.append(
            evidence(them.boxes, them.keypoints, them.confidence, them.scores, self._joint_set)
        )
        strong, weak = self._split(look.people)
        lasting = [trail for trail in self._active if trail.unseen(time) < FORGET]
        faded = [trail for trail in self._active if trail.unseen(time) >= FORGET]
        lasting, strong = self._match(lasting, strong, _LIMITS[0], index, time)
        lasting, _ = self._match(lasting, weak, _LIMITS[1], index, time)
        faded, strong = self._match(faded, strong, _LIMITS[2], index, time)
        for trail in lasting + faded:
            if trail.person.missed_since is None:
                trail.person.missed_since = time
        for row in range(len(strong.rows)):
            self._active.append(_Trail(Person(strong, row, time, self._joint_set)))
            self._see(self._active[-1], strong, row, index)
        self._finished += [trail for trail in self._active if trail.unseen(time) > GONE]
        self._active = [trail for trail in self._active if trail.unseen(time) <= GONE]

    def tracks(self) -> list[Track]:
        """All tracks so far, numbered from 1 by first sighting, then from left to right."""
        trails = [trail for trail in self._finished + self._active if self._believed(trail)]
        trails.sort(key=lambda trail: self._first_place(trail))
        return [_track(i + 1, trail.places, self._looks) for i, trail in enumerate(trails)]

    def _split(self, people: People) -> tuple[Sightings, Sightings]:
        """Strong and weak sightings, without duplicates and poses that say nothing."""
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
        strong = people.scores >= STRONG
        return Sightings.of(*arrays, usable & strong), Sightings.of(*arrays, usable & ~strong)

    def _match(
        self, trails: list[_Trail], seen: Sightings, limit: float, index: int, time: float
    ) -> tuple[list[_Trail], Sightings]:
        """Continue trails by sightings; returns what is left of both."""
        if not trails or not len(seen.rows):
            return trails, seen
        costs = pairing_costs([trail.person.predict(time) for trail in trails], seen)
        pairs = assign(costs.total, limit)
        for i, row in pairs:
            trails[i].person.update(seen, row, costs.shift[i, row], time)
            self._see(trails[i], seen, row, index)
        taken = {i for i, _ in pairs}
        rest = np.setdiff1d(np.arange(len(seen.rows)), [row for _, row in pairs])
        return [trail for i, trail in enumerate(trails) if i not in taken], seen.only(rest)

    def _see(self, trail: _Trail, seen: Sightings, row: int, index: int) -> None:
        place = (index, int(seen.rows[row]))
        trail.places.append(place)
        trail.evidence.append(float(self._evidence[index][place[1]]))

    def _believed(self, trail: _Trail) -> bool:
        """Whether it is a person; one look alone gives nothing to compare with."""
        if len(self._looks) == 1:
            return True
        if len(trail.places) == 1:
            index, row = trail.places[0]
            if self._looks[index].people.scores[row] < SURE:
                return False
        return is_person(trail.evidence)

    def _first_place(self, trail: _Trail) -> tuple[int, float, float]:
        index, row = trail.places[0]
        x, y = centres(self._looks[index].people.boxes[row])
        return index, float(x), float(y)


def _track(number: int, places: Sequence[tuple[int, int]], looks: Sequence[Look]) -> Track:
    """The sightings at some places as one track."""
    people = [(looks[index].people, row) for index, row in places]
    return Track(
        id=number,
        looks=np.array([index for index, _ in places], np.int64),
        boxes=np.stack([them.boxes[row] for them, row in people]),
        keypoints=np.stack([them.keypoints[row] for them, row in people]),
        confidence=np.stack([them.confidence[row] for them, row in people]),
    )


def track_people(
    looks: Sequence[Look],
    frame_size: tuple[int, int],
    joint_set: str = "coco17",
) -> list[Track]:
    """Identities over the looks of one clip.

    Where every person of every look brings an identity (a keypoint file's `ids`), it is kept.

    Args:
        looks: in the order of time, with whatever spacing.
        frame_size: width and height in pixels.
        joint_set: name of the set that the looks' keypoints are in.

    Returns:
        Tracks ordered by id.
    """
    if has_identities(looks):
        return _given(looks)
    tracker = Tracker(joint_set)
    for look in looks:
        tracker.update(look)
    return tracker.tracks()


def has_identities(looks: Sequence[Look]) -> bool:
    """Whether every person of every look brings an identity; None and negative ones are none."""
    ids = [look.people.ids for look in looks if len(look.people)]
    return all(each is not None and bool((each >= 0).all()) for each in ids)


def _given(looks: Sequence[Look]) -> list[Track]:
    """Tracks by the ids that the looks bring."""
    places: dict[int, dict[int, int]] = {}
    for index, look in enumerate(looks):
        people = look.people
        if people.ids is None:
            continue
        # Of two people with one id in one look, the surer one counts.
        for row in np.argsort(people.scores, kind="stable"):
            if (people.confidence[row] > 0).any():
                places.setdefault(int(people.ids[row]), {})[index] = int(row)
    return [_track(number, sorted(places[number].items()), looks) for number in sorted(places)]
