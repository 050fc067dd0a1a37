"""The mean of lifters' weights, of the same shape and of one training's course.

python benchmarks/accuracy/average.py OUT MODEL@SHARE MODEL@SHARE...

Settings and spread are the last one's: fit the spread again (calibrate_lifter.py).
"""

import sys
from pathlib import Path

from torch import Tensor, nn

from vid3d.lifter import checkpoint
from vid3d.training.fitting import average


def mean_weights(parts: list[nn.Module], shares: list[float]) -> dict[str, Tensor]:
    """The state of modules of one shape, averaged; whole numbers are the last one's."""
    mean = {name: value.float().clone() for name, value in parts[0].state_dict().items()}
    total = shares[0]
    for part, share in zip(parts[1:], shares[1:], strict=True):
        average(mean, part.state_dict(), total / (total + share))
        total += share
    return mean


def main() -> None:
    out, *named = sys.argv[1:]
    models, shares = zip(*(name.rsplit("@", 1) for name in named), strict=True)
    loaded = [checkpoint.load_networks(model) for model in models]
    for part in ("encoder", "diffusion"):
        modules = [getattr(networks, part) for networks in loaded]
        modules[-1].load_state_dict(mean_weights(modules, [float(share) for share in shares]))
    checkpoint.write_model(Path(out), loaded[-1])


if __name__ == "__main__":
    main()
