"""Root placement: least squares at the looks, the network's own track in between.

The network says where the root is at every moment (direction and depth, from the whole window); at
a look the joints of the input's own set, solved for the translation that reprojects them, say it
again. The differences between the two, smoothed over time with a kernel, correct the network's
track: it stays smooth, follows curves between looks, and reprojects. No ground truth anywhere.
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import solve_translation
from vid3d.lifter.resample import cubic

Array = NDArray[np.floating]

_CHUNK = 256  # moments at once

# Measured on the dev actors.
DEPTH_SMOOTHING = 0.2
"""Seconds; the network's depth is noisier from look to look than a person can move."""
DEPTH_TRUST = 0.25
"""Share of the difference in depth that is corrected: the network sees the whole window, the
least squares one look and bones of uncertain length."""


def solve_roots(joints: Array, rays: Array, weights: Array, rounds: int = 3) -> Array:
    """Translations (..., 3) that bring root-relative joints onto rays, robust to outliers.

    Iteratively reweighted (Cauchy) `solve_translation`: joints that miss by more than about 3 % of
    the person's size lose their say.

    Args:
        joints: (..., J, 3) metres, relative to the root.
        rays: (..., J, 2) slopes.
        weights: (..., J); zero leaves a joint out.
        rounds: of reweighting.
    """
    current, extent = weights, _extent(joints)
    for _ in range(rounds):
        root = solve_translation(joints, rays, current)
        x, y = _missed(joints, root, rays, extent)
        distance = np.where(weights > 0, np.hypot(x, y), 0.0)
        current = weights / (1 + (np.nan_to_num(distance) / 0.03) ** 2)
    return solve_translation(joints, rays, current)


def reprojection_residuals(joints: Array, root: Array, rays: Array) -> Array:
    """From projected joints to rays (..., J, 2), as shares of the person's size.

    The size is the longer side of the box of the joints, at the root's depth: two metres of
    person, about.
    """
    return np.stack(_missed(joints, root, rays, _extent(joints)), -1)


def reprojection_errors(joints: Array, root: Array, rays: Array, weights: Array) -> Array:
    """Lengths (..., J) of `reprojection_residuals`; NaN where the weight is zero."""
    missed = np.hypot(*_missed(joints, root, rays, _extent(joints)))
    return np.where(weights > 0, missed, np.nan)


def _extent(joints: Array) -> Array:
    """Longer side (...) of the box of joints (..., J, 3), seen from the front."""
    flat = np.ascontiguousarray(np.moveaxis(joints[..., :2], -2, 0))  # quick to reduce
    return np.asarray((flat.max(0) - flat.min(0)).max(-1))


def _missed(joints: Array, root: Array, rays: Array, extent: Array) -> tuple[Array, Array]:
    """Both coordinates (..., J) of `reprojection_residuals`."""
    x, y, z = (joints[..., axis] + root[..., None, axis] for axis in range(3))
    depth = np.maximum(z, 0.05)
    size = (np.maximum(extent, 0.5) / np.maximum(root[..., 2], 0.05))[..., None]
    return (rays[..., 0] - x / depth) / size, (rays[..., 1] - y / depth) / size


def to_track(points: Array) -> Array:
    """Slopes x/z and y/z and the logarithm of depth (..., 3) of points (..., 3)."""
    depth = np.maximum(points[..., 2:], 0.05)
    return np.concatenate([points[..., :2] / depth, np.log(depth)], -1)


def from_track(track: Array) -> Array:
    """The inverse of `to_track`."""
    depth = np.exp(track[..., 2:])
    return np.concatenate([track[..., :2] * depth, depth], -1)


def kernel_smooth(
    values: Array, weights: Array, times: Array, at: Array, width: float, sloped: bool = False
) -> Array:
    """Kernel regression of values (K, C), weighted (K,), from times (K,) at (G,).

    Weights fall like Gauss's curve from the nearest look on (the curve itself measures the same),
    so that far from every look the nearest one counts. Both times rise. A mean, which at an end
    lags behind what grows or falls there; `sloped` fits a line at every moment instead (local
    linear regression, Fan & Gijbels 1996), which among even times makes no difference but there.
    """
    smooth = np.empty((len(at), values.shape[1]))
    for start in range(0, len(at), _CHUNK):  # a long clip has too many pairs of moments and looks
        part = at[start : start + _CHUNK]
        low = max(int(np.searchsorted(times, part[0] - 6 * width)) - 1, 0)
        high = int(np.searchsorted(times, part[-1] + 6 * width)) + 1
        offset = (times[low:high] - part[:, None]) / width
        distance = np.abs(offset)
        distance -= distance.min(1, keepdims=True)
        kernel = np.exp(-0.5 * distance**2) * weights[low:high]
        if sloped:
            first = (kernel * offset).sum(1, keepdims=True)
            second = (kernel * (offset**2 + 1e-6)).sum(1, keepdims=True)  # one look has no slope
            kernel *= second - first * offset
        total = np.maximum(kernel.sum(1, keepdims=True), 1e-9)
        smooth[start : start + _CHUNK] = kernel @ values[low:high] / total
    return smooth


def place_roots(
    predicted: Array, solved: Array, weights: Array, look_times: Array, times: Array
) -> Array:
    """Root positions (G, 3) in the camera frame.

    Args:
        predicted: (G, 3) the network's track, as `to_track` gives it.
        solved: (K, 3) least-squares roots, metres; NaN where there was too little to go by.
        weights: (K,) trust in them.
        look_times: (K,) seconds.
        times: (G,) seconds.
    """
    track = predicted.copy()
    alike = np.ones(len(times))
    # People who come or go would stand still in depth where a mean of what is there ends.
    track[:, 2:] = kernel_smooth(
        predicted[:, 2:], alike, times, times, DEPTH_SMOOTHING, sloped=True
    )
    good = np.isfinite(solved).all(-1) & (solved[:, 2] > 0.1) & (weights > 0)
    if not good.any():
        return from_track(track)
    difference = to_track(solved[good]) - cubic(track, times, look_times[good])
    gap = float(np.median(np.diff(look_times[good]))) if good.sum() > 1 else 0.1
    corrections = [
        kernel_smooth(difference, weights[good], look_times[good], times, width)
        for width in (max(0.05, 0.4 * gap), max(0.5, gap))
    ]
    track[:, :2] += corrections[0][:, :2]
    track[:, 2] += DEPTH_TRUST * corrections[1][:, 2]
    return from_track(track)
