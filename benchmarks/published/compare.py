"""The four published systems, their baselines and ours: same data, same windows, one table.

    python benchmarks/published/compare.py MOCAP_FOLDER OUT PAIRS... [--samples 30000]
        [--tried 3200] [--systems vid3d,d3dp] [--size published] [--every 8] [--steps d3dp=5]
        [--flip d3dp] [--model vid3d-base] [--tuned 3200] [--prompts 8000]

Every system is tried with two optimisers at several rates (see systems.py), `--tried` windows each;
the run of the lowest dev MPJPE is trained on `--samples` windows, as are those level with it. Sizes
are chosen for about equal parameters; with `--size published` they are the papers'. PAIRS are pair
files of benchmarks/accuracy/lifter_pairs.py, of which every `--every`-th sequence counts. `--flip`
adds a line for a system whose head is asked about the mirror image in every step, `--model` one for
a model as it is. With `--tuned` DiffHPE's systems are trained on with each pattern of occlusion,
for the matrix of training and test patterns, with `--prompts` FinePOSE with every design of its
prompts. OUT receives runs and figures (gone on with when called again), results.json, results.md
and curves.png.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from ablations import occlusion_matrix, prompt_ablation
from measure import Figures, cost, drawing, errors, hypotheses, kept
from systems import OPTIMIZERS, SYSTEMS, Budget, train, train_all
from tables import by_hypotheses, by_occlusion, by_stride, claims, draw, matrix, prompts, table

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.lifter import Lifter

BATCHES = (4, 20)
HYPOTHESES = (1, 5, 20)


def training_ms(budget: Budget, name: str, start: Path | None) -> Figures:
    """Processor milliseconds of a training window: a training less a shorter one."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        aside = replace(budget, out=Path(folder), changes=("stage.dev_every=0",))
        for steps in BATCHES:
            began = time.process_time()
            train(aside, name, f"muon@{OPTIMIZERS['muon']:g}", steps * budget.batch, start=start)
            seconds.append(time.process_time() - began)
    windows = (BATCHES[1] - BATCHES[0]) * budget.batch
    return {"milliseconds": 1000 * (seconds[1] - seconds[0]) / windows}


def with_mirror(lifter: Lifter) -> Lifter:
    """The same, its head asked about the mirror image in every step as well."""
    head = copy.copy(lifter.networks.diffusion)
    head.config = replace(head.config, flip=True)
    return Lifter(replace(lifter.networks, diffusion=head))


def measured(
    folder: Path, name: str, lifter: Lifter, sequences: Sequence[PairSequence], steps: int | None
) -> Figures:
    """All figures of a lifter but its cost."""
    how = drawing(lifter, steps)
    figures = {"errors": kept(folder / f"{name}-errors.json",
                              partial(errors, lifter, sequences, **how))}  # fmt: skip
    if lifter.networks.diffusion is not None:
        drawn = partial(hypotheses, lifter, sequences, HYPOTHESES, steps)
        figures["hypotheses"] = kept(folder / f"{name}-hypotheses.json", drawn)
    print(f"{name}: measured", flush=True)
    return figures


def main() -> None:
    arguments = parse()
    out: Path = arguments.out
    torch.set_num_threads(1)
    sequences = [s for path in arguments.pairs for s in read_pairs(path)][:: arguments.every]
    print(f"{len(sequences)} sequences, {sum(map(len, sequences))} frames", flush=True)
    budget = Budget(arguments.mocap, out, arguments.samples, arguments.tried,
                    published=arguments.size == "published")  # fmt: skip
    runs = train_all(budget, arguments.systems.split(","))
    folder = out / f"{arguments.pairs[0].stem.split('.')[0]}-{arguments.every}"
    models = {name: folders[0] / "model" for name, folders in runs.items()}
    models |= {name: Path(name) for name in arguments.model}
    lifters = {name: Lifter.load(path) for name, path in models.items()}
    steps = {name: int(number) for name, _, number in
             (each.partition("=") for each in arguments.steps.split(",") if each)}  # fmt: skip
    for name in filter(None, arguments.flip.split(",")):
        lifters[f"{name}_flip"] = with_mirror(lifters[name])
        if name in steps:
            steps[f"{name}_flip"] = steps[name]
    results: dict[str, Figures] = {}
    for name, lifter in lifters.items():
        results[name] = measured(folder, name, lifter, sequences, steps.get(name))
    costs: dict[str, Figures] = {}
    pace: dict[str, float] = {}
    for name, lifter in lifters.items():
        costs[name] = kept(
            out / "costs" / f"{name}.json",
            partial(cost, lifter, sequences[0], steps=steps.get(name)),
        )
        if name in SYSTEMS:
            wraps = SYSTEMS[name].wraps
            start = models[wraps] if wraps else None
            taken = kept(out / "costs" / f"{name}-training.json",
                         partial(training_ms, budget, name, start))  # fmt: skip
            pace[name] = taken["milliseconds"]
    rows = [
        [name, f"{each['parameters']:,}", f"{each['gflops']:.4f}", f"{each['milliseconds']:.2f}",
         f"{pace[name]:.1f}" if name in pace else "-"]
        for name, each in costs.items()
    ]  # fmt: skip
    head = ["system", "parameters", "GFLOPs a frame", "ms a frame", "ms a training window"]
    parts = [by_stride(results), by_occlusion(results), by_hypotheses(results),
             table(head, rows), claims(results)]  # fmt: skip
    matrices: dict[str, dict[str, Figures]] = {}
    if arguments.tuned:
        fewer = sequences[:: arguments.matrix_every]
        matrices = occlusion_matrix(budget, runs, arguments.tuned, folder, fewer, steps)
        parts += [matrix(trained, name) for name, trained in matrices.items()]
    designs: dict[str, Figures] = {}
    if arguments.prompts:
        designs = prompt_ablation(budget, runs, arguments.prompts, folder, sequences, steps)
        parts.append(prompts(designs))
    text = "\n\n".join(parts)
    print(text)
    (out / "results.md").write_text(text + "\n", encoding="utf-8")
    chosen = {name: folders[0].name for name, folders in runs.items()}
    everything = {"runs": chosen, "results": results, "costs": costs, "training_ms": pace,
                  "matrices": matrices, "prompts": designs}  # fmt: skip
    (out / "results.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
    draw(runs, pace, out / "curves.png")


def parse() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=720_000, help="windows of the kept runs")
    parser.add_argument("--tried", type=int, default=72_000, help="windows of every try")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--size", choices=["small", "published"], default="small")
    parser.add_argument("--every", type=int, default=1, help="evaluate on every N-th sequence")
    parser.add_argument("--steps", default="", metavar="SYSTEM=N,...", help="sampling steps")
    parser.add_argument("--flip", default="", metavar="SYSTEM,...",
                        help="also with the mirror image in every step")  # fmt: skip
    parser.add_argument("--model", action="append", default=[], help="add a model as it is")
    parser.add_argument("--tuned", type=int, default=0, metavar="WINDOWS",
                        help="train on with each pattern of occlusion")  # fmt: skip
    parser.add_argument("--prompts", type=int, default=0, metavar="WINDOWS",
                        help="train FinePOSE with each design of its prompts")  # fmt: skip
    parser.add_argument("--matrix-every", type=int, default=1, metavar="N",
                        help="of those sequences, every N-th for the matrix")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
