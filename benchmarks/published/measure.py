"""What is measured of one system, as plain figures that are kept in a file."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch.utils.flop_counter import FlopCounterMode

from vid3d.data.occlusion import OCCLUSIONS
from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import STRIDES, evaluate_lifter, lift_sequence
from vid3d.evaluation.oracles import measure_aggregates
from vid3d.files import atomic_path
from vid3d.lifter import Lifter

FIGURES = ("mpjpe", "p_mpjpe", "velocity", "symmetry_gap", "bone_std")
Figures = dict[str, Any]


def kept(path: Path, make: Callable[[], Figures]) -> Figures:
    """Figures out of a file, or made and written to it."""
    if path.is_file():
        read: Figures = json.loads(path.read_text(encoding="utf-8"))
        return read
    figures = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as aside:
        aside.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return figures


def drawing(lifter: Lifter, steps: int | None) -> Figures:
    """How whole poses are drawn: their mean, which measured better on the dev actors than J-Agg."""
    head = lifter.networks.diffusion
    return {} if head is None or head.config.residual else {"steps": steps, "aggregate": "mean"}


def scores(
    lifter: Lifter,
    sequences: Sequence[PairSequence],
    stride: int,
    occlusion: str | None = None,
    **options: Any,
) -> Figures:
    """The `FIGURES` of a lifter at a stride, and the MPJPE of `linear`, its poses interpolated."""
    report = evaluate_lifter(lifter, sequences, (stride,), occlusion=occlusion, **options)
    row, linear = report.row(stride), report.row(stride, "linear")
    named = {name: round(getattr(row.scores, name), 2) for name in FIGURES}
    return {**named, "linear": round(linear.scores.mpjpe, 2)}


def errors(lifter: Lifter, sequences: Sequence[PairSequence], **drawing: Any) -> Figures:
    """Scores by stride, and with all frames looked at by pattern of occlusion."""
    by_stride = {str(s): scores(lifter, sequences, s, **drawing) for s in STRIDES}
    occluded = {each: scores(lifter, sequences, 1, each, **drawing) for each in OCCLUSIONS}
    return {"strides": by_stride, "occlusions": {"none": by_stride["1"], **occluded}}


def hypotheses(
    lifter: Lifter, sequences: Sequence[PairSequence], counts: Sequence[int], steps: int | None
) -> Figures:
    """Ways from hypotheses to one pose at stride 10, by number of hypotheses."""
    return {
        str(count): asdict(
            measure_aggregates(lifter, sequences, (10,), hypotheses=count, steps=steps)[0]
        )
        for count in counts
    }


def one_core() -> AbstractContextManager[object]:
    """A context in which lifting keeps to this thread; `FlopCounterMode` sees no other."""
    return patch.dict(os.environ, OMP_NUM_THREADS="1")


def cost(lifter: Lifter, sequence: PairSequence, stride: int = 10, **options: Any) -> Figures:
    """Parameters, and of a frame GFLOPs and processor milliseconds, on one thread."""
    networks = lifter.networks
    modules = [part for part in (networks.encoder, networks.diffusion) if part is not None]
    parameters = sum(p.numel() for module in modules for p in module.parameters())
    with one_core(), FlopCounterMode(display=False) as counter:
        lift_sequence(lifter, sequence, stride, **options)
    with one_core():
        began = time.process_time()
        lift_sequence(lifter, sequence, stride, **options)
        taken = 1000 * (time.process_time() - began)
    frames = len(sequence)
    return {
        "parameters": parameters,
        "gflops": counter.get_total_flops() / frames / 1e9,
        "milliseconds": taken / frames,
    }
