"""A result against the truth of its clip: who was found, who was mixed up, and how far off.

Joints: h36m17 without nose (9) and head (10), whose definitions differ between data sets; the
pelvis is one of the 15 that remain. MPJPE and P-MPJPE compare poses relative to the pelvis, the
latter after a similarity alignment of each frame; MRPE is the distance of the pelvises in space.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.evaluation.identity import count_switches
from vid3d.evaluation.matching import match_people
from vid3d.evaluation.metrics import SCORED, joint_errors, procrustes, root_relative
from vid3d.evaluation.tables import align
from vid3d.motion import Motion
from vid3d.motion_schema import filmed, from_camera

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Errors:
    """Mean errors in millimetres over `frames` poses; None where there are none."""

    frames: int
    mpjpe: float | None
    p_mpjpe: float | None
    mrpe: float | None


@dataclass(frozen=True)
class PersonReport:
    """What became of one true person.

    Attributes:
        name: of the truth's sequence.
        visible: frames in which at least half of the joints are visible.
        found: visible frames in which a result person was matched.
        switches: how often the matched track's id changed.
        tracks: ids matched, in order of appearance.
        errors: over the found frames.
    """

    name: str
    visible: int
    found: int
    switches: int
    tracks: list[int]
    errors: Errors

    @property
    def found_share(self) -> float | None:
        """Found of visible frames; None if never visible."""
        return self.found / self.visible if self.visible else None


@dataclass(frozen=True)
class ResultReport:
    """Everything `vid3d eval RESULT --data TRUTH` tells.

    Attributes:
        people: one report a true person.
        overall: errors over all found frames of all people.
        at_looks: over frames that were looked at.
        between_looks: over the others.
        unmatched_tracks: ids of result people that matched nobody.
    """

    people: list[PersonReport]
    overall: Errors
    at_looks: Errors
    between_looks: Errors
    unmatched_tracks: list[int]

    @property
    def switches(self) -> int:
        """Identity switches of all people."""
        return sum(person.switches for person in self.people)

    @property
    def found_share(self) -> float | None:
        """Found of visible frames over all people; None if nobody is ever visible."""
        visible = sum(person.visible for person in self.people)
        return sum(person.found for person in self.people) / visible if visible else None

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON holds them; errors in millimetres, shares from 0 to 1."""
        people = [
            {**asdict(person), "found_share": person.found_share, "errors": asdict(person.errors)}
            for person in self.people
        ]
        return {
            "found_share": self.found_share,
            "switches": self.switches,
            "unmatched_tracks": self.unmatched_tracks,
            "overall": asdict(self.overall),
            "at_looks": asdict(self.at_looks),
            "between_looks": asdict(self.between_looks),
            "people": people,
            "unit": "mm",
            "joints": SCORED,
        }

    def text(self) -> str:
        """The figures as a table."""
        head = ["", "frames", "found", "switches", "MPJPE", "P-MPJPE", "MRPE", "tracks"]
        rows = [
            [p.name, str(p.visible), _percent(p.found_share), str(p.switches), *_cells(p.errors),
             " ".join(map(str, p.tracks)) or "-"]
            for p in self.people
        ]  # fmt: skip
        visible = str(sum(person.visible for person in self.people))
        rows += [
            ["all", visible, _percent(self.found_share), str(self.switches),
             *_cells(self.overall), ""],
            ["at looks", str(self.at_looks.frames), "", "", *_cells(self.at_looks), ""],
            ["between", str(self.between_looks.frames), "", "", *_cells(self.between_looks), ""],
        ]  # fmt: skip
        notes = ["mm; root-relative at the pelvis; 15 joints of h36m17, without nose and head"]
        if self.unmatched_tracks:
            notes.append(f"tracks of nobody: {' '.join(map(str, self.unmatched_tracks))}")
        return "\n".join([align([head, *rows]), *notes])


@dataclass(frozen=True)
class _Truth:
    """True people at the motion's frames.

    Attributes:
        joints3d: (T, F, 17, 3) metres. points: (T, F, 17, 2) pixels. visible: (T, F) bool.
    """

    joints3d: Array
    points: Array
    visible: NDArray[np.bool_]


def evaluate_result(motion: Motion, truth: Sequence[PairSequence]) -> ResultReport:
    """Compare a result with the truth of its clip.

    People are matched frame by frame by their mean 2D distance, as in CLEAR MOT (Bernardin and
    Stiefelhagen 2008): a match holds as long as it is within the gate (half the true person's
    size, see `match_people`), the rest are assigned anew.

    Args:
        motion: the result.
        truth: the clip's people, with 3D joints, from its first frame at their own rate.

    Raises:
        Vid3dError: the truth is empty, has no 3D joints, or is of another frame size.
    """
    people = _at_frames(motion, truth)
    joints3d = from_camera(motion, motion.joints3d)
    points = filmed(motion, motion.joints3d)
    matched = match_people(people.points[..., SCORED, :], people.visible, points[..., SCORED, :])
    errors = _frame_errors(joints3d, people.joints3d, matched)
    looked = np.zeros(motion.frames, bool)
    looked[motion.keyframes] = True
    ids = motion.track_ids
    reports = []
    for person, sequence in enumerate(truth):
        tracks = matched[person][matched[person] >= 0]
        reports.append(
            PersonReport(
                name=sequence.name,
                visible=int(people.visible[person].sum()),
                found=len(tracks),
                switches=count_switches(tracks.tolist()),
                tracks=[int(ids[track]) for track in dict.fromkeys(tracks.tolist())],
                errors=_mean_errors(errors[person]),
            )
        )
    return ResultReport(
        people=reports,
        overall=_mean_errors(errors),
        at_looks=_mean_errors(errors[:, looked]),
        between_looks=_mean_errors(errors[:, ~looked]),
        unmatched_tracks=[int(ids[i]) for i in range(motion.people) if not (matched == i).any()],
    )


def _at_frames(motion: Motion, truth: Sequence[PairSequence]) -> _Truth:
    """The truth at the motion's timestamps: 3D linearly interpolated, visibility of the nearest."""
    if not truth:
        raise Vid3dError("the truth holds no people; give the pair file of the clip")
    joints3d, points, visible = [], [], []
    for sequence in truth:
        if sequence.joints3d is None:
            raise Vid3dError(
                f"sequence {sequence.name!r} has no 3D joints, so it cannot be the truth of a "
                "result; give a pair file with joints3d"
            )
        if tuple(sequence.camera.frame_size) != tuple(motion.frame_size.tolist()):
            raise Vid3dError(
                f"the result is of {_size(motion.frame_size)} pixels, the truth {sequence.name!r} "
                f"of {_size(sequence.camera.frame_size)}: give the truth of the same clip"
            )
        place = motion.timestamps * sequence.fps
        joints, seen = _resampled(sequence.joints3d, sequence.confidence > 0, place)
        joints3d.append(joints)
        points.append(sequence.camera.project(joints))
        ahead = (joints[:, SCORED, 2] > 0).all(-1)  # False for NaN
        visible.append((2 * seen.sum(-1) >= seen.shape[-1]) & ahead)
    return _Truth(np.stack(joints3d), np.stack(points), np.stack(visible))


def _resampled(
    joints: Array, seen: NDArray[np.bool_], place: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Joints and visibility at fractional frames; beyond the ends NaN and not visible."""
    last = len(joints) - 1
    nearest = np.rint(place).astype(np.int64)
    # Containers round timestamps; within a hundredth of a frame it is the same frame.
    place = np.where(np.abs(place - nearest) < 0.01, nearest, place)
    inside = (nearest >= 0) & (nearest <= last)
    low = np.clip(np.floor(place).astype(np.int64), 0, last)
    high = np.clip(np.ceil(place).astype(np.int64), 0, last)
    share = np.clip(place - low, 0, 1)[:, None, None]
    # Not a plain weighted sum: 0 times the NaN of an absent neighbour is NaN.
    mixed = np.where(share > 0, (1 - share) * joints[low] + share * joints[high], joints[low])
    nearest = np.clip(nearest, 0, last)
    return (
        np.where(inside[:, None, None], mixed, np.nan),
        seen[nearest] & inside[:, None],
    )


def _frame_errors(found: Array, truth: Array, matched: NDArray[np.int64]) -> Array:
    """(T, F, 3) MPJPE, P-MPJPE and MRPE of each matched frame in mm, NaN elsewhere."""
    errors = np.full((*matched.shape, 3), np.nan)
    people, frames = np.nonzero(matched >= 0)
    result = found[matched[people, frames], frames].astype(np.float64)
    true = truth[people, frames].astype(np.float64)
    mrpe = joint_errors(result[:, 0], true[:, 0])
    pose, true_pose = root_relative(result)[:, SCORED], root_relative(true)[:, SCORED]
    mpjpe = joint_errors(pose, true_pose).mean(-1)
    p_mpjpe = joint_errors(procrustes(pose, true_pose), true_pose).mean(-1)
    errors[people, frames] = 1000 * np.stack([mpjpe, p_mpjpe, mrpe], -1)
    return errors


def _mean_errors(errors: Array) -> Errors:
    """Means over the frames that have errors (..., 3)."""
    rows = errors.reshape(-1, 3)
    rows = rows[np.isfinite(rows).all(-1)]
    if not len(rows):
        return Errors(0, None, None, None)
    mpjpe, p_mpjpe, mrpe = (float(value) for value in rows.mean(0))
    return Errors(len(rows), mpjpe, p_mpjpe, mrpe)


def _size(frame_size: Sequence[int] | NDArray[np.int64]) -> str:
    return f"{frame_size[0]} x {frame_size[1]}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _cells(errors: Errors) -> list[str]:
    values = (errors.mpjpe, errors.p_mpjpe, errors.mrpe)
    return ["-" if value is None else f"{value:.1f}" for value in values]
