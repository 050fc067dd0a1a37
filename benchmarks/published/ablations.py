"""Trainings beside the table: on patterns of occlusion, and with other prompts."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from measure import Figures, drawing, hypotheses, kept, scores
from systems import SYSTEMS, Budget, curve, train

from vid3d.data.occlusion import OCCLUSIONS
from vid3d.data.pairs import PairSequence
from vid3d.lifter import Lifter
from vid3d.lifter.published.prompts import PROMPTS

MATRIX = ("diffhpe_backbone", "diffhpe_2d", "diffhpe_wrapper")


def occlusion_matrix(
    budget: Budget, runs: dict[str, list[Path]], samples: int, folder: Path,
    sequences: Sequence[PairSequence], steps: dict[str, int],
) -> dict[str, dict[str, Figures]]:  # fmt: skip
    """Systems of `MATRIX` trained on with every pattern, at every pattern: system, training.

    At a fifth of their rates: they are trained already.
    """
    results: dict[str, dict[str, Figures]] = {name: {} for name in MATRIX if name in runs}
    for pattern in ("none", *OCCLUSIONS):
        backbone: Path | None = None
        for name in results:
            kind, rate = runs[name][0].name.split(f"{budget.samples}-")[1].split("@")
            run = f"{kind}@{float(rate) / 5:g}"
            start = runs[name][0] / "model"
            changes = [f"batches.occlusions=[{pattern}]"]
            if SYSTEMS[name].wraps and backbone is not None:
                start = rewrapped(start, backbone, folder / f"{name}-{pattern}-start")
            work_dir = train(budget, name, run, samples, start=start, changes=changes)
            if name == "diffhpe_backbone":
                backbone = work_dir / "model"
            lifter = Lifter.load(work_dir / "model")
            results[name][pattern] = kept(
                folder / f"{name}-{pattern}-{samples}-occlusions.json",
                partial(by_pattern, lifter, sequences, steps.get(name)),
            )
    return results


def by_pattern(lifter: Lifter, sequences: Sequence[PairSequence], steps: int | None) -> Figures:
    """Scores by test pattern with every frame looked at."""
    how = drawing(lifter, steps)
    return {
        pattern: scores(lifter, sequences, 1, None if pattern == "none" else pattern, **how)
        for pattern in ("none", *OCCLUSIONS)
    }


def rewrapped(wrapper: Path, backbone: Path, folder: Path) -> Path:
    """A wrapper's model on another backbone."""
    from vid3d.lifter.checkpoint import Networks, load_networks, write_model

    head, encoder = load_networks(wrapper), load_networks(backbone)
    write_model(folder, Networks(head.config, encoder.encoder, head.diffusion))
    return folder


def prompt_ablation(
    budget: Budget, runs: dict[str, list[Path]], samples: int, folder: Path,
    sequences: Sequence[PairSequence], steps: dict[str, int],
) -> dict[str, Figures]:  # fmt: skip
    """FinePOSE with each design of its prompts, and without from another seed: dev, stride 10.

    Without twice, since what seeds differ by says which differences of prompts mean something.
    """
    run = runs["finepose"][0].name.split(f"{budget.samples}-")[1]
    designs = {name: [f"diffusion.prompt={name}"] for name in PROMPTS}
    designs["none, another seed"] = ["diffusion.prompt=none", "seed=1"]
    results: dict[str, Figures] = {}
    for name, changes in designs.items():
        work_dir = train(budget, "finepose", run, samples, changes=changes)
        lifter = Lifter.load(work_dir / "model")
        drawn = partial(hypotheses, lifter, sequences, (5,), steps.get("finepose"))
        figures = kept(folder / f"finepose-{name}-{samples}.json", drawn)
        results[name] = {"dev": curve(work_dir)[-1][1], **figures["5"]}
    return results
