"""Adaptation of a lifter to unlabelled video: rounds of teaching, stopped by held-out looks.

PoSynDA (Liu et al. 2023), done as its paper says: source motion moved into the target's position
and scale (F), a teacher that is the average of the student and draws hypotheses without gradient,
pseudo-labels chosen by reprojection, low-rank adaptation of the attention, an output bias. Our own:
part of the source is seen as in training; the teacher, off by default since it was measured to
harm, lifts whole pieces with the real sampler once a round, with roots that it solves itself; the
round is kept that lifts motion best that is filmed as the target is, and none if that gains little.
"""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from torch import Tensor

from vid3d.adaptation.inputs import digest_of, read_target
from vid3d.adaptation.judge import Judge
from vid3d.adaptation.options import AdaptOptions
from vid3d.adaptation.outcome import Adaptation, Round, refusal, write
from vid3d.adaptation.pseudo import Label, label_piece
from vid3d.adaptation.scene import explore
from vid3d.adaptation.source import load_source, mocap_files
from vid3d.adaptation.student import target_losses
from vid3d.adaptation.target import Piece, draw_windows, split
from vid3d.data.mocap import MotionClip
from vid3d.errors import Vid3dError
from vid3d.files import check_output, expanded, held, missing, sha256_of
from vid3d.lift_options import LiftOptions
from vid3d.lifter import Lifter, checkpoint, lora
from vid3d.monitor import Monitor
from vid3d.training.fitting import fast_precision, fit
from vid3d.training.lifter import Networks
from vid3d.weights import split_adapters


def adapt(
    inputs: Sequence[Path],
    model: str,
    output: Path,
    source: Sequence[Path] = (),
    merge: bool = False,
    force: bool = False,
    options: AdaptOptions | None = None,
    looking: LiftOptions | None = None,
    monitor: Monitor | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Adaptation:
    """Adapt a lifter to people in unlabelled video.

    Work is kept in the folder OUTPUT.work: 2D keypoints, which stay, and checkpoints, from which
    the same call goes on after an interruption.

    Args:
        inputs: videos, folders of them, or keypoint files.
        model: lifter, by name or path, without adapters.
        output: safetensors file of the adapter.
        source: folders of motion capture; without any, motion is drawn from the lifter itself.
        merge: write a whole lifter with the adapter merged in instead.
        force: write it even if nothing tells that it helps.
        options: how to adapt.
        looking: how videos are looked at, and their camera.
        monitor: told of progress.
        report: given a line after every round.

    Raises:
        Vid3dError: unreadable input, no people or too little of them, or too little gain; the same
            is being adapted already.
    """
    options, monitor = options or AdaptOptions(), monitor or Monitor()
    base = _load(inputs, model, output, options)
    work = output.with_name(f"{output.stem}.work")
    clips = load_source(source) if source else []
    known = "motion capture" if clips else "drawn from the lifter"
    with held(work, "another adaptation"):
        tracks = read_target(inputs, work / "looks", looking or LiftOptions(), monitor)
        learnt, judged = split(tracks)
        recipe = [digest_of(tracks), base.sha256, sorted(map(_digest, source)), asdict(options)]
        place = work / hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]
        run = _Run(base, learnt, judged, clips, options, place, monitor, report)
        rounds, best = run.teach()
        if best.objection and not force:
            raise Vid3dError(refusal(base.config.name, best))
        write(output, base, best, _about(inputs, learnt, known, options), merge)
        rmtree(place, ignore_errors=True)
    return Adaptation(
        path=output,
        base=best.base,
        adapted=best.figures,
        ratio=best.ratio,
        rounds=rounds,
        kept=best.number + 1,
        pieces=(len(learnt), len(judged)),
        parameters=sum(value.numel() for value in best.state.values()),
        objection=best.objection,
    )


def _load(
    inputs: Sequence[Path], model: str, output: Path, options: AdaptOptions
) -> checkpoint.Networks:
    """The plain lifter, once everything that can be wrong at once is not.

    Raises:
        Vid3dError: no such lifter, one that cannot be adapted, a wrong name for the output, or an
            input that is missing.
    """
    check_output(output, expanded(model))
    if output.suffix != ".safetensors":
        raise Vid3dError(f"the output is called {output.name}: name it like climbing.safetensors")
    if split_adapters(model)[1]:
        raise Vid3dError(f"{model} is adapted already: adapt the plain model to all videos at once")
    base = checkpoint.load_networks(model)
    lora.projections(base.as_module())
    if options.bias:
        lora.output(base.as_module())
    for path in inputs:
        if not path.exists():
            raise Vid3dError(missing(path, "file or folder"))
    return base


def _about(
    inputs: Sequence[Path], learnt: Sequence[Piece], source: str, options: AdaptOptions
) -> dict[str, Any]:
    """What the adapter is made from, as its file tells."""
    seconds = sum(float(piece.times[-1] - piece.times[0]) for piece in learnt)
    return {
        "inputs": [Path(os.path.abspath(path)).name for path in inputs],
        "person_seconds": round(seconds, 1),
        "source": source,
        "options": asdict(options),
    }


class _Run:
    """Everything that the rounds share."""

    def __init__(
        self,
        base: checkpoint.Networks,
        learnt: list[Piece],
        held: list[Piece],
        clips: list[MotionClip],
        options: AdaptOptions,
        place: Path,
        monitor: Monitor,
        report: Callable[[str], None],
    ) -> None:
        self.base, self.learnt = base, learnt
        self.options, self.place, self.monitor, self.report = options, place, monitor, report
        with monitor.stage("first look", len(learnt) + len(held), "pieces") as advance:
            scene = explore(base, learnt, held, clips, options, advance)
        self.source = scene.source(options.rehearsed if options.placed else 1.0)
        self.student = Networks(base.config)
        self.student.start_from(base)
        self.judge = Judge(scene, held, self.student)
        self.base_figures = self.judge(self.student)
        generator = torch.Generator().manual_seed(options.seed)
        state = lora.fresh(self.student, generator, options.rank, options.bias)
        lora.attach(self.student, state)

    def teach(self) -> tuple[int, Round]:
        """All rounds until they stop helping; how many, and the best."""
        options = self.options
        best: Round | None = None
        began = time.monotonic()
        total = options.rounds * options.samples
        with self.monitor.stage("adapting", total, "windows") as advance:
            for number in range(options.rounds):
                labels: list[Label] = []
                if options.taught and not (self.place / f"round{number}.pth").is_file():
                    labels = self._labels(number)
                self._fit(number, labels, advance)
                found = self._finished(number)
                self._tell(found, (time.monotonic() - began) / (number + 1))
                if best is None or found.rank < best.rank:
                    best = found
                elif number - best.number >= options.patience:
                    break
        assert best is not None
        return number + 1, best

    def _labels(self, number: int) -> list[Label]:
        """The teacher's labels; it is the student's average after the round before."""
        options, teacher = self.options, _as_lifter(self.base, self.student)
        hypotheses = options.hypotheses if self.student.diffusion is not None else 1
        labels = []
        with self.monitor.stage("pseudo-labels", len(self.learnt), "pieces") as advance:
            for piece in self.learnt:
                rule = options.aggregate
                labels.append(label_piece(teacher, piece, hypotheses, None, rule, number))
                advance(1)
        return labels

    def _fit(
        self,
        number: int,
        labels: list[Label],
        advance: Callable[[int], None],
    ) -> None:
        options, config, student = self.options, self.base.config, self.student
        counted = 0

        def loss(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
            nonlocal counted
            seed = (options.seed * 1_009 + number) * 1_000_003 + step
            generator = torch.Generator().manual_seed(seed)
            torch.manual_seed(seed)  # of dropout
            windows = draw_windows(
                self.learnt, options.shown, config.seconds, config.grid, generator
            )
            batch = self.source.draw(windows, generator)
            with fast_precision("float32"):
                parts = student.losses(batch, generator)
                if options.taught:
                    parts |= target_losses(student, windows, labels)
            advance((step + 1) * options.batch - counted)
            counted = (step + 1) * options.batch
            figures = {name: float(part.detach()) for name, part in parts.items()}
            return torch.stack(list(parts.values())).sum(), figures

        fit(student, options.stage(number), loss, self.place, resume=True)
        advance(max(0, options.samples - counted))

    def _finished(self, number: int) -> Round:
        figures = self.judge(self.student)
        return Round(number, lora.state_of(self.student), figures, self.base_figures)

    def _tell(self, found: Round, pace: float) -> None:
        """Report a round; `pace` is seconds a round so far."""
        done, rounds = found.number + 1, self.options.rounds
        left = math.ceil((rounds - done) * pace / 60)
        self.report(
            f"round {done} of {rounds}: {found.figures.against(found.base)}"
            + (f"; at most {left} min left" if left else "")
        )


def _as_lifter(base: checkpoint.Networks, student: Networks) -> Lifter:
    """The student as it is now, for inference."""
    student.eval()
    return Lifter(checkpoint.Networks(base.config, student.encoder, student.diffusion))


def _digest(path: Path) -> str:
    """What a source is, in short."""
    return "".join(map(sha256_of, mocap_files(path)))
