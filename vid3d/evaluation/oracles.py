"""What a lifter's hypotheses hold, beside what can be had of them without the truth.

D3DP (Shan et al. 2023) names four ways from hypotheses to one pose. P-Agg, the mean,
and J-Agg, joint by joint the one that reprojects best, are results. P-Best and J-Best choose by the
truth: they are oracles, bounds that no user reaches, and are found nowhere but here. J-Agg as
published reprojects with the true trajectory of the root, which is an oracle as well; ours solves
the root from 2D, one for all hypotheses. 2D says where it is but for one factor, how tall the
person is: what that is worth is measured with this factor of a track told, a third oracle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import STRIDES, looked_frames, with_truth
from vid3d.evaluation.metrics import SCORED, joint_errors, root_relative
from vid3d.lifter import Lifter
from vid3d.lifter.aggregation import combine, jpma_weights
from vid3d.lifter.lifter import Hypotheses
from vid3d.lifter.placement import reprojection_errors

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Aggregates:
    """MPJPE in millimetres at a stride, of hypotheses as they are drawn.

    Attributes:
        stride: frames from one look to the next.
        p_agg: mean of the hypotheses.
        j_agg: joint by joint the best reprojection, root solved from 2D.
        oracle_j_agg: the same with the true root.
        oracle_j_agg_size: the same with our root, drawn nearer or further by one factor a track.
        oracle_p_best: of every frame the hypothesis nearest to the truth.
        oracle_j_best: of every joint the hypothesis nearest to the truth.
    """

    stride: int
    p_agg: float
    j_agg: float
    oracle_j_agg: float
    oracle_j_agg_size: float
    oracle_p_best: float
    oracle_j_best: float


def p_best(hypotheses: Array, truth: Array) -> Array:
    """Of every frame the hypothesis (F, 17, 3) nearest to the truth (F, 17, 3): an oracle.

    By pose, as the paper defines it; its code takes one hypothesis for a whole batch.
    """
    errors = joint_errors(hypotheses, truth)[..., SCORED].mean(-1)  # (H, F)
    chosen: Array = hypotheses[errors.argmin(0), np.arange(len(truth))]
    return chosen


def j_best(hypotheses: Array, truth: Array) -> Array:
    """Of every joint the hypothesis (F, 17, 3) nearest to the truth: an oracle."""
    chosen = joint_errors(hypotheses, truth).argmin(0)  # (F, 17)
    frames, joints = np.ogrid[: len(truth), :17]
    best: Array = hypotheses[chosen, frames, joints]
    return best


def j_agg(drawn: Hypotheses, roots: Array, times: Array) -> Array:
    """Joint by joint the hypothesis that reprojects best, at seconds (F,): (F, 17, 3).

    Args:
        drawn: the hypotheses.
        roots: (H, K, 3) or (K, 3) of the root at the looks.
        times: that are wanted.
    """
    seen = drawn.seen
    joints = drawn.joints_at_looks
    roots = np.broadcast_to(roots, (*joints.shape[:2], 3))
    errors = reprojection_errors(joints, roots, seen.rays, seen.confidence)
    weights = jpma_weights(errors, seen.joints, seen.times, times)
    return combine(drawn.poses(times), weights)


def sized(roots: Array, truth: Array) -> Array:
    """Roots (K, 3) at the distance that the true size puts them at: an oracle.

    All by one factor, the median of what their depths are off by; directions stay. Looks whose
    truth is not finite do not count.
    """
    off = np.log(truth[:, 2] / np.maximum(roots[:, 2], 0.05))
    if not np.isfinite(off).any():
        return roots
    factor: Array = np.exp(np.nanmedian(off))
    return roots * factor


def measure_aggregates(
    lifter: Lifter,
    sequences: Sequence[PairSequence],
    strides: Sequence[int] = STRIDES,
    occlusion: str | None = None,
    **options: Any,
) -> list[Aggregates]:
    """All ways from hypotheses to one pose, on sequences with truth.

    Args:
        lifter: that draws hypotheses.
        sequences: with 3D joints; others are left out.
        strides: frames from one look to the next.
        occlusion: name of a pattern, as for `evaluate_lifter`.
        options: of the lifter: hypotheses, steps, seed.

    Returns:
        By stride, those at which nothing could be measured left out.

    Raises:
        Vid3dError: no sequence has 3D joints, or an unknown pattern.
    """
    known = with_truth(sequences, occlusion)
    rows = []
    for stride in strides:
        parts = [
            _errors(lifter, sequence, stride, options)
            for sequence in known
            if len(looked_frames(sequence, stride))
        ]
        if any(part.size for part in parts):
            errors = 1000 * np.concatenate(parts, 1).mean(1)
            rows.append(Aggregates(stride, *errors.tolist()))
    return rows


def _errors(lifter: Lifter, sequence: PairSequence, stride: int, options: dict[str, Any]) -> Array:
    """Errors (6, F) in metres of the fields of `Aggregates`, of frames whose truth is finite."""
    looks = looked_frames(sequence, stride)
    times = np.arange(len(sequence)) / sequence.fps
    drawn = lifter.draw(
        sequence.keypoints2d[looks],
        sequence.confidence[looks],
        times=times[looks],
        out_times=times,
        camera=sequence.camera,
        joint_set=sequence.joint_set,
        **options,
    )
    absolute = np.asarray(sequence.joints3d, np.float64)
    truth = root_relative(absolute)
    shared = drawn.shared_root
    true_roots = absolute[np.rint(drawn.seen.times * sequence.fps).astype(int), 0]
    poses = root_relative(drawn.poses(times))
    answers = [
        poses.mean(0),
        j_agg(drawn, shared, times),
        j_agg(drawn, np.where(np.isfinite(true_roots), true_roots, shared), times),
        j_agg(drawn, sized(shared, true_roots), times),
        p_best(poses, truth),
        j_best(poses, truth),
    ]
    errors = np.stack([joint_errors(each, truth)[:, SCORED].mean(-1) for each in answers])
    known: Array = errors[:, np.isfinite(truth[:, SCORED]).all((1, 2))]
    return known
