"""Inverse kinematics over time: the poses of a rig with fixed bones that fit joint positions best.

The maximum a posteriori pose sequence under: positions with the lifter's spread as their error,
angular and linear accelerations of human size (a constant-velocity prior), joint limits, and twist
near rest where nothing shows it. Gauss-Newton on rotations (body-frame increments exp(delta)); as
frames are coupled to their two neighbours only, each step is one banded Cholesky solve.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solveh_banded

from vid3d.export.closed_form import clamped, closed_form
from vid3d.export.rig import JOINTS, NAMES, PARENTS, PLACES, Rig
from vid3d.export.rotations import exponential, logarithm, shortest, swing_twist

Array = NDArray[np.float64]

SHARE, LEAST, UNKNOWN = 0.3, 0.015, 0.05
"""Spread counts at this share as noise of one frame, since errors last over many frames; metres of
noise of the surest joint; spread taken where it is not known."""
TURN_ACCELERATION, ROOT_ACCELERATION = 500.0, 100.0
"""Standard deviation of accelerations, rad/s^2 and m/s^2: beyond what waving arms reach."""
LIMIT = 0.03
"""Radians by which a limit gives way during the solve; the result keeps it exactly."""
STEPS, CONVERGED = 20, 1e-3
"""Most steps, and the share of the cost by which the last one still lowers it."""
WINDOW, MARGIN = 1000, 60
"""Frames solved together, and solved beside them for continuity: memory stays bounded."""


def _coordinates() -> tuple[NDArray[np.int64], Array]:
    """Joint (D,) and body-frame axis (D, 3) of each angle that the rig is free to change."""
    joints, axes = [], []
    for index, joint in enumerate(JOINTS):
        across = shortest([1.0, 0.0, 0.0], joint.axis).T  # rows: the axis, then two across it
        rows = {"ball": np.eye(3), "swing": across[1:], "hinge": across[:1], "fixed": across[:0]}
        joints += [index] * len(rows[joint.free])
        axes += list(rows[joint.free])
    return np.array(joints), np.array(axes)


def _moves() -> NDArray[np.bool_]:
    """Whether a joint of the rig (J,) moves each h36m17 joint (17,) when it turns: (17, J)."""
    moves = np.zeros((len(PLACES), len(JOINTS)), bool)
    for point, place in enumerate(PLACES):
        above = NAMES.index("Head") if place < 0 else PARENTS[place]
        while above >= 0:
            moves[point, above] = True
            above = PARENTS[above]
    return moves


_JOINT, _AXIS = _coordinates()
_SIZE = 3 + len(_JOINT)  # the root's place, then angles
_MOVES = _moves()[:, _JOINT]


@dataclass(frozen=True)
class Poses:
    """Poses of a rig over frames.

    Attributes:
        rotations: (F, J, 3, 3) of each joint relative to its parent.
        root: (F, 3) place of the hips, metres.
    """

    rotations: Array
    root: Array


@dataclass(frozen=True)
class _Linearised:
    """A quadratic model of the cost around poses; F frames, D coordinates.

    Attributes:
        poses: around which.
        cost: there.
        hessian: (F, D, D) Gauss-Newton matrix within each frame, without accelerations.
        gradient: (F, D) without accelerations.
        bends: (F - 2, D) accelerations per frame squared.
    """

    poses: Poses
    cost: float
    hessian: Array
    gradient: Array
    bends: Array


def solve(rig: Rig, joints: ArrayLike, spread: ArrayLike, rate: float) -> Poses:
    """Poses of a rig that fit joints of consecutive frames.

    Args:
        rig: with the person's bone lengths.
        joints: (F, 17, 3) h36m17, metres, finite, in a frame with y up.
        spread: (F, 17) metres of error of each joint, NaN where unknown.
        rate: frames a second.
    """
    joints = np.asarray(joints, np.float64)
    weights = confidence(spread)
    parts = []
    for start in range(0, len(joints), WINDOW):
        first, last = max(start - MARGIN, 0), min(start + WINDOW + MARGIN, len(joints))
        poses = _solve_window(rig, joints[first:last], weights[first:last], rate)
        kept = slice(start - first, min(start + WINDOW, len(joints)) - first)
        parts.append(Poses(poses.rotations[kept], poses.root[kept]))
    return Poses(
        np.concatenate([part.rotations for part in parts]),
        np.concatenate([part.root for part in parts]),
    )


def confidence(spread: ArrayLike) -> Array:
    """Weights 1 / variance (..., 17) in 1 / m^2 of joints whose spread is `spread`, metres."""
    noise = SHARE * np.nan_to_num(np.asarray(spread, np.float64), nan=UNKNOWN)
    return 1 / (noise**2 + LEAST**2)


def _solve_window(rig: Rig, joints: Array, weights: Array, rate: float) -> Poses:
    """The same for frames that are solved together: Levenberg-Marquardt from the closed form."""
    sizes = np.full(_SIZE, TURN_ACCELERATION)
    sizes[:3] = ROOT_ACCELERATION
    stiffness = (rate**2 / sizes) ** 2
    best = _linearised(rig, Poses(*closed_form(joints)), joints, weights, stiffness)
    damping = 1e-3
    for _ in range(STEPS):
        tried = _moved(best.poses, _banded_step(best, stiffness, damping))
        reached = _linearised(rig, tried, joints, weights, stiffness)
        damping *= 0.2 if reached.cost < best.cost else 10
        gain = 1 - reached.cost / max(best.cost, 1e-12)
        if gain > 0:
            best = reached
        if 0 <= gain < CONVERGED:
            break
    return Poses(clamped(best.poses.rotations), best.poses.root)


def _linearised(
    rig: Rig, poses: Poses, joints: Array, weights: Array, stiffness: Array
) -> _Linearised:
    """Cost, gradient and Gauss-Newton matrix at poses; the accelerations' part stays apart."""
    places, turns = rig.pose(poses.rotations, poses.root)
    points = rig.h36m(poses.rotations, poses.root)
    axes = np.einsum("fdij,dj->fdi", turns[:, _JOINT], _AXIS)
    arms = points[:, :, None] - places[:, None, _JOINT]  # (F, 17, D, 3)
    jacobian = np.zeros((len(joints), 17, 3, _SIZE))
    jacobian[..., :3] = np.eye(3)
    jacobian[..., 3:] = np.swapaxes(np.cross(axes[:, None], arms) * _MOVES[..., None], -1, -2)
    root = np.sqrt(weights)[..., None]
    rows = (jacobian * root[..., None]).reshape(len(joints), 51, _SIZE)
    misses = ((points - joints) * root).reshape(len(joints), 51, 1)
    columns = np.swapaxes(rows, -1, -2)
    hessian, gradient = columns @ rows, (columns @ misses)[..., 0]
    bends = _accelerations(poses)
    cost = (misses**2).sum() + _priors(poses, hessian, gradient) + (stiffness * bends**2).sum()
    return _Linearised(poses, float(cost), hessian, gradient, bends)


def _priors(poses: Poses, hessian: Array, gradient: Array) -> float:
    """Add the terms of joint limits and of twist towards rest in place; returns their cost."""
    excess = logarithm(np.swapaxes(clamped(poses.rotations), -1, -2) @ poses.rotations)
    cost = float((excess**2).sum()) / LIMIT**2
    for index, joint in enumerate(JOINTS):
        at = 3 + np.flatnonzero(index == _JOINT)
        axes, block = _AXIS[at - 3], (slice(None), at[:, None], at)
        beyond = np.linalg.norm(excess[:, index], axis=-1) > 1e-6
        gradient[:, at] += excess[:, index] @ axes.T / LIMIT**2
        hessian[block] += beyond[:, None, None] * (axes @ axes.T) / LIMIT**2
        if joint.free == "ball" and joint.parent:
            along = axes @ np.array(joint.axis) / joint.looseness
            twist = swing_twist(poses.rotations[:, index], joint.axis)[1] / joint.looseness
            gradient[:, at] += twist[:, None] * along
            hessian[block] += np.outer(along, along)
            cost += float((twist**2).sum())
    return cost


def _accelerations(poses: Poses) -> Array:
    """Second differences (F - 2, D) over frames, in each coordinate."""
    relative = np.swapaxes(poses.rotations[:-1], -1, -2) @ poses.rotations[1:]
    turns = (logarithm(relative)[:, _JOINT] * _AXIS).sum(-1)
    return np.concatenate([np.diff(poses.root, 2, axis=0), np.diff(turns, axis=0)], axis=1)


def _banded_step(model: _Linearised, stiffness: Array, damping: float) -> Array:
    """The step (F, D) that solves the damped normal equations, coupled by second differences."""
    frames = len(model.gradient)
    gradient = model.gradient.copy()
    band = np.zeros((2 * _SIZE + 1, frames, _SIZE))
    for below in range(_SIZE):
        band[below, :, : _SIZE - below] = np.diagonal(model.hessian, -below, 1, 2)
    for first, first_share in enumerate((1.0, -2.0, 1.0)):  # of f, f + 1, f + 2 in a difference
        count = max(frames - 2, 0)
        gradient[first : first + count] += first_share * stiffness * model.bends
        for later in range(first, 3):
            share = first_share * (1.0, -2.0, 1.0)[later]
            band[(later - first) * _SIZE, first : first + count] += share * stiffness
    band[0] += damping * (band[0] + 1) + 1e-6  # never singular: the twist of a straight limb
    flat = band.reshape(2 * _SIZE + 1, -1)[: min(2 * _SIZE + 1, gradient.size)]
    step: Array = solveh_banded(flat, -gradient.ravel(), lower=True, overwrite_ab=True)
    return step.reshape(gradient.shape)


def _moved(poses: Poses, step: Array) -> Poses:
    """Poses after a step (F, D)."""
    turns = np.zeros(poses.rotations.shape[:-1])
    for coordinate, joint in enumerate(_JOINT):
        turns[:, joint] += step[:, 3 + coordinate, None] * _AXIS[coordinate]
    return Poses(poses.rotations @ exponential(turns), poses.root + step[:, :3])


def distances(rig: Rig, poses: Poses, joints: ArrayLike) -> Array:
    """Metres (F, 17) between the rig's joints and those it was fitted to, in h36m17 order."""
    return np.linalg.norm(rig.h36m(poses.rotations, poses.root) - np.asarray(joints), axis=-1)
