"""The mean of lifters' weights, of the same shape and of one training's course.

python benchmarks/accuracy/average.py OUT MODEL@SHARE MODEL@SHARE...

Settings and spread are the last one's: fit the spread again (calibrate_lifter.py).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from vid3d.lifter import checkpoint
from vid3d.training.fitting import average


def mean_weights(parts: list[nn.Module], shares: Sequence[float]) -> dict[str, Tensor]:
    """The state of modules of one shape, averaged; whole numbers are the last one's."""
    mean = {name: value.float().clone() for name, value in parts[0].state_dict().items()}
    total = shares[0]
    for part, share in zip(parts[1:], shares[1:], strict=True):
        average(mean, part.state_dict(), total / (total + share))
        total += share
    return mean


def shared(text: str) -> tuple[str, float]:
    """A model and its share of the mean."""
    model, _, share = text.rpartition("@")
    return model, float(share)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("models", type=shared, nargs="+", metavar="MODEL@SHARE")
    options = parser.parse_args()
    models, shares = zip(*options.models, strict=True)
    loaded = [checkpoint.load_networks(model) for model in models]
    roots = [networks.as_module() for networks in loaded]
    roots[-1].load_state_dict(mean_weights(roots, shares))
    checkpoint.write_model(options.out, loaded[-1])


if __name__ == "__main__":
    main()
