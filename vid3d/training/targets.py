"""What an encoder should say about a batch, and how far off it is."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from vid3d.data.batches import Batch
from vid3d.lifter.canonical import Canonical, interpolation, rotations
from vid3d.lifter.encoder import Encoded
from vid3d.skeleton import H36M17


@dataclass(frozen=True)
class Targets:
    """What the encoder should say about a batch, canonical frame; see `Encoded`.

    `valid` (B, G) says which moments count, `weight` how much: of a window without looks nothing
    but the deviation can be learnt, and its errors would drown all others.
    """

    joints: Tensor
    coco: Tensor
    root: Tensor
    contacts: Tensor
    valid: Tensor
    weight: Tensor

    def middle(self) -> "Targets":
        """Those of the middle moment."""
        at = slice(self.valid.shape[1] // 2, self.valid.shape[1] // 2 + 1)
        parts = (self.joints, self.coco, self.root, self.contacts, self.valid, self.weight)
        return Targets(*(part[:, at] for part in parts))


_BLIND_WEIGHT = 0.1


def make_targets(batch: Batch, canonical: Canonical) -> Targets:
    """Turn a batch's truth into the frame R(t) that the noisy looks define."""
    weights, _ = interpolation(batch.looks.times, batch.looks.valid, batch.times)
    rotation = rotations(weights @ canonical.angles)[:, :, None]
    absolute = (rotation @ batch.joints[..., None])[..., 0]
    coco = (rotation @ batch.coco[..., None])[..., 0]
    root = absolute[:, :, :1]
    depth, scale = root[:, :, 0, 2:].clamp_min(0.1), canonical.scale[:, None, None]
    place = torch.cat([root[:, :, 0, :2] / depth / scale, torch.log(depth * scale)], -1)
    usable = batch.valid & batch.looks.valid.any(1, keepdim=True)
    weight = usable * torch.where(batch.blind, _BLIND_WEIGHT, 1.0)[:, None]
    return Targets(absolute - root, coco - root, place, batch.contacts, usable, weight)


def encoder_losses(encoded: Encoded, targets: Targets, velocity: float = 0.5) -> dict[str, Tensor]:
    """Weighted parts of the loss, metres where that makes sense.

    Position: mean per-joint distance (nose and head half: their definition is loose). Velocity:
    the same of differences between successive output moments (MixSTE's MPJVE). Deviation: negative
    logarithm of a Gaussian's likelihood of errors as they are; it does not move the joints. Where
    the encoder refines the middle moment, its second answer there counts as much as all others
    (Uplift and Upsample, section 3.2).
    """
    if encoded.centre is not None:
        first = encoder_losses(replace(encoded, centre=None), targets, velocity)
        second = encoder_losses(encoded.centre, targets.middle(), velocity)
        return {name: 0.5 * (first[name] + second[name]) for name in first}
    weight = torch.ones(17)
    weight[H36M17.indices(["nose", "head"])] = 0.5
    valid = targets.weight
    both = valid[:, 1:] * valid[:, :-1]

    def mean(values: Tensor, mask: Tensor) -> Tensor:
        return (values * mask).sum() / mask.sum().clamp_min(1)

    error = encoded.joints - targets.joints
    unlikely = (0.5 * (error.detach() / encoded.deviation) ** 2 + encoded.deviation.log())[:, :, 1:]
    root = (encoded.root - targets.root).abs()
    contact = functional.binary_cross_entropy_with_logits(
        encoded.contacts, targets.contacts, reduction="none"
    )
    return {
        "joints": mean((error.norm(dim=-1) * weight).mean(-1), valid),
        "velocity": velocity * mean((error[:, 1:] - error[:, :-1]).norm(dim=-1).mean(-1), both),
        "coco": 0.3 * mean((encoded.coco - targets.coco).norm(dim=-1).mean(-1), valid),
        "root": 0.15 * mean(root[..., :2].sum(-1), valid) + 0.2 * mean(root[..., 2], valid),
        "contacts": 0.005 * mean(contact.mean(-1), valid),
        "deviation": 0.03 * mean(unlikely.mean((-1, -2)), targets.valid.float()),
    }
