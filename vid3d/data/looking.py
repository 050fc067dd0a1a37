"""When windows of training are looked at, and what is seen then.

Looks come regularly or thinned at random; what they show has a detector's noise (`noise`) and may
be hidden by a pattern (`occlusion`).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vid3d.data import cameras
from vid3d.data.detector import load_detector
from vid3d.data.mocap import MOCAP_FPS
from vid3d.data.noise import NoiseLevels, detect
from vid3d.data.occlusion import occlusion_mask
from vid3d.lifter.canonical import Looks
from vid3d.skeleton import COCO17, H36M17


def look_frames(
    valid: Tensor,
    strides: Sequence[int],
    irregular: float,
    raster: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Frame numbers (B, K) of the looks, rising, and which of them count.

    Args:
        valid: (B, F) frames that there are.
        strides: frames between looks, one of which is drawn for all windows.
        irregular: share of windows whose looks are thinned at random.
        raster: looks are taken at multiples of so many frames.
        generator: of all draws.
    """
    count, frames = valid.shape
    pick = torch.randint(len(strides), (1,), generator=generator)
    stride = strides[int(pick)]
    slots = -(-frames // stride) + 2  # one before the first frame, and one beyond the last
    offset = raster * torch.randint(stride // raster, (count, 1), generator=generator)
    index = offset + torch.arange(-1, slots - 1) * stride
    length = valid.sum(1, keepdim=True)
    ends = torch.rand(count, 1, generator=generator) < 0.4  # a clip's ends are always looked at
    index = torch.where(ends, index.clamp(min=0), index)
    index = torch.where(ends, torch.minimum(index, length - 1), index)
    chosen = (index >= 0) & (index < length)
    chosen[:, 1:] &= index[:, 1:] > index[:, :-1]
    thinned = torch.rand(count, 1, generator=generator) < irregular
    chosen &= ~(thinned & (torch.rand(count, slots, generator=generator) < 0.4))
    nothing = ~chosen.any(1)
    middle = length[:, 0] // 2
    index[nothing, 0], chosen[nothing, 0] = middle[nothing], True
    return index.clamp(0, frames - 1), chosen


def look(
    views: cameras.Views,
    frames: Tensor,
    chosen: Tensor,
    levels: NoiseLevels,
    generator: torch.Generator,
) -> Looks:
    """See the 34 joints of views at frames (B, K) with detector noise; sets alternate."""
    rays = views.joints[..., :2] / views.joints[..., 2:].clamp_min(0.05)
    inside = views.inside()
    noisy, confidence = rays.new_zeros(rays[:, :, :17].shape), rays.new_zeros(*frames.shape, 17)
    joint_set = torch.arange(len(rays)) % 2
    for index, joints in enumerate((H36M17, COCO17)):
        rows, part = slice(index, None, 2), slice(17 * index, 17 * index + 17)
        noisy[rows], confidence[rows] = detect(
            rays[rows, :, part], inside[rows, :, part], joints, levels, generator
        )
    if levels.learned:
        rows = slice(1, None, 2)
        learned = _as_networks(views.joints[rows, :, 17:], frames[rows], levels, generator)
        noisy[rows], confidence[rows] = _exchange(
            noisy[rows], confidence[rows], *learned, levels.learned, generator
        )
    chosen = chosen & (confidence > 0).any(-1)
    return Looks(noisy, confidence * chosen[..., None], frames / MOCAP_FPS, chosen, joint_set)


def _as_networks(
    keypoints: Tensor, frames: Tensor, levels: NoiseLevels, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Coco17 keypoints (B, K, 17, 3) at frames (B, K) as pose networks see them."""
    level = torch.exp(levels.spread * torch.randn(len(keypoints), generator=generator))
    detector = load_detector().to(keypoints.device)
    return detector.see(keypoints, frames / MOCAP_FPS, level, generator)


def _exchange(
    noisy: Tensor,
    confidence: Tensor,
    seen: Tensor,
    sure: Tensor,
    share: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """A share of the windows with other keypoints and confidences; what is missing stays so."""
    chosen = torch.rand(len(noisy), 1, 1, generator=generator) < share
    chosen = chosen & (confidence > 0)
    return torch.where(chosen[..., None], seen, noisy), torch.where(chosen, sure, confidence)


def occlude(
    looks: Looks,
    look_frames: Tensor,
    frames: int,
    patterns: Sequence[str],
    generator: torch.Generator,
) -> Looks:
    """Looks with a pattern of occlusion each; a look that shows nothing any more is none."""
    hidden = torch.zeros_like(looks.confidence, dtype=torch.bool)
    picks = torch.randint(len(patterns), (len(hidden),), generator=generator)
    seeds = torch.randint(2**31, (len(hidden),), generator=generator)
    for row, (pick, seed) in enumerate(zip(picks.tolist(), seeds.tolist(), strict=True)):
        if patterns[pick] == "none":
            continue
        joints = (H36M17, COCO17)[int(looks.joint_set[row])]
        mask = torch.from_numpy(occlusion_mask(patterns[pick], frames, joints, seed))
        hidden[row] = mask.to(hidden.device)[look_frames[row]]
    confidence = torch.where(hidden, 0.0, looks.confidence)
    valid = looks.valid & (confidence > 0).any(-1)
    kept = valid.any(1, keepdim=True)  # a window that would lose all its looks keeps them
    return replace(
        looks,
        confidence=torch.where(kept[..., None], confidence, looks.confidence),
        valid=torch.where(kept, valid, looks.valid),
    )
