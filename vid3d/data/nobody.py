"""Pictures of what a detector takes for people and nobody is: there a pose network shall be unsure.

Things that are followed as people cost a user more than a person who is missed for a moment, and
what tells them apart is how sure the pose network is (`vid3d.tracking.belief`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from vid3d.data.crops import MARGIN, crop_size
from vid3d.data.labelled_images import ImageLabels, LabelledImages, write_labelled_images
from vid3d.pose2d.networks import Detector
from vid3d.pose2d.people import areas, common_areas

ASPECT = 0.75  # width over height of the widest crops that pose networks take
MIN_HEIGHT = 40.0  # pixels of a box: what is smaller may be anybody
APART = 0.1  # share of a box that may lie in people or in what might be people
LONGEST = 256  # pixels of a picture's side


def write_nobody(
    folder: Path, sets: Iterable[LabelledImages], detector: Detector
) -> LabelledImages:
    """Write what ``detector`` falsely sees in image sets as a set in ``folder``, without labels."""
    return write_labelled_images(folder, _pictures(sets, detector))


def _pictures(
    sets: Iterable[LabelledImages], detector: Detector
) -> Iterator[tuple[np.ndarray, ImageLabels]]:
    for images in sets:
        for index in range(len(images)):
            image, known = images.image(index), images.labels(index).boxes
            ((boxes, _),) = detector([image])
            for box in boxes[is_apart(boxes, known)]:
                yield surroundings(image, box), no_people()


def no_people() -> ImageLabels:
    """The labels of a picture without people."""
    return ImageLabels(np.zeros((0, 4)), np.zeros(0, bool), np.zeros((0, 17, 2)), np.zeros((0, 17)))


def is_apart(boxes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of ``boxes`` (N,4) are high enough, and hardly lie in ``known`` ones (M,4)."""
    shared = common_areas(boxes, known).sum(1)
    high = boxes[:, 3] - boxes[:, 1] >= MIN_HEIGHT
    return np.asarray(high & (shared < APART * areas(boxes)))


def surroundings(image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """A picture of ``box`` (4,), its `crops.middle`, and around it; black beyond the image."""
    size = crop_size(box, ASPECT) * MARGIN
    scale = min(1.0, LONGEST / size.max())
    width, height = (max(8, round(side * scale)) for side in size)
    start = (box[:2] + box[2:]) / 2 * scale - np.array([width, height]) / 2
    matrix = np.array([[scale, 0, -start[0]], [0, scale, -start[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR))
