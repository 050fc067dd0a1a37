"""Flip test: a pose network looks at people in the mirror too.

What it says of both is averaged, joint by joint, as in OpenMMLab's test pipelines, where heat maps
are. Here keypoints are, so that any network on any backend gains.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.networks import Found, PoseNetwork
from vid3d.skeleton import joint_set
from vid3d.video.frame import Image

AGREED = 0.1
"""Share of the box's longer side up to which both mean the same place; beyond it the surer one is
believed, since the middle between a left and a right knee is neither."""


class MirroringPose:
    """A pose network that is asked about each person twice.

    Attributes:
        network: the pose network.
    """

    def __init__(self, network: PoseNetwork) -> None:
        self.name = f"{network.name} (flip test)"
        self.joint_set = network.joint_set
        self.network = network

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[Found]:
        """Keypoints (N, 17, 2) and confidence (N, 17) of each image's boxes (N, 4)."""
        seen = [(image, own) for image, own in zip(images, boxes, strict=True) if len(own)]
        mirrors = [np.asarray(cv2.flip(image, 1), np.uint8) for image, _ in seen]
        turned = [_mirrored_boxes(own, image.shape[1]) for image, own in seen]
        found = self.network([*images, *mirrors], [*boxes, *turned])
        plain, mirrored = found[: len(images)], iter(found[len(images) :])
        order = joint_set(self.joint_set).flip
        return [
            agreed(said, mirrored_back(next(mirrored), image.shape[1], order), own)
            if len(own)
            else said
            for image, own, said in zip(images, boxes, plain, strict=True)
        ]


def _mirrored_boxes(boxes: NDArray[np.floating], width: int) -> NDArray[np.floating]:
    """Boxes (N, 4) in a mirrored image of this width."""
    left, top, right, bottom = boxes.T
    return np.stack([width - 1 - right, top, width - 1 - left, bottom], -1)


def mirrored_back(found: Found, width: int, order: Sequence[int]) -> Found:
    """Keypoints and confidence in a mirrored image of this width, as of the image itself.

    Args:
        found: keypoints (N, J, 2) and confidence (N, J).
        width: of the image, pixels; pixel centres are at integers.
        order: which joint each joint is in the mirror.
    """
    keypoints, confidence = found[0][:, order].copy(), found[1][:, order]
    keypoints[..., 0] = width - 1 - keypoints[..., 0]
    return keypoints, confidence


def agreed(first: Found, second: Found, boxes: NDArray[np.floating]) -> Found:
    """One answer out of two: the mean weighted by confidence, or the surer one where they differ.

    Args:
        first: keypoints (N, J, 2) and confidence (N, J).
        second: the same of the same people.
        boxes: (N, 4) of the people.
    """
    (one, sure), (other, doubt) = first, second
    share = (sure / np.maximum(sure + doubt, 1e-6))[..., None]
    near = AGREED * (boxes[:, 2:] - boxes[:, :2]).max(-1)[:, None, None]
    close = np.linalg.norm(one - other, axis=-1, keepdims=True) <= near
    both = share * one + (1 - share) * other
    surer = np.where(share >= 0.5, one, other)
    keypoints = np.where(close & (sure > 0)[..., None] & (doubt > 0)[..., None], both, surer)
    return keypoints.astype(np.float32), ((sure + doubt) / 2).astype(np.float32)
