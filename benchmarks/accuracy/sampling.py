"""How few steps are enough: DDIM, flow matching and a distilled sampler on one frozen encoder.

python benchmarks/accuracy/sampling.py MODEL MOCAP_FOLDER DEV_PAIRS [MINUTES]

Heads of the model's own size learn from the same batches, side by side: one on the cosine schedule
(DDIM), one on the linear schedule (flow matching). Then a copy of the first is distilled: in one or
two steps it should say what its teacher says in ten. Prints, for each head and number of steps, the
dev figures of 20 hypotheses: MPJPE and P-MPJPE of the soft aggregate, the energy score (Gneiting &
Raftery 2007; lower is better, it rewards spread that fits the error), and the best hypothesis by
the truth (an oracle).
"""

import argparse
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vid3d.data.batches import BatchOptions, Motions, make_batch
from vid3d.data.cameras import CameraRanges
from vid3d.data.mocap import DEV_ACTORS, motion_files, read_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.data.pairs import read_pairs
from vid3d.evaluation.lifting import lift_sequence
from vid3d.evaluation.metrics import SCORED, mpjpe, p_mpjpe, root_relative
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import Networks, load_networks
from vid3d.lifter.diffusion import DiffusionConfig, DiffusionHead
from vid3d.lifter.process import ddim, diffusion_loss, standardised
from vid3d.training.fitting import fast_precision
from vid3d.training.lifter import encode
from vid3d.training.muon import optimizers

STEPS = (1, 2, 5, 10)
EVERY = DiffusionConfig().every
BATCH, RATE, HYPOTHESES, STRIDE = 64, 2e-3, 20, 10


class Batches:
    """What heads learn from: standardised residuals of the frozen encoder, with their condition."""

    def __init__(self, networks: Networks, mocap: Path) -> None:
        names = ["train_cmu", "train_cmu2", "train_hdm05", "train_biomechzoo", "train_fair1"]
        clips = [clip for path in motion_files([mocap], names) for clip in read_mocap(path)]
        self.motions = Motions([clip for clip in clips if clip.actor not in DEV_ACTORS])
        self.encoder = networks.encoder
        self.options = BatchOptions(
            recombined=0.25,
            blind=0.0,
            camera=CameraRanges(height=(0.2, 4.5), distance=(1.6, 14.0)),
            noise=NoiseLevels(limb=0.08, spread=0.55),
        )

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Residuals, condition, times and valid moments of a step's windows."""
        generator = torch.Generator().manual_seed(step)
        batch = make_batch(self.motions, BATCH, self.options, generator)
        with torch.no_grad():
            encoded, targets = encode(self.encoder, batch)
        residual = standardised(targets.joints - encoded.joints, encoded.deviation, EVERY)
        rest = (part[:, ::EVERY] for part in (encoded.features, batch.times, targets.valid))
        condition, times, valid = rest
        return residual, condition, times, valid


def fit(heads: dict[str, DiffusionHead], loss, batches: Batches, minutes: float) -> int:
    """Train heads side by side on the same batches, each by itself; the number of steps."""
    chosen = {name: optimizers(head, "muon", RATE, 0.03) for name, head in heads.items()}
    began, step = time.monotonic(), 0
    while (progress := (time.monotonic() - began) / 60 / minutes) < 1:
        batch = batches(step)
        for name, head in heads.items():
            head.zero_grad(set_to_none=True)
            with fast_precision("bfloat16"):
                value = loss(name, head, batch, torch.Generator().manual_seed(step))
            value.backward()
            for optimizer in chosen[name]:
                for group in optimizer.param_groups:
                    group["lr"] = RATE * min(1.0, 50 * progress + 0.01, 2 * (1 - progress))
                optimizer.step()
        step += 1
    return step


def learn(name: str, head: DiffusionHead, batch, generator: torch.Generator) -> Tensor:
    """The head's usual loss."""
    return diffusion_loss(head, *batch, generator)


def distil(teacher: DiffusionHead, steps: int):
    """Loss of a student that says in `steps` what the teacher says in ten, from the same noise."""

    def run(head: DiffusionHead, noise: Tensor, count: int, batch) -> Tensor:
        _, condition, times, valid = batch

        def clean(noisy: Tensor, level: float) -> Tensor:
            return head(noisy, torch.full((len(noisy),), level), condition, times, valid)

        return ddim(noise, count, head.schedule, clean)

    def loss(name: str, head: DiffusionHead, batch, generator: torch.Generator) -> Tensor:
        batch = (*batch[:3], batch[3] | ~batch[3].any(1, keepdim=True))
        noise = torch.randn(batch[0].shape, generator=generator)
        with torch.no_grad():
            said = run(teacher, noise, 10, batch)
        error = (run(head, noise, steps, batch) - said).square().mean(-1)
        return (error * batch[3]).sum() / batch[3].sum()

    return loss


def measure(networks: Networks, head: nn.Module, sequences, steps: int) -> dict[str, float]:
    """Dev figures of a head."""
    lifter = Lifter(replace(networks, diffusion=head.eval()))
    options = {"hypotheses": HYPOTHESES, "steps": steps, "aggregate": "soft"}
    figures: dict[str, list[float]] = {"mpjpe": [], "p_mpjpe": []}
    for sequence in sequences:
        lifted, _ = lift_sequence(lifter, sequence, STRIDE, **options)
        truth = root_relative(np.asarray(sequence.joints3d, np.float64))[:, SCORED]
        said = root_relative(lifted.joints3d)[:, SCORED]
        figures["mpjpe"].append(1000 * mpjpe(said, truth).mean())
        figures["p_mpjpe"].append(1000 * p_mpjpe(said, truth).mean())
    return {name: float(np.mean(values)) for name, values in figures.items()}


def judge(head: DiffusionHead, batches: list, steps: int) -> dict[str, float]:
    """Energy score and oracle, in deviations, on fixed batches."""
    scores, best = [], []
    for number, batch in enumerate(batches):
        residual, condition, times, valid = batch
        many = [part.repeat_interleave(HYPOTHESES, 0) for part in (condition, times, valid)]
        noise = torch.randn(
            len(many[0]), *residual.shape[1:], generator=torch.Generator().manual_seed(number)
        )
        with torch.inference_mode():
            drawn = ddim(
                noise,
                steps,
                head.schedule,
                lambda y, level: head(y, torch.full((len(y),), level), *many),  # noqa: B023
            )
        drawn = drawn.unflatten(0, (-1, HYPOTHESES)).unflatten(-1, (16, 3))
        truth = residual.unflatten(-1, (16, 3))[:, None]
        far = (drawn - truth).norm(dim=-1)
        apart = (drawn[:, :, None] - drawn[:, None]).norm(dim=-1).mean((1, 2))
        scores.append(float((far.mean(1) - 0.5 * apart)[valid].mean()))
        best.append(float(far.mean((2, 3)).min(1).values.mean()))
    return {"energy": float(np.mean(scores)), "best (oracle)": float(np.mean(best))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("mocap", type=Path, help="folder of motion files")
    parser.add_argument("pairs", type=Path, help="dev pair file")
    parser.add_argument("minutes", type=float, nargs="?", default=5.0, help="of each training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks = load_networks(options.model)
    batches = Batches(networks, options.mocap)
    sizes = networks.config.diffusion or DiffusionConfig()
    torch.manual_seed(0)
    layout = networks.config.encoder.layout
    heads = {
        name: DiffusionHead(replace(sizes, schedule=schedule), layout)
        for name, schedule in (("ddim", "cosine"), ("flow", "linear"))
    }
    print(f"{fit(heads, learn, batches, options.minutes)} steps of {BATCH} windows", flush=True)
    teacher = deepcopy(heads["ddim"]).requires_grad_(False)
    for steps in (1, 2):
        student = {f"distilled {steps}": deepcopy(heads["ddim"])}
        fit(student, distil(teacher, steps), batches, options.minutes / 2)
        heads |= student
    every = read_pairs(options.pairs)
    sequences = list(every)[:: max(1, len(list(every)) // 24)]
    fixed = [batches(10**6 + number) for number in range(2)]
    print(f"{'head':12} steps  MPJPE  P-MPJPE  energy  best (oracle)")
    for name, head in heads.items():
        for steps in (int(name[-1]),) if name[-1].isdigit() else STEPS:
            row = measure(networks, head, sequences, steps) | judge(head, fixed, steps)
            print(
                f"{name:12} {steps:5} {row['mpjpe']:6.1f} {row['p_mpjpe']:8.1f} "
                f"{row['energy']:7.3f} {row['best (oracle)']:8.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
