"""Honest stopping: how good a lifter is on looks that nobody learnt from, without labels.

Windows of held-out pieces, some of whose looks and joints are hidden: what is hidden must
reproject, and bones must keep their lengths. Joints that are wrong in depth alone reproject, so
this is a proxy and no measure of 3D error; benchmarks/adapt shows how the two go together.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from vid3d.adaptation.student import missed
from vid3d.adaptation.target import Piece, TargetWindows, draw_windows
from vid3d.lifter.canonical import canonicalise
from vid3d.lifter.checkpoint import LifterConfig
from vid3d.skeleton import H36M17
from vid3d.training.lifter import Networks

WINDOWS, BATCH = 384, 64
_SEED = 77
_FAR = 1.0  # scales; hidden joints farther off are not the lifter's fault


@dataclass(frozen=True)
class Proxy:
    """Figures of a lifter on held-out looks; smaller is better.

    Attributes:
        hidden_joints: per cent of the person's scale by which hidden joints of looks that were
            shown are missed, mean.
        hidden_looks: the same of looks that were not shown.
        bones: per cent of a bone's length, deviation over a window, mean over bones.
    """

    hidden_joints: float
    hidden_looks: float
    bones: float

    def ratio(self, base: "Proxy") -> float:
        """This over another's figures, geometric mean; below 1 is better than it.

        Of all three, or of what is hidden alone where that has gained less: bones that keep their
        length do not make up for joints that miss.
        """
        figures = list(zip(asdict(self).values(), asdict(base).values(), strict=True))
        return max(_mean_ratio(figures), _mean_ratio(figures[:2]))


def _mean_ratio(figures: Sequence[tuple[float, float]]) -> float:
    """Geometric mean of the ratios of those that could be measured."""
    logs = [math.log(own / other) for own, other in figures if own > 0 and other > 0]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0


def proxy_windows(pieces: Sequence[Piece], config: LifterConfig) -> list[TargetWindows]:
    """The windows to measure on, the same whenever they are drawn."""
    generator = torch.Generator().manual_seed(_SEED)
    return [
        draw_windows(pieces, BATCH, config.seconds, config.grid, generator)
        for _ in range(WINDOWS // BATCH)
    ]


@torch.no_grad()
def measure(networks: Networks, batches: Sequence[TargetWindows]) -> Proxy:
    """Figures of a lifter's encoder."""
    networks.eval()
    joints, looks, bones = ([] for _ in range(3))
    for windows in batches:
        shown = windows.shown
        canonical = canonicalise(shown, networks.config.centred)
        encoded = networks.encoder(canonical, shown, windows.times, windows.valid)
        distance = missed(
            encoded, canonical, shown, windows.looks, windows.times, windows.valid
        ).clamp_max(_FAR)
        seen = (windows.looks.confidence > 0) & windows.looks.valid[..., None]
        hidden = seen & (shown.confidence == 0)
        at_shown = shown.valid[..., None]
        joints.append(distance[hidden & at_shown])
        looks.append(distance[hidden & ~at_shown])
        bones.append(_bone_deviation(encoded.joints, windows.valid))
    networks.train()
    return Proxy(*(100 * _mean(torch.cat(parts)) for parts in (joints, looks, bones)))


def _bone_deviation(joints: Tensor, valid: Tensor) -> Tensor:
    """Deviation over length (B,) of bones of windows (B, G, 17, 3), mean over bones."""
    parents, children = (list(ends) for ends in zip(*H36M17.bones, strict=True))
    lengths = (joints[:, :, children] - joints[:, :, parents]).norm(dim=-1)
    weight = (valid.float() / valid.sum(1, keepdim=True).clamp_min(1))[..., None]
    mean = (lengths * weight).sum(1)
    variance = ((lengths - mean[:, None]) ** 2 * weight).sum(1)
    return (variance.sqrt() / mean.clamp_min(1e-3)).mean(-1)


def _mean(values: Tensor) -> float:
    return float(values.double().mean()) if len(values) else 0.0
