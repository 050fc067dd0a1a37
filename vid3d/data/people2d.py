"""Reader of the people2d pack: zip shards of WebP images and COCO-style teacher annotations."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from vid3d.data.labelled_images import ImageLabels, LabelledImages, write_labelled_images
from vid3d.errors import Vid3dError
from vid3d.pose2d.turning import turned_where_unsure

if TYPE_CHECKING:
    from vid3d.pose2d.networks import PoseNetwork

ANNOTATIONS = "annotations.json.gz"
SAME_PLACE = 0.06
"""Share of the box's diagonal within which two labels of a joint agree: a fifth of a torso."""
AGREED, CORRECTED = 0.9, 0.7
"""Weight of a joint that somebody put where the teacher did, and of one elsewhere."""


class People2d:
    """A people2d pack: ``images`` and ``annotations`` as dictionaries of the pack's own JSON."""

    def __init__(self, folder: Path) -> None:
        """Read the annotations of the pack in ``folder``; Vid3dError where there is none."""
        self.folder = folder
        try:
            with gzip.open(folder / ANNOTATIONS) as file:
                document = json.load(file)
        except (OSError, ValueError) as error:
            raise Vid3dError(
                f"cannot read the people2d pack in {folder}: {error}; "
                f"give the folder that holds {ANNOTATIONS} and images-*.zip"
            ) from error
        self.images: list[dict[str, Any]] = document["images"]
        self.annotations: list[dict[str, Any]] = document["annotations"]
        self._zips: dict[str, zipfile.ZipFile] = {}

    @cached_property
    def annotations_of(self) -> dict[int, list[dict[str, Any]]]:
        """Annotations by image id."""
        out: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for annotation in self.annotations:
            out[annotation["image_id"]].append(annotation)
        return out

    def image(self, entry: dict[str, Any]) -> np.ndarray:
        """Decode one entry of ``images`` to uint8 (H,W,3) BGR."""
        shard = entry["shard"]
        if shard not in self._zips:
            self._zips[shard] = zipfile.ZipFile(self.folder / shard)
        data = np.frombuffer(self._zips[shard].read(entry["file_name"]), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        if image is None:
            raise Vid3dError(f"{self.folder / shard}: {entry['file_name']} does not decode")
        return image

    def labels(self, entry: dict[str, Any]) -> ImageLabels:
        """People and ignore regions of one entry of ``images``.

        A keypoint's weight is its final teacher score, 0 where the pose must not be used.
        """
        rows = self.annotations_of[entry["id"]]
        n = len(rows)
        box = np.array([r["bbox"] for r in rows], np.float32).reshape(n, 4)
        xyv, scores = np.zeros((n, 17, 3), np.float32), np.zeros((n, 17), np.float32)
        for i, row in enumerate(rows):
            if row.get("has_pose"):
                xyv[i] = np.reshape(row["keypoints"], (17, 3))
                scores[i] = row["keypoint_scores"]
        return ImageLabels(
            boxes=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], 1),
            ignored=np.array([r["iscrowd"] for r in rows], bool),
            keypoints=xyv[..., :2],
            weights=np.where(xyv[..., 2] > 0, scores, 0).astype(np.float32),
        )

    def samples(
        self, split: str, teacher: PoseNetwork | None = None
    ) -> Iterator[tuple[np.ndarray, ImageLabels]]:
        """Images of a split ("train" or "val") with their labels, in the pack's order.

        The pack's teacher saw people upright only: if given, it is asked again, see `asked_again`.
        What the pack brings beside its answers is heard then, see `with_other_labels`.
        """
        for entry in self.images:
            if entry["split"] == split:
                image, labels = self.image(entry), self.labels(entry)
                if teacher is not None:
                    labels = asked_again(image, labels, teacher)
                yield image, with_other_labels(labels, self.annotations_of[entry["id"]])


def prepare_people2d(
    pack: Path, folder: Path, split: str = "train", teacher: PoseNetwork | None = None
) -> LabelledImages:
    """Decode a split of the pack once into ``folder`` (about 4 GB for "train"); see `samples`."""
    if LabelledImages.exists(folder):
        return LabelledImages.open(folder)
    return write_labelled_images(folder, People2d(pack).samples(split, teacher))


def asked_again(image: np.ndarray, labels: ImageLabels, teacher: PoseNetwork) -> ImageLabels:
    """Labels with better poses of people who stand on their head or lie, where ``teacher`` sees so.

    image  uint8 (H,W,3) BGR
    """
    posed = ~labels.ignored & (labels.weights > 0).any(1)
    found = (labels.keypoints[posed], labels.weights[posed])
    [(points, sure)] = turned_where_unsure(teacher, [image], [labels.boxes[posed]], [found])
    keypoints, weights = labels.keypoints.copy(), labels.weights.copy()
    keypoints[posed], weights[posed] = points, sure
    return replace(labels, keypoints=keypoints, weights=weights)


def with_other_labels(labels: ImageLabels, rows: list[dict[str, Any]]) -> ImageLabels:
    """Labels of a teacher, mended by those of other origin that the pack brings.

    Where both put a joint at about the same place it lies half-way between them. Elsewhere people
    who labelled Leeds Sports Pose are believed, who were mostly right where they were looked at
    (gymnasts upside down), and Stanford-40's, another network's, are not. Who has left and right
    exchanged is left to the teacher.

    Args:
        labels: of one image.
        rows: the pack's annotations of the same people.
    """
    keypoints, weights = labels.keypoints.copy(), labels.weights.copy()
    for person, row in enumerate(rows):
        origin = row.get("source_label")
        if origin is None or "lr_disputed" in row.get("flags", []):
            continue
        other = np.reshape(row["source_keypoints"], (17, 3)).astype(np.float32)
        places, given = other[:, :2], other[:, 2] > 0
        sides = labels.boxes[person, 2:] - labels.boxes[person, :2]
        apart = np.linalg.norm(places - keypoints[person], axis=-1)
        same = given & (weights[person] > 0) & (apart < SAME_PLACE * np.hypot(*sides))
        keypoints[person, same] += (places[same] - keypoints[person, same]) / 2
        if origin == "lspet_human":
            weights[person, same] = np.maximum(weights[person, same], AGREED)
            corrected = given & ~same
            keypoints[person, corrected] = places[corrected]
            weights[person, corrected] = CORRECTED
    return replace(labels, keypoints=keypoints, weights=weights)
