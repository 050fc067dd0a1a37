"""A folder of decoded images with person boxes and COCO keypoints, memory-mapped for training.

``pixels.bin`` holds the uint8 BGR images one after the other, ``labels.npz`` everything else. It is
written last, so its presence says that the folder is complete.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path

PIXELS, LABELS = "pixels.bin", "labels.npz"
NOWHERE = -1e4  # coordinate of a joint outside the picture: "not here" is known, its place is not


@dataclass(frozen=True)
class ImageLabels:
    """The people of one image; coordinates in pixels, pixel centres at integers.

    boxes      float32 (N,4) x1, y1, x2, y2
    ignored    bool (N,) regions that are neither person nor background
    keypoints  float32 (N,17,2) in COCO order
    weights    float32 (N,17) trust in each keypoint, 0 = unknown
    """

    boxes: np.ndarray
    ignored: np.ndarray
    keypoints: np.ndarray
    weights: np.ndarray

    @staticmethod
    def join(parts: Iterable[ImageLabels]) -> ImageLabels:
        """The people of several images in one table."""
        every = list(parts)
        return ImageLabels(
            boxes=np.concatenate([p.boxes.reshape(-1, 4) for p in every]).astype(np.float32),
            ignored=np.concatenate([p.ignored for p in every]).astype(bool),
            keypoints=np.concatenate([p.keypoints for p in every]).astype(np.float32),
            weights=np.concatenate([p.weights for p in every]).astype(np.float32),
        )


@dataclass(frozen=True)
class LabelledImages:
    """Images in one flat memory map, their people in one table.

    offsets    int64 (M,) start of each image in the map
    sizes      int32 (M,2) height, width
    image_of   int64 (P,) the image of each person, ascending
    people     the P people of all images
    """

    pixels: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    image_of: np.ndarray
    people: ImageLabels

    def __len__(self) -> int:
        return len(self.offsets)

    def image(self, index: int) -> np.ndarray:
        """Image ``index``, uint8 (H,W,3) BGR, a read-only view."""
        h, w = (int(v) for v in self.sizes[index])
        start = int(self.offsets[index])
        return self.pixels[start : start + h * w * 3].reshape(h, w, 3)

    def labels(self, index: int) -> ImageLabels:
        """The people of image ``index``."""
        first, last = np.searchsorted(self.image_of, [index, index + 1])
        p = self.people
        return ImageLabels(
            p.boxes[first:last],
            p.ignored[first:last],
            p.keypoints[first:last],
            p.weights[first:last],
        )

    @staticmethod
    def exists(folder: Path) -> bool:
        """Whether ``folder`` holds a complete set."""
        return (folder / LABELS).is_file()

    @staticmethod
    def open(folder: Path) -> LabelledImages:
        """Map the set in ``folder``.

        Raises Vid3dError where it is missing or unfinished.
        """
        if not LabelledImages.exists(folder):
            raise Vid3dError(
                f"no finished image set in {folder}: {LABELS} is missing; "
                "prepare it with vid3d.data.people2d or vid3d.data.synthetic"
            )
        with np.load(folder / LABELS, allow_pickle=False) as z:
            people = ImageLabels(z["boxes"], z["ignored"], z["keypoints"], z["weights"])
            sizes, image_of = z["sizes"], z["image_of"]
        pixels = np.memmap(folder / PIXELS, np.uint8, "r")
        lengths = sizes.astype(np.int64).prod(1) * 3
        if len(pixels) != lengths.sum():
            raise Vid3dError(
                f"{folder / PIXELS} holds {len(pixels)} bytes, its labels ask for {lengths.sum()}; "
                "prepare the set again"
            )
        return LabelledImages(pixels, np.cumsum(lengths) - lengths, sizes, image_of, people)


def write_labelled_images(
    folder: Path, samples: Iterable[tuple[np.ndarray, ImageLabels]]
) -> LabelledImages:
    """Write pairs of an image, uint8 (H,W,3) BGR, and its labels as a set in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes: list[tuple[int, int]] = []
    parts: list[ImageLabels] = []
    with open(folder / PIXELS, "wb") as out:
        for image, labels in samples:
            out.write(np.ascontiguousarray(image).data)
            sizes.append(image.shape[:2])
            parts.append(labels)
    if not parts:
        raise Vid3dError(f"no image to write into {folder}; check the source of the set")
    people = ImageLabels.join(parts)
    with atomic_path(folder / LABELS) as path, open(path, "wb") as out:
        np.savez_compressed(
            out,
            sizes=np.array(sizes, np.int32),
            image_of=np.repeat(np.arange(len(parts)), [len(p.boxes) for p in parts]),
            boxes=people.boxes,
            ignored=people.ignored,
            keypoints=people.keypoints,
            weights=people.weights,
        )
    return LabelledImages.open(folder)
