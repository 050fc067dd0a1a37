"""What a motion out of a file must hold to before anything is made of it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import LARGEST_SIDE
from vid3d.errors import Vid3dError
from vid3d.motion_schema import AnyMotion

MOST_FRAMES = 2_000_000
"""Frames of the longest clip: nine hours at 60 a second."""
FARTHEST = 1e5
"""Metres from the camera beyond which nobody is."""


def check_motion(motion: AnyMotion, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a motion that no lift makes: values that are no numbers, out of range or at odds.

    Shapes are checked by `Motion` itself.

    Args:
        motion: it.
        arrays: its arrays by name.

    Raises:
        Vid3dError: the first thing that is wrong.
    """
    frames, times = motion.frames, motion.timestamps
    _need(0 < frames <= MOST_FRAMES, f"has {frames} frames, expected 1 to {MOST_FRAMES}")
    _need(np.isfinite(times).all(), "timestamps are not finite")
    _need(len(set(motion.track_ids.tolist())) == motion.people, "track_ids repeat")
    looks = motion.keyframes
    in_clip = (looks >= 0) & (looks < frames)
    _need(in_clip.all() and (np.diff(looks) > 0).all(), "keyframes are not rising frames")
    sides = motion.frame_size
    _need(((sides >= 1) & (sides <= LARGEST_SIDE)).all(), f"frame_size is {sides.tolist()}")
    K = motion.intrinsics
    fits = np.isfinite(K).all() and K[0, 0] > 0 and K[1, 1] > 0 and (K[2] == (0, 0, 1)).all()
    _need(bool(fits), "intrinsics are no camera matrix")
    _within("joints3d", arrays["joints3d"], -FARTHEST, FARTHEST)
    _within("spread", arrays["spread"], 0, FARTHEST)
    _within("root_spread", arrays["root_spread"], 0, FARTHEST)
    _within("contacts", arrays["contacts"], 0, 1)
    _within("keypoints2d", arrays["keypoints2d"], -1e9, 1e9)
    R = motion.camera_rotation
    R = np.asarray(R[:1] if R.strides[0] == 0 else R, np.float64)  # the same at all frames
    proper = np.allclose(R @ R.swapaxes(1, 2), np.eye(3), 0, 1e-3) and (np.linalg.det(R) > 0).all()
    _need(proper, "camera_rotation holds what is no rotation")
    _need(np.isfinite(motion.camera_position).all(), "camera_position is not finite")
    _within("camera_position", motion.camera_position, -FARTHEST, FARTHEST)
    zoom = motion.camera_zoom
    _need(((zoom > 1e-3) & (zoom < 1e3)).all(), "camera_zoom holds what is no zoom")
    _check_meta(motion.meta)
    span = float(times[-1] - times[0])
    _need(span * motion.fps <= MOST_FRAMES, f"lasts {span:.0f} s at {motion.fps:g} frames/s")


def _check_meta(meta: Mapping[str, Any]) -> None:
    """Types and ranges of the entries of `meta` that are used; others may be any JSON."""
    for key in ("source", "model", "options", "ground", "feet", "smooth"):
        _need(isinstance(meta.get(key, {}), (dict, type(None))), f"meta.{key} is not an object")
    try:
        json.dumps(meta, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Vid3dError(f"motion: meta does not fit JSON: {error}") from error
    if "fps" in meta:
        _need(_is_number(meta["fps"], 0, 1e5) and meta["fps"] > 0, f"meta.fps is {meta['fps']!r}")
    dist = meta.get("dist")
    if dist is not None:
        right = isinstance(dist, list) and len(dist) in (4, 5, 8, 12, 14)
        _need(right and all(map(_is_number, dist)), "meta.dist is no list of OpenCV's coefficients")
    cuts = meta.get("cuts", [])
    right = isinstance(cuts, list) and all(map(_is_number, cuts))
    _need(right, "meta.cuts is no list of seconds")
    if ground := meta.get("ground"):
        normal = ground.get("normal")
        right = isinstance(normal, list) and len(normal) == 3 and all(map(_is_number, normal))
        _need(right and 0.9 < np.linalg.norm(normal) < 1.1, "meta.ground.normal is no direction")
        _numbers(ground, "ground", ("height", "confidence"))
    if feet := meta.get("feet"):
        _numbers(feet, "feet", ("slide_before", "slide_after"))
    if smooth := meta.get("smooth"):
        _numbers(smooth, "smooth", ("dial", "jitter_before", "jitter_after", "lag"))


def _numbers(part: Mapping[str, Any], name: str, keys: tuple[str, ...]) -> None:
    for key in keys:
        _need(_is_number(part.get(key)), f"meta.{name}.{key} is {part.get(key)!r}, not a number")


def _is_number(value: Any, low: float = -1e9, high: float = 1e9) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _within(name: str, values: NDArray[Any], low: float, high: float) -> None:
    """Every value is NaN (not known) or lies in a range."""
    outside = (values < low) | (values > high)
    _need(not outside.any(), f"{name} leaves {low:g} to {high:g}")


def _need(fits: Any, complaint: str) -> None:
    if not fits:
        raise Vid3dError(f"motion: {complaint[:200]}")
