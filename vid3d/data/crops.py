"""Top-down crops of people for training: geometry, degradation and SimCC targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from vid3d.data.labelled_images import NOWHERE, LabelledImages
from vid3d.skeleton import COCO17

PADDING = 1.25  # crop size over box size, as in MMPose
OUTSIDE_WEIGHT = 0.3  # trust in "this joint is not in the crop"
MARGIN = 1.4  # side of a picture of nobody over that of the crop: crops are shifted and turned
UPPER, LOWER = np.arange(0, 11), np.arange(11, 17)


@dataclass(frozen=True)
class Augmentation:
    """How crops are disturbed; angles in degrees, probabilities in 0..1.

    ``turned`` is the share of people who lie on a side or stand on their head, a third each.
    """

    scale: tuple[float, float] = (0.7, 1.35)
    shift: float = 0.08
    rotation: float = 40.0
    rotate: float = 0.6
    turned: float = 0.03
    half_body: float = 0.2
    cutout: float = 0.4
    blur: float = 0.2
    noise: float = 0.2


def crop_size(box: np.ndarray, aspect: float) -> np.ndarray:
    """Width and height of the padded crop around ``box`` (4,) at ``aspect`` = width / height."""
    w, h = box[2:] - box[:2]
    w, h = max(w, h * aspect), max(h, w / aspect)
    return np.array([w, h], np.float64) * PADDING


def crop_matrix(
    centre: np.ndarray, size: np.ndarray, angle: float, out: tuple[int, int]
) -> np.ndarray:
    """Affine (2,3) from image pixels to a crop of ``out`` = (width, height) pixels.

    The crop is ``size`` (width, height) image pixels around ``centre``, turned by ``angle``
    degrees; M = [[W/w, 0, W/2 - cx W/w], [0, H/h, H/2 - cy H/h]] for angle 0.
    """
    turn = np.deg2rad(angle)
    cos, sin = np.cos(turn), np.sin(turn)
    scale = np.array(out, np.float64) / size
    linear = scale[:, None] * np.array([[cos, sin], [-sin, cos]])
    return np.concatenate([linear, (np.array(out) / 2 - linear @ centre)[:, None]], 1)


def _half_body(
    box: np.ndarray, points: np.ndarray, known: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A box around the upper or the lower body where enough of it is known, else ``box``."""
    part = UPPER if rng.random() < 0.7 else LOWER
    chosen = points[part][known[part]]
    if len(chosen) < 4:
        return box
    low, high = chosen.min(0), chosen.max(0)
    grow = 0.15 * (high - low).max()
    return np.concatenate([low - grow, high + grow])


def _degrade(image: np.ndarray, aug: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Cut-out, loss of resolution or blur, noise."""
    h, w = image.shape[:2]
    if rng.random() < aug.cutout:
        ch, cw = (rng.uniform(0.1, 0.4, 2) * (h, w)).astype(int)
        y, x = int(rng.integers(0, h - ch)), int(rng.integers(0, w - cw))
        image[y : y + ch, x : x + cw] = rng.integers(0, 256, 3)
    if rng.random() < aug.blur:
        if rng.random() < 0.5:
            f = rng.uniform(0.25, 0.8)
            small = cv2.resize(image, (max(8, int(w * f)), max(8, int(h * f))))
            image = cv2.resize(small, (w, h))
        else:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < aug.noise:
        grain = rng.standard_normal((h, w, 1), np.float32) * rng.uniform(2, 12)
        image = np.clip(image + grain, 0, 255).astype(np.uint8)
    return image


def jitter_colours(
    image: np.ndarray, rng: np.random.Generator, strength: float = 0.3
) -> np.ndarray:
    """Random greying, gain a channel, contrast and brightness of a uint8 (H,W,3) image."""
    keep = 1.0 if rng.random() < 0.5 else rng.uniform(0, 1.2)
    mix = keep * np.eye(3) + (1 - keep) / 3
    gain = (1 + rng.uniform(-strength, strength)) * (1 + rng.uniform(-strength, strength, 3) * 0.4)
    linear = gain[:, None] * mix
    centre = np.array(cv2.mean(image)[:3])
    offset = centre - linear @ centre + 120 * rng.uniform(-strength, strength)
    jittered: np.ndarray = cv2.transform(image, np.concatenate([linear, offset[:, None]], 1))
    return jittered


def augmented_crop(
    image: np.ndarray,
    box: np.ndarray,
    points: np.ndarray,
    weights: np.ndarray,
    out: tuple[int, int],
    aug: Augmentation,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One disturbed crop: image uint8 (H,W,3), keypoints (17,2) in it, and their weights (17,)."""
    aspect = out[0] / out[1]
    if rng.random() < aug.half_body:
        box = _half_body(box, points, weights > 0.3, rng)
    quarters = int(rng.integers(1, 4)) if rng.random() < aug.turned else 0
    lying = box[[1, 0, 3, 2]] if quarters % 2 else box
    size = crop_size(lying, aspect) * rng.uniform(*aug.scale)
    centre = (box[:2] + box[2:]) / 2 + size * rng.normal(0, aug.shift, 2)
    angle = rng.normal(0, aug.rotation / 2) if rng.random() < aug.rotate else 0.0
    angle = float(np.clip(angle, -aug.rotation, aug.rotation)) + 90 * quarters
    matrix = crop_matrix(centre, size, angle, out)
    crop = cv2.warpAffine(image, matrix, out, flags=cv2.INTER_LINEAR)
    points = points @ matrix[:, :2].T + matrix[:, 2]
    if rng.random() < 0.5:
        crop = crop[:, ::-1].copy()
        points, weights = points[COCO17.flip], weights[COCO17.flip]
        points[:, 0] = out[0] - 1 - points[:, 0]
    return jitter_colours(_degrade(crop, aug, rng), rng), points, weights


def middle(size: np.ndarray) -> np.ndarray:
    """The box (4,) that a picture of nobody of ``size`` = (height, width) was cut around."""
    centre = np.asarray(size, np.float64)[::-1] / 2
    half = centre / (PADDING * MARGIN)
    return np.concatenate([centre - half, centre + half])


Sample = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""An image, and the box, keypoints and their weights of one person in it."""


class PoseCrops:
    """Random crops from image sets; every batch depends on its seed alone.

    sets        people with a usable pose and a box at least ``min_height`` pixels high are shown,
                and the middle of images without anybody (`vid3d.data.nobody`)
    nobody      share of crops that show nobody; none where no image is without people
    min_height  pixels
    """

    def __init__(
        self, sets: list[LabelledImages], nobody: float = 0.0, min_height: float = 24.0
    ) -> None:
        self.sets = sets
        rows, empty = [], []
        for i, images in enumerate(sets):
            p = images.people
            tall = p.boxes[:, 3] - p.boxes[:, 1] >= min_height
            good = ~p.ignored & tall & ((p.weights > 0.3).sum(1) >= 4)
            index = np.flatnonzero(good)
            rows.append(np.stack([np.full(len(index), i), index], 1))
            index = np.setdiff1d(np.arange(len(images)), images.image_of)
            empty.append(np.stack([np.full(len(index), i), index], 1))
        self.rows, self.empty = np.concatenate(rows), np.concatenate(empty)
        self.nobody = nobody if len(self.empty) else 0.0

    def __len__(self) -> int:
        return len(self.rows)

    def batch(
        self, n: int, out: tuple[int, int], aug: Augmentation, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """``n`` crops: images uint8 (n,3,H,W) BGR, keypoints (n,17,2), weights (n,17)."""
        someone = n - int(rng.binomial(n, self.nobody))
        people = self.rows[rng.integers(0, len(self.rows), someone)]
        crops = [augmented_crop(*self._person(*row), out, aug, rng) for row in people]
        if someone < n:
            places = self.empty[rng.integers(0, len(self.empty), n - someone)]
            whole = replace(aug, half_body=0.0)
            crops += [augmented_crop(*self._place(*row), out, whole, rng) for row in places]
        images, points, weights = zip(*crops, strict=True)
        stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        return (
            stacked,
            torch.from_numpy(np.stack(points)).float(),
            torch.from_numpy(np.stack(weights)).float(),
        )

    def _person(self, which: int, row: int) -> Sample:
        source = self.sets[which]
        people = source.people
        image = source.image(int(source.image_of[row]))
        return image, people.boxes[row], people.keypoints[row], people.weights[row]

    def _place(self, which: int, index: int) -> Sample:
        """Somewhere without people: that no joint is in the crop is known."""
        image = self.sets[which].image(index)
        points = np.full((len(COCO17), 2), NOWHERE)
        return image, middle(self.sets[which].sizes[index]), points, np.ones(len(COCO17))


def _inside(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Which of ``points`` (n,17,2) lie in a crop of ``size`` = (width, height)."""
    limit = torch.tensor(size, dtype=points.dtype, device=points.device)
    return ((points >= 0) & (points <= limit - 1)).all(-1)


def target_weights(points: Tensor, trust: Tensor, size: tuple[int, int]) -> Tensor:
    """Weights (n,17) of the labels below.

    A joint that lies outside the crop has flat labels and a small weight: without evidence the
    network's answer shall be low everywhere, since the height of its peak is the confidence.
    """
    return torch.where(_inside(points, size), trust, OUTSIDE_WEIGHT * (trust > 0))


def simcc_labels(
    points: Tensor, size: tuple[int, int], split: float, sigma: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Gaussians along x and y (SimCC, Li et al., ECCV 2022), of height 1.

    points (n,17,2) crop pixels; returns (n,17,W*split) and (n,17,H*split).
    """
    labels = []
    for axis in (0, 1):
        bins = torch.arange(int(size[axis] * split), dtype=points.dtype, device=points.device)
        label = torch.exp(-((bins - points[..., axis, None] * split) ** 2) / (2 * sigma[axis] ** 2))
        labels.append(label * _inside(points, size)[..., None])
    return labels[0], labels[1]


def heatmap_labels(points: Tensor, size: tuple[int, int], stride: int, sigma: float) -> Tensor:
    """Gaussians of height 1 and ``sigma`` cells, (n,17,H/stride,W/stride).

    points (n,17,2) crop pixels; cell (0,0) is pixel (0,0), as in MMPose's codecs.
    """
    cells = [torch.arange(side // stride, dtype=points.dtype, device=points.device)
             for side in size]  # fmt: skip
    dx, dy = ((cells[i] - points[..., i, None] / stride) ** 2 for i in (0, 1))
    labels = torch.exp(-(dy[..., :, None] + dx[..., None, :]) / (2 * sigma**2))
    return labels * _inside(points, size)[..., None, None]
