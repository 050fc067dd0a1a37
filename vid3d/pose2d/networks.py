"""What the 2D stage's networks are to the rest, whatever runs them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vid3d.video.frame import Image

Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class Detector(Protocol):
    """Finds people: boxes (N, 4) in image pixels and scores (N,) of each image."""

    name: str

    def __call__(self, images: Sequence[Image]) -> list[Found]:
        """Boxes and scores of each image."""


class PoseNetwork(Protocol):
    """Finds joints in boxes: keypoints (N, 17, 2) and confidence (N, 17) of each image."""

    name: str
    joint_set: str

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[Found]:
        """Keypoints and confidence of each image's boxes."""
