"""A lifted motion, settled: smoothed, on its floor, with feet that stand."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.world.fit import assumed_ground, fit_ground
from vid3d.world.footlock import lock_feet
from vid3d.world.ground import Ground
from vid3d.world.measures import foot_slides, jitters, lag
from vid3d.world.smoothing import DEFAULT, smoothed
from vid3d.world.stances import Stance, find_stances, runs

TRUSTED = 0.1
"""Confidence from which feet are drawn to the floor; below it they only stay where they stand."""
MOVING_CAMERA = 1.2
"""Metres a second of standing feet beyond which it is rather the camera that moves."""


def settle(
    motion: Motion,
    smooth: float = DEFAULT,
    floor: bool = True,
    sized: Collection[int] = (),
) -> Motion:
    """Smooth a motion, find its floor, put people on it, and let standing feet stand.

    `meta` of the result tells what was done, lengths in metres: `smooth` (dial, jitter_before,
    jitter_after, lag in seconds), and with a floor `ground` (normal, height, confidence) and
    `feet` (slide_before, slide_after in m/s).

    Args:
        motion: as lifted, camera frame; the result is in the same frame.
        smooth: 0..1, see `smoothed`.
        floor: False leaves people where they were lifted.
        sized: track ids of people whose height is known; they are not scaled.

    Raises:
        Vid3dError: smooth is not in 0..1.
    """
    calm = smoothed(motion, smooth)
    meta = dict(motion.meta)
    if smooth > 0 and motion.present.any():
        meta["smooth"] = {
            "dial": smooth,
            "jitter_before": _mean(jitters(motion)),
            "jitter_after": _mean(jitters(calm)),
            "lag": round(lag(motion, calm), 6),
        }
    if not floor or not motion.present.any():
        return replace(calm, meta=meta)
    return _on_floor(replace(calm, meta=meta), sized)


def _on_floor(motion: Motion, sized: Collection[int]) -> Motion:
    stances = find_stances(motion)
    ground, factors = fit_ground(motion, sized)
    before = foot_slides(motion, stances, ground.normal)
    if _mean(before) > MOVING_CAMERA:
        return replace(motion, meta={**motion.meta, "ground": assumed_ground(motion).to_meta()})
    placed = motion
    if ground.confidence >= TRUSTED:
        placed = _scaled(motion, factors)
    locked = _locked(placed, stances, ground if ground.confidence >= TRUSTED else None)
    after = foot_slides(locked, stances, ground.normal)
    feet = {"slide_before": _mean(before), "slide_after": _mean(after)}
    return replace(locked, meta={**motion.meta, "ground": ground.to_meta(), "feet": feet})


def _scaled(motion: Motion, factors: NDArray[np.float64]) -> Motion:
    """People scaled about the camera by factors (P,), which leaves their picture as it is."""
    wide = factors[:, None].astype(np.float32)
    return replace(
        motion,
        joints3d=motion.joints3d * wide[..., None, None],
        spread=motion.spread * wide[..., None],
        root_spread=motion.root_spread * wide,
    )


def _locked(motion: Motion, stances: list[Stance], ground: Ground | None) -> Motion:
    joints3d = motion.joints3d.copy()
    for person in range(motion.people):
        for start, stop in runs(motion.present[person]):
            own = [
                (stance.foot, stance.start - start, stance.stop - start)
                for stance in stances
                if stance.person == person and start <= stance.start < stop
            ]
            joints3d[person, start:stop] = lock_feet(
                motion.joints3d[person, start:stop], own, motion.timestamps[start:stop], ground
            )
    return replace(motion, joints3d=joints3d)


def _mean(values: NDArray[np.float64]) -> float:
    """Mean of what is known, for a file; 0 where nothing is."""
    known = values[np.isfinite(values)]
    return round(float(known.mean()), 5) if len(known) else 0.0
