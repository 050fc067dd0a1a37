"""What is compared, at which size, and its training at a stated equal budget.

Every system is tried in several runs (an optimiser at a learning rate) of `tried` windows; the run
of the lowest dev MPJPE is then trained on `samples` windows. Windows, batch, precision, schedule,
motion, cameras and 2D noise are the same for all.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe

MUON = ("muon@1.5e-3", "muon@3e-3", "muon@6e-3", "muon@1.2e-2")
BOTH = (*MUON, "adamw@2e-3")  # their papers have AdamW
MIXED = ("muon@7e-4", "muon@1.5e-3", "muon@3e-3")
DENOISED = (*MUON, "adamw@2e-3")
ADAMW = ("adamw@1e-3", "adamw@2.5e-3", "adamw@6e-3")
VELOCITY = ("adamw@6e-3", "adamw@1.2e-2", "muon@1.5e-2")
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
        runs: optimisers at learning rates that are tried.
        wraps: system that it starts from.
        like: system whose kept run is taken over in place of tries.
        judge: dev figure that tries are ranked by. Predictors of noise by their loss: a draw in a
            few steps says little about them.
        share: of the budget's windows.
    """

    recipe: str
    small: tuple[str, ...] = field(default=())
    runs: tuple[str, ...] = MUON
    wraps: str | None = None
    like: str | None = None
    judge: str = "dev_mpjpe_mm"
    share: float = 1.0


PUBLISHED, BASELINES = "lifter/published", "lifter/baselines"
SYSTEMS = {
    "vid3d": System("lifter/base", (*OURS, "diffusion.width=64")),
    "uplift_upsample": System(f"{PUBLISHED}/uplift_upsample_351", UPLIFT, BOTH),
    "d3dp": System(f"{PUBLISHED}/d3dp", DENOISER, DENOISED),
    "finepose": System(
        f"{PUBLISHED}/finepose", (*DENOISER, "diffusion.prompt_blocks=1"), DENOISED
    ),
    "diffhpe_backbone": System(f"{PUBLISHED}/diffhpe_backbone", MIXSTE, MIXED),
    "diffhpe_2d": System(
        f"{PUBLISHED}/diffhpe_2d", (*JOINTS, *NOISE), (*VELOCITY, "muon@3e-2")
    ),
    "diffhpe_wrapper": System(
        f"{PUBLISHED}/diffhpe_wrapper", (*MIXSTE, *WRAPPED), VELOCITY, "diffhpe_backbone"
    ),
    "diffhpe_wrapper_vid3d": System(
        f"{PUBLISHED}/diffhpe_wrapper_vid3d",
        (*OURS, *WRAPPED, "diffusion.every=2"), VELOCITY, "vid3d"
    ),
    "temporal_cnn": System(f"{BASELINES}/temporal_cnn", (*WINDOW, "encoder.width=160")),
    "single_frame": System(f"{BASELINES}/single_frame", (*WINDOW, "encoder.width=288"), ADAMW),
    # Noise predicted, as in the paper.
    "diffhpe_2d_plain": System(
        f"{PUBLISHED}/diffhpe_2d", (*JOINTS, *PLAIN_NOISE), ADAMW, judge="dev_noise"
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
        tries: list[Path] = []
        if system.like is not None:
            add(system.like)
            best, tried = chosen[system.like], f"as {system.like}"
        else:
            tries = [train(budget, name, run, budget.tried, start=start) for run in system.runs]
            errors = [curve(folder, system.judge)[-1][1] for folder in tries]
            best = system.runs[errors.index(min(errors))]
            tried = ", ".join(f"{r} {e:.4g}" for r, e in zip(system.runs, errors, strict=True))
        kept = train(budget, name, best, round(system.share * budget.samples), 10, start)
        runs[name], chosen[name] = [kept, *tries], best
        print(f"{name}: {tried}; {best} in full {curve(kept)[-1][1]:.1f}", flush=True)

    for name in names:
        add(name)
    return runs
