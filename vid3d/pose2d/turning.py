"""People who are not upright: somersaults, handstands, cartwheels, people who lie.

Pose networks learn from people who stand, and on others they are wrong and say so by low
confidence. Where one is unsure it is asked again in the picture turned by a quarter, a half and
three quarters, and the clearest answer counts if it is clearer by far, and of somebody who is
really not upright.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.networks import Found, PoseNetwork
from vid3d.pose2d.preprocess import CROP_PADDING
from vid3d.skeleton import joint_set
from vid3d.video.frame import Image

UNSURE = 0.65
"""Mean confidence of a pose below which the network is asked again."""

CLEARER, CLEAR = 0.15, 0.5
"""By how much the mean confidence of a turned pose must be higher, since upright ones are likelier,
and what it must be at least."""

SMALLEST = 96
"""Pixels of the longer side of a box from which on turning helps: of less, networks are unsure
because there is little to see."""

_REACH = CROP_PADDING * 2 / 3
"""Half the side of what networks look at, over the longer side of the box, for crops of 3:4."""

_LINEAR = np.array([[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]]])
"""What `numpy.rot90` (counterclockwise) does to x and y, for 0 to 3 quarters."""


class TurningPose:
    """A pose network that tilts its head where it is unsure.

    Attributes:
        network: the pose network.
    """

    def __init__(self, network: PoseNetwork) -> None:
        self.name = network.name
        self.joint_set = network.joint_set
        self.network = network

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[Found]:
        """Keypoints (N, 17, 2) and confidence (N, 17) of each image's boxes (N, 4)."""
        found = self.network(images, boxes)
        return turned_where_unsure(self.network, images, boxes, found)


def turned_where_unsure(
    network: PoseNetwork,
    images: Sequence[Image],
    boxes: Sequence[NDArray[np.floating]],
    found: Sequence[Found],
) -> list[Found]:
    """What was found upright, and in its place what is clearer by `CLEARER` in a turned picture.

    Args:
        network: to ask again.
        images: BGR (H, W, 3).
        boxes: (N, 4) of each image.
        found: keypoints (N, 17, 2) and confidence (N, 17) of each image.
    """
    better = [(keypoints.copy(), confidence.copy()) for keypoints, confidence in found]
    unsure = [
        (place, row)
        for place, (_, confidence) in enumerate(found)
        for row in np.flatnonzero((confidence.mean(-1) < UNSURE) & _large(boxes[place])).tolist()
    ]
    if not unsure:
        return better
    turned = [[Turned(images[i], boxes[i][row], n) for n in (1, 2, 3)] for i, row in unsure]
    every = [each for three in turned for each in three]
    again = network([each.image for each in every], [each.box[None] for each in every])
    for number, (place, row) in enumerate(unsure):
        answers = again[3 * number : 3 * number + 3]
        best = int(np.argmax([said.mean() for _, said in answers]))
        points, said = turned[number][best].back(answers[best][0][0]), answers[best][1][0]
        keypoints, confidence = better[place]
        clear = said.mean() >= max(CLEAR, confidence[row].mean() + CLEARER)
        if clear and not _is_upright(points, network.joint_set):
            keypoints[row], confidence[row] = points, said
    return better


def _is_upright(points: NDArray[np.floating], joints: str) -> bool:
    """Whether keypoints (17, 2) have the shoulders above the hips, by 45 degrees at most aside."""
    names = joint_set(joints)
    shoulders, hips = (
        points[[names.index(f"{side}_{joint}") for side in ("left", "right")]].mean(0)
        for joint in ("shoulder", "hip")
    )
    aside, down = hips - shoulders
    return bool(down >= abs(aside))


def _large(boxes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which boxes (N, 4) are large enough."""
    return (boxes[:, 2:] - boxes[:, :2]).max(-1, initial=0) >= SMALLEST


class Turned:
    """What a network sees of a person in an image, turned counterclockwise by quarters.

    Args:
        image: BGR (H, W, 3).
        box: (4,) of the person in it, pixels.
        quarters: 0 to 3.

    Attributes:
        image: BGR (h, w, 3), the person's surroundings turned.
        box: (4,) of the person in that.
    """

    def __init__(self, image: Image, box: NDArray[np.floating], quarters: int) -> None:
        middle, reach = (box[:2] + box[2:]) / 2, _REACH * (box[2:] - box[:2]).max() + 1
        size = image.shape[1::-1]
        low = np.floor(middle - reach).clip(0, np.subtract(size, 1)).astype(int)
        high = np.ceil(middle + reach).clip(1, size).astype(int)
        part = image[low[1] : high[1], low[0] : high[0]]
        self.image = np.ascontiguousarray(np.rot90(part, quarters))
        self._corner, self._linear = low, _LINEAR[quarters]
        self._offset = -np.minimum((high - low - 1) @ self._linear.T, 0)
        corners = (box.reshape(2, 2) - low) @ self._linear.T + self._offset
        self.box = np.concatenate([corners.min(0), corners.max(0)])

    def back(self, points: NDArray[np.floating]) -> NDArray[np.floating]:
        """Points (N, 2) of the turned picture as points of the image."""
        return np.asarray((points - self._offset) @ self._linear + self._corner)
