"""Dense distillation of detectors: a trained RTMDet tells what every point of the grid should say.

Hard boxes say where a few people are; the teacher's score and box at all points of the very same
augmented image say so for every point, and how sure one may be (Hinton et al., arXiv 1503.02531;
soft scores as targets of the quality focal loss, Li et al., arXiv 2006.04388, eq. 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vid3d.errors import Vid3dError
from vid3d.pose2d.decode import boxes_of
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import Network

BOX_WEIGHT = 2.0  # of the boxes against the scores, as in RTMDet's own loss
SURE = 0.1  # teacher's score from which its box is worth copying


class Teacher:
    """A trained RTMDet that judges training images.

    Args:
        name: what ``--detector`` takes: a model's name, folder, manifest or ONNX file.
        strides: of the student's heads; the teacher's must be the same.
        side: of the square training images, in pixels.

    Raises:
        Vid3dError: no such model, no RTMDet of these strides, or one that takes another size.
    """

    def __init__(self, name: str, strides: Sequence[int], side: int) -> None:
        self._manifest = find_model(name, "detection")
        decode = self._manifest.decode
        if decode.get("kind") != "rtmdet" or list(decode["strides"]) != list(strides):
            raise Vid3dError(
                f"the teacher {name} is no RTMDet with raw heads of strides {list(strides)}; "
                "give another training.teacher"
            )
        self._network = Network(self._manifest, "cpu")
        spec = self._network.spec
        if not self._network.any_size and tuple(spec.size) != (side, side):
            raise Vid3dError(
                f"the teacher {name} takes images of {spec.size[0]} x {spec.size[1]} pixels, the "
                f"stage trains on {side} x {side}; make the stage's size the teacher's"
            )

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (n,P) in 0..1 and boxes (n,P,4) in pixels at all points of images (n,3,S,S).

        Images are uint8 BGR; points are ordered by stride, row, column.
        """
        spec, side = self._network.spec, images.shape[-1]
        bgr = images.numpy()
        pictures = (bgr if spec.channels == "bgr" else bgr[:, ::-1]).astype(np.float32)
        pictures -= np.asarray(spec.mean, np.float32).reshape(3, 1, 1)
        pictures /= np.asarray(spec.std, np.float32).reshape(3, 1, 1)
        outputs = self._network(pictures)
        try:
            boxes, scores = boxes_of(outputs, self._manifest.decode, (side, side))
        except (IndexError, ValueError) as error:
            raise self._network.misfit(error) from error
        return torch.from_numpy(scores).float(), torch.from_numpy(boxes).float()


def dense_predictions(
    head: Any, logits: Sequence[Tensor], distances: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits (n,P) and boxes (n,P,4) of an RTMDet head with one class, by stride, row, column."""
    points = head.prior_generator.grid_priors(
        [each.shape[-2:] for each in logits], dtype=distances[0].dtype, device=logits[0].device
    )
    sides = torch.cat([each.permute(0, 2, 3, 1).flatten(1, 2) for each in distances], 1)
    where = torch.cat(points)
    low = where - sides[..., :2]
    high = torch.maximum(where + sides[..., 2:], low + 1)  # an overlap wants boxes with an inside
    return torch.cat([each.flatten(1) for each in logits], 1), torch.cat([low, high], -1)


def distillation_losses(
    logits: Tensor, boxes: Tensor, scores: Tensor, targets: Tensor
) -> dict[str, Tensor]:
    """How far a student is from its teacher, in units of the teacher's summed score.

    Scores: quality focal loss, |score - sigmoid(logit)|^2 times the cross entropy. Boxes: 1 - GIoU
    (arXiv 1902.09630), each weighted by the teacher's score if that is at least SURE.

    logits   (n,P) of the student
    boxes    (n,P,4) of the student, in pixels
    scores   (n,P) of the teacher, 0..1
    targets  (n,P,4) boxes of the teacher
    """
    from mmdet.structures.bbox import bbox_overlaps

    total = scores.sum().clamp(min=1)
    entropy = binary_cross_entropy_with_logits(logits, scores, reduction="none")
    focal = (scores - logits.sigmoid()).square() * entropy
    sure = scores * (scores >= SURE)
    giou = bbox_overlaps(boxes, targets, mode="giou", is_aligned=True, eps=1e-6)
    return {
        "loss_score": focal.sum() / total,
        "loss_box": BOX_WEIGHT * ((1 - giou) * sure).sum() / sure.sum().clamp(min=1),
    }
