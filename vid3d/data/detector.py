"""What pose networks say of a pose: errors that follow it, learned from rendered people.

Noise that knows nothing of the pose is too kind. A network errs by more where limbs are hidden or
foreshortened, the same way as long as the pose stays, and towards what it usually sees; a lifter
trained without that believes it. Here a small perceptron says, of the true keypoints, where a
network puts each on average, how far off it is then (Laplace's distribution) and how sure it seems.
What is left, in units of that, is drawn whole from looks at rendered people, so that joints err
together, far misses occur as often as they do, and a low confidence comes with them.

python -m vid3d.data.detector ERRORS.npz...

makes the table `detector_errors.npz` anew, from what benchmarks/accuracy/detector_errors.py wrote.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.files import atomic_path, open_npz
from vid3d.skeleton import COCO17

TABLE = Path(__file__).with_name("detector_errors.npz")
WIDTH, KEPT = 96, 4000
"""Of the perceptron's layers; looks whose rest is kept."""
FARTHEST = 0.5
"""Errors beyond it, in sizes of the person, are taken for this."""
STAY = 0.45
"""Seconds that a rest lasts on average before the next one is drawn."""


def features(keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """What errors follow, and the person's size.

    Args:
        keypoints: (..., 17, 3) true coco17 keypoints in the camera frame, in front of the camera.

    Returns:
        (..., 51) places in the picture and depths, seen from the middle of the person's box in
        units of its larger side; (..., 1, 1) that side, in slopes x/z.
    """
    depth = keypoints[..., 2:].clamp_min(0.05)
    rays = keypoints[..., :2] / depth
    low, high = rays.amin(-2, keepdim=True), rays.amax(-2, keepdim=True)
    size = (high - low).amax(-1, keepdim=True).clamp_min(1e-4)
    middle = depth.mean(-2, keepdim=True)
    places = torch.cat([(rays - (low + high) / 2) / size, (depth - middle) / (middle * size)], -1)
    return places.flatten(-2), size


class Detector(nn.Module):
    """Pose networks as they err.

    Args:
        networks: how many there are.
        kept: looks whose rest is kept.
    """

    rest: Tensor

    def __init__(self, networks: int, kept: int) -> None:
        super().__init__()
        self.networks = networks
        self.layers = nn.Sequential(
            nn.Linear(51 + networks, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH), nn.GELU(),
            nn.Linear(WIDTH, 5 * 17),
        )  # fmt: skip
        self.register_buffer("rest", torch.zeros(kept, 17, 3))

    def expect(self, places: Tensor, network: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What networks (...,) say of `features` (..., 51), in sizes of the person.

        Returns:
            Mean error (..., 17, 2), its spread about that (..., 17, 2), confidence (..., 17).
        """
        which = functional.one_hot(network, self.networks).to(places.dtype)
        said = self.layers(torch.cat([places.clamp(-2, 2), which], -1)).unflatten(-1, (17, 5))
        mean, spread, sure = said.split([2, 2, 1], -1)
        return 0.05 * mean, 0.01 * torch.exp(spread.clamp(-4, 4)), torch.sigmoid(sure[..., 0])

    @torch.no_grad()
    def see(
        self, keypoints: Tensor, times: Tensor, level: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Windows (B) of looks (K) as networks see them, one network a window.

        Args:
            keypoints: (B, K, 17, 3) true coco17 keypoints, camera frame.
            times: (B, K) seconds of the looks, rising.
            level: (B,) factors of all errors.
            generator: of the randomness.

        Returns:
            (B, K, 17, 2) slopes x/z and y/z, (B, K, 17) confidences in 0.05..1.
        """
        batch, looks = times.shape
        places, size = features(keypoints)
        rest = self.rest[self._draw(times, generator)]
        network = torch.randint(self.networks, (batch, 1), generator=generator)
        mean, spread, sure = self.expect(places, network.expand(-1, looks))
        error = (mean + spread * rest[..., :2]).clamp(-FARTHEST, FARTHEST)
        rays = keypoints[..., :2] / keypoints[..., 2:].clamp_min(0.05)
        seen = rays + level.view(-1, 1, 1, 1) * size * error
        return seen, (sure + rest[..., 2]).clamp(0.05, 1.0)

    def _draw(self, times: Tensor, generator: torch.Generator) -> Tensor:
        """Which kept look's rest (B, K) each look has; it stays for a while."""
        drawn = torch.randint(len(self.rest), times.shape, generator=generator)
        gaps = functional.pad(times[:, 1:] - times[:, :-1], (1, 0), value=torch.inf)
        stays = torch.rand(times.shape, generator=generator) < torch.exp(-gaps.abs() / STAY)
        index = torch.arange(times.shape[1]).expand_as(drawn)
        since = torch.where(stays, 0, index).cummax(1).values
        return drawn.gather(1, since)


@cache
def load_detector(path: str | Path = TABLE) -> Detector:
    """The networks that the table was made of."""
    with open_npz(path) as arrays:
        state = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
    networks = state["layers.0.weight"].shape[1] - 51
    detector = Detector(networks, len(state["rest"]))
    detector.load_state_dict(state)
    return detector.eval().requires_grad_(False)


def read_errors(paths: Sequence[str | Path]) -> tuple[Tensor, Tensor]:
    """True keypoints (N, 17, 3) and what networks said of them (N, networks, 17, 3)."""
    parts = []
    for path in paths:
        with open_npz(path) as arrays:
            parts.append((torch.from_numpy(arrays["truth"]), torch.from_numpy(arrays["said"])))
    truth, said = (torch.cat(part) for part in zip(*parts, strict=True))
    return truth, said


def _mirrored(truth: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    """The same and its mirror image."""
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return (
        torch.cat([truth, truth[:, COCO17.flip] * flip]),
        torch.cat([said, said[:, :, COCO17.flip] * flip]),
    )


def fit(truth: Tensor, said: Tensor, steps: int = 6000, seed: int = 0) -> Detector:
    """Learn how networks err.

    Args:
        truth: (N, 17, 3) true keypoints, camera frame.
        said: (N, networks, 17, 3) slopes and confidence.
        steps: of the optimizer.
        seed: of everything.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    detector = Detector(said.shape[1], min(KEPT, len(truth) * said.shape[1]))
    kept = torch.randperm(len(truth) * said.shape[1], generator=generator)[: len(detector.rest)]
    own = len(truth)
    truth, said = _mirrored(truth, said)
    places, size = features(truth)
    rays = truth[..., :2] / truth[..., 2:]
    error = ((said[..., :2] - rays[:, None]) / size[:, None]).clamp(-FARTHEST, FARTHEST)
    optimizer = torch.optim.AdamW(detector.layers.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(truth), (512,), generator=generator)
        which = torch.randint(detector.networks, (512,), generator=generator)
        mean, spread, sure = detector.expect(places[rows], which)
        off = (error[rows, which] - mean).abs().clamp_max(0.15)  # far misses are the rest's
        loss = (off / spread + spread.log()).mean()
        loss = loss + functional.mse_loss(sure, said[rows, which, :, 2]) * 10
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        row, which = kept % own, kept // own
        mean, spread, sure = detector.expect(places[row], which)
        detector.rest[..., :2] = (error[row, which] - mean) / spread
        detector.rest[..., 2] = said[row, which, :, 2] - sure
    return detector.eval().requires_grad_(False)


def main() -> None:
    """Fit the files that the command line names and write the table."""
    parser = argparse.ArgumentParser(description="Fit how pose networks err.")
    parser.add_argument("errors", type=Path, nargs="+", help="of benchmarks/accuracy")
    truth, said = read_errors(parser.parse_args().errors)
    state: dict[str, Any] = {
        name: value.numpy().astype(np.float16)
        for name, value in fit(truth, said).state_dict().items()
    }
    with atomic_path(TABLE) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **state)


if __name__ == "__main__":
    main()
