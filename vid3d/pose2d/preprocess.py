"""From images and boxes to a network's input, after the manifest's `InputSpec`."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.manifest import InputSpec
from vid3d.video.frame import Image

CROP_PADDING = 1.25
"""How much larger than the box the crop of a pose network is, as in MMPose."""

_INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}


def whole_images(
    images: Sequence[Image], spec: InputSpec, multiple: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit whole images into the input.

    Args:
        images: BGR (H, W, 3).
        spec: of the network's input.
        multiple: where the network takes any size, of what its sides must be multiples: then a
            letterbox has no more padding than that takes.

    Returns:
        (B, 3, H, W) input, and (B, 2) scale: input pixels per image pixel along x and y.
    """
    sizes = [_fitted_size(image, spec) for image in images]
    width, height = spec.size
    if multiple is not None:
        width, height = (
            -(-max(sides) // multiple) * multiple for sides in zip(*sizes, strict=True)
        )
    canvas = np.full((len(images), height, width, 3), spec.pad, np.uint8)
    scales = np.empty((len(images), 2), np.float32)
    flags = _INTERPOLATION[spec.interpolation]
    for i, (image, (w, h)) in enumerate(zip(images, sizes, strict=True)):
        canvas[i, :h, :w] = cv2.resize(image, (w, h), interpolation=flags)
        scales[i] = w / image.shape[1], h / image.shape[0]
    return normalise(canvas, spec), scales


def _fitted_size(image: Image, spec: InputSpec) -> tuple[int, int]:
    """Width and height of an image in the input, padding left out."""
    (width, height), (rows, columns) = spec.size, image.shape[:2]
    if spec.resize != "letterbox":
        return width, height
    scale = min(width / columns, height / rows)
    # the rounding of mmcv.rescale_size, so that both backends see the same picture
    return max(1, int(columns * scale + 0.5)), max(1, int(rows * scale + 0.5))


def clipped(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], image: Image
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The parts of boxes (N, 4) inside the image, and their scores (N,); boxes outside go."""
    height, width = image.shape[:2]
    inside = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    kept = (inside[:, 2:] > inside[:, :2]).all(-1)
    return inside[kept], scores[kept].astype(np.float32)


def crops(
    images: Sequence[Image], boxes: Sequence[NDArray[np.floating]], spec: InputSpec
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Cut the people in the `boxes` (N_i, 4) of each image out of it.

    A box is widened to the shape of the input and enlarged by `CROP_PADDING`.

    Returns:
        (N, 3, H, W) input for all N people, image by image, and (N, 2, 3) affine maps from image
        to crop pixels.
    """
    maps = crop_maps(np.concatenate(boxes), spec.size)
    width, height = spec.size
    flags = _INTERPOLATION[spec.interpolation]
    canvas = np.empty((len(maps), height, width, 3), np.uint8)
    border = (spec.pad,) * 3
    sources = (image for image, own in zip(images, boxes, strict=True) for _ in own)
    for image, matrix, crop in zip(sources, maps, canvas, strict=True):
        cv2.warpAffine(image, matrix, (width, height), crop, flags, borderValue=border)
    return normalise(canvas, spec), maps


def crop_maps(boxes: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float64]:
    """Affine maps (N, 2, 3) from image to crop pixels for boxes (N, 4); see `crops`."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)
    scale = 1 / (CROP_PADDING * (sides / size).max(1))
    maps = np.zeros((len(boxes), 2, 3))
    maps[:, 0, 0] = maps[:, 1, 1] = scale
    maps[:, :, 2] = np.asarray(size) / 2 - centre * scale[:, None]
    return maps


def to_image(points: NDArray[np.floating], maps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Carry points (N, K, 2) in crop pixels back to the image by the inverse of `maps`."""
    scale = maps[:, None, [0, 1], [0, 1]]
    return ((points - maps[:, None, :, 2]) / scale).astype(np.float32)


def normalise(pictures: Image, spec: InputSpec) -> NDArray[np.float32]:
    """BGR pictures (B, H, W, 3) as the network's input (B, 3, H, W)."""
    if spec.channels == "rgb":
        pictures = pictures[..., ::-1]
    planes = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), dtype=np.float32)
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (spec.mean, spec.std))
    planes -= mean
    planes /= std
    return planes
