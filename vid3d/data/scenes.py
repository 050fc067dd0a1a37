"""Square training images for a person detector: resized, cropped and tiled from image sets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vid3d.data.crops import jitter_colours
from vid3d.data.labelled_images import LabelledImages

PAD = 114  # value of letterbox borders, and of what is neither person nor background
MIN_SIDE = 8.0  # pixels: smaller people are ignored
MIN_VISIBLE = 0.3  # share of a box that must be left in its tile


@dataclass(frozen=True)
class Tiling:
    """How often a training image is one picture, 2x2 or 3x3 pictures, and their sizes.

    A picture's longer side is ``zoom`` times the longer side of its tile.
    """

    shares: tuple[float, float, float] = (0.55, 0.3, 0.15)
    zoom: tuple[float, float] = (0.75, 1.7)


@dataclass
class Scene:
    """A training image, uint8 (S,S,3) BGR, with its boxes (N,4) and ignored boxes (M,4)."""

    image: np.ndarray
    boxes: np.ndarray
    ignored: np.ndarray


def _resized(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Resize; half the reductions alias, as a detector's own plain bilinear resizing does."""
    size = [max(8, round(side * factor)) for side in image.shape[1::-1]]
    smooth = factor < 1 and rng.random() < 0.5
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smooth else cv2.INTER_LINEAR)


def _clip(boxes: np.ndarray, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to ``tile`` (4,), and the share of each that is left."""
    whole = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    cut = np.concatenate(
        [boxes[:, :2].clip(tile[:2], tile[2:]), boxes[:, 2:].clip(tile[:2], tile[2:])], 1
    )
    left = np.prod(cut[:, 2:] - cut[:, :2], axis=1) / np.maximum(whole, 1e-6)
    return cut, left


def _fill_tile(
    scene: Scene,
    tile: np.ndarray,
    source: LabelledImages,
    index: int,
    zoom: float,
    rng: np.random.Generator,
) -> None:
    """Put image ``index`` of ``source`` into ``tile`` (x1, y1, x2, y2) of the scene."""
    image, labels = source.image(index), source.labels(index)
    side = tile[2:] - tile[:2]
    factor = zoom * side.max() / max(image.shape[:2])
    picture = jitter_colours(_resized(image, factor, rng), rng)
    boxes = labels.boxes * (np.tile(picture.shape[1::-1], 2) / np.tile(image.shape[1::-1], 2))
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        boxes = np.stack([picture.shape[1] - boxes[:, 2], boxes[:, 1],
                          picture.shape[1] - boxes[:, 0], boxes[:, 3]], 1)  # fmt: skip
    slack = side - picture.shape[1::-1]
    shift = np.floor(slack * rng.uniform(0, 1, 2)).astype(int)  # inside, or a random part
    low, high = np.maximum(shift, 0), np.minimum(shift + picture.shape[1::-1], side)
    x, y = tile[:2]
    scene.image[y + low[1] : y + high[1], x + low[0] : x + high[0]] = picture[
        low[1] - shift[1] : high[1] - shift[1], low[0] - shift[0] : high[0] - shift[0]
    ]
    cut, left = _clip(boxes + np.tile(tile[:2] + shift, 2), tile)
    tall = cut[:, 3] - cut[:, 1] >= MIN_SIDE
    good = ~labels.ignored & (left >= MIN_VISIBLE) & tall
    scene.boxes = np.concatenate([scene.boxes, cut[good]])
    scene.ignored = np.concatenate([scene.ignored, cut[~good & (left > 0)]])


def _grey_out(scene: Scene) -> None:
    """Blank what is neither person nor background, except where a person is."""
    image = scene.image.copy()
    for x1, y1, x2, y2 in scene.ignored.round().astype(int):
        image[y1:y2, x1:x2] = PAD
    for x1, y1, x2, y2 in scene.boxes.round().astype(int):
        image[y1:y2, x1:x2] = scene.image[y1:y2, x1:x2]
    scene.image = image


class Scenes:
    """Random detector images from image sets; every batch depends on its generator alone."""

    def __init__(self, sets: list[LabelledImages]) -> None:
        self.sets = sets
        counts = [len(images) for images in sets]
        self.rows = np.stack([np.repeat(np.arange(len(sets)), counts),
                              np.concatenate([np.arange(n) for n in counts])], 1)  # fmt: skip

    def scene(self, size: int, tiling: Tiling, rng: np.random.Generator) -> Scene:
        """One image of ``size`` x ``size`` pixels."""
        grid = 1 + int(rng.choice(3, p=tiling.shares))
        empty = np.zeros((0, 4), np.float32)
        scene = Scene(np.full((size, size, 3), PAD, np.uint8), empty, empty)
        edges = np.linspace(0, size, grid + 1).round().astype(int)
        if grid == 2:
            edges[1] = int(size * rng.uniform(0.35, 0.65))
        for row in range(grid):
            for column in range(grid):
                which, index = self.rows[rng.integers(len(self.rows))]
                tile = np.array([edges[column], edges[row], edges[column + 1], edges[row + 1]])
                zoom = np.exp(rng.uniform(*np.log(tiling.zoom)))
                _fill_tile(scene, tile, self.sets[which], int(index), zoom, rng)
        _grey_out(scene)
        return scene

    def batch(
        self, n: int, size: int, tiling: Tiling, rng: np.random.Generator
    ) -> tuple[Tensor, list[Tensor]]:
        """``n`` images uint8 (n,3,S,S) BGR and the boxes (N,4) of each."""
        scenes = [self.scene(size, tiling, rng) for _ in range(n)]
        images = torch.from_numpy(np.stack([s.image for s in scenes])).permute(0, 3, 1, 2)
        return images, [torch.from_numpy(s.boxes).float() for s in scenes]
