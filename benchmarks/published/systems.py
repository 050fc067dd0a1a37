"""What is compared, at which size, and its training at a stated equal budget.

Every system is tried with both optimisers in runs of `tried` windows, at rates that are doubled and
halved until the best has a worse one on both sides; the run of the lowest dev MPJPE is then trained
on `samples` windows, and others that are level with it, of which the one that ends lowest is kept.
Windows, batch, precision, schedule, motion, cameras and 2D noise are the same for all.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vid3d.errors import Vid3dError
from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe

OPTIMIZERS = {"muon": 3e-3, "adamw": 2e-3}  # ours and the papers', with the first rates tried
LEVEL = 1.0025  # times the lowest error of all tries: level with it
WINDOW = ("batches.seconds=1.28", "lifting.constant_bones=False")
# Systems with a token for every joint and moment cost several times as much a window as those with
# one for a moment: a coarser grid lets them see as many windows.
JOINTS = (*WINDOW, "batches.grid=0.16")
MIXSTE = (*JOINTS, "encoder.width=64", "encoder.blocks=4", "encoder.heads=4")
DENOISER = (*JOINTS, "diffusion.width=64", "diffusion.blocks=4", "diffusion.heads=4")
# A pose counted in units near its deviation: in metres the noise hides it for long, which would
# starve a predictor of noise at a small budget. In 10 steps for the dev actors, in 50 in the table.
PLAIN_NOISE = ("diffusion.frames=9", "diffusion.width=48", "diffusion.blocks=5",
               "diffusion.unit=0.3", "diffusion.largest=5", "lifting.steps=10")  # fmt: skip
NOISE = (*PLAIN_NOISE, "diffusion.predicts=velocity")
WRAPPED = (*NOISE, "diffusion.dropout=0.03")  # the paper's 0.27 is for 58 million windows
UPLIFT = ("batches.seconds=1.4", "encoder.moments=15", "encoder.strides=[2,2,3]",
          "encoder.spatial_blocks=2", "encoder.width=96", "encoder.blocks=3",
          "encoder.heads=4")  # fmt: skip
CMU = "data.files=[train_cmu,train_cmu2]"
NOT_CMU = "data.files=[train_hdm05,train_biomechzoo,train_fair1]"
OURS = (*WINDOW, "encoder.joint_width=32", "encoder.width=96", "encoder.blocks=4",
        "encoder.heads=4")  # fmt: skip


@dataclass(frozen=True)
class System:
    """What is compared.

    Attributes:
        recipe: name of it.
        small: changes that bring it to 0.3 to 0.7 million trained parameters.
        wraps: system that it starts from.
        like: system whose kept run is taken over in place of tries.
        judge: dev figure that tries are ranked by. Predictors of noise by their loss: a draw in a
            few steps says little about them.
        share: of the budget's windows.
    """

    recipe: str
    small: tuple[str, ...] = field(default=())
    wraps: str | None = None
    like: str | None = None
    judge: str = "dev_mpjpe_mm"
    share: float = 1.0


PUBLISHED, BASELINES = "lifter/published", "lifter/baselines"
SYSTEMS = {
    "vid3d": System("lifter/base", (*OURS, "diffusion.width=64")),
    "uplift_upsample": System(f"{PUBLISHED}/uplift_upsample_351", UPLIFT),
    "d3dp": System(f"{PUBLISHED}/d3dp", DENOISER),
    "finepose": System(f"{PUBLISHED}/finepose", (*DENOISER, "diffusion.prompt_blocks=1")),
    "diffhpe_backbone": System(f"{PUBLISHED}/diffhpe_backbone", MIXSTE),
    "diffhpe_2d": System(f"{PUBLISHED}/diffhpe_2d", (*JOINTS, *NOISE)),
    "diffhpe_wrapper": System(
        f"{PUBLISHED}/diffhpe_wrapper", (*MIXSTE, *WRAPPED), "diffhpe_backbone"
    ),
    "diffhpe_wrapper_vid3d": System(
        f"{PUBLISHED}/diffhpe_wrapper_vid3d",
        (*OURS, *WRAPPED, "diffusion.every=2"), "vid3d"
    ),
    "temporal_cnn": System(f"{BASELINES}/temporal_cnn", (*WINDOW, "encoder.width=160")),
    "single_frame": System(f"{BASELINES}/single_frame", (*WINDOW, "encoder.width=288")),
    # Noise predicted, as in the paper.
    "diffhpe_2d_plain": System(
        f"{PUBLISHED}/diffhpe_2d", (*JOINTS, *PLAIN_NOISE), judge="dev_noise"
    ),
    # Longer than the others.
    "diffhpe_2d_longer": System(
        f"{PUBLISHED}/diffhpe_2d", (*JOINTS, *NOISE), wraps="diffhpe_2d", like="diffhpe_2d",
        share=2.0,
    ),
    "diffhpe_wrapper_longer": System(
        f"{PUBLISHED}/diffhpe_wrapper", (*MIXSTE, *WRAPPED), wraps="diffhpe_wrapper",
        like="diffhpe_wrapper", share=2.0,
    ),
    # Pre-trained on one corpus, fine-tuned on the others; and these from the start.
    "uplift_upsample_pretrained": System(
        f"{PUBLISHED}/uplift_upsample_351_pretrain", (*UPLIFT, CMU), like="uplift_upsample",
        share=0.5,
    ),
    "uplift_upsample_tuned": System(
        f"{PUBLISHED}/uplift_upsample_351", (*UPLIFT, NOT_CMU),
        wraps="uplift_upsample_pretrained", like="uplift_upsample", share=0.5,
    ),
    "uplift_upsample_scratch": System(
        f"{PUBLISHED}/uplift_upsample_351", (*UPLIFT, NOT_CMU), like="uplift_upsample"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Budget:
    """How long everything is trained, and where.

    Attributes:
        mocap: folder of the motion files.
        out: receives a folder a run; a second call goes on with them.
        samples: windows of the kept run.
        tried: windows of every try.
        batch: windows a step.
        published: at the recipes' own sizes in place of the small ones.
        changes: to the recipes of all systems.
    """

    mocap: Path
    out: Path
    samples: int
    tried: int
    batch: int = 32
    published: bool = False
    changes: tuple[str, ...] = ()


def curve(work_dir: Path, figure: str = "dev_mpjpe_mm") -> list[tuple[int, float]]:
    """Windows seen and a dev figure, along a training."""
    rows = map(json.loads, (work_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [(row["samples"], row[figure]) for row in rows if figure in row]


def train(
    budget: Budget, name: str, run: str, samples: int, looks: int = 1,
    start: Path | None = None, changes: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Train a system in a run, or go on with it; its work directory.

    Args:
        budget: of all.
        name: of the system.
        run: optimiser@rate.
        samples: windows.
        looks: how often the dev actors are looked at.
        start: model that it starts from.
        changes: to its recipe, besides the system's and the budget's.
    """
    optimizer, rate = run.split("@")
    system = SYSTEMS[name]
    stage = [
        f"stage.samples={samples}", f"stage.batch={budget.batch}",
        f"stage.optimizer={optimizer}", f"stage.lr={float(rate):.8f}",
        f"stage.dev_every={samples // looks}", "dev_windows=128",
    ]  # fmt: skip
    small = () if budget.published else system.small
    label = "-".join([name, *(c.split("=")[1].strip("[]") for c in changes), str(samples), run])
    work_dir = budget.out / label
    if not (work_dir / "model" / "manifest.json").is_file():
        work_dir.mkdir(parents=True, exist_ok=True)
        recipe = load_recipe(system.recipe, [*stage, *small, *budget.changes, *changes])
        training.train(recipe, [budget.mocap], work_dir, True, str(start) if start else None)
    return work_dir


def tries(try_rate: Callable[[float], float], start: float) -> dict[float, float]:
    """Errors by rate, doubled and halved from `start` until the best lies between two worse."""
    errors = {0: try_rate(start)}
    while True:
        best = min(errors, key=errors.__getitem__)
        beside = {best - 1, best + 1} - errors.keys()
        if not beside:
            return {start * 2.0**power: errors[power] for power in sorted(errors)}
        errors |= {power: try_rate(start * 2.0**power) for power in beside}


def train_all(budget: Budget, names: Sequence[str]) -> dict[str, list[Path]]:
    """Work directories of all runs by system, the kept one first; what is wrapped is added."""
    runs: dict[str, list[Path]] = {}
    chosen: dict[str, str] = {}

    def add(name: str) -> None:
        if name in runs:
            return
        start, system = None, SYSTEMS[name]
        if system.wraps is not None:
            add(system.wraps)
            start = runs[system.wraps][0] / "model"
        errors: dict[str, float] = {}
        folders: dict[str, Path] = {}

        def try_run(optimizer: str, rate: float) -> float:
            run = f"{optimizer}@{rate:g}"
            try:
                folders[run] = train(budget, name, run, budget.tried, start=start)
            except Vid3dError:  # the loss is not finite
                return math.inf
            return curve(folders[run], system.judge)[-1][1]

        if system.like is not None:
            add(system.like)
            level, tried = [chosen[system.like]], f"as {system.like}"
        else:
            for optimizer, first in OPTIMIZERS.items():
                found = tries(partial(try_run, optimizer), first)
                errors |= {f"{optimizer}@{rate:g}": error for rate, error in found.items()}
            level = [r for r, error in errors.items() if error <= LEVEL * min(errors.values())]
            tried = ", ".join(f"{run} {error:.4g}" for run, error in errors.items())
        windows = round(system.share * budget.samples)
        full = {run: train(budget, name, run, windows, 10, start) for run in level}
        ends = {run: curve(folder, system.judge)[-1][1] for run, folder in full.items()}
        best = min(ends, key=ends.__getitem__)
        runs[name], chosen[name] = [full[best], *folders.values()], best
        in_full = ", ".join(f"{run} {end:.4g}" for run, end in ends.items())
        print(f"{name}: {tried}; in full {in_full}", flush=True)

    for name in names:
        add(name)
    return runs
