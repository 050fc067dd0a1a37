"""What a lifter is asked for, and what it does: one line a bar.

python benchmarks/accuracy/bars.py MODEL H36M17_PAIRS COCO17_PAIRS [--json OUT]

The pair files are lifter_pairs.py's, of the same people (dev while choosing, held-out once a
release). Bars about baselines come from compare.py, those about cameras from cameras.py.
"""

import argparse
import json
from collections.abc import Iterator
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from vid3d.data.occlusion import OCCLUSIONS
from vid3d.data.pairs import read_pairs
from vid3d.evaluation.lifting import Report, evaluate_lifter
from vid3d.evaluation.scores import Scores
from vid3d.evaluation.tables import align
from vid3d.lifter import Lifter

MANY = {"hypotheses": 20, "steps": 5}


class Bar(NamedTuple):
    """A figure, the range that is wanted, and what it means."""

    text: str
    value: float
    low: float = -inf
    high: float = inf

    def cells(self) -> list[str]:
        """The bar as a row of a table."""
        met = "yes" if self.low <= self.value <= self.high else "no"
        if self.low == -inf and self.high == inf:
            wanted, met = "-", "-"
        elif self.low == -inf:
            wanted = f"at most {self.high:g}"
        elif self.high == inf:
            wanted = f"at least {self.low:g}"
        else:
            wanted = f"{self.low:g} to {self.high:g}"
        return [self.text, f"{self.value:.1f}", wanted, met]


class Measure:
    """Reports of one lifter, each made once."""

    def __init__(self, model: str, h36m: Path, coco: Path) -> None:
        self.lifter = Lifter.load(model)
        self.pairs = {"h36m17": read_pairs(h36m), "coco17": read_pairs(coco)}
        self.report = cache(self._report)

    def _report(self, stride: int, joints: str = "h36m17", **options: Any) -> Report:
        return evaluate_lifter(self.lifter, self.pairs[joints], (stride,), **options)

    def scores(
        self, stride: int, system: str = "lifter", part: str = "all", **options: Any
    ) -> Scores:
        """One row's scores."""
        return self.report(stride, **options).row(stride, system, part).scores


def per_cent_below(ours: float, theirs: float) -> float:
    return 100 * (1 - ours / theirs)


def accuracy(measure: Measure) -> Iterator[Bar]:
    """Absolute bars, strides, and what upsampling adds to interpolation."""
    at = {stride: measure.scores(stride) for stride in (1, 5, 10, 20)}
    yield Bar("stride 10, MPJPE, mm", at[10].mpjpe, high=48)
    yield Bar("stride 10, P-MPJPE, mm", at[10].p_mpjpe, high=35)
    yield Bar("stride 20 behind stride 5, MPJPE, mm", at[20].mpjpe - at[5].mpjpe, high=5)
    yield Bar("stride 1 behind stride 5, MPJPE, mm", at[1].mpjpe - at[5].mpjpe, high=0)
    linear = measure.scores(20, "linear").mpjpe
    keys = measure.scores(20, part="at looks").mpjpe
    removed = 100 * (linear - at[20].mpjpe) / (linear - keys)
    yield Bar("stride 20, share of interpolation's own error removed, %", removed, low=50)
    ours = measure.scores(20, part="between")
    root = measure.scores(20, "linear root", "between")
    for name, text, low in (
        ("mrpe", "MRPE", 30),
        ("reprojection", "reprojection", 30),
        ("root_reprojection", "reprojection of the root alone", -inf),
    ):
        below = per_cent_below(getattr(ours, name), getattr(root, name))
        yield Bar(f"stride 20, between looks, {text} below linear root, %", below, low)


def honesty(measure: Measure) -> Iterator[Bar]:
    """Spread, unknown cameras, and the other joint set."""
    for part in ("at looks", "between"):
        scores = measure.scores(10, part=part)
        yield Bar(f"stride 10, {part}, errors inside 1x spread, %", scores.inside1, 60, 76)
        yield Bar(f"stride 10, {part}, errors inside 2x spread, %", scores.inside2, 90, 98)
    known = measure.scores(10).p_mpjpe
    unknown = measure.scores(10, fov=55.0).p_mpjpe
    yield Bar("stride 10, P-MPJPE that an assumed 55 degrees adds, mm", unknown - known, high=3)
    coco = measure.scores(10, joints="coco17").p_mpjpe
    yield Bar("stride 10, P-MPJPE that coco17 input adds, mm", coco - known, high=3)


def hypotheses(measure: Measure) -> Iterator[Bar]:
    """What the diffusion head is worth, and coherence beside plain JPMA."""
    for pattern in (None, *OCCLUSIONS):
        alone = measure.scores(10, occlusion=pattern, hypotheses=1)
        many = measure.scores(10, occlusion=pattern, aggregate="soft", **MANY)
        where = f"stride 10, {pattern or 'no'} occlusion"
        for name, text in (("mpjpe", "MPJPE"), ("p_mpjpe", "P-MPJPE")):
            gain = getattr(alone, name) - getattr(many, name)
            yield Bar(f"{where}, {text} that H=20 saves, mm", gain, low=0)
    jpma = measure.scores(10, aggregate="jpma", **MANY)
    ours = measure.scores(10, aggregate="soft", **MANY)
    for name, text in (("symmetry_gap", "symmetry gap"), ("bone_std", "segment-length std")):
        share = 100 * getattr(ours, name) / max(getattr(jpma, name), 1e-9)
        yield Bar(f"stride 10, {text} over plain JPMA's, %", share, high=50)
    yield Bar("stride 10, MPJPE behind plain JPMA, mm", ours.mpjpe - jpma.mpjpe, high=0)
    alone = measure.scores(10, hypotheses=1)
    yield Bar("stride 10, velocity error behind the encoder, mm/s", ours.velocity - alone.velocity,
              high=0)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("h36m", type=Path)
    parser.add_argument("coco", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measure = Measure(options.model, options.h36m, options.coco)
    bars = [*accuracy(measure), *honesty(measure)]
    if measure.lifter.networks.diffusion is not None:
        bars += hypotheses(measure)
    print(align([["bar", "measured", "wanted", "met"], *(bar.cells() for bar in bars)]))
    if options.json:
        options.json.write_text(
            json.dumps({bar.text: bar.value for bar in bars}, indent=1), encoding="utf-8"
        )


if __name__ == "__main__":
    main()
