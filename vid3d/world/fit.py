"""Floor and gravity of a static camera, from how people stand.

One robust least-squares fit of a plane and of one scale per person (Gauss-Markov with normal
priors; Cauchy loss). Three kinds of evidence, each with the error it was measured to have:

- where feet stand, a plane lies an ankle's height below; a person's depth may be wrong by a factor,
  which moves the feet along their rays and is what the scale is for;
- people who stand straight stand along gravity: precise across the line of sight (that is what the
  image shows), less so along it (that is what the lifter says);
- cameras are held level, roughly.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import erf

from vid3d.motion_schema import ORIGIN, AnyMotion, Stretch, first_after_cuts
from vid3d.world.balance import unit, uprightness
from vid3d.world.ground import ANKLE_HEIGHT, CAMERA_UP, Ground, level_axes
from vid3d.world.stances import ANKLES, stances_of

Array = NDArray[np.floating]

# Standard deviations, measured on scenes of known floor (benchmarks/world).
SCALE = 0.06
"""Of the logarithm of a person's depth scale, beside other people's."""
SIZED = 0.01
"""Of the same where the person's height is known."""
WANDER = 0.03
"""Of the same from stance to stance of one person."""
FOOT = 0.03
"""Metres, of an ankle's height over the floor in a stance."""
LEAN_ACROSS, LEAN_ALONG = np.radians([2.0, 5.0])
"""Radians, of a person's mean direction across and along the line of sight."""
ROLL, PITCH = np.radians([6.0, 40.0])
"""Radians, of cameras."""

MOST_STANCES = 40
"""Of one person, spread over time, are looked at."""
MOST_MOMENTS = 300
"""Of one stretch, spread over time, tell which way a person stands; of all, ten times as many."""
MOST_PEOPLE = 50
"""Whose feet and bodies tell where the ground is."""
ENOUGH = 8.0
"""Stances that one person can count for: they share the person's errors."""
NEAR_TILT, NEAR_HEIGHT = np.radians(5.0), 0.1
"""What confidence is about: radians, and share of the camera's height."""

ALIKE = np.radians(5.0)
"""Radians between first guesses that lead to the same fit."""
FARTHEST = np.radians(70.0)
"""Radians that people may stand off the camera's upright and be believed at first."""
LEANING = 0.4
"""Slope by which up may differ from a first guess: nobody leans by more than 22 degrees for long.

Without it a plane through the feet of one on a roof and of one before it would be the floor.
"""


def ground_of(motion: AnyMotion) -> Ground:
    """The ground that a motion's file names, or else its estimate.

    Of a film with cuts whose file names none it is assumed: the people of each shot are in the
    frame of their own camera, and no plane suits all.
    """
    stored = motion.meta.get("ground")
    if not stored:
        return assumed_ground(motion) if first_after_cuts(motion) else estimate_ground(motion)
    normal = np.asarray(stored["normal"], np.float64)
    return Ground(unit(normal), float(stored["height"]), float(stored["confidence"]))


def estimate_ground(motion: AnyMotion) -> Ground:
    """Floor and gravity of a motion seen by a camera that does not move."""
    return fit_ground(motion)[0]


class Footing:
    """What one person's stretches tell about the floor; of long ones, moments evenly chosen.

    Attributes:
        places: median ankle and camera (2, 3) of every stance, in the order of time.
    """

    def __init__(self) -> None:
        self.places: list[NDArray[np.float64]] = []
        self._moments: list[NDArray[np.float32]] = []

    def add(self, stretch: Stretch, eyes: Array = ORIGIN) -> None:
        """Take in the next stretch, seen by a camera that was at `eyes` (F, 3)."""
        eyes = np.broadcast_to(eyes, (len(stretch), 3))
        for foot, start, stop in sorted(stances_of(stretch, eyes), key=lambda stance: stance[1]):
            ankle = stretch.joints3d[start:stop, ANKLES[foot]]
            both = [np.median(ankle, axis=0), np.median(eyes[start:stop], axis=0)]
            self.places.append(np.array(both, np.float64))
        every = slice(None, None, -(-len(stretch) // MOST_MOMENTS))
        joints = stretch.joints3d[every].astype(np.float64)
        lowest = (joints[:, ANKLES] @ CAMERA_UP).min(1, keepdims=True)
        moments = [uprightness(joints), joints[:, 0] - eyes[every], lowest]
        self._moments.append(np.concatenate(moments, 1, dtype=np.float32))

    @property
    def moments(self) -> NDArray[np.float64]:
        """(N, 7): up as a body stands, sight of its root, height (CAMERA_UP) of its lower ankle."""
        moments = np.concatenate([*self._moments, np.zeros((0, 7), np.float32)])
        return moments[:: max(1, -(-len(moments) // (10 * MOST_MOMENTS)))].astype(np.float64)

    def feet(self) -> list[NDArray[np.float64]]:
        """Up to `MOST_STANCES` places, spread over time."""
        return self.places[:: max(1, -(-len(self.places) // MOST_STANCES))]

    def leaning(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Which way (3,) the person stands up, and the ray (3,) to them, unit vectors.

        The moments count in which the centre of mass is highest over the feet.
        """
        up, sight, _ = np.split(self.moments, [3, 6], axis=1)
        height = np.linalg.norm(up, axis=1)
        stretched = height >= 0.9 * np.quantile(height, 0.9)
        direction = unit(np.median(unit(up[stretched]), axis=0))
        return direction, unit(np.median(sight[stretched], axis=0))


def footings(motion: AnyMotion) -> list[Footing]:
    """Of every person of a motion."""
    found = [Footing() for _ in range(motion.people)]
    for person, footing in enumerate(found):
        for stretch in motion.stretches(person):
            footing.add(stretch, motion.camera_position[stretch.start : stretch.stop])
    return found


def fit_ground(
    motion: AnyMotion, sized: Collection[int] = ()
) -> tuple[Ground, NDArray[np.float64]]:
    """The ground of a motion and factors (P,), see `fit`, with track ids in `sized`."""
    free = ~np.isin(motion.track_ids, list(sized))
    return fit(footings(motion), free)


def fit(people: Sequence[Footing], free: NDArray[np.bool_]) -> tuple[Ground, NDArray[np.float64]]:
    """The ground, and by which factor (P,) each person is to be moved along the rays to it.

    The factor is 1 for people without a stance, and for those who are not `free` (P,), whose
    height is known and whom the ground must suit. Of a crowd, those with the most stances tell
    the ground; the others only find their factors.
    """
    factors = np.ones(len(people))
    standing = [person for person, footing in enumerate(people) if footing.places]
    standing.sort(key=lambda person: -len(people[person].feet()))
    if not standing:
        return assumed(people), factors
    groups = [
        sorted(standing[start : start + MOST_PEOPLE])
        for start in range(0, len(standing), MOST_PEOPLE)
    ]
    # Who never stands, as somebody who crouches or runs through, need not be upright either.
    bodies = [people[person].leaning() for person in groups[0] if len(people[person].moments)]
    ground: Ground | None = None
    for group in groups:
        feet = [np.reshape(people[person].feet(), (-1, 2, 3)) for person in group]
        scales = np.where(free[group], SCALE, SIZED)
        found, factors[group] = _solved(feet, scales, bodies, ground)
        ground = ground or found
    assert ground is not None
    factors[~free] = 1.0
    return ground, factors


def _solved(
    feet: Sequence[Array],
    scales: Array,
    bodies: Sequence[tuple[Array, Array]],
    ground: Ground | None,
) -> tuple[Ground, NDArray[np.float64]]:
    """Ground and factors of people with feet (N, 2, 3) each; on a ground that is known."""
    owners = np.repeat(np.arange(len(feet)), [len(places) for places in feet])
    directions, rays = (np.reshape([body[i] for body in bodies], (-1, 3)) for i in (0, 1))
    evidence = np.concatenate(feet), owners, scales, directions, rays
    guesses = _first_guesses(directions) if ground is None else [ground.normal]
    height = None if ground is None else ground.height
    problems = [_Problem(up, *evidence, height) for up in guesses]
    fits = [
        (fit.cost, number, fit)
        for number, problem in enumerate(problems)
        for fit in map(problem.solve, problem.starts())
    ]
    _, best, rough = min(fits, key=lambda fit: fit[:2])
    problem = problems[best]
    # Wrong depths lift feet in proportion to the camera.
    above = float(np.median(problem.eyes @ problem.ground(rough.x).normal))
    problem.wander = WANDER * (rough.x[2] + above)
    found = problem.solve(rough.x)
    flat = problem.ground(found.x)
    chance = _chance(found.jac, flat.height)
    return Ground(flat.normal, flat.height, chance), np.exp(found.x[3:])


def assumed_ground(motion: AnyMotion) -> Ground:
    """The ground where nothing tells, see `assumed`."""
    return assumed(footings(motion))


def assumed(people: Sequence[Footing]) -> Ground:
    """Camera upright, floor under the lowest ankles (their 5th percentile); confidence 0."""
    heights = np.concatenate([*(footing.moments[:, 6] for footing in people), np.zeros(0)])
    if not len(heights):
        return Ground(CAMERA_UP, 1.5, 0.0)
    return Ground(CAMERA_UP, ANKLE_HEIGHT - float(np.quantile(heights, 0.05)), 0.0)


def _first_guesses(bodies: Array) -> list[NDArray[np.float64]]:
    """Ups to begin a fit at, of which the best fit is kept: as all, or as some of the bodies."""
    several = unit(bodies[:: max(1, -(-len(bodies) // 4))])
    guesses: list[NDArray[np.float64]] = []
    for up in (unit(bodies.mean(0)), *several, CAMERA_UP):
        apart = all(up @ other < np.cos(ALIKE) for other in guesses)
        if apart and up @ CAMERA_UP > np.cos(FARTHEST):
            guesses.append(up)
    return guesses


class _Problem:
    """Residuals of a plane and of people's scales; parameters: two slopes, height, log scales.

    The plane's normal is that of `up` moved by the slopes along two level axes. Where the plane is
    known, `up` is its normal and `height` its height, and they stay.
    """

    def __init__(
        self,
        up: Array,
        places: Array,
        owners: NDArray[np.int64],
        scales: Array,
        bodies: Array,
        rays: Array,
        height: float | None = None,
    ) -> None:
        self.height = height
        self.up, self.owners, self.bodies = up, owners, bodies
        self.feet, self.eyes = places[:, 0], places[:, 1]
        self.sights = self.feet - self.eyes
        self.scales = scales
        self.say = np.minimum(1, ENOUGH / np.bincount(owners)[owners])
        self.across = unit(np.cross(rays, bodies))
        self.along = np.cross(bodies, self.across)
        self.axes = level_axes(self.up)
        self.wander = WANDER * abs(float(np.median(self.sights @ unit(bodies.mean(0)))))

    def starts(self) -> list[Array]:
        """Parameters to begin at: the floor under all, under the lowest or the highest person."""
        heights = self.feet @ self.up
        single = [np.median(heights[self.owners == owner]) for owner in np.unique(self.owners)]
        levels: list[float] = []
        for level in (np.median(heights), min(single), max(single)):
            if all(abs(level - other) > FOOT for other in levels):
                levels.append(float(level))
        still = np.zeros_like(self.scales)
        return [np.concatenate([[0, 0, ANKLE_HEIGHT - level], still]) for level in levels]

    def solve(self, start: Array) -> Any:
        """The best parameters near a start, as scipy gives them."""
        high = np.concatenate([[LEANING, LEANING, np.inf], 3 * self.scales])
        low = np.concatenate([[-LEANING, -LEANING, -np.inf], -3 * self.scales])
        if self.height is not None:  # the plane is known: only scales are free
            plane = np.array([0.0, 0.0, self.height])
            high[:3], low[:3] = plane + 1e-5, plane - 1e-5
        start = np.clip(start, low + 1e-6, high - 1e-6)
        return least_squares(self.residuals, start, bounds=(low, high), loss=self.loss)

    def loss(self, squares: Array) -> Array:
        """Value and derivatives (3, N) of the loss: Cauchy for feet, which may stand on something,
        soft L1 for people's directions, squares for priors.
        """
        feet, bodies = len(self.feet), 2 * len(self.bodies)
        more = 1 + squares
        value = np.stack([squares, np.ones_like(squares), np.zeros_like(squares)])
        cauchy = np.stack([np.log(more), 1 / more, -1 / more**2])
        soft = np.stack([2 * (more**0.5 - 1), more**-0.5, -0.5 * more**-1.5])
        value[:, :feet] = self.say * cauchy[:, :feet]
        value[:, feet : feet + bodies] = soft[:, feet : feet + bodies]
        return value

    def ground(self, parameters: Array) -> Ground:
        """The plane of parameters."""
        return Ground(unit(self.up + parameters[:2] @ self.axes), float(parameters[2]), 0.0)

    def residuals(self, parameters: Array) -> Array:
        """Everything that should be small, in standard deviations."""
        ground, scales = self.ground(parameters), parameters[3:]
        factor = np.exp(scales)[self.owners]
        over = factor * (self.sights @ ground.normal - ANKLE_HEIGHT) + ground.height
        over += self.eyes @ ground.normal
        sideways = self.across @ ground.normal / LEAN_ACROSS
        # The lifter errs alike for everybody along the line of sight: people add no precision.
        deep = self.along @ ground.normal / (LEAN_ALONG * np.sqrt(len(self.bodies)))
        return np.concatenate([
            over / np.hypot(FOOT, self.wander),
            sideways,
            deep,
            scales / self.scales,
            [ground.normal[0] / ROLL, ground.normal[2] / PITCH],
        ])  # fmt: skip


def _chance(jacobian: Array, height: float) -> float:
    """Chance that a fit is near, from its (reweighted) Jacobian: normal errors."""
    covariance = np.linalg.pinv(jacobian.T @ jacobian)
    tilt = np.trace(covariance[:2, :2]) / 2
    straight = 1 - np.exp(-0.5 * NEAR_TILT**2 / max(tilt, 1e-12))
    level = erf(NEAR_HEIGHT * abs(height) / np.sqrt(2 * max(covariance[2, 2], 1e-12)))
    return float(straight * level)
