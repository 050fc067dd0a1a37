"""Whether what was tracked is a person: things taken for people show no clear, possible skeleton.

Detectors find people in trees, signs and parked cars, look after look. What tells these apart is
how sure the pose network is of their joints. Limits were chosen on a street (OpenCV's `vtest.avi`,
where they reject 14 of 16 things that the interim networks followed and nobody) and on photographs
with known people; they suppose confidences that are probabilities (`pose2d.confidence`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import sizes
from vid3d.skeleton import joint_set
from vid3d.tracking.similarity import MIN_CONFIDENCE

Array = NDArray[np.floating]

LEAST_EVIDENCE = -0.4
"""Log odds that the clearest quarter of a track's sightings must reach on average.

A confidence of 0.45 and a box score of 0.45, say. Of single sightings in photographs, nine in ten
false and one in five true ones lie below; the clearest of several lie higher for people only.
"""

BRIEF, SOON = 2.4, 1.0
"""More of it is asked of who is there for a moment only, and over how many seconds that fades.

Boxes that are wrong for a look or two are common where the picture is busy, people who come and go
within a second are rare, and less is lost with them than an invented person spoils.
"""

STILL, SPEED = 1.0, 0.25
"""More of it is asked of who stays in one place: mostly slower than so many sizes a second.

Signs and papers stay; people do too, but as near as a box shakes they are few, and clear. They are
also seen alike from look to look, so that the median of them counts: the clearest of a sign are
those of people who passed it and were taken for it.
"""

MOST_DISORDER = 1.5
"""Standard deviation of the logarithm of limb lengths beyond which no view of a body leads.

99.5 % of real people, athletes among them, lie below 1.35 with the interim pose network.
"""

LEAST_OVERLAP = 0.15
"""IoU of the box with the joints' own box below which they cannot mean the same; 99.5 %: 0.22."""

# Lengths as shares of stature (Winter, Biomechanics and Motor Control of Human Movement, 2009).
_LIMBS = {
    ("shoulder", "elbow"): 0.186,
    ("elbow", "wrist"): 0.146,
    ("hip", "knee"): 0.245,
    ("knee", "ankle"): 0.246,
    ("shoulder", "hip"): 0.288,
}
_MIN_LIMBS = 4


def evidence(
    boxes: Array, keypoints: Array, confidence: Array, scores: Array, joints: str
) -> Array:
    """Log odds of each sighting being a person, up to a constant.

    The odds of the box (its score) times those of the pose (mean confidence of the joints), as if
    both were independent; minus infinity for a skeleton that no body can show.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        keypoints: (N, 17, 2) pixels.
        confidence: (N, 17), 0 where missing.
        scores: (N,) of the boxes.
        joints: name of the joint set.

    Returns:
        (N,).
    """
    possible = limb_disorder(keypoints, confidence, sizes(boxes), joints) <= MOST_DISORDER
    possible &= _overlap(boxes, keypoints, confidence) >= LEAST_OVERLAP
    return np.where(possible, _logit(scores) + _logit(confidence.mean(-1)), -np.inf)


def is_person(evidences: Sequence[float], seconds: float = np.inf, speed: float = np.inf) -> bool:
    """Whether a track is believed.

    Args:
        evidences: one figure a sighting.
        seconds: from the first sighting to the last; infinite for who may well have been there
            before and after, as those who are seen throughout a clip.
        speed: median of the box's, in sizes a second; infinite where nothing shall follow from it.
    """
    still = speed < SPEED
    best = np.sort(evidences)[-max(1, round(len(evidences) / 4)) :]
    asked = LEAST_EVIDENCE + BRIEF * np.exp(-seconds / SOON) + STILL * still
    return float(np.median(evidences) if still else np.mean(best)) >= asked


def limb_disorder(keypoints: Array, confidence: Array, size: Array, joints: str) -> Array:
    """How unlike a body's the proportions are: spread of log limb length against stature's share.

    Args:
        keypoints: (N, 17, 2).
        confidence: (N, 17).
        size: (N,) of the people; lengths under a twentieth of it count as that (foreshortening).
        joints: name of the joint set.

    Returns:
        (N,) standard deviation over limbs of which both ends are clear; 0 for fewer than four.
    """
    names = joint_set(joints)
    ends = [
        (names.index(f"{side}_{start}"), names.index(f"{side}_{end}"))
        for start, end in _LIMBS
        for side in ("left", "right")
    ]
    first, second = np.array(ends).T
    clear = (confidence >= MIN_CONFIDENCE)[:, first] & (confidence >= MIN_CONFIDENCE)[:, second]
    lengths = np.linalg.norm(keypoints[:, first] - keypoints[:, second], axis=-1)
    lengths = np.where(clear, np.maximum(lengths, 0.05 * size[:, None]), 1.0)
    logs = np.where(clear, np.log(lengths / np.repeat(list(_LIMBS.values()), 2)), 0.0)
    count = clear.sum(-1)
    mean = logs.sum(-1) / np.maximum(count, 1)
    squares = np.where(clear, (logs - mean[:, None]) ** 2, 0.0).sum(-1)
    return np.where(count >= _MIN_LIMBS, np.sqrt(squares / np.maximum(count, 1)), 0.0)


def _overlap(boxes: Array, keypoints: Array, confidence: Array) -> Array:
    """(N,) IoU of each box with the box around its joints; 0 for nobody's joints."""
    seen = (confidence > 0)[..., None]
    low = np.where(seen, keypoints, np.inf).min(1)
    high = np.where(seen, keypoints, -np.inf).max(1)
    extent = np.maximum(high - low, 0.0).prod(-1)
    shared = np.minimum(high, boxes[:, 2:]) - np.maximum(low, boxes[:, :2])
    inside = np.maximum(shared, 0.0).prod(-1)
    return inside / (sizes(boxes) ** 2 + extent - inside)


def _logit(p: Array) -> Array:
    clipped = np.clip(p, 0.01, 0.99)
    return np.log(clipped / (1 - clipped))
