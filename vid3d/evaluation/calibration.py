"""Fit the factors of the spread, so that 68 % of the errors lie inside it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import lift_sequence
from vid3d.evaluation.metrics import SCORED, joint_errors, root_relative
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import LifterConfig

Array = NDArray[np.floating]


def fit_factor(errors: Array, deviation: Array, share: float = 0.68) -> float:
    """Factor k such that `share` of the errors are at most k times their deviation.

    Errors that are not finite, where the truth is unknown, do not count.
    """
    ratios = errors / np.maximum(deviation, 1e-9)
    return float(np.quantile(ratios[np.isfinite(ratios)], share))


def calibrate(
    lifter: Lifter,
    sequences: Sequence[PairSequence],
    strides: Sequence[int] = (5, 10, 20),
    steps: Sequence[int] = (2, 3, 5, 10),
) -> LifterConfig:
    """The lifter's config with spread factors fitted at its default number of hypotheses.

    Args:
        lifter: whose config draws more than one hypothesis.
        sequences: of the dev actors, with 3D truth; each joint set gets factors of its own.
        strides: frames from one look to the next, all together.
        steps: numbers of sampling steps, each with factors of its own.
    """
    plain = replace(lifter.config, spread={"1": 1.0}, root_spread={"1": 1.0})
    plain_lifter = Lifter(replace(lifter.networks, config=plain))
    spread: dict[str, float] = {}
    root_spread: dict[str, float] = {}
    for joints in sorted({sequence.joint_set for sequence in sequences}):
        own = [sequence for sequence in sequences if sequence.joint_set == joints]
        for number in steps:
            found = _factors(plain_lifter, own, strides, number)
            spread[f"{joints}:{number}"], root_spread[f"{joints}:{number}"] = found
    return replace(lifter.config, spread=spread, root_spread=root_spread)


def _factors(
    lifter: Lifter, sequences: Sequence[PairSequence], strides: Sequence[int], steps: int
) -> tuple[float, float]:
    """Factors of joints and root at a number of sampling steps."""
    joints: list[tuple[Array, Array]] = []
    roots: list[tuple[Array, Array]] = []
    for stride in strides:
        for sequence in sequences:
            lifted, _ = lift_sequence(lifter, sequence, stride, steps=steps)
            truth = np.asarray(sequence.joints3d, np.float64)
            errors = joint_errors(root_relative(lifted.joints3d), root_relative(truth))
            members = SCORED[1:]  # not the root, which is zero in both
            joints.append((errors[:, members].ravel(), lifted.spread[:, members].ravel()))
            missed = np.linalg.norm(lifted.joints3d[:, 0] - truth[:, 0], axis=-1)
            roots.append((missed, lifted.root_spread))
    fitted = []
    for pairs in (joints, roots):
        errors, deviations = (np.concatenate(part) for part in zip(*pairs, strict=True))
        fitted.append(round(fit_factor(errors, deviations), 3))
    return fitted[0], fitted[1]
