"""What a pose network's score is worth: the probability that a joint is where it was put."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.networks import Found, PoseNetwork
from vid3d.video.frame import Image


@dataclass(frozen=True)
class Calibration:
    """A rising line of straight pieces from a network's score to a probability.

    The probability is that of a joint that can be seen lying within 0.2 torso lengths of the
    truth. It makes the confidences of any two networks mean the same.

    Attributes:
        score: increasing scores of the network, each in 0..1, at least two.
        probability: at each of them, in 0..1 and never falling.
    """

    score: tuple[float, ...]
    probability: tuple[float, ...]

    def __post_init__(self) -> None:
        score, probability = np.asarray(self.score), np.asarray(self.probability)
        if score.ndim != 1 or score.shape != probability.shape or len(score) < 2:
            raise ValueError("calibration needs as many scores as probabilities, at least two")
        both = np.concatenate([score, probability])
        if not (np.issubdtype(both.dtype, np.number) and ((both >= 0) & (both <= 1)).all()):
            raise ValueError("calibration must hold numbers between 0 and 1")
        if (np.diff(score) <= 0).any() or (np.diff(probability) < 0).any():
            raise ValueError("calibration must rise: scores strictly, probabilities never falling")
        object.__setattr__(self, "score", tuple(map(float, score)))
        object.__setattr__(self, "probability", tuple(map(float, probability)))

    def __call__(self, confidence: NDArray[np.floating]) -> NDArray[np.float32]:
        """Probabilities (...) of scores (...) in 0..1; 0, which means missing, stays 0."""
        mapped = np.interp(confidence, self.score, self.probability)
        return np.where(confidence > 0, mapped, 0).astype(np.float32)


class CalibratedPose:
    """A pose network whose confidences are probabilities.

    Attributes:
        network: the pose network.
    """

    def __init__(self, network: PoseNetwork, calibration: Calibration) -> None:
        self.name = network.name
        self.joint_set = network.joint_set
        self.network = network
        self._calibration = calibration

    def __call__(
        self, images: Sequence[Image], boxes: Sequence[NDArray[np.floating]]
    ) -> list[Found]:
        """Keypoints (N, 17, 2) and confidence (N, 17) of each image's boxes (N, 4)."""
        return [
            (keypoints, self._calibration(scores))
            for keypoints, scores in self.network(images, boxes)
        ]
