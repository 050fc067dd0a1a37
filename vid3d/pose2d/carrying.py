"""Detection at every n-th look; in between, boxes follow the poses.

A detector costs several times what a pose does. Between detections each person's box is moved and
reshaped by the joints that were found in it (as MediaPipe does it, Bazarevsky et al. 2020), and
the detector is asked at once when a person is lost, when two boxes run into one body, or when
something moves where nobody is known to be.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.people import People, centres, sizes
from vid3d.video.change import moved_outside, shrunk
from vid3d.video.frame import Image

MIN_CONFIDENCE = 0.2
"""Joints below this do not move a box."""

LOST = 0.75
"""A person is lost when the mean confidence falls below this share of the last detection's."""

SAME_BODY = 0.12
"""Two carried poses are one body when their joints are so near on average, in sizes."""

MOST_STEP = 1.5
"""Sizes a second faster than which a box is not believed to go on."""

Array = NDArray[np.floating]


@dataclass
class _Carried:
    """The people of the last look, row by row, and what is kept of them since their detection."""

    time: float
    people: People
    margins: Array  # (N, 4) from the joints' box to the detector's, in sizes
    clarity: Array  # (N,) mean confidence at the detection
    velocity: Array  # (N, 2) pixels a second


class CarryingEstimator:
    """An estimator for looks in the order of time that detects at every `every`-th of them.

    Args:
        estimator: detector and pose network.
        every: looks from one detection to the next; 1 detects at every look.
    """

    def __init__(self, estimator: TopDown, every: int) -> None:
        if every < 1:
            raise Vid3dError(f"detect_every is {every}; expected a whole number from 1 up")
        self.name, self.joint_set = estimator.name, estimator.joint_set
        self.detections = 0
        self._estimator = estimator
        self._every = every
        self._since = 0
        self._last: _Carried | None = None
        self._picture: Image | None = None

    def look(self, image: Image, time: float) -> People:
        """People of the next BGR image (H, W, 3), taken at `time` seconds."""
        picture, before = shrunk(image), self._picture
        self._picture = picture
        self._since += 1
        if self._last is not None and before is not None and self._since < self._every:
            carried = self._carry(self._last, image, time)
            if carried is not None and not self._surprised(before, picture, image, carried):
                self._last = carried
                return carried.people
        self._since = 0
        self.detections += 1
        people = self._estimator([image])[0]
        self._last = self._begin(people, time)
        return people

    def _begin(self, people: People, time: float) -> _Carried:
        """The state after a detection; who was known before keeps a velocity."""
        size = sizes(people.boxes)[:, None]
        margins = (people.boxes - extents(people)) / size
        velocity = np.zeros((len(people), 2))
        last = self._last
        if last is not None and len(last.people) and len(people):
            moves = centres(people.boxes)[:, None] - centres(last.people.boxes)[None]
            distance = np.linalg.norm(moves, axis=-1) / size
            nearest = distance.argmin(1)
            known = distance.min(1) < MOST_STEP * (time - last.time)
            step = moves[np.arange(len(people)), nearest] / max(time - last.time, 1e-3)
            velocity = np.where(known[:, None], step, 0.0)
        return _Carried(time, people, margins, people.confidence.mean(-1), velocity)

    def _carry(self, last: _Carried, image: Image, time: float) -> _Carried | None:
        """Poses in the boxes that are expected; None where somebody was lost."""
        people, elapsed = last.people, time - last.time
        boxes = (people.boxes + np.tile(last.velocity * elapsed, 2)).astype(np.float32)
        keypoints, confidence = self._estimator.pose([image], [boxes])[0]
        posed = People(boxes, people.scores, keypoints, confidence)
        if (confidence.mean(-1) < LOST * last.clarity).any() or _collide(posed):
            return None
        size = sizes(people.boxes)[:, None]
        followed = boxes_beyond(posed, last.margins * size)
        height, width = image.shape[:2]
        followed = followed.clip(0, [width, height, width, height])
        if not (followed[:, 2:] - followed[:, :2] > 0.2 * size).all():
            return None
        step = (centres(followed) - centres(people.boxes)) / max(elapsed, 1e-3)
        posed = replace(posed, boxes=np.asarray(followed, np.float32))
        return _Carried(time, posed, last.margins, last.clarity, step)

    def _surprised(self, before: Image, now: Image, image: Image, carried: _Carried) -> bool:
        assert self._last is not None
        boxes = np.concatenate([self._last.people.boxes, carried.people.boxes])
        return moved_outside(before, now, boxes * (now.shape[1] / image.shape[1]))


def extents(people: People) -> Array:
    """Boxes (N, 4) around the sure joints; the person's own box where fewer than four are sure."""
    return boxes_beyond(people, np.zeros(4))


def boxes_beyond(people: People, margins: Array) -> Array:
    """Boxes (N, 4) that reach so many pixels (N, 4) beyond the sure joints.

    Where fewer than four joints are sure it is the person's own box, which has its margins already.
    """
    sure = people.confidence >= MIN_CONFIDENCE
    low = np.where(sure[..., None], people.keypoints, np.inf).min(1)
    high = np.where(sure[..., None], people.keypoints, -np.inf).max(1)
    enough = sure.sum(-1, keepdims=True) >= 4
    return np.where(enough, np.concatenate([low, high], -1) + margins, people.boxes)


def _collide(people: People) -> bool:
    """Whether two of the poses lie on one body."""
    if len(people) < 2:
        return False
    apart = np.linalg.norm(people.keypoints[:, None] - people.keypoints[None], axis=-1).mean(-1)
    apart = apart / np.minimum.outer(sizes(people.boxes), sizes(people.boxes))
    first, second = np.triu_indices(len(people), 1)
    return bool((apart[first, second] < SAME_BODY).any())
