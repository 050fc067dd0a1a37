"""Accuracy of person detectors and pose networks on images with known people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vid3d.data.labelled_images import LabelledImages
from vid3d.data.people2d import People2d
from vid3d.errors import Vid3dError
from vid3d.pose2d.networks import Detector, PoseNetwork
from vid3d.pose2d.people import areas, common_areas
from vid3d.skeleton import COCO17

# falloff of each joint in COCO's object keypoint similarity (cocoeval: 2 * sigma)
OKS_FALLOFF = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062]
    + [0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
) * 2  # fmt: skip


@dataclass(frozen=True)
class PosedPerson:
    """One person whose keypoints are known.

    image      uint8 (H,W,3) BGR
    box        float32 (4,) x1, y1, x2, y2
    keypoints  float32 (17,2) pixels, COCO order
    known      bool (17,) which of them count
    torso      mid-shoulder to mid-hip in pixels, 0 where it is unknown
    """

    image: np.ndarray
    box: np.ndarray
    keypoints: np.ndarray
    known: np.ndarray
    torso: float


def labelled_people(
    pack: People2d, split: str = "val", checked: bool = True
) -> Iterator[PosedPerson]:
    """People of a people2d pack with human-labelled joints (LSPET: no face).

    checked  only those whose human labels agree with the teacher, an easy subset
    """
    for entry in pack.images:
        if entry["split"] != split:
            continue
        rows = [a for a in pack.annotations_of[entry["id"]] if _is_labelled(a, checked)]
        if not rows:
            continue
        image = pack.image(entry)
        for row in rows:
            x, y, w, h = row["bbox"]
            xyv = np.reshape(row["source_keypoints"], (17, 3)).astype(np.float32)
            box = np.array([x, y, x + w, y + h], np.float32)
            points, known = xyv[:, :2], xyv[:, 2] >= 2
            yield PosedPerson(image, box, points, known, torso_length(points, known))


def _is_labelled(annotation: dict[str, object], checked: bool) -> bool:
    if checked:
        return bool(annotation.get("human_checked"))
    return annotation.get("source_label") == "lspet_human"


def rendered_people(images: LabelledImages, min_height: float = 48) -> Iterator[PosedPerson]:
    """People of rendered sets at least ``min_height`` pixels high; joints seen in the picture."""
    for index in range(len(images)):
        labels = images.labels(index)
        for i in np.flatnonzero(~labels.ignored):
            known = labels.weights[i] > 0.9
            if known.sum() >= 6 and labels.boxes[i, 3] - labels.boxes[i, 1] >= min_height:
                points = labels.keypoints[i]
                torso = torso_length(points, labels.weights[i] > 0.5)  # hidden joints are exact too
                yield PosedPerson(images.image(index), labels.boxes[i], points, known, torso)


TORSO = [
    [COCO17.joints.index(f"{side}_{joint}") for side in ("left", "right")]
    for joint in ("shoulder", "hip")
]


def torso_length(keypoints: np.ndarray, known: np.ndarray) -> float:
    """Mid-shoulder to mid-hip of COCO keypoints (17,2), 0 where one of the four is unknown."""
    if not known[np.ravel(TORSO)].all():
        return 0.0
    shoulders, hips = (keypoints[places].mean(0) for places in TORSO)
    return float(np.linalg.norm(shoulders - hips))


@dataclass(frozen=True)
class PoseAccuracy:
    """People and joints counted; shares of joints within 0.1, 0.2, 0.5 torso; mean OKS, OKS-AP."""

    people: int
    joints: int
    pck10: float
    pck20: float
    pck50: float
    oks: float
    oks_ap: float


def average_precision(similarity: np.ndarray, scores: np.ndarray) -> float:
    """COCO's AP of poses in given boxes, one for every person.

    The mean over the limits 0.5, 0.55 ... 0.95 of OKS, (N,) ``similarity``, of the precision at 101
    recalls, with poses in the order of ``scores`` (N,).
    """
    ranked = similarity[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(ranked >= np.linspace(0.5, 0.95, 10)[:, None], axis=1)
    precision = hits / np.arange(1, len(ranked) + 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recalls = np.linspace(0, 1, 101)
    places = [np.searchsorted(row / len(ranked), recalls - 1e-9) for row in hits]
    padded = np.pad(best, ((0, 0), (0, 1)))
    return float(np.mean([row[place] for row, place in zip(padded, places, strict=True)]))


def pose_accuracy(network: PoseNetwork, people: Iterable[PosedPerson]) -> PoseAccuracy:
    """Measure a pose network given the true boxes.

    People whose torso is unknown, or shorter than a tenth of the box, are left out. OKS is
    averaged over people, with 0.53 of the box as the area (COCO's segments cover that much).
    """
    relative, similarity, scores = [], [], []
    for person in people:
        if person.torso < 0.1 * float(person.box[3] - person.box[1]):
            continue
        ((points, confidence),) = network([person.image], [person.box[None]])
        error = np.linalg.norm(points[0] - person.keypoints, axis=-1)
        relative.append(error[person.known] / person.torso)
        area = 0.53 * float(np.prod(person.box[2:] - person.box[:2]))
        oks = np.exp(-(error**2) / (2 * area * OKS_FALLOFF**2))
        similarity.append(float(oks[person.known].mean()))
        scores.append(float(confidence[0].mean()))
    if not relative:
        raise Vid3dError("nobody to measure the pose network on: no labelled person was given")
    every = np.concatenate(relative)
    pck10, pck20, pck50 = (round(float((every < limit).mean()), 4) for limit in (0.1, 0.2, 0.5))
    oks = round(float(np.mean(similarity)), 4)
    ap = round(average_precision(np.array(similarity), np.array(scores)), 4)
    return PoseAccuracy(len(relative), len(every), pck10, pck20, pck50, oks, ap)


@dataclass(frozen=True)
class BoxAccuracy:
    """At the detector's own threshold, and the best recall with precision of at least 0.75."""

    people: int
    recall: float
    precision: float
    recall_at_75: float
    score_at_75: float


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap (N,M) of boxes (N,4) and (M,4), intersection over union."""
    shared = common_areas(a, b)
    union = areas(a)[:, None] + areas(b)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def match_boxes(
    found: np.ndarray, scores: np.ndarray, true: np.ndarray, ignored: np.ndarray
) -> np.ndarray:
    """Greedy by score at IoU 0.5: 1 hit, 0 false, -1 not counted, (N,) for ``found`` (N,4).

    Not counted: what overlaps an ignored box by IoU 0.5, or lies in it by half of its own area.
    """
    verdict = np.zeros(len(found), int)
    overlap, taken = iou(found, true), np.zeros(len(true), bool)
    excuse = iou(found, ignored)
    inside = common_areas(found, ignored) / np.maximum(areas(found)[:, None], 1e-9)
    for i in np.argsort(-scores, kind="stable"):
        free = np.where(taken, 0, overlap[i]) if len(true) else np.zeros(1)
        best = int(free.argmax())
        if free[best] >= 0.5:
            taken[best] = True
            verdict[i] = 1
        elif (excuse[i] >= 0.5).any() or (inside[i] >= 0.5).any():
            verdict[i] = -1
    return verdict


def box_accuracy(
    detector: Detector,
    samples: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    threshold: float,
    min_share: float = 0.15,
) -> BoxAccuracy:
    """Measure a detector on images with true boxes (N,4) and ignored boxes (M,4).

    People shorter than ``min_share`` of the image are ignored. ``detector`` should return weak
    boxes too; ``threshold`` is the score that counts as its own.
    """
    verdicts, scores, people = [], [], 0
    for image, true, ignored in samples:
        tall = true[:, 3] - true[:, 1] >= min_share * image.shape[0]
        ((found, score),) = detector([image])
        verdicts.append(
            match_boxes(found, score, true[tall], np.concatenate([ignored, true[~tall]]))
        )
        scores.append(score)
        people += int(tall.sum())
    return _box_figures(np.concatenate(verdicts), np.concatenate(scores), people, threshold)


def _box_figures(
    verdict: np.ndarray, score: np.ndarray, people: int, threshold: float
) -> BoxAccuracy:
    counted = verdict >= 0
    order = np.argsort(-score[counted], kind="stable")
    hit, ranked = verdict[counted][order], score[counted][order]
    recall = np.cumsum(hit) / max(people, 1)
    precision = np.cumsum(hit) / np.arange(1, len(hit) + 1)
    last = int((ranked >= threshold).sum()) - 1
    good = np.flatnonzero(precision >= 0.75)
    own = (float(recall[last]), float(precision[last])) if last >= 0 else (0.0, 1.0)
    best = (float(recall[good[-1]]), float(ranked[good[-1]])) if len(good) else (0.0, 1.0)
    figures = [*own, *best]
    return BoxAccuracy(people, *(round(value, 4) for value in figures))


def people2d_boxes(
    pack: People2d, split: str = "val"
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Images of a pack's split with true and ignored boxes, for ``box_accuracy``."""
    for image, labels in pack.samples(split):
        yield image, labels.boxes[~labels.ignored], labels.boxes[labels.ignored]


def set_boxes(images: LabelledImages) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The same of an image set."""
    for index in range(len(images)):
        labels = images.labels(index)
        yield images.image(index), labels.boxes[~labels.ignored], labels.boxes[labels.ignored]
