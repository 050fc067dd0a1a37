"""Frames of a video in, looks with their people out."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from vid3d.pose2d.carrying import CarryingEstimator
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.people import Look, People
from vid3d.pose2d.recovery import Recovery
from vid3d.video.egomotion import Egomotion
from vid3d.video.frame import Frame
from vid3d.video.keyframes import AutoStride, looks

POSED = 0.3
"""Mean confidence of the joints from which a box is not background."""
LOOKS_A_BATCH = 4
"""Pictures handed to the networks at once: enough to batch crops, few enough to stay small."""


def watch(
    frames: Iterable[Frame],
    estimator: TopDown,
    stride: int | AutoStride,
    detect_every: int = 1,
    fov: float | None = None,
) -> Iterator[Look]:
    """Look for people on keyframes.

    Looks go to the networks in batches, unless one look decides about the next: with `AutoStride`,
    and where boxes are carried.

    Args:
        frames: of the video, in order.
        estimator: the 2D networks.
        stride: see `video.keyframes.looks`.
        detect_every: looks from one detection to the next; in between boxes follow the poses.
        fov: degrees that the camera sees across the longer side, to tell how it turns; None: to be
            told, if it does.

    Raises:
        Vid3dError: stride or detect_every is not positive.
    """
    kept = ((i, frame) for i, (frame, is_look) in enumerate(looks(frames, stride)) if is_look)
    eyes = _Eyes(estimator, fov)
    if isinstance(stride, int) and detect_every == 1:
        while batch := list(islice(kept, LOOKS_A_BATCH)):
            found = estimator([frame.image for _, frame in batch])
            for (number, frame), people in zip(batch, found, strict=True):
                yield eyes.look(number, frame, people)
        return
    carrying = CarryingEstimator(estimator, detect_every)
    for number, frame in kept:
        look = eyes.look(number, frame, carrying.look(frame.image, frame.time))
        if isinstance(stride, AutoStride):
            look = replace(look, still=stride.spared)
            stride.saw(frame.time, look.people)
        yield look


class _Eyes:
    """What goes from look to look: who may have been missed, and where the camera points."""

    def __init__(self, estimator: TopDown, fov: float | None) -> None:
        self._pose = estimator.pose
        self._recovery, self._egomotion = Recovery(estimator.pose), Egomotion(fov)

    def look(self, number: int, frame: Frame, found: People) -> Look:
        """A look at the people whom the networks found in a frame, and at those they missed."""
        posed = found.confidence.mean(-1) >= POSED
        view = self._egomotion.see(frame.image, found.boxes[posed])
        if view.cut:
            self._recovery = Recovery(self._pose)
        people = self._recovery.complete(frame.image, frame.time, found)
        return Look(number, frame.time, people, shift=view.shift, cut=view.cut, fov=view.fov)
