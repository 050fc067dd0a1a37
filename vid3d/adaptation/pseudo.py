"""Pseudo-labels: what the teacher says about the target, as far as it can be trusted.

The teacher lifts every piece with the real sampler and chooses among its hypotheses by honest
reprojection; nothing here has a gradient. What does not reproject, or was hardly seen, is not
taught.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vid3d.adaptation.target import Piece, TargetWindows
from vid3d.data.mocap import MOCAP_FPS, MotionClip
from vid3d.lifter.lifter import Lifter
from vid3d.lifter.placement import reprojection_errors
from vid3d.lifter.resample import cubic, linear
from vid3d.motion_schema import Stretch
from vid3d.skeleton import H36M17
from vid3d.stature import stature
from vid3d.world.fit import Footing, fit

Array = NDArray[np.floating]

_SURE = 0.3  # confidence from which on a joint counts
_MISS = 0.06  # share of the person's size that a label may miss a joint by
_LOOSE = ("nose", "head")  # of other joint sets: something else
_FAR = 0.45  # seconds to the nearest look beyond which nothing is taught
_SPARSE = 1.0  # seconds between the looks that condition a drawn motion weakly
_STATURE = 1.66  # metres, median of the actors that the lifter is trained on
_DRAWN = 4  # hypotheses of which the best is drawn


@dataclass(frozen=True)
class Label:
    """A piece's pseudo-label on the absolute grid.

    Attributes:
        first: moment of the grid that it begins with.
        joints: (N, 17, 3) h36m17, camera frame, metres, absolute.
        contacts: (N, 2) in 0..1.
        trust: (N, 17) in 0..1.
    """

    first: int
    joints: Array
    contacts: Array
    trust: Array


def label_piece(
    teacher: Lifter,
    piece: Piece,
    hypotheses: int,
    steps: int | None,
    rule: str,
    seed: int,
) -> Label:
    """The teacher's answer for a piece, chosen from `hypotheses` by `rule`, and its trust."""
    grid = teacher.config.grid
    first, last = piece.moments(grid)
    moments = np.arange(first, last + 1) * grid
    lifted = teacher(
        piece.keypoints,
        piece.confidence,
        times=piece.times,
        out_times=moments,
        camera=piece.camera,
        joint_set=piece.joint_set,
        hypotheses=hypotheses,
        steps=steps,
        aggregate=rule,
        seed=seed,
    )
    joints = lifted.joints3d.astype(np.float64)
    return Label(first, joints, lifted.contacts, trust(piece, joints, moments))


def trust(piece: Piece, joints: Array, moments: Array) -> Array:
    """Trust (N, 17) in labels (N, 17, 3) at moments (N,).

    A joint that the input's set has counts where the look saw it surely and the label reprojects
    onto it; the others count as the body does on average. Between looks trust is interpolated.
    """
    seen = piece.seen
    at_looks = cubic(joints, moments, seen.times)
    columns = [
        seen.joints.index(name) if name in seen.joints.joints and name not in _LOOSE else -1
        for name in H36M17.joints
    ]
    named = np.array(columns) >= 0
    confidence = np.where(named, seen.confidence[:, columns], 0.0)
    errors = reprojection_errors(
        at_looks - at_looks[:, :1], at_looks[:, 0], seen.rays[:, columns], confidence
    )
    good = (confidence >= _SURE) & (np.nan_to_num(errors, nan=1.0) <= _MISS)
    body = good[:, named].mean(1, keepdims=True)
    found = linear(np.where(named, good, body), seen.times, moments)
    gap = np.abs(moments[:, None] - seen.times).min(1)
    return found * (gap <= _FAR)[:, None]


def gather(labels: Sequence[Label], windows: TargetWindows) -> tuple[Tensor, Tensor, Tensor]:
    """Joints (B, G, 17, 3), contacts (B, G, 2) and trust (B, G, 17) of windows' labels."""
    moments = windows.times.shape[1]
    parts: list[tuple[Array, Array, Array]] = []
    for number, first in zip(windows.piece.tolist(), windows.first.tolist(), strict=True):
        label = labels[number]
        index = np.minimum(first - label.first + np.arange(moments), len(label.joints) - 1)
        parts.append((label.joints[index], label.contacts[index], label.trust[index]))
    joints, contacts, sure = (
        torch.from_numpy(np.stack(column)).float() for column in zip(*parts, strict=True)
    )
    return joints, contacts, sure


def upward(pieces: Sequence[Piece], labels: Sequence[Label], grid: float) -> Tensor:
    """Which way (P, 3) is up in the camera of each piece: people of one clip tell it together."""
    feet: dict[str, list[Footing]] = {}
    for piece, label in zip(pieces, labels, strict=True):
        count = len(label.joints)
        unknown = np.full((count, 17), np.nan, np.float32)
        footing = Footing()
        footing.add(
            Stretch(
                0,
                np.asarray(np.arange(count) * grid, np.float64),
                label.joints.astype(np.float32),
                unknown,
                unknown[:, 0],
                label.contacts.astype(np.float32),
            )
        )
        feet.setdefault(piece.clip, []).append(footing)
    normals = {
        clip: fit(people, np.ones(len(people), bool))[0].normal for clip, people in feet.items()
    }
    return torch.from_numpy(np.stack([normals[piece.clip] for piece in pieces])).float()


def draw_motion(
    lifter: Lifter, pieces: Sequence[Piece], ups: Tensor, seed: int
) -> list[MotionClip]:
    """Motion drawn from the lifter's own prior, weakly conditioned on the target, z up.

    A look a second of every piece is shown; what happens in between, and how deep limbs are, the
    sampler makes up. Drawn without any look the interim prior is no motion to learn from: bones
    breathe by 32 mm and shoulders fold up (docs/adapt.md). Bodies are made as tall as people are
    on average: how large the lifter takes them to be, filmed in a manner that it does not know, is
    the very thing that may be wrong.
    """
    clips = []
    for number, piece in enumerate(pieces):
        count = max(2, round(float(piece.times[-1] - piece.times[0]) / _SPARSE) + 1)
        wanted = np.linspace(piece.times[0], piece.times[-1], count)
        looks = np.unique(np.abs(piece.times[:, None] - wanted).argmin(0))
        looks = looks[(piece.confidence[looks] > 0).sum(1) >= 2]
        if not len(looks):
            continue
        times = np.arange(piece.times[0], piece.times[-1], 1 / MOCAP_FPS)
        if len(times) < 2:
            continue
        lifted = lifter(
            piece.keypoints[looks],
            piece.confidence[looks],
            times=piece.times[looks],
            out_times=times,
            camera=piece.camera,
            joint_set=piece.joint_set,
            hypotheses=_DRAWN if lifter.networks.diffusion is not None else 1,
            aggregate="best",
            seed=seed,
            track=number,
        )
        up = ups[number].double().numpy()
        right = np.cross([0.0, 0.0, 1.0], up)
        right /= max(float(np.linalg.norm(right)), 1e-6)
        world = np.stack([right, np.cross(up, right), up])  # rows: x, y, z of the world
        joints = (lifted.joints3d @ world.T).astype(np.float32)
        joints *= np.float32(_STATURE / max(stature(joints), 0.3))
        clips.append(MotionClip(f"drawn {number}", "drawn", piece.clip, joints - joints[0, 0]))
    return clips
