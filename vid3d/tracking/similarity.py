"""How alike two sightings are: boxes, and poses by object keypoint similarity (OKS).

OKS is the COCO keypoint challenge's measure: the mean over joints of exp(-d^2 / (2 s^2 k^2)) with
the distance d, the person's size s (root of the box area) and a constant k = 2 sigma per joint.
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import areas, common_areas, sizes
from vid3d.skeleton import joint_set

Array = NDArray[np.floating]

MIN_CONFIDENCE = 0.2
"""Joints below this are not used to tell people apart."""

MIN_SHARED = 3
"""Poses are compared when this many joints are seen in both."""

# COCO's sigmas by the name without its side; the trunk joints that COCO lacks are taken as hips.
_SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "head": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
}


def sigmas(name: str) -> Array:
    """(17,) COCO sigmas of a joint set, as shares of the person's size."""
    return np.array([_SIGMAS.get(j.split("_")[-1], _SIGMAS["hip"]) for j in joint_set(name).joints])


def common_share(first: Array, second: Array) -> Array:
    """Share of the smaller box that lies in the other, of every pair of boxes (A, 4) and (B, 4)."""
    smaller = np.minimum(areas(first)[:, None], areas(second)[None])
    return common_areas(first, second) / np.maximum(smaller, 1e-9)


def generalised_iou(first: Array, second: Array) -> Array:
    """Generalised IoU of every pair of boxes, in -1..1 (Rezatofighi et al. 2019, algorithm 1).

    Args:
        first: (A, 4) x1, y1, x2, y2.
        second: (B, 4).

    Returns:
        (A, B); negative values tell how far apart boxes without overlap are.
    """
    a, b = first[:, None], second[None]
    hull = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    shared, hull_area = common_areas(first, second), np.maximum(hull.prod(-1), 1e-9)
    union = areas(first)[:, None] + areas(second)[None] - shared
    return shared / np.maximum(union, 1e-9) - (hull_area - union) / hull_area


def oks(offsets: Array, weights: Array, tolerance: Array) -> Array:
    """Object keypoint similarity in 0..1.

    Args:
        offsets: (..., J, 2) differences between two poses, already divided by the person's size.
        weights: (..., J) not negative; joints of weight 0 are left out.
        tolerance: (..., J) or (J,) standard deviation of the difference in the same unit.

    Returns:
        (...,); 0 where no joint has weight.
    """
    # Coordinates of joints without weight are undefined, maybe NaN.
    seen = weights > 0
    squared = np.where(seen, (offsets**2).sum(-1), 0.0)
    likeness = np.exp(-squared / (2 * tolerance**2)) * weights
    return likeness.sum(-1) / np.maximum(weights.sum(-1), 1e-9)


def pose_weights(confidence: Array) -> Array:
    """(..., J) confidence, with joints of too little confidence set to 0."""
    return np.where(confidence >= MIN_CONFIDENCE, confidence, 0.0)


def duplicates(
    boxes: Array,
    keypoints: Array,
    confidence: Array,
    scores: Array,
    limits: Array,
    name: str,
) -> NDArray[np.bool_]:
    """Which people of one look are the same body as a better one (pose non-maximum suppression).

    Two boxes on one body give nearly the same pose, whereas two people who stand in front of each
    other differ in theirs, so poses decide and boxes do not (as in PoseNet's part-based NMS).

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        keypoints: (N, 17, 2) pixels.
        confidence: (N, 17), 0 where missing.
        scores: (N,) of the boxes.
        limits: (N,) OKS with a better person from which on each is a duplicate.
        name: of the joint set.

    Returns:
        (N,) bool, True for people to leave out.
    """
    weights = pose_weights(confidence)
    rank = scores * weights.mean(-1)
    # Ties are broken by position, so that the order of people in a look does not matter.
    order = np.lexsort((boxes[:, 1], boxes[:, 0], -rank))
    tolerance = 2 * sigmas(name)
    size = sizes(boxes)
    kept: list[int] = []
    for i in order.tolist():
        shared = np.where(weights[kept] > 0, weights[i], 0.0)
        scale = np.minimum(size[i], size[kept])[:, None, None]
        likeness = oks((keypoints[i] - keypoints[kept]) / scale, shared, tolerance)
        same = (likeness > limits[i]) & ((shared > 0).sum(-1) >= MIN_SHARED)
        if not same.any():
            kept.append(i)
    dropped = np.ones(len(boxes), bool)
    dropped[kept] = False
    return dropped
