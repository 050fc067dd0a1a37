"""The mean of lifters' weights, of the same shape and of one training's course.

python benchmarks/accuracy/average.py OUT MODEL@SHARE MODEL@SHARE...

Settings and spread are the last one's: fit the spread again (calibrate_lifter.py).
"""

import sys
from pathlib import Path

from torch import Tensor, nn

from vid3d.lifter import checkpoint


def mean_weights(parts: list[nn.Module], shares: list[float]) -> dict[str, Tensor]:
    """The state of modules of one shape, averaged; whole numbers are the last one's."""
    states = [part.state_dict() for part in parts]
    return {
        name: sum(share * state[name].float() for share, state in zip(shares, states, strict=True))
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }


def main() -> None:
    out, *named = sys.argv[1:]
    models, shares = zip(*(name.rsplit("@", 1) for name in named), strict=True)
    weights = [float(share) / sum(map(float, shares)) for share in shares]
    loaded = [checkpoint.load_networks(model) for model in models]
    for part in ("encoder", "diffusion"):
        modules = [getattr(networks, part) for networks in loaded]
        modules[-1].load_state_dict(mean_weights(modules, weights))
    checkpoint.write_model(Path(out), loaded[-1])


if __name__ == "__main__":
    main()
