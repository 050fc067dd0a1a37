"""What the student learns: known motion in the target's manner, and the target itself.

Half of every batch is source, with all of training's losses; half is target, with pseudo-labels
where they can be trusted and the looks themselves, hidden ones included. The expected deviation
and the diffusion head learn from the source alone: pseudo-labels hold the teacher's answers
without its errors, and would make both believe that there are none.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vid3d.adaptation.pseudo import Label, gather
from vid3d.adaptation.target import TargetWindows
from vid3d.data.batches import Batch
from vid3d.lifter.canonical import Canonical, Looks, canonicalise, interpolation, rotations
from vid3d.lifter.encoder import Encoded
from vid3d.training.lifter import Networks
from vid3d.training.targets import encoder_losses, make_targets

_TAUGHT = ("joints", "velocity", "root", "contacts")
_MET = 0.1  # scales; beyond it the loss of reprojection is linear
_METRES = 0.45  # of a person's scale, about: so that its weight compares with that of joints
REPROJECTION = 0.5
"""Weight of the loss of reprojection."""


def placed_joints(encoded: Encoded, canonical: Canonical, shown: Looks, times: Tensor) -> Tensor:
    """The looks' own joints (B, G, 17, 3) before the camera, metres, as the encoder places them."""
    weights, _ = interpolation(shown.times, shown.valid, times)
    back = rotations(weights @ canonical.angles).transpose(-1, -2)  # canonical to camera
    own = torch.where(shown.joint_set.view(-1, 1, 1, 1) == 0, encoded.joints, encoded.coco)
    scale = canonical.scale[:, None, None]
    slopes, log_size = encoded.root.split([2, 1], -1)
    ray = torch.cat([slopes * scale, torch.ones_like(log_size)], -1)
    root = ray * torch.exp(log_size) / scale
    return (back[:, :, None] @ (own + root[:, :, None])[..., None])[..., 0]


def missed(
    encoded: Encoded,
    canonical: Canonical,
    shown: Looks,
    looks: Looks,
    times: Tensor,
    valid: Tensor,
) -> Tensor:
    """Distance (B, K, 17) of reprojected joints from looks, in scales of the person.

    Args:
        encoded: answer of the encoder to the looks `shown`.
        canonical: of these.
        shown: to the encoder.
        looks: to compare with.
        times: (B, G) moments of the answer.
        valid: (B, G) those that count.
    """
    placed = placed_joints(encoded, canonical, shown, times)
    between, _ = interpolation(times, valid, looks.times)
    at_looks = (between @ placed.flatten(2)).unflatten(-1, (17, 3))
    rays = at_looks[..., :2] / at_looks[..., 2:].clamp_min(0.1)
    return (rays - looks.rays).norm(dim=-1) / canonical.scale[:, None, None]


def reprojection_loss(distance: Tensor, confidence: Tensor) -> Tensor:
    """Mean of distances, squared near 0 and linear far off (Charbonnier), metres."""
    costs = _MET * (torch.sqrt(1 + (distance / _MET) ** 2) - 1)
    return _METRES * (costs * confidence).sum() / confidence.sum().clamp_min(1e-6)


def target_losses(
    networks: Networks, windows: TargetWindows, labels: Sequence[Label]
) -> dict[str, Tensor]:
    """Parts of the loss on windows of the target."""
    joints, contacts, trust = gather(labels, windows)
    batch = Batch(
        looks=windows.shown,
        times=windows.times,
        valid=windows.valid,
        joints=joints,
        coco=torch.zeros_like(joints),
        contacts=contacts,
        blind=torch.zeros(len(joints), dtype=torch.bool),
    )
    canonical = canonicalise(batch.looks, networks.config.centred)
    encoded = networks.encoder(canonical, batch.looks, batch.times, batch.valid)
    targets = make_targets(batch, canonical)
    sure = trust > 0.5
    taught = torch.where(sure[..., None], targets.joints, encoded.joints.detach())
    weight = targets.weight * sure.float().mean(-1)
    parts = encoder_losses(encoded, replace(targets, joints=taught, weight=weight))
    distance = missed(encoded, canonical, batch.looks, windows.looks, windows.times, windows.valid)
    seen = windows.looks.confidence * windows.looks.valid[..., None]
    kept = {f"target_{name}": parts[name] for name in _TAUGHT}
    return kept | {"target_2d": REPROJECTION * reprojection_loss(distance, seen)}
