"""The mean of the weights of trained 2D networks, as a model that ships.

python benchmarks/pose2d/average.py pose2d/vid3d-person BEFORE AFTER -o OUT

BEFORE and AFTER are model folders (or `model.pth` files) of one recipe, one trained on from the
other: the mean of several stops of a training often lies nearer to the middle of what is good than
any of them (Izmailov et al., arXiv 1803.05407). Statistics of batch norms are averaged as well,
which supposes that the stops are close.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.training.export2d import export
from vid3d.training.recipes import load_recipe


def _state(model: Path) -> dict[str, torch.Tensor]:
    path = model / "model.pth" if model.is_dir() else model
    return dict(torch.load(path, map_location="cpu", weights_only=True)["state_dict"])


@click.command(help=__doc__)
@click.argument("recipe")
@click.argument("models", nargs=-1, type=click.Path(exists=True, path_type=Path), required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
def main(recipe: str, models: tuple[Path, ...], output: Path) -> None:
    states = [_state(model) for model in models]
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0)
        if value.is_floating_point()
        else value
        for name, value in states[-1].items()
    }
    logging.getLogger("mmengine").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "mean.pth"
        torch.save({"state_dict": mean}, checkpoint)
        export(load_recipe(recipe), checkpoint, output)
    print(f"written: {output}")


if __name__ == "__main__":
    main()
