"""What pose networks say of a pose: errors that follow it, learned from rendered people.

Noise that knows nothing of the pose is too kind. A network errs by more where limbs are hidden or
foreshortened, the same way as long as the pose stays, and towards what it usually sees; a lifter
trained without that believes it. Here a small perceptron says, of the true keypoints, where a
network puts each on average, how far off it is then (Laplace's distribution), how sure it seems,
and how likely it takes the joint for that of the other side: of ankles that are far off most lie on
the other leg. What is left, in units of that, is drawn whole from looks at rendered people, so that
joints err together, far misses occur as often as they do, and a low confidence comes with them.

python -m vid3d.data.detector ERRORS.npz...

makes the table `detector_errors.npz` anew, from what benchmarks/accuracy/detector_errors.py wrote.
"""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.files import atomic_path, open_npz
from vid3d.skeleton import COCO17, limb_groups

TABLE = Path(__file__).with_name("detector_errors.npz")
WIDTH, KEPT = 96, 4000
"""Of the perceptron's layers; looks whose rest is kept."""
FARTHEST = 0.5
"""Errors beyond it, in sizes of the person, are taken for this."""
STAY = 0.45
"""Seconds that a rest lasts on average before the next one is drawn."""
OFF, NEARER = 0.08, 0.4
"""A joint is taken for its twin on the other side where it is off by more than `OFF` sizes, and by
less than this share of that from the twin."""
TOGETHER = 0.8
"""Share of the joints of arms, or of legs, that are taken for their twins at once."""


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


class Expected(NamedTuple):
    """What a network says of a pose, as far as it follows from the pose; in sizes of the person.

    Attributes:
        mean: (..., 17, 2) error.
        spread: (..., 17, 2) of errors about that.
        sure: (..., 17) confidence.
        twin: (..., 17) chance of a joint to be taken for its twin on the other side.
    """

    mean: Tensor
    spread: Tensor
    sure: Tensor
    twin: Tensor


def of_twins(values: Tensor, twin: Tensor) -> Tensor:
    """Values (..., 17, 2) of the joints, or of their twins where `twin` (..., 17)."""
    return torch.where(twin[..., None], values[..., COCO17.flip, :], values)


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
            nn.Linear(WIDTH, 6 * 17),
        )  # fmt: skip
        self.register_buffer("rest", torch.zeros(kept, 17, 4))

    def expect(self, places: Tensor, network: Tensor) -> Expected:
        """What networks (...,) say of `features` (..., 51)."""
        which = functional.one_hot(network, self.networks).to(places.dtype)
        said = self.layers(torch.cat([places.clamp(-2, 2), which], -1)).unflatten(-1, (17, 6))
        mean, spread, sure, twin = said.split([2, 2, 1, 1], -1)
        return Expected(
            0.05 * mean, 0.01 * torch.exp(spread.clamp(-4, 4)), torch.sigmoid(sure[..., 0]),
            torch.sigmoid(twin[..., 0]),
        )  # fmt: skip

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
        said = self.expect(places, network.expand(-1, looks))
        twin = rest[..., 3] < said.twin
        error = of_twins(said.mean, twin) + of_twins(said.spread, twin) * rest[..., :2]
        rays = of_twins(keypoints[..., :2] / keypoints[..., 2:].clamp_min(0.05), twin)
        seen = rays + level.view(-1, 1, 1, 1) * size * error.clamp(-FARTHEST, FARTHEST)
        return seen, (said.sure + rest[..., 2]).clamp(0.05, 1.0)

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


def taken_for_twins(said: Tensor, true: Tensor, size: Tensor) -> Tensor:
    """Which joints (..., 17) a network took for those of the other side.

    Args:
        said: (..., 17, 2) keypoints.
        true: (..., 17, 2) where they are.
        size: (..., 1, 1) of the person, in the same unit.
    """
    off, other = ((said - x).norm(dim=-1) for x in (true, true[..., COCO17.flip, :]))
    return (off > OFF * size[..., 0]) & (other < NEARER * off)


def errors(truth: Tensor, said: Tensor) -> tuple[Tensor, Tensor]:
    """How far networks are off, and from what.

    Args:
        truth: (N, 17, 3) true keypoints, camera frame.
        said: (N, networks, 17, 3) slopes and confidence.

    Returns:
        (N, networks, 17, 2) errors in sizes of the person, of joints taken for their twins from the
        twin; (N, networks, 17) bool, which those are.
    """
    _, size = features(truth)
    rays = (truth[..., :2] / truth[..., 2:])[:, None]
    twin = taken_for_twins(said[..., :2], rays, size[:, None])
    error = (said[..., :2] - of_twins(rays.expand_as(said[..., :2]), twin)) / size[:, None]
    return error.clamp(-FARTHEST, FARTHEST), twin


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
    places, _ = features(truth)
    error, twin = errors(truth, said)
    optimizer = torch.optim.AdamW(detector.layers.parameters(), 2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(truth), (512,), generator=generator)
        which = torch.randint(detector.networks, (512,), generator=generator)
        answer, taken = detector.expect(places[rows], which), twin[rows, which]
        mean, spread = of_twins(answer.mean, taken), of_twins(answer.spread, taken)
        off = (error[rows, which] - mean).abs().clamp_max(0.15)  # far misses are the rest's
        loss = (off / spread + spread.log()).mean()
        loss = loss + functional.mse_loss(answer.sure, said[rows, which, :, 2]) * 10
        loss = loss + functional.binary_cross_entropy(answer.twin, taken.float()) * 4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    row, which = kept % own, kept // own
    with torch.no_grad():
        detector.rest.copy_(
            _rests(detector.expect(places[row], which), error[row, which], twin[row, which],
                   said[row, which, :, 2], generator)
        )  # fmt: skip
    return detector.eval().requires_grad_(False)


def _rests(
    expected: Expected, error: Tensor, twin: Tensor, sure: Tensor, generator: torch.Generator
) -> Tensor:
    """What is left of looks (N), to be drawn: (N, 17, 4) errors in spreads, confidence, and a
    number in 0..1 that lies below the chance of a joint's being taken for its twin where it was.
    """
    mean, spread = of_twins(expected.mean, twin), of_twins(expected.spread, twin)
    evenly = _together(len(twin), generator)
    low, high = torch.where(twin, 0, expected.twin), torch.where(twin, expected.twin, 1)
    level = low + (high - low) * evenly
    return torch.cat(
        [(error - mean) / spread, (sure - expected.sure)[..., None], level[..., None]], -1
    )


def _together(count: int, generator: torch.Generator) -> Tensor:
    """Even numbers (count, 17) in 0..1, mostly the same for both arms, and for both legs."""
    arms_and_legs = limb_groups(COCO17)[1:]
    limb = torch.zeros(17, dtype=torch.long)
    for number, joints in enumerate(arms_and_legs):
        limb[joints] = 1 + number // 2
    shared = torch.rand(count, 3, generator=generator)[:, limb]
    own = torch.rand(count, 17, generator=generator)
    return torch.where(
        (limb > 0) & (torch.rand(own.shape, generator=generator) < TOGETHER), shared, own
    )


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
