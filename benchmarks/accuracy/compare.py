"""Train the lifter and its baselines on the same data for the same time, and measure them.

python benchmarks/accuracy/compare.py MOCAP_FOLDER OUT PAIRS... [--minutes 10] [--rates 1e-3,2e-3]

Minutes are processor minutes of one thread: the time a training step takes is measured first and
says how many windows each system may see, so that a busy machine treats all alike. Every system is
trained at every learning rate; the rate of the lowest dev MPJPE is kept (on fixed windows of the
dev actors). PAIRS are dev pair files of lifter_pairs.py; all systems answer with their encoder
alone. OUT receives the runs (gone on with when called again), results.json, results.md and
curves.png.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from vid3d.data.pairs import read_pairs
from vid3d.evaluation.lifting import STRIDES, Report, evaluate_lifter
from vid3d.lifter import Lifter
from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe

RECIPES = {
    "vid3d": "lifter/base",
    "temporal_cnn": "lifter/baselines/temporal_cnn",
    "mixste": "lifter/baselines/mixste",
    "single_frame": "lifter/baselines/single_frame",
}
FIGURES = ("mpjpe", "p_mpjpe", "n_mpjpe", "mrpe", "velocity", "symmetry_gap", "bone_std")


def seconds_a_step(system: str, arguments: argparse.Namespace) -> float:
    """Processor seconds of a training step, batch included: a training less a shorter one."""
    seconds = []
    counts = (4, 20)
    for steps in counts:
        recipe = load_recipe(
            RECIPES[system], [*arguments.set, "stage.dev_every=0", "dev_windows=2"]
        )
        recipe.stage.samples = steps * recipe.stage.batch
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            training.train(recipe, [arguments.mocap], Path(folder))
            seconds.append(time.process_time() - began)
    return (seconds[1] - seconds[0]) / (counts[1] - counts[0])


def plan(arguments: argparse.Namespace) -> dict[str, int]:
    """Windows that each system may see; kept in OUT, so that a second call goes on with it."""
    path = arguments.out / "budget.json"
    budget = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for system in arguments.systems:
        key = f"{system}@{arguments.minutes:g}"
        if key not in budget:
            batch = load_recipe(RECIPES[system], arguments.set).stage.batch
            steps = round(60 * arguments.minutes / seconds_a_step(system, arguments))
            budget[key] = steps * batch
            path.write_text(json.dumps(budget), encoding="utf-8")
    return {system: budget[f"{system}@{arguments.minutes:g}"] for system in arguments.systems}


def train(arguments: argparse.Namespace, system: str, samples: int, rate: float) -> Path:
    """Train a system at a learning rate, or go on with it; its work directory."""
    changes = [f"stage.samples={samples}", f"stage.lr={rate}", "stage.minutes=0",
               f"stage.dev_every={max(samples // 12, 1)}", *arguments.set]  # fmt: skip
    work_dir = arguments.out / f"{system}-{arguments.minutes:g}min-{rate:g}"
    if not (work_dir / "model" / "manifest.json").is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        recipe = load_recipe(RECIPES[system], changes)
        training.train(recipe, [arguments.mocap], work_dir, resume=True)
    return work_dir


def curve(work_dir: Path) -> list[tuple[int, float]]:
    """Windows seen and dev MPJPE in mm, along a training."""
    rows = map(json.loads, (work_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [(row["samples"], row["dev_mpjpe_mm"]) for row in rows if "dev_mpjpe_mm" in row]


def draw(runs: dict[str, list[Path]], path: Path) -> None:
    """All curves in one picture, a colour a system."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for colour, (system, folders) in enumerate(runs.items()):
        for index, folder in enumerate(folders):
            seen, errors = zip(*curve(folder), strict=True)
            share = [100 * each / seen[-1] for each in seen]
            axes.plot(share, errors, color=f"C{colour}", alpha=1 - 0.3 * index,
                      label=system if index == 0 else None)  # fmt: skip
    axes.set(xlabel="per cent of the budget", ylabel="dev MPJPE, mm (stride 10)", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def table(reports: dict[str, Report], chosen: dict[str, str]) -> list[str]:
    """Markdown rows of all systems at all strides, and what linear interpolation gives."""
    lines = [
        "| system | run | stride | " + " | ".join(FIGURES) + " | linear: mpjpe |",
        "|---|---|---|" + "---|" * (len(FIGURES) + 1),
    ]
    for system, report in reports.items():
        for stride in STRIDES:
            scores = report.row(stride).scores
            figures = [f"{getattr(scores, name):.1f}" for name in FIGURES]
            linear = f"{report.row(stride, 'linear').scores.mpjpe:.1f}"
            cells = [system, chosen[system], str(stride), *figures, linear]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def verdicts(reports: dict[str, Report]) -> list[str]:
    """The bars that are about baselines, with what was measured."""

    def error(system: str, stride: int) -> float:
        return reports[system].row(stride).scores.mpjpe

    lines = []
    for ours, baseline, theirs, bar in (
        (10, "single_frame", 1, 25), (10, "temporal_cnn", 10, 10), (1, "temporal_cnn", 1, 0),
        (10, "mixste", 10, 0),
    ):  # fmt: skip
        if {"vid3d", baseline} <= set(reports):
            less = 100 * (1 - error("vid3d", ours) / error(baseline, theirs))
            side = "below" if less > 0 else "above"
            lines.append(f"- vid3d at stride {ours} is {abs(less):.1f} % {side} {baseline} at "
                         f"stride {theirs} (bar: {bar} % below)")  # fmt: skip
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rates", default="1e-3,2e-3,4e-3")
    parser.add_argument("--systems", default=",".join(RECIPES))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="change the recipes of all systems")  # fmt: skip
    arguments = parser.parse_args()
    arguments.systems = arguments.systems.split(",")
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    sequences = [sequence for path in arguments.pairs for sequence in read_pairs(path)]
    runs: dict[str, list[Path]] = {}
    reports: dict[str, Report] = {}
    for system, samples in plan(arguments).items():
        rates = map(float, arguments.rates.split(","))
        folders = [train(arguments, system, samples, rate) for rate in rates]
        runs[system] = sorted(folders, key=lambda folder: curve(folder)[-1][1])
        best = Lifter.load(runs[system][0] / "model")
        reports[system] = evaluate_lifter(best, sequences, STRIDES, hypotheses=1)
        print(f"{system}: {samples} windows; dev MPJPE by rate:", end=" ")
        print(", ".join(f"{folder.name} {curve(folder)[-1][1]:.1f}" for folder in folders))
    chosen = {system: folders[0].name for system, folders in runs.items()}
    text = "\n".join([*table(reports, chosen), "", *verdicts(reports)])
    print(text)
    (arguments.out / "results.md").write_text(text + "\n", encoding="utf-8")
    figures = {system: report.to_json() for system, report in reports.items()}
    (arguments.out / "results.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    draw(runs, arguments.out / "curves.png")


if __name__ == "__main__":
    main()
