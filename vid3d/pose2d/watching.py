"""Frames of a video in, looks with their people out."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import ASSUMED_FOV
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
    fov: float = ASSUMED_FOV,
) -> Iterator[Look]:
    """Look for people on keyframes.

    Looks go to the networks in batches, unless one look decides about the next: with `AutoStride`,
    and where boxes are carried.

    Args:
        frames: of the video, in order.
        estimator: the 2D networks.
        stride: see `video.keyframes.looks`.
        detect_every: looks from one detection to the next; in between boxes follow the poses.
        fov: degrees that the camera sees across the longer side, to tell how it turns.

    Raises:
        Vid3dError: stride or detect_every is not positive.
    """
    kept = ((i, frame) for i, (frame, is_look) in enumerate(looks(frames, stride)) if is_look)
    if isinstance(stride, int) and detect_every == 1:
        yield from _in_batches(kept, estimator, fov)
        return
    carrying, recovery = CarryingEstimator(estimator, detect_every), Recovery(estimator.pose)
    egomotion = Egomotion(fov)
    for number, frame in kept:
        people = recovery.complete(frame.image, frame.time, carrying.look(frame.image, frame.time))
        shift = egomotion.see(frame.image, _people(people))
        still = False
        if isinstance(stride, AutoStride):
            still = stride.spared
            stride.saw(frame.time, people)
        yield Look(number, frame.time, people, still, shift)


def _in_batches(
    kept: Iterator[tuple[int, Frame]], estimator: TopDown, fov: float
) -> Iterator[Look]:
    recovery, egomotion = Recovery(estimator.pose), Egomotion(fov)
    while batch := list(islice(kept, LOOKS_A_BATCH)):
        seen = estimator([frame.image for _, frame in batch])
        for (number, frame), found in zip(batch, seen, strict=True):
            people = recovery.complete(frame.image, frame.time, found)
            shift = egomotion.see(frame.image, _people(people))
            yield Look(number, frame.time, people, shift=shift)


def _people(found: People) -> NDArray[np.float32]:
    """Boxes (N, 4) of what looks like people to the pose network too, not just to the detector."""
    return found.boxes[found.confidence.mean(-1) >= POSED]
