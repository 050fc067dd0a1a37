"""2D noise matched to the target's detector, without labels: simulated until it looks alike."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vid3d.adaptation.source import Detector, Source, confidence_quantiles, scaled_noise
from vid3d.adaptation.student import missed
from vid3d.adaptation.target import Piece, TargetWindows, draw_windows
from vid3d.data.noise import NoiseLevels
from vid3d.lifter.canonical import Looks, canonicalise
from vid3d.training.lifter import Networks

_WINDOWS, _ROUNDS = 128, 4
_LEAST, _MOST = 0.3, 4.0  # factors of the usual noise
_SEED = 4242


@torch.no_grad()
def match_detector(
    networks: Networks, pieces: Sequence[Piece], source: Callable[[Detector], Source]
) -> Detector:
    """The noise with which the lifter misses source looks by as much as it misses the target's.

    The median distance from looks to the lifter's own reprojection is measured on both, and the
    levels of noise are scaled until they agree. Confidences take the target's distribution, and
    joints are missing as often.

    Args:
        networks: the lifter.
        pieces: of the target.
        source: makes a source for a detector.
    """
    networks.eval()
    config = networks.config
    generator = torch.Generator().manual_seed(_SEED)
    windows = draw_windows(pieces, _WINDOWS, config.seconds, config.grid, generator)
    seen = windows.looks.confidence[windows.looks.valid]
    missing = float((seen == 0).float().mean())
    quantiles = confidence_quantiles(seen)
    wanted = _median_miss(networks, windows, windows.shown)
    factor = 1.0
    for _ in range(_ROUNDS):
        noise = scaled_noise(NoiseLevels(), factor, missing)
        detector = Detector(noise, quantiles)
        batch = source(detector).draw(windows, torch.Generator().manual_seed(_SEED))
        found = _median_miss(networks, windows, batch.looks)
        factor = min(max(factor * wanted / max(found, 1e-6), _LEAST), _MOST)
    networks.train()
    return Detector(scaled_noise(NoiseLevels(), factor, missing), quantiles)


def _median_miss(networks: Networks, windows: TargetWindows, looks: Looks) -> float:
    """Median distance of reprojected joints from looks, in scales."""
    canonical = canonicalise(looks, networks.config.centred)
    encoded = networks.encoder(canonical, looks, windows.times, windows.valid)
    distance: Tensor = missed(encoded, canonical, looks, looks, windows.times, windows.valid)
    return float(distance[looks.confidence > 0].median())
