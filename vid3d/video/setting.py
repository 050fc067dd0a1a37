"""How a camera is set against another time: turned and zoomed. Told from rays that are the same.

A rotation of rays that most of them agree on is found by RANSAC over pairs (Fischler and Bolles
1981), then least squares (Kabsch 1976). A lens leaves the angle between two rays as it is, which
gives the zoom by each pair; both together are refined by steps of Gauss and Newton.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vid3d.camera import Camera

Array = NDArray[np.float64]
Points = NDArray[np.floating]

LEAST_ZOOM, MOST_ZOOM = 0.25, 8.0
"""Focal lengths over that at the other time between which a zoom is looked for."""
SAME_SIZE = 1e-3
"""Share within which eigenvalues are of one size."""
SAME_FORM = 1e-5
"""Share of its size by which a matrix may miss a form."""
TRIALS = 64


class Setting(NamedTuple):
    """How a camera is set against another time.

    Attributes:
        turn: rotation (3, 3) that takes its rays to those it had then.
        zoom: its focal length over that it had then.
    """

    turn: Array
    zoom: float = 1.0

    def homography(self, camera: Camera) -> Array:
        """From its picture to the one it would have seen then (3, 3), in pixels."""
        pixels = camera.intrinsics
        return np.asarray(pixels @ self.turn @ _lens(1 / self.zoom) @ np.linalg.inv(pixels))

    def since(self, other: "Setting") -> "Setting":
        """How it is set against another time, both being told against one third."""
        return Setting(other.turn.T @ self.turn, self.zoom / other.zoom)


AS_BEFORE = Setting(np.eye(3))


def setting_of(homography: Points, camera: Camera, zooms: bool = True) -> Setting:
    """Turn and zoom of a camera that come nearest to a homography (3, 3) of its pictures.

    Exact where the homography was made with the same focal length. Whatever the lens, that of a
    turn alone is a rotation in other coordinates, so its eigenvalues are of one size: no error of
    the lens makes a zoom of it. (Of some turns with a zoom they are, too: these are told by their
    form, if the lens is right.)

    Args:
        homography: from a picture to an earlier one.
        camera: that saw the earlier one.
        zooms: whether it may have zoomed since.
    """
    K = camera.intrinsics
    rays = np.linalg.inv(K) @ np.asarray(homography, np.float64) @ K
    sizes = np.abs(np.linalg.eigvals(rays))
    x, y, z = np.linalg.norm(rays, axis=0).tolist()
    zoom = float(z / np.sqrt(x * y))
    form = _is_zoomed_turn(rays) and abs(np.log(zoom)) > SAME_SIZE
    if not zooms or (sizes.max() < (1 + SAME_SIZE) * sizes.min() and not form):
        return Setting(turn_of(homography, camera))
    return Setting(turn_of(homography, camera, zoom), zoom)


def _is_zoomed_turn(rays: Array) -> bool:
    """Whether (3, 3) is a rotation times diag(z, z, 1), but for its size."""
    gram = rays.T @ rays
    form = np.diag([gram[0, 0], gram[0, 0], gram[2, 2]])
    return bool(np.abs(gram - form).max() < SAME_FORM * np.trace(gram))


def turn_of(homography: Points, camera: Camera, zoom: float = 1.0) -> Array:
    """The rotation (3, 3) of rays that comes nearest to a homography of a camera that zoomed.

    Least squares over a grid of pixels; where the homography was made with another focal length,
    about the same shift of the picture.
    """
    width, height = camera.frame_size
    grid = np.meshgrid(np.linspace(0, width - 1, 9), np.linspace(0, height - 1, 9), [1.0])
    here = np.stack(grid, -1).reshape(-1, 3)
    there = here @ np.asarray(homography, np.float64).T
    back = np.linalg.inv(camera.intrinsics).T
    return _kabsch(unit(here @ back @ _lens(1 / zoom)), unit(there @ back))


def miss_of(guess: Setting, before: Points, after: Points, camera: Camera) -> float:
    """Pixels by which a camera's turn and zoom miss corners (N, 2) at the best (median).

    Args:
        guess: what the setting may be.
        before: where the corners were.
        after: where they are.
        camera: as of the first.
    """
    slopes, others = camera.rays(after), unit(camera.rays(before))
    for _ in range(3):
        guess = _refined(guess, slopes, others)
    misses = np.linalg.norm(through(slopes, guess.zoom) @ guess.turn.T - others, axis=-1)
    return float(np.median(misses) * camera.intrinsics[0, 0])


def agreed_zoom(
    slopes: Points, others: Array, limit: float
) -> tuple[Setting, NDArray[np.bool_]] | None:
    """Rotation and zoom that most of (N, 3) rays with z = 1 agree on, and which do.

    Args:
        slopes: as of a camera that has not zoomed.
        others: unit rays that they are to become.
        limit: angle within which they agree.
    """
    pairs = np.random.default_rng(0).integers(0, len(slopes), (TRIALS, 2))
    zooms = _zoom_by_angle(slopes[pairs], others[pairs])
    usable = (zooms > LEAST_ZOOM) & (zooms < MOST_ZOOM)
    if not usable.any():
        return None
    pairs, zooms = pairs[usable], zooms[usable]
    rays = through(slopes, zooms[:, None])
    turns = _kabsch(np.take_along_axis(rays, pairs[..., None], 1), others[pairs])
    near = _near(turns, rays, others, limit)
    best = near.sum(-1).argmax()
    setting, agreed = Setting(turns[best], float(zooms[best])), near[best]
    for _ in range(4):
        setting = _refined(setting, slopes[agreed], others[agreed])
        agreed = _near(setting.turn, through(slopes, setting.zoom), others, limit)
    return setting, agreed


def _zoom_by_angle(slopes: Points, others: Array) -> Array:
    """Zooms (N,) that bring pairs of rays (N, 2, 3) with z = 1 to the angle between two others.

    With q the inverse square of the zoom, the squared tangent of the angle is a fraction of
    quadratic polynomials in q; of its two solutions that near a lens with a narrow view. NaN where
    there is none.
    """
    a, b = slopes[:, 0, :2], slopes[:, 1, :2]
    dot, apart = (a * b).sum(-1), ((a - b) ** 2).sum(-1)
    area = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) ** 2
    crossed = (np.cross(others[:, 0], others[:, 1]) ** 2).sum(-1)
    tangent = crossed / (others[:, 0] * others[:, 1]).sum(-1) ** 2
    linear = apart - 2 * tangent * dot
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(linear**2 + 4 * tangent * (area - tangent * dot**2))
        return np.asarray(np.sqrt((linear + root) / (2 * tangent)))


def through(slopes: Points, zoom: float | Array) -> Array:
    """Unit rays (..., N, 3) of those with z = 1 (N, 3), seen by a camera that has zoomed."""
    longer = np.broadcast_to(np.asarray(zoom)[..., None], (*np.shape(zoom)[:-1], len(slopes), 1))
    return unit(np.concatenate([slopes[:, :2] / longer, np.ones_like(longer)], -1))


def _refined(setting: Setting, slopes: Points, others: Array) -> Setting:
    """A setting after a step of Gauss and Newton towards the least squares.

    Args:
        setting: nearly right.
        slopes: (N, 3) rays with z = 1.
        others: (N, 3) unit rays that they are to become.
    """
    rays = through(slopes, setting.zoom)
    turned = rays @ setting.turn.T
    nearer = ([0, 0, 1] - rays * rays[:, 2:]) * rays[:, 2:]  # by the zoom's logarithm
    by = [*np.cross(np.eye(3)[:, None], turned), nearer @ setting.turn.T]
    step = np.linalg.lstsq(np.stack(by, -1).reshape(-1, 4), (others - turned).ravel(), rcond=None)
    *vector, longer = step[0].tolist()
    turn = Rotation.from_rotvec(vector).as_matrix() @ setting.turn
    return Setting(turn, setting.zoom * float(np.exp(longer)))


def _lens(zoom: float) -> Array:
    """What a zoom does to slopes (3, 3)."""
    return np.diag([zoom, zoom, 1.0])


def lengthened(camera: Camera, zoom: float) -> Camera:
    """The same camera once it has zoomed."""
    return Camera(camera.intrinsics @ _lens(zoom), camera.frame_size)


def agreed_turn(rays: Array, others: Array, limit: float) -> tuple[Array, NDArray[np.bool_]]:
    """The rotation from (N, 3) unit rays to others that most agree on, and which do."""
    pairs = np.random.default_rng(0).integers(0, len(rays), (TRIALS, 2))
    near = _near(_kabsch(rays[pairs], others[pairs]), rays, others, limit)
    agreed = near[near.sum(-1).argmax()]
    for _ in range(2):
        rotation = _kabsch(rays[agreed], others[agreed])
        agreed = _near(rotation, rays, others, limit)
    return rotation, agreed


def _near(rotation: Array, rays: Array, others: Array, limit: float) -> NDArray[np.bool_]:
    """Which (..., N) of unit rays rotations (..., 3, 3) take to within an angle of the others."""
    misses = np.linalg.norm(rays @ rotation.swapaxes(-1, -2) - others, axis=-1)
    return np.asarray(misses < limit)


def _kabsch(rays: Array, others: Array) -> Array:
    """The rotations (..., 3, 3) that best take (..., N, 3) unit rays to others (Kabsch 1976)."""
    u, _, vt = np.linalg.svd(others.swapaxes(-1, -2) @ rays)
    u[..., 2] *= np.linalg.det(u @ vt)[..., None]  # a rotation, not a mirror
    return np.asarray(u @ vt)


def unit(rays: Points) -> Array:
    """Rays (..., 3) of length 1."""
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True), np.float64)
