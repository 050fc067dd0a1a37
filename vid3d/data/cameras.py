"""Random virtual cameras around recorded motion.

World: z up, metres. Camera frame: x right, y down, z forward. Everything is batched torch and
takes its generator, so that one seed gives one training run on any device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SPARSE = 4  # one frame of so many tells whether a camera keeps the person in the picture
FASTEST = 1.5  # metres a second of who carries a camera
ASPECTS = (16 / 9, 16 / 9, 9 / 16, 4 / 3, 3 / 4, 1.0)


@dataclass(frozen=True)
class CameraRanges:
    """What virtual cameras are drawn from.

    Attributes:
        fov: degrees across the longer side.
        height: metres above the lowest joint of the window.
        distance: metres from the window's middle, beyond the reach of its motion.
        zoomed: share of windows filmed from farther away along the same line of sight, through a
            lens as much longer: a person as large in the picture, seen with less perspective.
        zoom: at most how many times farther.
        roll: degrees, standard deviation.
        truncated: share of windows whose person may leave the picture.
    """

    fov: tuple[float, float] = (35.0, 90.0)
    height: tuple[float, float] = (0.2, 2.8)
    distance: tuple[float, float] = (1.6, 8.0)
    zoomed: float = 0.0
    zoom: float = 8.0
    roll: float = 4.0
    truncated: float = 0.15


@dataclass(frozen=True)
class Views:
    """Windows seen by one camera each.

    Attributes:
        joints: (B, F, J, 3) metres in the camera frame.
        half: (B, 2) half width and half height of the picture as ray slopes x/z and y/z.
    """

    joints: Tensor
    half: Tensor

    def inside(self) -> Tensor:
        """(B, F, J) bool: before the camera and within the picture."""
        depth = self.joints[..., 2:]
        slopes = (self.joints[..., :2] / depth.clamp_min(1e-3)).abs()
        return (slopes <= self.half[:, None, None]).all(-1) & (depth[..., 0] > 0.1)


def uniform(low: float, high: float, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform numbers between two bounds."""
    return low + (high - low) * torch.rand(size, generator=generator)


def view(joints: Tensor, ranges: CameraRanges, generator: torch.Generator, tries: int = 4) -> Views:
    """Look at windows of world joints (B, F, J, 3), each through a camera of its own.

    Of several tries the one that keeps most of the person inside the picture is taken, except in
    the share of windows that may be truncated, which keep the first.
    """
    flat = joints.flatten(1, 2)
    bounds = flat.amin(1), flat.amax(1)
    candidates = [_draw_camera(*bounds, ranges, generator) for _ in range(tries)]
    sparse = [_see(joints[:, ::SPARSE], *candidate) for candidate in candidates]
    shares = torch.stack([views.inside().float().mean((1, 2)) for views in sparse])
    before = torch.stack([(views.joints[..., 2].amin((1, 2)) > 0.4).float() for views in sparse])
    best = (shares + before).argmax(0)
    free = torch.rand(len(joints), generator=generator) < ranges.truncated
    best = torch.where(free & (before[0] > 0), 0, best)
    rows = torch.arange(len(joints))
    position, rotation, half = (
        torch.stack(part)[best, rows] for part in zip(*candidates, strict=True)
    )
    return _see(joints, position, rotation, half)


def travel(roots: Tensor, seconds: Tensor, generator: torch.Generator) -> Tensor:
    """Ways (B, N, 3) of cameras that are carried about, relative to where they begin; z is up.

    Each goes straight on, slowly sways, and bobs with steps; half of them follow the person.

    Args:
        roots: (B, N, 3) of the people, metres.
        seconds: (B, N) moments, in any order.
        generator: of the draws.
    """
    count = len(roots)

    def waves(hertz: tuple[float, float], metres: tuple[float, float, float]) -> Tensor:
        rate = uniform(*hertz, (count, 1, 3), generator)
        phase = uniform(0, 2 * torch.pi, (count, 1, 3), generator)
        size = torch.rand(count, 1, 3, generator=generator) * torch.tensor(metres)
        angle = 2 * torch.pi * rate * seconds[..., None] + phase
        return size * (angle.sin() - phase.sin())

    bearing = uniform(-torch.pi, torch.pi, (count,), generator)
    ahead = torch.stack([bearing.cos(), bearing.sin(), torch.zeros(count)], -1)
    straight = uniform(0, FASTEST, (count, 1, 1), generator) * ahead[:, None] * seconds[..., None]
    begin, end = seconds.argmin(1), seconds.argmax(1)
    rows = torch.arange(count)
    duration = (seconds[rows, end] - seconds[rows, begin]).clamp_min(1e-3)
    velocity = (roots[rows, end] - roots[rows, begin]) / duration[:, None]
    velocity = velocity * torch.tensor([1.0, 1.0, 0.0])
    follows = torch.rand(count, 1, 1, generator=generator) < 0.5
    along = torch.where(follows, velocity[:, None] * seconds[..., None], straight)
    return along + waves((0.1, 0.4), (0.5, 0.5, 0.1)) + waves((1.5, 2.2), (0.02, 0.02, 0.04))


def _see(joints: Tensor, position: Tensor, rotation: Tensor, half: Tensor) -> Views:
    seen = (joints - position[:, None, None]) @ rotation.transpose(-1, -2)[:, None]
    return Views(seen, half)


def _draw_camera(
    low: Tensor, high: Tensor, ranges: CameraRanges, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Position (B, 3), rotation (B, 3, 3) world to camera, and half sides (B, 2).

    `low` and `high` (B, 3) bound the windows' joints.
    """
    batch = len(low)

    def draw(low: float, high: float) -> Tensor:
        return uniform(low, high, (batch,), generator)

    zoom = torch.ones(batch)
    if ranges.zoomed:
        zoom = torch.where(draw(0, 1) < ranges.zoomed, ranges.zoom ** draw(0, 1), zoom)
    half = _picture(ranges, draw) / zoom[:, None]
    middle = (low + high) / 2
    reach = (high - low)[:, :2].norm(dim=-1) / 2
    near, far = ranges.distance
    distance = near * (far / near) ** draw(0, 1) + 0.9 * reach
    heading = draw(-torch.pi, torch.pi)
    height = low[:, 2] + draw(*ranges.height)
    away = torch.stack([heading.cos(), heading.sin()], -1) * distance[:, None]
    position = torch.cat([middle[:, :2] + away, height[:, None]], -1)
    position = middle + zoom[:, None] * (position - middle)
    # Aim beside the person, so that every place in the picture occurs.
    offset = (torch.rand(batch, 2, generator=generator) * 2 - 1) * half * 0.8
    forward = torch.nn.functional.normalize(middle - position, dim=-1)
    rotation = _tilt(offset) @ _look_along(forward)
    roll = torch.deg2rad(ranges.roll * torch.randn(batch, generator=generator))
    return position, _about_z(roll) @ rotation, half


def _picture(ranges: CameraRanges, draw: Callable[[float, float], Tensor]) -> Tensor:
    """Half sides (B, 2) as slopes, for random fields of view and shapes."""
    longer = torch.tan(torch.deg2rad(draw(*ranges.fov)) / 2)
    aspects = torch.tensor(ASPECTS)
    aspect = aspects[(draw(0, 1) * len(aspects)).long().clamp_max(len(aspects) - 1)]
    return torch.stack([longer * aspect.clamp_max(1), longer / aspect.clamp_min(1)], -1)


def _look_along(forward: Tensor) -> Tensor:
    """Rotation (B, 3, 3) world to an upright camera whose z axis is `forward`."""
    up = torch.tensor([0.0, 0.0, 1.0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    return torch.stack([right, torch.linalg.cross(forward, right), forward], -2)


def _tilt(slopes: Tensor) -> Tensor:
    """Rotation (B, 3, 3) that brings the optical axis to slopes (x/z, y/z): pitch, then yaw."""
    yaw, pitch = torch.atan(slopes[:, 0]), torch.atan(slopes[:, 1])
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    about_y = torch.stack(
        [yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos()], -1
    )
    about_x = torch.stack(
        [one, zero, zero, zero, pitch.cos(), pitch.sin(), zero, -pitch.sin(), pitch.cos()], -1
    )
    return about_x.view(-1, 3, 3) @ about_y.view(-1, 3, 3)


def _about_z(angle: Tensor) -> Tensor:
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    c, s = angle.cos(), angle.sin()
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(-1, 3, 3)
