"""Camera-aware canonical input: a virtual camera that looks along the person's root ray.

Rays of the noisy looks are turned by R(t) = pitch after yaw (never the shortest arc, which rolls
people near the corners), so that the person stands in the middle whatever the lens and the place
in the picture; R(t) is interpolated between looks. One scale a window keeps approaching and
crouching. The same function serves training and inference, and sees nothing but noisy 2D.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vid3d.skeleton import COCO17, H36M17

JOINT_SETS = (H36M17.name, COCO17.name)
"""The joint sets that the lifter reads; an array's set is given by its index here."""

_FIXED_SCALE = 0.1
"""Size in slopes of somebody 5 to 6 metres away."""

JOINT_FEATURES = 4
LOOK_FEATURES = 6

_HIPS = tuple(tuple(s.indices(["left_hip", "right_hip"])) for s in (H36M17, COCO17))


@dataclass(frozen=True)
class Looks:
    """Looks at people, a window each: batch B, at most K looks.

    Attributes:
        rays: (B, K, 17, 2) slopes x/z and y/z in the camera frame.
        confidence: (B, K, 17) in 0..1; 0 = missing, its rays are never used.
        times: (B, K) seconds, rising within `valid`.
        valid: (B, K) bool, False for padding and looks without the person.
        joint_set: (B,) int64 indices into `JOINT_SETS`.
    """

    rays: Tensor
    confidence: Tensor
    times: Tensor
    valid: Tensor
    joint_set: Tensor

    def rows(self, index: Tensor, device: torch.device) -> "Looks":
        """Some of the windows, on a device."""
        parts = (self.rays, self.confidence, self.times, self.valid, self.joint_set)
        return Looks(*(part[index].to(device) for part in parts))

    def mirrored(self) -> "Looks":
        """The looks in a mirror: x negated, left and right exchanged."""
        flips = torch.tensor([joints.flip for joints in (H36M17, COCO17)], device=self.rays.device)
        order = flips[self.joint_set][:, None].expand(-1, self.rays.shape[1], -1)
        rays = self.rays.gather(2, order[..., None].expand(-1, -1, -1, 2))
        rays = rays * rays.new_tensor([-1.0, 1.0])
        confidence = self.confidence.gather(2, order)
        return Looks(rays, confidence, self.times, self.valid, self.joint_set)


@dataclass(frozen=True)
class Canonical:
    """What the encoder reads, and the way back to the camera.

    Attributes:
        joints: (B, K, 17, JOINT_FEATURES) canonical x, y in scales; confidence; missing flag.
        looks: (B, K, LOOK_FEATURES).
        angles: (B, K, 2) yaw and pitch of the virtual camera at the looks, radians.
        scale: (B,) size of the person in slopes; one a window.
    """

    joints: Tensor
    looks: Tensor
    angles: Tensor
    scale: Tensor


def canonicalise(looks: Looks, centred: bool = True) -> Canonical:
    """Turn the looks of windows into the canonical frame.

    Not `centred`, they stay where they are in the picture and as large as they are, as the
    literature's networks read them: the virtual camera is the real one, the scale is fixed.
    """
    seen = (looks.confidence > 0) & looks.valid[..., None]
    rays = torch.where(seen[..., None], looks.rays, 0.0)
    root, hips_seen = _root_rays(rays, looks.confidence * seen, looks.joint_set)
    yaw = torch.atan(root[..., 0])
    pitch = torch.atan(root[..., 1] * yaw.cos())
    angles = torch.stack([yaw, pitch], -1) * looks.valid[..., None] * centred
    directions = torch.cat([rays, torch.ones_like(rays[..., :1])], -1)
    turned = directions @ rotations(angles).transpose(-1, -2)
    local = turned[..., :2] / turned[..., 2:].clamp_min(0.1)
    size = _size(local, looks.confidence * seen)
    scale = masked_median(size, looks.valid & (seen.sum(-1) >= 4), looks.valid)
    scale = scale if centred else torch.full_like(scale, _FIXED_SCALE)
    local = torch.where(seen[..., None], local / scale[:, None, None, None], 0.0)
    flags = seen.to(rays.dtype)
    joints = torch.cat([local, (looks.confidence * flags)[..., None], 1 - flags[..., None]], -1)
    count = looks.valid.sum(1, keepdim=True).clamp_min(1)
    middle = angles.sum(1, keepdim=True) / count[..., None]
    moved = (angles - middle) / scale[:, None, None]
    features = torch.cat(
        [
            torch.log(scale)[:, None, None].expand(-1, size.shape[1], 1) + 2.0,
            torch.log(size / scale[:, None]).clamp(-1, 1)[..., None],
            moved.clamp(-6, 6) / 3,
            hips_seen[..., None].to(rays.dtype),
            flags.mean(-1, keepdim=True),
        ],
        -1,
    )
    return Canonical(joints, features * looks.valid[..., None], angles, scale)


def _root_rays(rays: Tensor, weight: Tensor, joint_set: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes (B, K, 2) of the middle of the hips, else of the box; and whether hips were seen."""
    hips = torch.tensor(_HIPS, device=rays.device)[joint_set]  # (B, 2)
    rows = torch.arange(len(rays), device=rays.device)[:, None]
    pair = rays.transpose(1, 2)[rows, hips]  # (B, 2, K, 2)
    pair_weight = weight.transpose(1, 2)[rows, hips]
    both = (pair_weight > 0).all(1)
    seen = (weight > 0)[..., None]
    low = torch.where(seen, rays, torch.inf).amin(2)
    high = torch.where(seen, rays, -torch.inf).amax(2)
    box = torch.where(seen.any(2), (low + high) / 2, 0.0)
    return torch.where(both[..., None], pair.mean(1), box), both


def _size(local: Tensor, weight: Tensor) -> Tensor:
    """Size (B, K) of a person: root mean square distance of joints from their middle."""
    present = (weight > 0).to(local.dtype)[..., None]
    count = present.sum(2).clamp_min(1)
    middle = (local * present).sum(2) / count
    square = ((local - middle[:, :, None]) ** 2 * present).sum((2, 3)) / count[..., 0]
    return square.sqrt().clamp_min(1e-3)


def masked_median(values: Tensor, wanted: Tensor, fallback: Tensor) -> Tensor:
    """Median (B,) over (B, K) of the wanted values; of the fallback where none is wanted."""
    chosen = torch.where(wanted.any(1, keepdim=True), wanted, fallback)
    ordered = torch.where(chosen, values, torch.inf).sort(1).values
    middle = ((chosen.sum(1) - 1).clamp_min(0) // 2)[:, None]
    found = ordered.gather(1, middle)[:, 0]
    return torch.where(torch.isfinite(found), found, torch.ones_like(found))


def rotations(angles: Tensor) -> Tensor:
    """R (..., 3, 3) of yaw and pitch (..., 2): brings the ray at those angles to the z axis."""
    (cy, sy), (cp, sp) = ((a.cos(), a.sin()) for a in angles.unbind(-1))
    zero = torch.zeros_like(cy)
    rows = [cy, zero, -sy, -sp * sy, cp, -sp * cy, cp * sy, sp, cp * cy]
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def interpolation(times: Tensor, valid: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Linear interpolation from looks to other moments, constant beyond the ends.

    Args:
        times: (B, K) seconds of the looks.
        valid: (B, K) bool.
        at: (B, G) seconds.

    Returns:
        Weights (B, G, K), rows adding up to 1 (0 without any look), and (B, G, 2) seconds since
        the look before and until the look after (of the only neighbour beyond the ends).
    """
    ahead = times[:, None] - at[..., None]  # (B, G, K)
    usable = valid[:, None]
    before = torch.where(usable & (ahead <= 0), -ahead, torch.inf).min(-1)
    after = torch.where(usable & (ahead > 0), ahead, torch.inf).min(-1)
    none_before, none_after = before.values.isinf(), after.values.isinf()
    gap_before = torch.where(none_before, after.values, before.values)
    gap_after = torch.where(none_after, before.values, after.values)
    left = torch.where(none_before, after.indices, before.indices)
    right = torch.where(none_after, before.indices, after.indices)
    share = gap_before / (gap_before + gap_after).clamp_min(1e-6)  # of the look after
    share = torch.where(none_before | none_after, 0.0, share)
    weights = torch.zeros_like(ahead)
    weights.scatter_add_(2, left[..., None], (1 - share)[..., None])
    weights.scatter_add_(2, right[..., None], share[..., None])
    weights = weights * valid.any(1)[:, None, None]
    gaps = torch.stack([gap_before, gap_after], -1)
    return weights, torch.where(torch.isfinite(gaps), gaps, 0.0)
