"""A lifter on pair files: errors by stride, beside linear interpolation between key frames."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.evaluation import metrics
from vid3d.evaluation.metrics import SCORED
from vid3d.lifter import Lifted, Lifter
from vid3d.lifter.resample import linear
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Scores:
    """Errors of one system at one stride, averaged over frames; lengths in millimetres.

    Attributes:
        mpjpe: root-relative position error.
        p_mpjpe: the same after similarity alignment.
        n_mpjpe: the same after scaling.
        pck: per cent of joints within 150 mm.
        auc: mean of pck over 0 to 150 mm.
        mrpe: error of the root's place.
        velocity: mm/s, root-relative.
        acceleration: mm/s^2, root-relative.
        symmetry_gap: difference of left and right bones.
        bone_std: deviation of bone lengths over time.
        inside1: per cent of root-relative errors within 1x spread; NaN without spread.
        inside2: the same within 2x spread.
    """

    mpjpe: float
    p_mpjpe: float
    n_mpjpe: float
    pck: float
    auc: float
    mrpe: float
    velocity: float
    acceleration: float
    symmetry_gap: float
    bone_std: float
    inside1: float
    inside2: float


@dataclass(frozen=True)
class Row:
    """Scores of one system at one stride."""

    stride: int
    system: str
    scores: Scores


def evaluate_lifter(
    lifter: Lifter,
    sequences: Sequence[PairSequence],
    strides: Sequence[int] = (1, 5, 10, 20),
    **options: Any,
) -> list[Row]:
    """Errors of a lifter at several strides, and of the baseline.

    The baseline keeps the lifter's joints and roots at the looks and interpolates them linearly.

    Args:
        lifter: to evaluate.
        sequences: with 3D truth.
        strides: frames from one look to the next; the first and last frame are looked at.
        options: of the lifter: hypotheses, steps, aggregate, seed.

    Raises:
        Vid3dError: no sequence has 3D joints.
    """
    known = [sequence for sequence in sequences if sequence.joints3d is not None]
    if not known:
        raise Vid3dError("the pair files hold no 3D joints: nothing to compare with")
    rows = []
    for stride in strides:
        parts: dict[str, list[tuple[int, Scores]]] = {"vid3d": [], "linear": []}
        for sequence in known:
            for system, scores in _one(lifter, sequence, stride, options).items():
                parts[system].append((len(sequence), scores))
        rows += [Row(stride, system, _average(scored)) for system, scored in parts.items()]
    return rows


def lift_sequence(
    lifter: Lifter, sequence: PairSequence, stride: int, **options: Any
) -> tuple[Lifted, NDArray[np.int64]]:
    """Lift a sequence from every `stride`-th frame and its last; and those frames (K,)."""
    frames = np.arange(len(sequence))
    looks = np.unique(np.append(frames[::stride], frames[-1]))
    looks = looks[(sequence.confidence[looks] > 0).sum(1) >= 2]
    times = frames / sequence.fps
    lifted = lifter(
        sequence.keypoints2d[looks],
        sequence.confidence[looks],
        times=times[looks],
        out_times=times,
        camera=sequence.camera,
        joint_set=sequence.joint_set,
        **options,
    )
    return lifted, looks


def _one(
    lifter: Lifter, sequence: PairSequence, stride: int, options: dict[str, Any]
) -> dict[str, Scores]:
    lifted, looks = lift_sequence(lifter, sequence, stride, **options)
    truth = np.asarray(sequence.joints3d, np.float64)
    joints = lifted.joints3d.astype(np.float64)
    frames = np.arange(len(sequence), dtype=np.float64)
    between = linear(joints[looks], frames[looks], frames)
    return {
        "vid3d": score(joints, truth, sequence.fps, lifted.spread),
        "linear": score(between, truth, sequence.fps, np.full(lifted.spread.shape, np.nan)),
    }


def score(joints: Array, truth: Array, fps: float, spread: Array) -> Scores:
    """Scores of absolute joints (F, 17, 3), metres, against the truth."""
    relative, true = (metrics.root_relative(j)[:, SCORED] for j in (joints, truth))
    errors = metrics.joint_errors(relative, true)[:, 1:]
    band = spread[:, SCORED][:, 1:]
    inside = [
        100 * float((errors <= k * band).mean()) if np.isfinite(band).all() else float("nan")
        for k in (1, 2)
    ]
    return Scores(
        mpjpe=1000 * metrics.mpjpe(relative, true),
        p_mpjpe=1000 * metrics.p_mpjpe(relative, true),
        n_mpjpe=1000 * metrics.n_mpjpe(relative, true),
        pck=100 * metrics.pck(relative, true),
        auc=100 * metrics.auc(relative, true),
        mrpe=1000 * metrics.mrpe(joints[:, 0], truth[:, 0]),
        velocity=1000 * metrics.velocity_error(relative, true, fps),
        acceleration=1000 * metrics.acceleration_error(relative, true, fps),
        symmetry_gap=1000 * metrics.symmetry_gap(joints, H36M17),
        bone_std=1000 * metrics.segment_length_std(joints, H36M17),
        inside1=inside[0],
        inside2=inside[1],
    )


def _average(parts: Sequence[tuple[int, Scores]]) -> Scores:
    """Mean of scores, weighted by frames."""
    weights = np.array([frames for frames, _ in parts], np.float64)
    columns = {
        item.name: np.array([getattr(scores, item.name) for _, scores in parts])
        for item in fields(Scores)
    }
    return Scores(**{k: float(np.average(v, weights=weights)) for k, v in columns.items()})


def format_table(rows: Sequence[Row]) -> str:
    """The rows as text, one line each."""
    names = [item.name for item in fields(Scores)]
    lines = ["stride system " + " ".join(f"{name:>12}" for name in names)]
    for row in rows:
        values = asdict(row.scores)
        numbers = " ".join(f"{values[name]:12.1f}" for name in names)
        lines.append(f"{row.stride:6d} {row.system:6s} {numbers}")
    return "\n".join(lines)
