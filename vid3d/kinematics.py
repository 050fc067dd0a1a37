"""Joint angles, their uncertainty, and velocities of a motion.

Angles are in degrees, of h36m17 joints in any right-handed frame. Two frames move with the body:

- the *trunk axis* runs from the pelvis to the thorax;
- *hips*: left is the line from the right to the left hip, up is the trunk axis made perpendicular
  to it, forward = left x up;
- *shoulders*: up is the trunk axis, left is the line from the right to the left shoulder made
  perpendicular to it, forward = left x up.

`ANGLES` says what each angle is, where it is zero and which way it grows. Hip and trunk are the
first two Cardan angles about the lateral and then the floating axis (after Grood and Suntay 1983,
and the ISB's recommendation for the hip, Wu et al. 2002), the shoulder is elevation and plane of
elevation (ISB, Wu et al. 2005); rotations of a limb about its own axis are not visible in joints.
"""

import csv
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vid3d.files import atomic_path
from vid3d.floor import floor_of
from vid3d.motion import Motion
from vid3d.motion_schema import runs
from vid3d.skeleton import H36M17

Array = NDArray[np.float64]

_OF_A_SIDE = {
    "knee_flexion": "180 less the angle at the knee: 0 straight leg, grows as it bends",
    "hip_flexion": "thigh against the trunk axis: 0 in line, grows as the thigh goes forward",
    "hip_abduction": "thigh out of the sagittal plane: 0 in it, grows away from the other leg",
    "elbow_flexion": "180 less the angle at the elbow: 0 straight arm, grows as it bends",
    "shoulder_elevation": "upper arm against the trunk axis: 0 hanging, 90 level, 180 overhead",
    "shoulder_plane": "where to it is raised: 0 to the side, 90 forward, -90 backward; "
    "not defined within 15 degrees of hanging and of overhead",
}
_OF_THE_TRUNK = {
    "trunk_lean": "trunk axis against the vertical, forward and back: 0 upright, grows forward",
    "trunk_side": "trunk axis against the vertical, sideways: 0 upright, grows to the right",
    "trunk_twist": "shoulder line against hip line about the trunk axis: 0 parallel, "
    "grows as the shoulders turn left",
}
ANGLES = {
    **{f"{side}_{name}": words for name, words in _OF_A_SIDE.items() for side in ("left", "right")},
    **_OF_THE_TRUNK,
}
"""Definition of each angle, in the order of the last axis of all arrays here."""

PLANE_LIMIT = 15.0
"""Degrees from hanging or overhead within which the plane of elevation is not defined."""
AXIS_SHARE = 1 / 1.8724
"""Standard deviation along one axis by the radius of the ball that holds 68 % of a Gaussian in 3D
(the square root of the chi-square distribution's quantile with three degrees of freedom)."""
WINDOW = 0.1
"""Seconds over which velocities are taken."""
_BLOCK = 4096  # frames whose slopes are taken from the same running sums
_STEP = 1e-4


@dataclass(frozen=True)
class JointAngles:
    """Angles of everybody in a motion.

    Attributes:
        degrees: (P, F, A) in the order of `ANGLES`; NaN where absent or not defined.
        spread: (P, F, A) one standard deviation in degrees; NaN where not known.
    """

    degrees: Array
    spread: Array


def motion_angles(motion: Motion) -> JointAngles:
    """Joint angles of a motion and their uncertainty; up is that of its floor."""
    up = floor_of(motion).up
    degrees = np.full((*motion.present.shape, len(ANGLES)), np.nan)
    spread = degrees.copy()
    there = motion.present
    degrees[there] = joint_angles(motion.joints3d[there], up)
    spread[there] = angle_spread(motion.joints3d[there], motion.spread[there], up)
    return JointAngles(degrees, spread)


def save_angles(motion: Motion, path: str | Path) -> Path:
    """Write the joint angles of a motion as CSV: a row a person and frame where present.

    Columns: `person` (track id), `frame`, `time_s`, then `NAME_deg` and `NAME_sd_deg` (one
    standard deviation) of each of `ANGLES`; empty where not known.
    """
    found = motion_angles(motion)
    header = ["person", "frame", "time_s"]
    header += [column for name in ANGLES for column in (f"{name}_deg", f"{name}_sd_deg")]
    values = np.stack([found.degrees, found.spread], -1)
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for person, frame in np.argwhere(motion.present).tolist():
            row = [
                "" if np.isnan(value) else f"{value:.2f}" for value in values[person, frame].flat
            ]
            time = f"{motion.timestamps[frame]:.6f}"
            writer.writerow([motion.track_ids[person], frame, time, *row])
    return Path(path)


def joint_angles(joints: ArrayLike, up: ArrayLike) -> Array:
    """Angles (..., A) in degrees of bodies (..., 17, 3), in the order of `ANGLES`.

    Args:
        joints: h36m17, any right-handed frame and unit.
        up: (3,) against gravity, in the frame of the joints.

    Returns:
        Knee and elbow in 0..180, elevation in 0..180, abduction and side in -90..90, the others
        in -180..180; NaN where a joint is, or where joints coincide.
    """
    place = dict(
        zip(H36M17.joints, np.moveaxis(np.asarray(joints, np.float64), -2, 0), strict=True)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        trunk = _unit(place["thorax"] - place["pelvis"])
        hips = _unit(place["left_hip"] - place["right_hip"])
        shoulders = _unit(_across(place["left_shoulder"] - place["right_shoulder"], trunk))
        found = _trunk_angles(trunk, hips, shoulders, np.asarray(up, np.float64))
        for side, sign in (("left", 1.0), ("right", -1.0)):
            joint = {name: place[f"{side}_{name}"] for name in
                     ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")}  # fmt: skip
            values = _limb_angles(joint, trunk, hips, shoulders, sign)
            found |= {f"{side}_{name}": value for name, value in values.items()}
    return np.degrees(np.stack([found[name] for name in ANGLES], -1))


def angle_spread(joints: ArrayLike, spread: ArrayLike, up: ArrayLike) -> Array:
    """One standard deviation (..., A) in degrees of the angles of bodies.

    First-order propagation: the variance of an angle is the sum over joints of the squared length
    of its gradient (differences of 0.1 mm) times the variance of the joint along one axis.
    Errors of joints count as Gaussian, alike in all directions and independent of each other; as
    neighbours err together in part, the figure is rather too large than too small.

    Args:
        joints: (..., 17, 3) metres.
        spread: (..., 17) metres within which 68 % of a joint's errors lie; NaN is not known.
        up: (3,) against gravity.

    Returns:
        At most 180; NaN where the spread of a joint that the angle needs is not known.
    """
    joints = np.asarray(joints, np.float64)
    deviation = np.asarray(spread, np.float64) * AXIS_SHARE
    here = joint_angles(joints, up)
    variance = np.zeros(here.shape)
    for joint in range(joints.shape[-2]):
        for axis in range(3):
            step = np.zeros(joints.shape[-2:])
            step[joint, axis] = _STEP
            ahead, behind = joint_angles(joints + step, up), joint_angles(joints - step, up)
            # The steeper side: a straight knee bends whichever way its joints are moved.
            slope = np.maximum(abs(wrapped(ahead - here)), abs(wrapped(here - behind))) / _STEP
            share = (slope * deviation[..., joint, None]) ** 2
            variance += np.where(slope == 0, 0.0, share)  # spread of joints it does not need
    return np.minimum(np.sqrt(variance), 180.0)


def velocity(values: ArrayLike, times: ArrayLike, window: float = WINDOW) -> Array:
    """Time derivative of values, per second: the slope of a line through those around each frame.

    The window is centred and shrinks towards the ends of a run without NaN, so nothing is shifted
    in time; it reaches one frame to each side at least. Exact for values that change evenly, and,
    at an even frame rate and away from ends, for constant acceleration.

    Args:
        values: (F, ...) of any unit; NaN parts runs. Angles: give them unwrapped (`unwrapped`).
        times: (F,) seconds, rising.
        window: seconds.

    Returns:
        (F, ...); NaN where `values` is, and in runs of a single frame.
    """
    values, times = np.asarray(values, np.float64), np.asarray(times, np.float64)
    flat = values.reshape(len(times), -1)
    slopes = np.full(flat.shape, np.nan)
    for column in range(flat.shape[1]):
        for run in starmap(slice, runs(np.isfinite(flat[:, column]))):
            slopes[run, column] = _slopes(flat[run, column], times[run], window)
    return slopes.reshape(values.shape)


def unwrapped(degrees: ArrayLike) -> Array:
    """Angles (F, ...) without jumps of a turn from one frame to the next; NaN stays."""
    degrees = np.array(degrees, np.float64)
    flat = degrees.reshape(len(degrees), -1)
    for column in range(flat.shape[1]):
        for run in starmap(slice, runs(np.isfinite(flat[:, column]))):
            flat[run, column] = np.unwrap(flat[run, column], period=360.0)
    return flat.reshape(degrees.shape)


def wrapped(degrees: ArrayLike) -> Array:
    """Differences of angles as the shorter way, -180 to 180."""
    return (np.asarray(degrees, np.float64) + 180.0) % 360.0 - 180.0


def _trunk_angles(trunk: Array, hips: Array, shoulders: Array, up: Array) -> dict[str, Array]:
    left = _unit(hips - _dot(hips, up)[..., None] * up)
    forward = np.cross(left, up)
    level = _unit(_across(hips, trunk))
    return {
        "trunk_lean": np.arctan2(_dot(trunk, forward), _dot(trunk, up)),
        "trunk_side": -np.arcsin(np.clip(_dot(trunk, left), -1, 1)),
        "trunk_twist": np.arctan2(
            _dot(np.cross(level, shoulders), trunk), _dot(level, shoulders)
        ),
    }  # fmt: skip


def _limb_angles(
    joint: dict[str, Array], trunk: Array, hips: Array, shoulders: Array, sign: float
) -> dict[str, Array]:
    """Angles of one side in radians; `sign` turns the body's left into away from the body."""
    thigh, arm = joint["knee"] - joint["hip"], joint["elbow"] - joint["shoulder"]
    up = _unit(_across(trunk, hips))
    outward = sign * _dot(_unit(thigh), hips)
    elevation = _between(arm, -trunk)
    plane = np.arctan2(_dot(arm, np.cross(shoulders, trunk)), sign * _dot(arm, shoulders))
    defined = np.abs(elevation - np.pi / 2) < np.pi / 2 - np.radians(PLANE_LIMIT)
    return {
        "knee_flexion": _between(thigh, joint["ankle"] - joint["knee"]),
        "hip_flexion": np.arctan2(_dot(thigh, np.cross(hips, up)), -_dot(thigh, up)),
        "hip_abduction": np.arcsin(np.clip(outward, -1, 1)),
        "elbow_flexion": _between(arm, joint["wrist"] - joint["elbow"]),
        "shoulder_elevation": elevation,
        "shoulder_plane": np.where(defined, plane, np.nan),
    }


def _slopes(values: Array, times: Array, window: float) -> Array:
    """Least-squares slope in a centred window around each of the values of one run."""
    count = len(values)
    if count < 2:
        return np.full(count, np.nan)
    # As many frames to each side as the shorter side holds, so that the window stays centred.
    here = np.arange(count)
    before = here - np.searchsorted(times, times - window / 2 - 1e-9)
    after = np.searchsorted(times, times + window / 2 + 1e-9) - 1 - here
    reach = np.maximum(np.minimum(before, after), 1)
    low, high = np.maximum(here - reach, 0), np.minimum(here + reach, count - 1) + 1
    blocks = [slice(start, start + _BLOCK) for start in range(0, count, _BLOCK)]
    return np.concatenate([_slopes_in(values, times, low[one], high[one]) for one in blocks])


def _slopes_in(values: Array, times: Array, low: NDArray[np.intp], high: NDArray[np.intp]) -> Array:
    """Slopes of values and times from each of `low` to before each of `high`.

    By differences of running sums, which are exact as long as they are short.
    """
    first, stop = low.min(), high.max()
    times, values = times[first:stop], values[first:stop]
    times, values = times - times.mean(), values - values.mean()
    columns = np.stack([np.ones_like(times), times, values, times * times, times * values])
    sums = np.concatenate([np.zeros((5, 1)), columns.cumsum(1)], 1)
    n, t, x, tt, tx = sums[:, high - first] - sums[:, low - first]
    return (n * tx - t * x) / (n * tt - t * t)


def _dot(a: Array, b: Array) -> Array:
    return np.asarray((a * b).sum(-1))


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _across(vectors: Array, axis: Array) -> Array:
    """The part of vectors that is perpendicular to unit axes."""
    return vectors - _dot(vectors, axis)[..., None] * axis


def _between(a: Array, b: Array) -> Array:
    """Angle between vectors in radians, exact also for small ones."""
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), _dot(a, b))
