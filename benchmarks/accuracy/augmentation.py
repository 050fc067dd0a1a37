"""What each change of the recorded motion is worth, on the dev actors.

python benchmarks/accuracy/augmentation.py MOCAP_FOLDER OUT PAIRS... [--start vid3d-base]

Every variant of the recipe goes on from the same weights for the same number of windows, with its
rate falling to nothing, and is then measured by its encoder alone. PAIRS are dev pair files of
lifter_pairs.py. OUT receives the runs (gone on with when called again) and results.md. The last
columns tell the tenth of the sequences that were worst before from the rest, at stride 10.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.lifting import evaluate_lifter
from vid3d.lifter import Lifter
from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe

VARIANTS = {
    "recorded": ("batches.recombined=0.0", "batches.bend.share=0.0"),
    "recombined": ("batches.recombined=0.25", "batches.bend.share=0.0"),
    "bent": ("batches.recombined=0.0", "batches.bend.share=0.35"),
    "recombined and bent": ("batches.recombined=0.25", "batches.bend.share=0.35"),
    "both twice": ("batches.recombined=0.5", "batches.bend.share=0.7"),
    "no other bones": (
        "batches.body.stature=0", "batches.body.child=0", "batches.body.bone=0",
        "batches.body.trunk=0",
    ),
    "backwards too": ("batches.recombined=0.25", "batches.backwards=0.3"),
    "more speeds": ("batches.speed=[0.6,1.7]",),
    "no other speeds": ("batches.speed=[1.0,1.0]",),
}  # fmt: skip
Array = NDArray[np.floating]
STRIDES = (1, 10, 20)
WORST = 0.1


def train(arguments: argparse.Namespace, variant: str) -> Path:
    """Train a variant, or go on with it; its model's folder."""
    changes = [
        f"stage.samples={arguments.samples}",
        f"stage.lr={arguments.rate}",
        "stage.decay=1.0",
        "stage.dev_every=0",
        *VARIANTS[variant],
    ]
    work_dir: Path = arguments.out / variant.replace(" ", "-")
    if not (work_dir / "model" / "manifest.json").is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        recipe = load_recipe("lifter/base", changes)
        training.train(recipe, [arguments.mocap], work_dir, True, arguments.start)
    return work_dir / "model"


def by_sequence(lifter: Lifter, sequences: Sequence[PairSequence]) -> Array:
    """MPJPE and P-MPJPE (S, 2) of every sequence at stride 10."""
    scores = [
        evaluate_lifter(lifter, [one], (10,), hypotheses=1).row(10).scores for one in sequences
    ]
    return np.array([(each.mpjpe, each.p_mpjpe) for each in scores])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--start", default="vid3d-base", help="model that all go on from")
    parser.add_argument("--samples", type=int, default=40_000, help="windows of every run")
    parser.add_argument(
        "--rate", type=float, default=1e-3, help="learning rate that they begin with"
    )
    parser.add_argument("--variants", default=",".join(VARIANTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pairs = [sequence for path in arguments.pairs for sequence in read_pairs(path)]
    columns = [*(f"stride {stride}" for stride in STRIDES), "worst tenth", "others"]
    rows = [f"| motion | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    order: NDArray[np.intp] | None = None
    for variant in [None, *arguments.variants.split(",")]:
        lifter = Lifter.load(arguments.start if variant is None else train(arguments, variant))
        report = evaluate_lifter(lifter, pairs, STRIDES, hypotheses=1)
        scores = [report.row(stride).scores for stride in STRIDES]
        cells = [f"{each.mpjpe:.1f} / {each.p_mpjpe:.1f}" for each in scores]
        single = by_sequence(lifter, pairs)
        order = np.argsort(-single[:, 1]) if order is None else order
        for part in np.split(order, [max(1, round(WORST * len(order)))]):
            cells.append("{:.1f} / {:.1f}".format(*single[part].mean(0)))
        rows.append("| " + " | ".join([variant or "before", *cells]) + " |")
        (arguments.out / "results.md").write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
