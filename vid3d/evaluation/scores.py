"""Scores of one system on some frames: every metric in the units that tables show."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.evaluation import metrics
from vid3d.evaluation.metrics import SCORED
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]
_METRE = 1000.0  # millimetres
_WHOLE = 100.0  # per cent


@dataclass(frozen=True)
class Scores:
    """Means over frames; lengths in millimetres, NaN where there was nothing to go by.

    Attributes:
        mpjpe: root-relative position error.
        p_mpjpe: the same after similarity alignment.
        n_mpjpe: the same after scaling.
        pck: per cent of joints within 150 mm.
        auc: mean of pck over 0 to 150 mm.
        mrpe: error of the root's place.
        root_velocity: error of the root's velocity, mm/s.
        reprojection: error of projected joints, per cent of the person's size.
        root_reprojection: the same of the root alone.
        velocity: mm/s, root-relative.
        acceleration: mm/s^2, root-relative.
        symmetry_gap: difference of left and right bones.
        bone_std: deviation of bone lengths over each sequence.
        inside1: per cent of root-relative errors within 1x spread.
        inside2: the same within 2x spread.
    """

    mpjpe: float
    p_mpjpe: float
    n_mpjpe: float
    pck: float
    auc: float
    mrpe: float
    root_velocity: float
    reprojection: float
    root_reprojection: float
    velocity: float
    acceleration: float
    symmetry_gap: float
    bone_std: float
    inside1: float
    inside2: float


FIGURES = tuple(item.name for item in fields(Scores))


def mean(values: Array) -> float:
    """Mean of the values that are finite; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True)
class FrameScores:
    """Scores of single frames, from any number of sequences.

    Attributes:
        figures: (F, len(FIGURES)) in the units and order of `Scores`.
        joints: (F, 17) root-relative errors, millimetres.
        looked: (F,) bool, frames that were looked at.
        action: (F,) str, what is done.
    """

    figures: Array
    joints: Array
    looked: NDArray[np.bool_]
    action: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.figures)

    @classmethod
    def join(cls, parts: Sequence["FrameScores"]) -> "FrameScores":
        """All frames of several parts."""
        columns: Any = zip(*((p.figures, p.joints, p.looked, p.action) for p in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def only(self, chosen: NDArray[np.bool_]) -> "FrameScores":
        """Some of the frames (F,)."""
        return FrameScores(
            self.figures[chosen], self.joints[chosen], self.looked[chosen], self.action[chosen]
        )

    def scores(self) -> Scores:
        """Means over the frames."""
        return Scores(*(mean(column) for column in self.figures.T))

    def joint_means(self) -> dict[str, float]:
        """Mean error of every joint, millimetres."""
        return {name: mean(self.joints[:, i]) for i, name in enumerate(H36M17.joints)}


def frame_figures(
    joints: Array,
    truth: Array,
    fps: float,
    spread: Array,
    pixels: tuple[Array, Array] | None = None,
    scored: Sequence[int] = SCORED,
) -> Array:
    """Figures (F, len(FIGURES)) of absolute joints against the truth; NaN where it is not known.

    Args:
        joints: (F, 17, 3) h36m17, metres, camera frame.
        truth: the same.
        fps: frames a second.
        spread: (F, 17) metres; NaN for none.
        pixels: projected joints and projected truth, (F, 17, 2) each.
        scored: joints that count, except for the shape of the skeleton.
    """
    members = list(scored)
    relative, true = (metrics.root_relative(j)[:, members] for j in (joints, truth))
    moving = [i for i in members if i != 0]  # the root has no root-relative error
    errors = metrics.joint_errors(*(metrics.root_relative(j)[:, moving] for j in (joints, truth)))
    known = np.isfinite(true.sum((1, 2)))
    steady = metrics.segment_length_std(joints[known], H36M17)
    missed = np.full((len(joints), 17), np.nan)
    if pixels is not None:
        missed = metrics.reprojection_errors(*pixels, members)
    columns = {
        "mpjpe": _METRE * metrics.mpjpe(relative, true),
        "p_mpjpe": _METRE * metrics.p_mpjpe(relative, true),
        "n_mpjpe": _METRE * metrics.n_mpjpe(relative, true),
        "pck": _WHOLE * metrics.pck(relative, true),
        "auc": _WHOLE * metrics.auc(relative, true),
        "mrpe": _METRE * metrics.mrpe(joints[:, 0], truth[:, 0]),
        "root_velocity": _METRE * metrics.velocity_error(joints[:, :1], truth[:, :1], fps),
        "reprojection": _WHOLE * missed[:, members].mean(-1),
        "root_reprojection": _WHOLE * missed[:, 0],
        "velocity": _METRE * metrics.velocity_error(relative, true, fps),
        "acceleration": _METRE * metrics.acceleration_error(relative, true, fps),
        "symmetry_gap": _METRE * metrics.symmetry_gap(joints, H36M17),
        "bone_std": np.full(len(joints), _METRE * steady),
        "inside1": _WHOLE * metrics.inside(errors, spread[:, moving], 1),
        "inside2": _WHOLE * metrics.inside(errors, spread[:, moving], 2),
    }
    return np.where(known[:, None], np.stack([columns[name] for name in FIGURES], -1), np.nan)


def score(joints: Array, truth: Array, fps: float, spread: Array) -> Scores:
    """Scores of absolute joints (F, 17, 3), metres, with spread (F, 17), against the truth."""
    figures = frame_figures(joints, truth, fps, spread)
    return Scores(*(mean(column) for column in figures.T))
