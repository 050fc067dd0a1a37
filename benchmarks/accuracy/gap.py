"""Is a lifter short of motion or of training? Its error on actors that it learned and on others.

python benchmarks/accuracy/gap.py MODEL MOCAP_FOLDER [--windows 512]

All are seen alike: the fixed cameras, looks and noise of the dev windows that trainings are judged
by (half of them as h36m17, half as coco17), each actor on their own bones.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from vid3d.data.batches import Motions
from vid3d.data.mocap import DEV_ACTORS, read_mocap
from vid3d.evaluation.metrics import SCORED, procrustes
from vid3d.lifter import checkpoint
from vid3d.training.lifter import Networks, batch_options, dev_batches
from vid3d.training.recipes import load_recipe


def errors(networks: Networks, motions: Motions, windows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """MPJPE and P-MPJPE in millimetres of every moment that counts, batch by batch."""
    options = batch_options(load_recipe("lifter/wider").batches)
    for index, batch in enumerate(dev_batches(motions, options, windows)):
        joints, targets = networks.answer(batch, torch.Generator().manual_seed(index))
        said, truth = (x[targets.valid][:, SCORED] for x in (joints, targets.joints))
        aligned = torch.from_numpy(procrustes(said.numpy(), truth.numpy()))
        yield tuple(1000 * (x - truth).norm(dim=-1).mean(-1) for x in (said, aligned))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("motions", type=Path)
    parser.add_argument("--windows", type=int, default=512)
    options = parser.parse_args()
    loaded = checkpoint.load_networks(options.model)
    networks = Networks(loaded.config).eval()
    networks.start_from(loaded)
    files = {path.stem: read_mocap(path) for path in sorted(options.motions.glob("train_*.npz"))}
    learned = {
        name: [c for c in clips if c.actor not in DEV_ACTORS] for name, clips in files.items()
    }
    groups = {
        "dev actors": [c for clips in files.values() for c in clips if c.actor in DEV_ACTORS],
        "learned": [c for clips in learned.values() for c in clips],
        **learned,
    }
    print("| actors | MPJPE | P-MPJPE |\n|---|---|---|")
    for name, clips in groups.items():
        with torch.no_grad():
            parts = list(errors(networks, Motions(clips), options.windows))
        mpjpe, aligned = (float(torch.cat(part).mean()) for part in zip(*parts, strict=True))
        print(f"| {name} | {mpjpe:.1f} | {aligned:.1f} |", flush=True)


if __name__ == "__main__":
    main()
