"""The room of samples/two_people.mp4: oak floor, painted wall, a door, pictures, all procedural."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

WALL_SIZE = (12.0, 6.0)  # metres, width and height
WALL_Z = -2.9
PIXELS = 340  # a metre of wall
FLOOR_TILE = 4.0  # metres of floor a texture covers


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> Array:
    """Gaussian noise of standard deviation 1, blurred by `sigma` pixels; `shape` rows, columns."""
    scale = max(1, int(sigma / 3))
    small: Array = rng.normal(size=(shape[0] // scale + 2, shape[1] // scale + 2)).astype(
        np.float32
    )
    small = cv2.GaussianBlur(small, (0, 0), sigma / scale)
    noise = cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (noise - noise.mean()) / noise.std()


def oak_floor(seed: int = 1, size: int = 2048, planks: int = 28) -> Array:
    """Rows of boards of random lengths and shades; RGB, seamless enough for FLOOR_TILE metres."""
    rng = np.random.default_rng(seed)
    floor = np.zeros((size, size, 3), np.float32)
    edges = np.linspace(0, size, planks + 1).astype(int)
    grain: Array = rng.normal(size=(size, size)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=1.0, sigmaY=45)
    grain = grain / grain.std()
    for left, right in pairwise(edges):
        first, second = rng.integers(size * np.array([0.2, 0.55]), size * np.array([0.45, 0.85]))
        for top, bottom in ((0, first), (first, second), (second, size)):
            shade = np.array([168, 132, 96]) * rng.uniform(0.86, 1.08) + rng.normal(size=3) * 2
            board = grain[top:bottom, left:right, None]
            floor[top:bottom, left:right] = shade * (1 + 0.045 * board)
            floor[top : top + 2, left:right] *= 0.72
        floor[:, left:right] = np.roll(floor[:, left:right], rng.integers(size), axis=0)
        floor[:, left : left + 2] *= 0.72
    return np.clip(floor, 0, 255).astype(np.uint8)


def painting(rng: np.random.Generator, height: int, width: int) -> Array:
    """A landscape of layered hills under a sky, RGB float."""
    rows, columns = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    sky, haze = rng.uniform(150, 225, 3), rng.uniform(190, 240, 3)
    picture = sky * (1 - rows[..., None]) + haze * rows[..., None]
    for depth in np.linspace(0.45, 0.85, 5):
        waves = rng.uniform(2, 9, 3), rng.uniform(0, 7, 3)
        ridge = sum(np.sin(columns * f + p) for f, p in zip(*waves, strict=True)) * 0.045 + depth
        colour = haze * (1 - depth) + np.array([45, 75, 70]) * depth * rng.uniform(0.7, 1.3, 3)
        picture = np.where((rows > ridge)[..., None], colour, picture)
    return picture + smooth_noise(rng, (height, width), 1.2)[..., None] * 4


class Wall:
    """A canvas in metres, origin in the middle of the wall's foot."""

    def __init__(self, seed: int = 2) -> None:
        self.rng = np.random.default_rng(seed)
        self.height, self.width = (int(s * PIXELS) for s in WALL_SIZE[::-1])
        paint = np.array([203, 205, 196], np.float32)
        shape = (self.height, self.width)
        tone = smooth_noise(self.rng, shape, 1.0) * 0.8 + smooth_noise(self.rng, shape, 90) * 1.5
        self.image = paint + tone[..., None]

    def box(self, x: float, y: float, width: float, height: float) -> tuple[slice, slice]:
        """Pixels of a rectangle whose lower left corner is at (x, y)."""
        left, bottom = int((x + WALL_SIZE[0] / 2) * PIXELS), self.height - int(y * PIXELS)
        rows = slice(bottom - int(height * PIXELS), bottom)
        return rows, slice(left, left + int(width * PIXELS))

    def fill(self, x: float, y: float, width: float, height: float, colour: Any) -> None:
        """Paint a rectangle with an RGB colour or a picture of its size."""
        self.image[self.box(x, y, width, height)] = colour

    def shadow(self, x: float, y: float, width: float, height: float, spread: float) -> None:
        """Darken softly what lies around a rectangle that stands off the wall."""
        mask: Array = np.zeros((self.height, self.width), np.float32)
        mask[self.box(x, y, width, height)] = 1
        mask = cv2.GaussianBlur(mask, (0, 0), spread * PIXELS)
        self.image *= 1 - 0.35 * mask[..., None]

    def hang(self, x: float, y: float, width: float, height: float) -> None:
        """Hang a framed picture."""
        self.shadow(x - 0.02, y - 0.05, width, height, 0.03)
        self.fill(x, y, width, height, np.array([52, 42, 34]))
        self.fill(x + 0.04, y + 0.04, width - 0.08, height - 0.08, np.array([236, 233, 226]))
        inner = (x + 0.12, y + 0.12, width - 0.24, height - 0.24)
        rows, columns = self.box(*inner)
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        self.fill(*inner, painting(self.rng, *shape))

    def door(self, x: float) -> None:
        """A white panelled door with its frame and a handle."""
        self.fill(x - 0.09, 0, 1.10, 2.17, np.array([226, 224, 218]))
        self.shadow(x, 0, 0.92, 2.08, 0.02)
        self.fill(x, 0, 0.92, 2.08, np.array([214, 212, 205]))
        for low, high in ((0.2, 0.95), (1.1, 1.9)):
            self.fill(x + 0.13, low, 0.66, high - low, np.array([192, 190, 183]))
            self.fill(x + 0.15, low + 0.01, 0.64, high - low - 0.03, np.array([220, 218, 211]))
        self.fill(x + 0.05, 1.02, 0.12, 0.025, np.array([120, 118, 112]))

    def finish(self) -> Array:
        """Skirting board, the light's falloff, and the dark corner over the floor."""
        height = np.arange(self.height, 0, -1)[:, None, None] / PIXELS
        across = np.linspace(-1, 1, self.width)[None, :, None]
        self.fill(-WALL_SIZE[0] / 2, 0, WALL_SIZE[0], 0.004, np.array([90, 80, 70]))
        light = 1.0 - 0.10 * across**2 + 0.05 * across - 0.02 * np.abs(height - 1.8)
        return np.clip(self.image * light * (1 - 0.22 * np.exp(-height / 0.12)), 0, 255).astype(
            np.uint8
        )


def wall() -> Array:
    """The whole back wall, RGB."""
    canvas = Wall()
    canvas.shadow(-WALL_SIZE[0] / 2, 0, WALL_SIZE[0], 0.11, 0.015)
    canvas.fill(-WALL_SIZE[0] / 2, 0, WALL_SIZE[0], 0.11, np.array([231, 230, 225]))
    canvas.hang(-3.1, 1.15, 0.85, 1.1)
    canvas.hang(-1.95, 1.15, 0.85, 1.1)
    canvas.hang(0.75, 1.25, 1.4, 0.95)
    canvas.door(3.3)
    canvas.fill(3.0, 1.08, 0.085, 0.085, np.array([240, 240, 236]))
    return canvas.finish()


def furnish(scene: Any) -> None:
    """Give a renderer's scene this room."""
    scene.set_floor(oak_floor())
    scene.wallq[:, 0] = np.array([-0.5, 0.5, -0.5, 0.5]) * WALL_SIZE[0]
    scene.wallq[:, 6:8] = [[0, 0], [1, 0], [0, 1], [1, 1]]
    scene.set_wall(wall(), WALL_Z)
    scene.set_background(np.full((8, 8, 3), 190, np.uint8))
    scene.light.update(dir=(0.55, 1.25, 0.8), col=(1.0, 0.95, 0.87), amb=(0.46, 0.48, 0.51))
