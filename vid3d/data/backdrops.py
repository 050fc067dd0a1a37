"""Backgrounds, floors and occluders without people, from photographs or made up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vid3d.data.labelled_images import ImageLabels, LabelledImages

MIN_SIDE = 48  # pixels of a photograph's people-free part


def procedural_texture(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Noise on several scales, gradients and stripes; uint8 (H,W,3) for ``size`` = (W,H)."""
    w, h = size
    image = np.zeros((h, w, 3), np.float32) + rng.uniform(30, 225, 3).astype(np.float32)
    for cells in (2, 5, 12, 40):
        coarse = rng.normal(0, rng.uniform(0, 28), (cells, cells, 3)).astype(np.float32)
        coarse = 0.6 * coarse.mean(2, keepdims=True) + 0.4 * coarse
        image += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    for _ in range(int(rng.integers(0, 12))):
        x, y = rng.integers(0, w), rng.integers(0, h)
        colour = tuple(float(v) for v in rng.uniform(10, 245, 3))
        corner = (int(x + rng.integers(4, w)), int(y + rng.integers(4, h)))
        cv2.rectangle(image, (int(x), int(y)), corner, colour, -1)
    image += rng.normal(0, rng.uniform(0, 10), (h, w, 1)).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Backdrops:
    """Textures without people; from ``photos`` where given, else procedural."""

    photos: LabelledImages | None = None

    def texture(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A texture of ``size`` = (width, height), uint8 (H,W,3)."""
        if self.photos is None or rng.random() < 0.25:
            return procedural_texture(size, rng)
        part = self._free_part(self.photos, rng)
        if part is None:
            return procedural_texture(size, rng)
        texture = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        if rng.random() < 0.3:
            texture = cv2.GaussianBlur(texture, (0, 0), rng.uniform(1, 8))
        return texture

    @staticmethod
    def _free_part(photos: LabelledImages, rng: np.random.Generator) -> np.ndarray | None:
        """A rectangle of a random photograph that no box touches, or None after some tries."""
        for _ in range(8):
            index = int(rng.integers(len(photos)))
            image, boxes = photos.image(index), photos.labels(index).boxes
            h, w = image.shape[:2]
            if min(h, w) <= MIN_SIDE:
                continue
            for _ in range(12):
                x, y = rng.integers(0, w - MIN_SIDE), rng.integers(0, h - MIN_SIDE)
                right, bottom = rng.integers(x + MIN_SIDE, w + 1), rng.integers(y + MIN_SIDE, h + 1)
                apart = (
                    (boxes[:, 0] > right)
                    | (boxes[:, 2] < x)
                    | (boxes[:, 1] > bottom)
                    | (boxes[:, 3] < y)
                )
                if apart.all() and (right - x) * (bottom - y) > 0.08 * w * h:
                    return image[y:bottom, x:right]
        return None


def paste_occluder(
    image: np.ndarray,
    labels: ImageLabels,
    backdrops: Backdrops,
    hidden: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ImageLabels]:
    """Put a textured polygon before the people; joints under it weigh at most ``hidden``."""
    h, w = image.shape[:2]
    box = labels.boxes[int(rng.integers(len(labels.boxes)))]
    extent = np.maximum(box[2:] - box[:2], 8)
    centre = box[:2] + extent * rng.uniform(0, 1, 2)
    radius = extent * rng.uniform(0.12, 0.45, 2)
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
    polygon = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [polygon.astype(np.int32)], 1)
    image = np.where(mask[..., None] > 0, backdrops.texture((w, h), rng), image)
    inside = (labels.keypoints >= 0).all(-1)
    x, y = (np.clip(labels.keypoints[..., i], 0, (w, h)[i] - 1).astype(int) for i in (0, 1))
    covered = inside & (mask[y, x] > 0)
    weights = np.where(covered, np.minimum(labels.weights, hidden), labels.weights)
    return image, replace(labels, weights=weights.astype(np.float32))
