"""The four published systems and ours: same data, same samples, one table.

    python benchmarks/published/compare.py MOCAP_FOLDER OUT PAIRS... [--samples 720000]
        [--runs muon@1.2e-3,muon@2.4e-3,adamw@1e-3,adamw@4e-3] [--systems vid3d,d3dp]
        [--size published]

Every system sees the same number of windows in every run (an optimiser at a learning rate); the run
of the lowest dev MPJPE is kept (fixed windows of the dev actors; heads that draw whole poses are
judged by one hypothesis). Sizes are chosen for about as many parameters as ours; with `--size
published` they are the papers'. Wrappers start from the kept run of what they wrap. PAIRS are pair
files of benchmarks/accuracy/lifter_pairs.py. OUT receives the runs (gone on with when called
again), results.json, results.md and curves.png.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from vid3d.data.occlusion import OCCLUSIONS
from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.lifting import STRIDES, Report, evaluate_lifter, lift_sequence
from vid3d.evaluation.oracles import Aggregates, measure_aggregates
from vid3d.lifter import Lifter
from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "accuracy"))
from compare import curve, draw

FIGURES = ("mpjpe", "p_mpjpe", "velocity", "symmetry_gap", "bone_std")
GRID = ("batches.seconds=2.56", "batches.grid=0.08")  # as ours
# A pose counted in units near its deviation: in metres the noise hides it for long, which would
# starve a predictor of noise at a small budget.
NOISE = (*GRID, "diffusion.frames=33", "diffusion.unit=0.3", "diffusion.largest=5")
DENOISER = (*GRID, "diffusion.width=128")


@dataclass(frozen=True)
class System:
    """What is compared.

    Attributes:
        recipe: name of it.
        small: changes that bring it to about our number of parameters.
        wraps: system that it starts from.
    """

    recipe: str
    small: tuple[str, ...] = ()
    wraps: str | None = None


PUBLISHED = "lifter/published"
SYSTEMS = {
    "vid3d": System("lifter/base"),
    "uplift_upsample": System(f"{PUBLISHED}/uplift_upsample_351", ("encoder.width=192",)),
    "d3dp": System(f"{PUBLISHED}/d3dp", DENOISER),
    "finepose": System(f"{PUBLISHED}/finepose", (*DENOISER, "diffusion.prompt_blocks=2")),
    "diffhpe_backbone": System(f"{PUBLISHED}/diffhpe_backbone", GRID),
    "diffhpe_2d": System(f"{PUBLISHED}/diffhpe_2d", NOISE),
    "diffhpe_wrapper": System(f"{PUBLISHED}/diffhpe_wrapper", NOISE, "diffhpe_backbone"),
    "diffhpe_wrapper_vid3d": System(f"{PUBLISHED}/diffhpe_wrapper_vid3d", NOISE, "vid3d"),
}


@dataclass(frozen=True)
class Cost:
    """What a system costs at its defaults: parameters, and of a frame GFLOPs and milliseconds."""

    parameters: int
    gflops: float
    milliseconds: float


def train(arguments: argparse.Namespace, name: str, run: str, start: Path | None) -> Path:
    """Train a system in a run, or go on with it; its work directory."""
    optimizer, rate = run.split("@")
    samples = arguments.samples
    changes = [
        f"stage.samples={samples}",
        "stage.batch=64",
        f"stage.optimizer={optimizer}",
        f"stage.lr={float(rate):.8f}",
        f"stage.dev_every={max(samples // 12, 1)}",
    ]
    system = SYSTEMS[name]
    if arguments.size == "small":
        changes += system.small
    work_dir: Path = arguments.out / f"{name}-{samples}-{run}"
    if not (work_dir / "model" / "manifest.json").is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        recipe = load_recipe(system.recipe, [*changes, *arguments.set])
        training.train(recipe, [arguments.mocap], work_dir, True, start and str(start))
    return work_dir


def train_all(arguments: argparse.Namespace) -> dict[str, list[Path]]:
    """Work directories of all runs of the systems, the kept one first; what is wrapped is added."""
    runs: dict[str, list[Path]] = {}

    def add(name: str) -> None:
        if name in runs:
            return
        start, wraps = None, SYSTEMS[name].wraps
        if wraps is not None:
            add(wraps)
            start = runs[wraps][0] / "model"
        folders = [train(arguments, name, run, start) for run in arguments.runs.split(",")]
        runs[name] = sorted(folders, key=lambda folder: curve(folder)[-1][1])
        tried = ", ".join(f"{folder.name} {curve(folder)[-1][1]:.1f}" for folder in runs[name])
        print(f"{name}: dev MPJPE by run: {tried}", flush=True)

    for name in arguments.systems.split(","):
        add(name)
    return runs


def cost_of(lifter: Lifter, sequence: PairSequence, stride: int = 10) -> Cost:
    """What lifting a sequence costs, on one thread."""
    networks = lifter.networks
    modules = [part for part in (networks.encoder, networks.diffusion) if part is not None]
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    with FlopCounterMode(display=False) as counter:
        lift_sequence(lifter, sequence, stride)
    began = time.process_time()
    lift_sequence(lifter, sequence, stride)
    taken = 1000 * (time.process_time() - began)
    frames = len(sequence)
    return Cost(parameters, counter.get_total_flops() / frames / 1e9, taken / frames)


def by_stride(reports: dict[str, Report]) -> list[str]:
    """Markdown rows of all systems at all strides."""
    lines = ["| system | stride | " + " | ".join(FIGURES) + " | linear: mpjpe |",
             "|---|---|" + "---|" * (len(FIGURES) + 1)]  # fmt: skip
    for system, report in reports.items():
        for stride in STRIDES:
            scores = report.row(stride).scores
            linear = report.row(stride, "linear").scores.mpjpe
            figures = [f"{getattr(scores, name):.1f}" for name in FIGURES]
            lines.append("| " + " | ".join([system, str(stride), *figures, f"{linear:.1f}"]) + " |")
    return lines


def by_occlusion(lifters: dict[str, Lifter], sequences: Sequence[PairSequence]) -> list[str]:
    """Markdown rows of MPJPE by pattern, every frame looked at."""
    lines = ["| system | " + " | ".join(OCCLUSIONS) + " |", "|---|" + "---|" * len(OCCLUSIONS)]
    for system, lifter in lifters.items():
        errors = [
            evaluate_lifter(lifter, sequences, (1,), occlusion=pattern).row(1).scores.mpjpe
            for pattern in OCCLUSIONS
        ]
        lines.append(f"| {system} | " + " | ".join(f"{error:.1f}" for error in errors) + " |")
    return lines


def by_cost(costs: dict[str, Cost]) -> list[str]:
    """Markdown rows of what systems cost."""
    lines = ["| system | parameters | GFLOPs a frame | ms a frame |", "|---|---|---|---|"]
    return lines + [
        f"| {system} | {cost.parameters:,} | {cost.gflops:.3f} | {cost.milliseconds:.2f} |"
        for system, cost in costs.items()
    ]


def claims(
    reports: dict[str, Report], alone: dict[str, Report], drawn: dict[str, list[Aggregates]]
) -> list[str]:
    """The papers' relative claims, with what was measured here."""

    def score(system: str, stride: int, name: str = "mpjpe") -> float:
        return float(getattr(reports[system].row(stride).scores, name))

    lines = []
    if "uplift_upsample" in reports:
        linear = reports["uplift_upsample"].row(20, "linear").scores.mpjpe
        lines.append("- upsampling tokens against interpolation at stride 20: "
                     f"{score('uplift_upsample', 20):.1f} against {linear:.1f} mm")  # fmt: skip
    for better, worse, what in (
        ("diffhpe_wrapper", "diffhpe_backbone", "diffusion against its backbone"),
        ("diffhpe_wrapper", "diffhpe_2d", "wrapper against 2D condition"),
        ("finepose", "d3dp", "prompts against none, action unknown"),
    ):
        if {better, worse} <= set(reports):
            figures = ", ".join(
                f"{name} {score(better, 1, name):.1f} against {score(worse, 1, name):.1f}"
                for name in ("mpjpe", "symmetry_gap", "bone_std")
            )
            lines.append(f"- {what} ({better}, {worse}), every frame looked at: {figures}")
    for system, report in alone.items():
        one, many = report.row(10).scores.mpjpe, score(system, 10)
        lines.append(f"- {system}, 1 hypothesis against its default, stride 10: "
                     f"{one:.1f} against {many:.1f} mm")  # fmt: skip
    for system, rows in drawn.items():
        for row in rows:
            figures = ", ".join(f"{k} {v:.1f}" for k, v in asdict(row).items() if k != "stride")
            lines.append(f"- {system}, stride {row.stride}: {figures}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path, nargs="+")
    parser.add_argument("--samples", type=int, default=720_000, help="windows that each run sees")
    parser.add_argument("--runs", default="muon@1.2e-3,muon@2.4e-3,adamw@1e-3,adamw@4e-3")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--size", choices=["small", "published"], default="small")
    parser.add_argument("--sequences", type=int, default=0, help="evaluate on so many, 0: on all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="change the recipes of all systems")  # fmt: skip
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    sequences = [sequence for path in arguments.pairs for sequence in read_pairs(path)]
    if arguments.sequences:
        sequences = sequences[:: max(1, len(sequences) // arguments.sequences)]
    runs = train_all(arguments)
    lifters = {system: Lifter.load(folders[0] / "model") for system, folders in runs.items()}
    drawing = {s: lifter for s, lifter in lifters.items() if lifter.networks.diffusion is not None}
    reports = {s: evaluate_lifter(lifter, sequences) for s, lifter in lifters.items()}
    alone = {
        s: evaluate_lifter(each, sequences, (10,), hypotheses=1) for s, each in drawing.items()
    }
    drawn = {s: measure_aggregates(lifter, sequences, (1, 10)) for s, lifter in drawing.items()}
    costs = {s: cost_of(lifter, sequences[0]) for s, lifter in lifters.items()}
    text = "\n\n".join(
        "\n".join(part)
        for part in (by_stride(reports), by_occlusion(lifters, sequences), by_cost(costs),
                     claims(reports, alone, drawn))
    )  # fmt: skip
    print(text)
    (arguments.out / "results.md").write_text(text + "\n")
    figures = {
        system: {
            "run": runs[system][0].name,
            "report": report.to_json(),
            "cost": asdict(costs[system]),
            "aggregates": [asdict(row) for row in drawn.get(system, [])],
        }
        for system, report in reports.items()
    }
    (arguments.out / "results.json").write_text(json.dumps(figures, indent=1))
    draw(runs, arguments.out / "curves.png")


if __name__ == "__main__":
    main()
