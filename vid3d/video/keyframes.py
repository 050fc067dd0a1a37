"""Which frames are looked at: every s-th or those that motion asks for; always first and last."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.pose2d.people import People, sizes
from vid3d.video.change import change, inside, shrunk_frame, small_size
from vid3d.video.frame import Frame, Image

Array = NDArray[np.floating]


def default_stride(fps: float) -> int:
    """Frames from one look to the next: five looks a second."""
    return max(1, round(fps / 5))


def looks(frames: Iterable[Frame], stride: "int | AutoStride") -> Iterator[tuple[Frame, bool]]:
    """Every frame once, with whether it is looked at (a keyframe).

    Frames come a little behind the input, since only its end tells which frame is the last, and
    `AutoStride` wants to know how a motion goes on. Meanwhile few keep their pictures.

    Args:
        frames: frames in order.
        stride: look at every stride-th frame, the first and the last; or, with `AutoStride`, at
            those of them that it does not spare. It must have been told of the people of one look
            before the next frame is asked for.

    Raises:
        Vid3dError: the stride is not positive.
    """
    auto = stride if isinstance(stride, AutoStride) else None
    every = auto.stride if auto else stride
    if not isinstance(every, int) or every < 1:
        raise Vid3dError(f"stride is {every}; expected a whole number from 1 (or auto)")
    waiting: deque[Frame] = deque()
    position = 0  # of the first that waits

    def wanted(last: bool) -> bool:
        if last or position % every:
            return last
        return auto is None or auto.due(waiting[0].time)

    for newest, frame in enumerate(frames):
        if auto:
            auto.see(frame.time, shrunk_frame(frame))
            if waiting and (newest - 1) % every:
                waiting[-1] = replace(waiting[-1], decoded=None)  # that was not the last one
        waiting.append(frame)
        while len(waiting) > (every if auto else 1):
            yield waiting[0], wanted(last=False)
            waiting.popleft()
            position += 1
    while waiting:
        yield waiting[0], wanted(last=len(waiting) == 1)
        waiting.popleft()
        position += 1


class AutoStride:
    """Every stride-th frame, but for those at which nobody moves, decided while frames come in.

    What tells is how much small grey copies change in each person's box, or outside all of them:
    from frame to frame, added up, or from the last look on, which also shows what is too slow to be
    told from noise in a single step. How much motion a change means depends on clothes, light and
    background, so past looks calibrate it: they know how far the joints went while the picture
    changed so much. A frame is spared where the joints are expected to have gone less than `STEP`
    between the last look and the frame that would be looked at after it: so whatever moves is seen
    at every stride-th frame, the last moment of rest before a motion included, and what was spared
    can be put back for the lifter (`tracking.rest`).

    Args:
        frame_size: width and height of the video in pixels.
        stride: frames from one look to the next where people move.

    Attributes:
        spared: whether frames were spared since the last look.
    """

    STEP = 0.03
    """Expected motion that asks for a look: mean over joints, in sizes (root of the box area)."""

    LONGEST = 1.2
    """Seconds between looks, at most."""

    _GAIN, _TRUST = 3.0, 0.02  # sizes moved for a change of 1 before any look; its weight
    _MEMORY = 0.9  # of old evidence at each look
    _NOBODY = 0.05  # share of the picture that stands for a person nobody has seen yet

    def __init__(self, frame_size: tuple[int, int], stride: int) -> None:
        self.stride = stride
        self.spared = False
        self._scale = small_size(*frame_size)[0] / frame_size[0]
        self._evidence = np.array([self._GAIN, 1.0]) * self._TRUST
        self._picture: Image | None = None
        self._people = People.none()
        self._look_time = -np.inf
        self._looked_at: Image | None = None  # the last look's picture
        self._since: deque[tuple[float, Image, NDArray[np.float32]]] = deque()  # with the changes

    def see(self, time: float, picture: Image) -> None:
        """Take in the small grey copy (`change.shrunk_frame`) of the next frame."""
        before = picture if self._picture is None else self._picture
        self._since.append((time, picture, change(before, picture)))
        self._picture = picture

    def due(self, time: float) -> bool:
        """Whether the frame at `time` is to be looked at; those up to the next one were seen."""
        expected = self._measure(np.inf).max() * self._evidence[0] / self._evidence[1]
        late = time - self._look_time > self.LONGEST - 1e-6
        due = late or bool(expected >= self.STEP)
        self.spared |= not due
        return due

    def saw(self, time: float, people: People) -> None:
        """Take in the people of a frame that was looked at."""
        motion, known = _motion(self._people, people)
        changed = self._measure(time)[known]
        prior = np.array([self._GAIN, 1.0]) * self._TRUST
        self._evidence = self._MEMORY * self._evidence + (1 - self._MEMORY) * prior
        self._evidence += [motion @ changed, changed @ changed]  # least squares through nought
        self._people, self._look_time, self.spared = people, time, False
        while self._since and self._since[0][0] <= time:
            self._looked_at = self._since.popleft()[1]

    def _measure(self, until: float) -> Array:
        """Change since the last look in each person's box, then elsewhere, in persons' areas."""
        boxes = self._people.boxes * self._scale
        since = [(picture, changed) for time, picture, changed in self._since if time <= until]
        if not since or self._looked_at is None:
            return np.zeros(len(boxes) + 1)
        total = np.sum([changed for _, changed in since], axis=0)
        total = np.maximum(total, change(self._looked_at, since[-1][0]))
        areas = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1), 1.0)
        regions = inside(boxes, total.shape)
        sums = np.array([total[region].sum() for region in regions])
        for region in regions:
            total[region] = 0
        typical = np.median(areas) if len(areas) else self._NOBODY * total.size
        return np.append(sums / areas, total.sum() / typical)


def _motion(before: People, now: People) -> tuple[Array, NDArray[np.intp]]:
    """How far the joints of people went, in sizes, and the rows of `before` this is known of.

    People are paired with the nearest pose of the next look; who moved farther than their own size
    is not believed to be the same.
    """
    if not len(before) or not len(now):
        return np.zeros(0), np.zeros(0, np.intp)
    weights = np.minimum(before.confidence[:, None], now.confidence[None])
    steps = np.where(weights[..., None] > 0, before.keypoints[:, None] - now.keypoints[None], 0)
    distance = (weights * np.linalg.norm(steps, axis=-1)).sum(-1)
    distance = distance / np.maximum(weights.sum(-1), 1e-6) / sizes(before.boxes)[:, None]
    nearest = distance.min(1)
    known = np.flatnonzero(nearest < 1)
    return nearest[known], known
