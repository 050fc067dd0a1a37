"""What writers share: one motion in the frame of the files, at a constant rate, rigged."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from vid3d.export.clock import steady
from vid3d.export.inverse_kinematics import confidence, distances, solve
from vid3d.export.rig import JOINTS, Rig, fit_rig
from vid3d.export.rotations import from_swing_twist, swing_twist
from vid3d.export.space import FROM_Y_UP, Space
from vid3d.motion import Motion
from vid3d.motion_schema import runs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Animation:
    """One person's rig over the frames from the first to the last that they are present in.

    Attributes:
        track_id: identity.
        rig: with the person's bone lengths.
        first: the take's frame that this begins with.
        rotations: (F, J, 3, 3) of each joint relative to its parent.
        root: (F, 3) place of the hips, metres.
        present: (F,) false in gaps, which are bridged: within the joints' limits, the place
            linearly.
        residual: (F, 17) metres between the rig and the motion's joints; NaN in gaps.
    """

    track_id: int
    rig: Rig
    first: int
    rotations: Array
    root: Array
    present: NDArray[np.bool_]
    residual: Array

    def turned(self, up: str) -> "Animation":
        """The same with another axis up, rest pose included."""
        turn = FROM_Y_UP[up]
        return Animation(
            self.track_id,
            Rig(self.rig.offsets @ turn.T, self.rig.tips @ turn.T),
            self.first,
            turn @ self.rotations @ turn.T,
            self.root @ turn.T,
            self.present,
            self.residual,
        )

    def residual_mm(self) -> dict[str, float]:
        """How far the rig is from the joints it was fitted to, millimetres."""
        millimetres = 1000 * self.residual[self.present]
        return {
            "mean": round(float(millimetres.mean()), 2),
            "p95": round(float(np.quantile(millimetres, 0.95)), 2),
            "max": round(float(millimetres.max()), 2),
        }


@dataclass(frozen=True)
class Take:
    """A motion and the frame it is exported in.

    Attributes:
        motion: camera frame, true times.
        space: the files' frame.
        units: `m`, `cm` or `mm` for formats that leave the choice, None for each one's own.
    """

    motion: Motion
    space: Space
    units: str | None = None

    @cached_property
    def steady(self) -> Motion:
        """The motion at a constant rate."""
        return steady(self.motion)

    @cached_property
    def animations(self) -> list[Animation]:
        """The rig of everybody who is present at all, at the constant rate, with y up."""
        people = range(self.motion.people)
        return [self._animate(p) for p in people if self.steady.present[p].any()]

    def about(self) -> dict[str, Any]:
        """What every file that can says of itself."""
        source = self.motion.meta.get("source") or {}
        return {
            "generator": f"vid3d {self.motion.meta.get('vid3d', '')}".strip(),
            "source": source.get("name", "") if isinstance(source, dict) else str(source),
            "model": str((self.motion.meta.get("model") or {}).get("name", "")),
        }

    def _animate(self, person: int) -> Animation:
        motion = self.steady
        here = np.flatnonzero(motion.present[person])
        frames = slice(here[0], here[-1] + 1)
        present = motion.present[person, frames]
        joints = self.space.turned("y").place(motion.joints3d[person, frames])
        spread = motion.spread[person, frames]
        rig = fit_rig(joints[present], confidence(spread[present]))
        count = len(rig.offsets)
        rotations = np.full((len(present), count, 3, 3), np.nan)
        root, residual = np.full((len(present), 3), np.nan), np.full((len(present), 17), np.nan)
        for start, stop in runs(present):
            run = slice(start, stop)
            poses = solve(rig, joints[run], spread[run], motion.fps)
            rotations[run], root[run] = poses.rotations, poses.root
            residual[run] = distances(rig, poses, joints[run])
        _bridge(rotations, root, present)
        return Animation(
            int(motion.track_ids[person]), rig, int(here[0]), rotations, root, present, residual
        )


def _bridge(rotations: Array, root: Array, present: NDArray[np.bool_]) -> None:
    """Fill the frames of gaps in place, from the poses at their ends.

    The shortest way from one rotation to another may lead through what a joint's limits forbid;
    straight ways from swing to swing and from twist to twist stay within them, as their ends do.
    """
    known, gaps = np.flatnonzero(present), np.flatnonzero(~present)
    if not len(gaps):
        return
    root[gaps] = _straight(root[known], known, gaps)
    for index, joint in enumerate(JOINTS):
        if joint.swing >= 180 and joint.twist[1] >= 180:
            between = Slerp(known, Rotation.from_matrix(rotations[known, index]))
            rotations[gaps, index] = between(gaps).as_matrix()
        else:
            swings, twists = swing_twist(rotations[known, index], joint.axis)
            parts = _straight(np.c_[swings, twists], known, gaps)
            rotations[gaps, index] = from_swing_twist(parts[:, :3], parts[:, 3], joint.axis)


def _straight(values: Array, known: NDArray[np.intp], at: NDArray[np.intp]) -> Array:
    """Values (K, C) of some frames, at others (G,) on straight ways between them: (G, C)."""
    return np.stack([np.interp(at, known, column) for column in values.T], -1)
