"""A tracked person's state: where they are, how they move, and the pose they were last seen in.

Position and log size follow a constant-velocity Kalman filter whose velocity decays (an
Ornstein-Uhlenbeck process), in seconds, so that any spacing of looks is one case. Process noise
and pose tolerances were fitted to person motion projected from motion capture; sizes
are the root of the box area, so a standing adult is about 1.7 sizes tall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import centres, sizes
from vid3d.skeleton import joint_set
from vid3d.tracking.similarity import pose_weights, sigmas

Array = NDArray[np.floating]

VELOCITY_DECAY = 2.0
"""Seconds after which a velocity nobody confirms has faded to 37 %."""

# Standard deviations for position (in sizes) and log size: of an unknown velocity, of the change
# of velocity in one second, and of the measurement of a clear sighting.
_START_VELOCITY = np.array([1.2, 0.15])
_ACCELERATION = np.array([0.8, 0.2])
_MEASUREMENT = np.array([0.08, 0.35])

# Box score times mean joint confidence of a clear sighting; variances grow as it falls.
_CLEAR_QUALITY = 0.5
_MOST_NOISE = 10.0

# Seconds for which a pose that was surely the person's own is kept: so old at the next look, if
# that is as far away as the last one.
_FRESH = 0.75

# Standard deviations beyond which a sighting is believed ever less (Huber's rule).
_HUBER = 1.5

# How far a joint swings against the body, in sizes, once a good part of a second has passed.
_SWING = {
    "hip": 0.06,
    "knee": 0.15,
    "ankle": 0.24,
    "shoulder": 0.08,
    "elbow": 0.13,
    "wrist": 0.22,
    "head": 0.08,
    "nose": 0.08,
    "eye": 0.08,
    "ear": 0.08,
}
_TRUNK_SWING = 0.04
_SWING_TIME = 0.2


@dataclass(frozen=True)
class Sightings:
    """The usable people of one look, as arrays.

    Attributes:
        boxes: (N, 4). keypoints: (N, 17, 2), missing joints 0. weights: (N, 17), missing joints 0.
        scores: (N,). log_sizes: (N,) of the boxes.
        rows: (N,) int64 place of each person in the look's `People`.
    """

    boxes: Array
    keypoints: Array
    weights: Array
    scores: Array
    rows: NDArray[np.int64]

    @classmethod
    def of(
        cls, boxes: Array, keypoints: Array, confidence: Array, scores: Array, kept: Array
    ) -> "Sightings":
        """The people of a look whose `kept` is True."""
        rows = np.flatnonzero(kept)
        weights = pose_weights(confidence[rows]).astype(np.float64)
        points = np.where(weights[..., None] > 0, keypoints[rows], 0.0)
        return cls(boxes[rows].astype(np.float64), points, weights, scores[rows], rows)

    def only(self, places: NDArray[np.int64]) -> "Sightings":
        """Some of the people, by their place in these arrays."""
        return Sightings(
            self.boxes[places],
            self.keypoints[places],
            self.weights[places],
            self.scores[places],
            self.rows[places],
        )

    @property
    def noise(self) -> Array:
        """(N, 2) variance of the people's measured position (sizes^2) and log size."""
        quality = self.scores * self.weights.mean(-1)
        factor = np.clip(_CLEAR_QUALITY / np.maximum(quality, 1e-6), 1.0, _MOST_NOISE)
        return factor[:, None] * _MEASUREMENT**2

    @property
    def log_sizes(self) -> Array:
        """(N,) logarithm of the people's sizes."""
        return np.log(sizes(self.boxes))


@dataclass(frozen=True)
class Prediction:
    """Where a person is expected at a moment.

    Attributes:
        keypoints: (17, 2). weights: (17,) confidence when last seen. box: (4,).
        tolerance: (17,) standard deviation of each joint against the body, in sizes.
        variance: (2,) of position (sizes^2) and log size, without the measurement's own.
        log_size: of the box.
    """

    keypoints: Array
    weights: Array
    box: Array
    tolerance: Array
    variance: Array
    log_size: float


class Person:
    """The state of one tracked person; joints that are hidden for a while are remembered."""

    def __init__(self, seen: Sightings, row: int, time: float, joints: str) -> None:
        self._sigmas = 2 * sigmas(joints)
        names = [joint.split("_")[-1] for joint in joint_set(joints).joints]
        self._swing = np.array([_SWING.get(name, _TRUNK_SWING) for name in names])
        self.time = time
        self.missed_since: float | None = None
        # mean: rows x, y (pixels), log size; columns value, velocity. covariance: rows position
        # (in sizes, the same for x and y), log size.
        self._mean = np.zeros((3, 2))
        self._mean[:2, 0] = centres(seen.boxes[row])
        self._mean[2, 0] = seen.log_sizes[row]
        self._covariance = np.zeros((2, 2, 2))
        self._covariance[:, 0, 0] = seen.noise[row]
        self._covariance[:, 1, 1] = _START_VELOCITY**2
        self._offsets = np.zeros((17, 2))
        self._weights = np.zeros(17)
        self._joint_times = np.full(17, time)
        self._remember(seen, row, time)

    def predict(self, time: float) -> Prediction:
        """The person as expected at `time` (seconds)."""
        mean, covariance = self._advanced(time)
        growth = np.exp(mean[2, 0] - self._mean[2, 0])
        age = time - self._joint_times
        swing = self._swing * (1 - np.exp(-age / _SWING_TIME))
        return Prediction(
            keypoints=mean[:2, 0] + growth * self._offsets,
            weights=self._weights,
            box=np.tile(mean[:2, 0], 2) + growth * self._box_offsets,
            tolerance=np.sqrt(self._sigmas**2 + swing**2),
            variance=covariance[:, 0, 0],
            log_size=float(mean[2, 0]),
        )

    def update(
        self, seen: Sightings, row: int, shift: Array, time: float, shared: bool = False
    ) -> None:
        """Correct the state by a sighting that lies `shift` (2,) pixels from the prediction.

        A pose that is `shared`, which may be somebody else's, does not replace a fresh one.
        """
        mean, covariance = self._advanced(time)
        innovation = np.append(shift, seen.log_sizes[row] - mean[2, 0])
        place = np.linalg.norm(shift) / np.exp(seen.log_sizes[row])
        noise = seen.noise[row]
        surprise = np.array([place, abs(innovation[2])]) / np.sqrt(covariance[:, 0, 0] + noise)
        noise = noise * np.maximum(surprise / _HUBER, 1.0) ** 2
        gain = covariance[:, :, 0] / (covariance[:, 0, 0] + noise)[:, None]
        self._mean = mean + gain[[0, 0, 1]] * innovation[:, None]
        self._covariance = covariance - gain[:, :, None] * covariance[:, :1, :]
        age_at_next = 2 * time - self.time - self._joint_times.max()
        if not shared or age_at_next > _FRESH:
            self._remember(seen, row, time)
        self.time, self.missed_since = time, None

    def _remember(self, seen: Sightings, row: int, time: float) -> None:
        there = seen.weights[row] > 0
        self._offsets[there] = seen.keypoints[row][there] - self._mean[:2, 0]
        self._weights = np.where(there, seen.weights[row], self._weights)
        self._joint_times = np.where(there, time, self._joint_times)
        self._box_offsets = seen.boxes[row] - np.tile(self._mean[:2, 0], 2)

    def _advanced(self, time: float) -> tuple[Array, Array]:
        """Mean and covariance at a later time."""
        elapsed = time - self.time
        fade = np.exp(-elapsed / VELOCITY_DECAY)
        step = np.array([[1, VELOCITY_DECAY * (1 - fade)], [0, fade]])
        noise = np.array([[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]])
        covariance = step @ self._covariance @ step.T + _ACCELERATION[:, None, None] ** 2 * noise
        return self._mean @ step.T, covariance
