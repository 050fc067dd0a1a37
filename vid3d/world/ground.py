"""Floor and gravity of a static camera, from how people stand.

One robust least-squares fit of a plane and of one scale per person (Gauss-Markov with normal
priors; Cauchy loss). Three kinds of evidence, each with the error it was measured to have:

- where feet stand, a plane lies an ankle's height below; a person's depth may be wrong by a factor,
  which moves the feet along their rays and is what the scale is for;
- people who stand straight stand along gravity: precise across the line of sight (that is what the
  image shows), less so along it (that is what the lifter says);
- cameras are held level, roughly.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf

from vid3d.motion import Motion
from vid3d.world.balance import unit, uprightness
from vid3d.world.stances import ANKLES, find_stances

Array = NDArray[np.floating]

CAMERA_UP = np.array([0.0, -1.0, 0.0])
ANKLE_HEIGHT = 0.085
"""Metres from the floor to the ankle of a standing foot (median of the dev actors)."""

# Standard deviations, measured on scenes of known floor (benchmarks/world).
SCALE = 0.06
"""Of the logarithm of a person's depth scale, beside other people's."""
WANDER = 0.03
"""Of the same from stance to stance of one person."""
FOOT = 0.03
"""Metres, of an ankle's height over the floor in a stance."""
LEAN_ACROSS, LEAN_ALONG = np.radians([2.0, 5.0])
"""Radians, of a person's mean direction across and along the line of sight."""
ROLL, PITCH = np.radians([6.0, 40.0])
"""Radians, of cameras."""

MOST_STANCES = 40  # of one person, spread over time: more add nothing
NEAR_TILT, NEAR_HEIGHT = np.radians(5.0), 0.1
"""What confidence is about: radians, and share of the camera's height."""

FARTHEST = np.radians(70.0)
"""Radians that people may stand off the camera's upright and be believed at first."""


@dataclass(frozen=True)
class Ground:
    """The floor in the camera frame, metres: points X on it have normal . X + height = 0.

    Attributes:
        normal: (3,) unit vector, up: away from gravity.
        height: metres of the camera above the floor.
        confidence: chance in 0..1 that the slope is right to 5 degrees and the height to 10 %;
            0 where the floor is an assumption (camera upright, floor under the lowest ankles).
    """

    normal: NDArray[np.float64]
    height: float
    confidence: float

    def above(self, points: Array) -> NDArray[np.float64]:
        """Metres of points (..., 3) above the floor."""
        return np.asarray(points, np.float64) @ self.normal + self.height

    def to_world(
        self, up: str = "y", origin: str = "floor"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rigid transform (R, t) from the camera frame: world = R @ camera + t.

        The world is right-handed. Its ground axes are the camera's right, levelled, and, with
        `up="y"`, z towards the camera's back, with `up="z"`, y away from the camera.

        Args:
            up: "y" or "z", the axis that points up.
            origin: "floor", the point of the floor under the camera, or "camera".
        """
        if up not in ("y", "z") or origin not in ("floor", "camera"):
            raise ValueError(f"up is {up!r} (y or z), origin is {origin!r} (floor or camera)")
        right, forward = level_axes(self.normal)
        rows = [right, self.normal, -forward] if up == "y" else [right, forward, self.normal]
        rotation = np.stack(rows)
        above = self.height if origin == "floor" else 0.0
        return rotation, above * np.array([0.0, 1.0, 0.0] if up == "y" else [0.0, 0.0, 1.0])

    def to_meta(self) -> dict[str, Any]:
        """What `Motion.meta["ground"]` holds."""
        return {
            "normal": [round(float(value), 6) for value in self.normal],
            "height": round(float(self.height), 4),
            "confidence": round(float(self.confidence), 3),
        }


def ground_of(motion: Motion) -> Ground:
    """The ground that a motion's file names, or else its estimate."""
    stored = motion.meta.get("ground")
    if not stored:
        return estimate_ground(motion)
    normal = np.asarray(stored["normal"], np.float64)
    return Ground(unit(normal), float(stored["height"]), float(stored["confidence"]))


def level_axes(normal: Array) -> NDArray[np.float64]:
    """Rows (2, 3): the camera's right and forward in the plane; its up, if it looks straight down.

    With the normal they form a right-handed set (right, forward, up).
    """
    for axis in (np.array([0.0, 0.0, 1.0]), CAMERA_UP * -np.sign(normal[2] or 1.0)):
        forward = axis - (axis @ normal) * normal
        if np.linalg.norm(forward) > 0.05:
            break
    forward = unit(forward)
    return np.stack([np.cross(forward, normal), forward])


def estimate_ground(motion: Motion) -> Ground:
    """Floor and gravity of a motion seen by a camera that does not move."""
    return fit_ground(motion)[0]


def fit_ground(motion: Motion) -> tuple[Ground, NDArray[np.float64]]:
    """The ground, and by which factor (P,) each person is to be moved along the rays to it.

    The factor is 1 for people without a stance.
    """
    feet, owners = stance_places(motion)
    factors = np.ones(motion.people)
    if not len(feet):
        return assumed_ground(motion), factors
    people = np.unique(owners)
    evidence = feet, np.searchsorted(people, owners), *leanings(motion)
    fits = []
    for up in _first_guesses(evidence[2]):
        problem = _Problem(up, *evidence)
        found = problem.solve()
        fits.append((found.cost, len(fits), problem, found))
    _, _, problem, found = min(fits)
    ground = problem.ground(found.x)
    chance = _chance(found.jac, ground.height)
    factors[people] = np.exp(found.x[3:])
    return Ground(ground.normal, ground.height, chance), factors


def assumed_ground(motion: Motion) -> Ground:
    """Camera upright, floor under the lowest ankles (their 5th percentile); confidence 0."""
    ankles = motion.joints3d[motion.present][:, ANKLES].astype(np.float64)
    if not len(ankles):
        return Ground(CAMERA_UP, 1.5, 0.0)
    lowest = float(np.quantile((ankles @ CAMERA_UP).min(1), 0.05))
    return Ground(CAMERA_UP, ANKLE_HEIGHT - lowest, 0.0)


def stance_places(motion: Motion) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Median ankle (N, 3) of every stance, and whose (N,) it is."""
    places, owners = [], []
    stances = find_stances(motion)
    for person in range(motion.people):
        own = [stance for stance in stances if stance.person == person]
        own.sort(key=lambda stance: stance.start)
        for stance in own[:: max(1, -(-len(own) // MOST_STANCES))]:
            ankle = motion.joints3d[person, stance.frames, ANKLES[stance.foot]]
            places.append(np.median(ankle, axis=0))
            owners.append(person)
    return np.array(places, np.float64).reshape(-1, 3), np.array(owners, np.int64)


def leanings(motion: Motion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Which way each person stands up (N, 3), and the ray (N, 3) to them, unit vectors.

    Of each person, the moments count in which the centre of mass is highest over the feet.
    """
    directions, rays = [], []
    for person in range(motion.people):
        joints = motion.joints3d[person, motion.present[person]].astype(np.float64)
        if not len(joints):
            continue
        up = uprightness(joints)
        height = np.linalg.norm(up, axis=1)
        stretched = height >= 0.9 * np.quantile(height, 0.9)
        directions.append(unit(np.median(unit(up[stretched]), axis=0)))
        rays.append(unit(np.median(joints[stretched, 0], axis=0)))
    return np.array(directions).reshape(-1, 3), np.array(rays).reshape(-1, 3)


def _first_guesses(bodies: Array) -> list[NDArray[np.float64]]:
    """Ups to begin a fit at, of which the best fit is kept: as all, or as some of the bodies."""
    apart = unit(bodies[:: max(1, -(-len(bodies) // 4))])
    guesses = [unit(bodies.mean(0)), *apart, CAMERA_UP]
    return [up for up in guesses if up @ CAMERA_UP > np.cos(FARTHEST)]


class _Problem:
    """Residuals of a plane and of people's scales; parameters: two slopes, height, log scales.

    The plane's normal is that of `up` moved by the slopes along two level axes.
    """

    def __init__(
        self, up: Array, feet: Array, owners: NDArray[np.int64], bodies: Array, rays: Array
    ) -> None:
        self.up, self.feet, self.owners, self.bodies = up, feet, owners, bodies
        self.across = unit(np.cross(rays, bodies))
        self.along = np.cross(bodies, self.across)
        self.axes = level_axes(self.up)
        self.typical_height = abs(float(np.median(feet @ self.up)))

    def start(self) -> Array:
        """Parameters to begin at."""
        below = ANKLE_HEIGHT - np.median(self.feet @ self.up)
        return np.concatenate([[0, 0, below], np.zeros(self.owners.max() + 1)])

    def solve(self) -> Any:
        """The best parameters near the start, as scipy gives them."""
        start, limits = self.start(), np.full(3 + self.owners.max() + 1, 3 * SCALE)
        limits[:3] = 1.5, 1.5, 0.8 * self.typical_height + 0.5
        return least_squares(
            self.residuals, start, bounds=(start - limits, start + limits), loss=self.loss
        )

    def loss(self, squares: Array) -> Array:
        """Value and derivatives (3, N) of the loss: Cauchy for what is seen, plain for priors."""
        seen = np.arange(len(squares)) < len(self.feet) + 2 * len(self.bodies)
        more = 1 + squares
        robust = np.stack([np.log(more), 1 / more, -1 / more**2])
        plain = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        return np.where(seen, robust, plain)

    def ground(self, parameters: Array) -> Ground:
        """The plane of parameters."""
        return Ground(unit(self.up + parameters[:2] @ self.axes), float(parameters[2]), 0.0)

    def residuals(self, parameters: Array) -> Array:
        """Everything that should be small, in standard deviations."""
        ground, scales = self.ground(parameters), parameters[3:]
        factor = np.exp(scales)[self.owners]
        over = factor * (self.feet @ ground.normal - ANKLE_HEIGHT) + ground.height
        sideways = self.across @ ground.normal / LEAN_ACROSS
        # The lifter errs alike for everybody along the line of sight: people add no precision.
        deep = self.along @ ground.normal / (LEAN_ALONG * np.sqrt(len(self.bodies)))
        return np.concatenate([
            over / np.hypot(FOOT, WANDER * self.typical_height),
            sideways,
            deep,
            scales / SCALE,
            [ground.normal[0] / ROLL, ground.normal[2] / PITCH],
        ])  # fmt: skip


def _chance(jacobian: Array, height: float) -> float:
    """Chance that a fit is near, from its (reweighted) Jacobian: normal errors."""
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    tilt = np.trace(covariance[:2, :2]) / 2
    straight = 1 - np.exp(-0.5 * NEAR_TILT**2 / max(tilt, 1e-12))
    level = erf(NEAR_HEIGHT * abs(height) / np.sqrt(2 * max(covariance[2, 2], 1e-12)))
    return float(straight * level)
