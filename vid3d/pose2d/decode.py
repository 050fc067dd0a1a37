"""From a network's raw outputs to boxes and joints, after the manifest's `decode`.

Every decoder is a pure function of arrays in input pixels; `preprocess` leads back to the image.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import JOINTS

Array = NDArray[np.floating]
Cells = NDArray[np.integer]
MOST_BOXES = 1000
"""Best boxes of an image that enter non-maximum suppression."""

SHARPNESS = 10.0
"""Of the soft-max over cells: how heat-map heads are trained here, and RTMPose's over bins."""

# ---------------------------------------------------------------- joints in a crop


def joints_of(
    outputs: Sequence[Array], decode: Mapping[str, Any], size: tuple[int, int]
) -> tuple[Array, NDArray[np.float32]]:
    """The body's joints from a pose network's outputs, by kind.

    Args:
        outputs: of a batch of N crops.
        decode: the manifest's.
        size: width and height of a crop.

    Returns:
        (N, 17, 2) crop pixels and (N, 17) confidence in 0..1.

    Raises:
        ValueError, IndexError: the outputs are not what the decoder takes.
    """
    if decode["kind"] == "simcc":
        points, scores = simcc(outputs[0], outputs[1], decode["split_ratio"])
    else:
        points, scores = heatmap(outputs[0], size, decode["refine"], decode["blur"])
    if points.shape[1] < JOINTS:
        raise ValueError(f"{points.shape[1]} joints, at least {JOINTS} are needed")
    confidence = np.minimum(scores[:, :JOINTS] * decode["confidence_scale"], 1)
    return points[:, :JOINTS], np.maximum(confidence, 0, dtype=np.float32)


def simcc(simcc_x: Array, simcc_y: Array, split_ratio: float = 2.0) -> tuple[Array, Array]:
    """Joints from two one-dimensional distributions each (SimCC, arXiv 2107.03332).

    Args:
        simcc_x: (N, K, W * split_ratio).
        simcc_y: (N, K, H * split_ratio).
        split_ratio: bins a pixel.

    Returns:
        (N, K, 2) crop pixels and (N, K) score, the smaller of both peaks. RTMPose's peaks lie
        mostly in 0.2..1 and can exceed 1; they are no probabilities.
    """
    points = np.stack([simcc_x.argmax(-1), simcc_y.argmax(-1)], -1) / split_ratio
    return points, np.minimum(simcc_x.max(-1), simcc_y.max(-1))


def heatmap(
    maps: Array, size: tuple[int, int], refine: str = "dark", blur: int = 11
) -> tuple[Array, Array]:
    """Joints from one map each.

    Args:
        maps: (N, K, h, w).
        size: width and height of the crop that the maps cover; cell (0, 0) is pixel (0, 0).
        refine: the peak's place between cells, "dark" by the map's curvature there
            (arXiv 1910.06278), "expectation" by the centre of mass of the soft-max about it
            (local soft-argmax), "none".
        blur: odd width of the Gaussian that smooths the map for DARK.

    Returns:
        (N, K, 2) crop pixels and (N, K) score, the map's maximum.
    """
    count, joints, rows, columns = maps.shape
    flat = maps.reshape(count, joints, -1)
    best = flat.argmax(-1)
    y = best // columns
    x = best - y * columns
    points = np.empty((count, joints, 2))
    points[..., 0], points[..., 1] = x, y
    if refine == "dark":
        points += _dark_offsets(maps, x, y, blur)
    elif refine == "expectation":
        points += _expected_offsets(maps, x, y)
    return points * (size[0] / columns, size[1] / rows), flat.max(-1)


_MOMENTS = np.array([[x, y, 1] for y in (-1, 0, 1) for x in (-1, 0, 1)], np.float32)


def _expected_offsets(maps: Array, x: Cells, y: Cells) -> Array:
    """Centre of mass (N, K, 2) of exp(SHARPNESS * map) over the 3 x 3 cells about each peak.

    Cells beyond the border weigh nothing, so that peaks on the border itself lean inwards.
    """
    cells = _patches(maps, x, y, 1, -np.inf)
    moments = np.exp(SHARPNESS * (cells - cells[..., 4:5])) @ _MOMENTS
    return np.asarray(moments[..., :2] / moments[..., 2:])


def _dark_offsets(maps: Array, x: Cells, y: Cells, blur: int) -> Array:
    """Newton step (N, K, 2) of each log map (N, K, h, w) from its peak, at most 1.5 cells.

    Zero for peaks nearer than two cells to the border, where there is no curvature to measure.
    """
    rows, columns = maps.shape[2:]
    inside = (x > 1) & (x < columns - 2) & (y > 1) & (y < rows - 2)
    log = np.log(np.maximum(_smooth_patches(maps, x, y, blur), 1e-10))

    def at(right: int, down: int) -> Array:
        return log[..., 2 + down, 2 + right]

    dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    dxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
    dyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
    dxy = (at(1, 1) - at(-1, 1) - at(1, -1) + at(-1, -1)) / 4
    determinant = dxx * dyy - dxy**2
    usable = inside & (np.abs(determinant) > 1e-12)
    step = -np.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], -1)
    step = (step / np.where(usable, determinant, 1.0)[..., None]).clip(-1.5, 1.5)
    return np.where(usable[..., None], step, 0.0)


def _smooth_patches(maps: Array, x: Cells, y: Cells, blur: int) -> Array:
    """The 5 x 5 cells (N, K, 5, 5) about each peak of the Gaussian-smoothed maps.

    Only what these cells need is smoothed. DARK also scales a smoothed map to its old maximum;
    the derivatives of its logarithm do not see that.
    """
    kernel = cv2.getGaussianKernel(blur, 0, cv2.CV_32F)[:, 0]
    band = np.stack([np.pad(kernel, (i, 4 - i)) for i in range(5)])
    patches = _patches(maps, x, y, blur // 2 + 2, 0).reshape(*x.shape, blur + 4, blur + 4)
    return np.asarray(band @ patches @ band.T)


def _patches(maps: Array, x: Cells, y: Cells, reach: int, outside: float) -> Array:
    """The cells (N, K, (2 reach + 1)^2) about each peak, by rows; `outside` beyond the map."""
    count, joints, height, width = maps.shape
    rows, columns = height + 2 * reach, width + 2 * reach
    padded = np.full((count, joints, rows, columns), outside, np.float32)
    padded[:, :, reach:-reach, reach:-reach] = maps
    side = np.arange(2 * reach + 1)
    around = (side[:, None] * columns + side).ravel()
    first = np.arange(count * joints).reshape(count, joints) * (rows * columns) + y * columns + x
    return np.asarray(padded.ravel()[first[..., None] + around])


# ---------------------------------------------------------------- people in an image


def boxes_of(
    outputs: Sequence[Array], decode: Mapping[str, Any], size: tuple[int, int]
) -> tuple[Array, Array]:
    """Candidates of a batch: boxes (B, n, 4) in input pixels and scores (B, n), by kind."""
    kind, person = decode["kind"], decode["person_class"]
    if kind == "rtmdet":
        return _rtmdet(outputs, decode["strides"], person)
    if kind == "yolox":
        return _yolox(outputs[0], decode["strides"], size, person)
    if kind == "picodet":
        return outputs[0], outputs[1][:, person]
    dets, labels = outputs[:2]
    return dets[..., :4], np.where(labels == person, dets[..., 4], 0)


def _rtmdet(outputs: Sequence[Array], strides: Sequence[int], person: int) -> tuple[Array, Array]:
    """Raw heads of RTMDet (arXiv 2212.07784): point (column, row) * stride, sides in pixels.

    Two layouts: one output a stride (B, h, w, classes + 4), or all logits (B, classes, h, w)
    before all distances (B, 4, h, w).
    """
    boxes, scores = [], []
    for level, stride in enumerate(strides):
        if len(outputs) == len(strides):
            both = outputs[level]
            logits, sides = both[..., person], both[..., -4:]
        else:
            logits = outputs[level][:, person]
            sides = outputs[level + len(strides)].transpose(0, 2, 3, 1)
        rows, columns = logits.shape[1:]
        points = _grid(rows, columns) * float(stride)
        box = np.concatenate([points - sides[..., :2], points + sides[..., 2:]], -1)
        boxes.append(box.reshape(len(box), -1, 4))
        scores.append(_sigmoid(logits).reshape(len(box), -1))
    return np.concatenate(boxes, 1), np.concatenate(scores, 1)


def _yolox(
    rows: Array, strides: Sequence[int], size: tuple[int, int], person: int
) -> tuple[Array, Array]:
    """Rows (B, n, 5 + classes) of YOLOX (arXiv 2107.08430): centre, log size, two scores."""
    grids = [_grid(size[1] // stride, size[0] // stride).reshape(-1, 2) for stride in strides]
    cells = np.concatenate(grids)
    stride = np.repeat(np.array(strides, float), [len(grid) for grid in grids])[:, None]
    centre = (rows[..., :2] + cells) * stride
    half = np.exp(rows[..., 2:4].clip(max=20)) * stride / 2
    boxes = np.concatenate([centre - half, centre + half], -1)
    return boxes, rows[..., 4] * rows[..., 5 + person]


def _grid(rows: int, columns: int) -> Array:
    """(rows, columns, 2) of column and row."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x, y], -1).astype(np.float64)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.clip(-60, 60)))


def suppress(boxes: Array, scores: Array, score: float, iou: float) -> NDArray[np.intp]:
    """Indices, best first, of the boxes (n, 4) above `score` of which no two overlap over `iou`.

    Boxes without an inside, or with values that are not finite, are never among them.
    """
    real = (boxes[:, 2:] > boxes[:, :2]).all(-1) & np.isfinite(boxes).all(-1)
    kept = np.flatnonzero((scores >= score) & real)
    kept = kept[np.argsort(-scores[kept], kind="stable")][:MOST_BOXES]
    if not len(kept):
        return kept
    corners = boxes[kept]
    sides = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], -1)
    chosen = cv2.dnn.NMSBoxes(
        sides.astype(np.float64).tolist(), scores[kept].astype(float).tolist(), 0.0, iou
    )
    return kept[np.asarray(chosen, np.intp).reshape(-1)]
