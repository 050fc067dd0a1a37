"""A lifter on pair files: errors by stride, beside linear interpolation between key frames."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.data.occlusion import occlude
from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import joint_errors, root_relative
from vid3d.evaluation.protocols import find_protocol
from vid3d.evaluation.scores import FrameScores, Scores, frame_figures, mean
from vid3d.given import whole_number
from vid3d.lifter import Lifted, Lifter
from vid3d.lifter.resample import linear
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]

STRIDES = (1, 5, 10, 20)
MEAN_OF_ACTIONS = "mean of actions"


@dataclass(frozen=True)
class Row:
    """Scores of one system at one stride.

    Attributes:
        stride: frames from one look to the next.
        system: `lifter`; `linear`: the lifter's joints and roots at the looks, interpolated;
            `linear root`: the lifter's poses on such roots.
        part: `all` frames, those `at looks`, those `between`, or those of an action.
        frames: how many.
        scores: means over them.
        joints: mean root-relative error by joint, millimetres.
    """

    stride: int
    system: str
    part: str
    frames: int
    scores: Scores
    joints: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Everything that `vid3d eval MODEL` tells.

    Attributes:
        model: name of the lifter.
        protocol: name.
        occlusion: pattern, or None.
        rows: by stride, system and moments.
        actions: by stride and action, of the lifter; then the plain mean over actions.
    """

    model: str
    protocol: str
    occlusion: str | None
    rows: list[Row]
    actions: list[Row]

    def row(self, stride: int, system: str = "lifter", part: str = "all") -> Row:
        """The row of a stride, a system and moments."""
        wanted = (stride, system, part)
        return next(r for r in self.rows if (r.stride, r.system, r.part) == wanted)

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON holds them; null where there was nothing to measure."""
        protocol = find_protocol(self.protocol)
        fields = {
            "model": self.model,
            "protocol": self.protocol,
            "occlusion": self.occlusion,
            "joints": [H36M17.joints[i] for i in protocol.joints],
            "unit": "mm, mm/s, mm/s^2, per cent",
            "rows": [asdict(row) for row in self.rows],
            "actions": [asdict(row) for row in self.actions],
        }
        known: dict[str, Any] = _without_nan(fields)
        return known


def evaluate_lifter(
    lifter: Lifter,
    sequences: Sequence[PairSequence],
    strides: Sequence[int] = STRIDES,
    protocol: str = "vid3d",
    occlusion: str | None = None,
    fov: float | None = None,
    screen: bool = False,
    **options: Any,
) -> Report:
    """Errors of a lifter at several strides, and of interpolation between its key frames.

    Args:
        lifter: to evaluate.
        sequences: with 3D truth; those without are left out.
        strides: frames from one look to the next; the first and last frame are looked at.
        protocol: name of what is scored.
        occlusion: name of a pattern of DiffHPE; sequence i is occluded with seed i.
        fov: field of view in degrees that the lifter is told in place of the true camera.
        screen: the lifter is told of no camera, as in the literature: it sees keypoints in half
            widths of the picture; for models that were trained so (`batches.screen`).
        options: of the lifter: hypotheses, steps, aggregate, seed.

    Raises:
        Vid3dError: no sequence has 3D joints, or an unknown protocol or pattern.
    """
    strides = [whole_number("stride", stride, 1) for stride in strides]
    known = with_truth(sequences, occlusion)
    scored = find_protocol(protocol).joints
    rows: list[Row] = []
    actions: list[Row] = []
    for stride in strides:
        parts: dict[str, list[FrameScores]] = {}
        for sequence in known:
            if len(looked_frames(sequence, stride)) == 0:
                continue
            camera = _told_camera(sequence, fov, screen)
            for system, frames in _systems(lifter, sequence, stride, camera, scored, options):
                parts.setdefault(system, []).append(frames)
        for system, many in parts.items():
            rows += _moments(stride, system, FrameScores.join(many))
        if parts:
            actions += _actions(stride, FrameScores.join(parts["lifter"]))
    return Report(getattr(lifter, "name", "lifter"), protocol, occlusion, rows, actions)


def screen_camera(frame_size: tuple[int, int]) -> Camera:
    """The camera whose rays are the literature's screen coordinates: 2u/w - 1 and 2v/w - h/w."""
    width, height = frame_size
    return Camera.from_focal(width / 2, width / 2, width / 2, height / 2, frame_size)


def _told_camera(sequence: PairSequence, fov: float | None, screen: bool) -> Camera:
    """The camera that the lifter is told."""
    size = sequence.camera.frame_size
    if screen:
        return screen_camera(size)
    return sequence.camera if fov is None else Camera.from_fov(fov, size)


def with_truth(
    sequences: Sequence[PairSequence], occlusion: str | None = None
) -> list[PairSequence]:
    """Sequences that have 3D joints, sequence i occluded by a pattern with seed i.

    Raises:
        Vid3dError: there is none, or no such pattern.
    """
    known = [sequence for sequence in sequences if sequence.joints3d is not None]
    if not known:
        raise Vid3dError("the pair files hold no 3D joints: nothing to compare with")
    if occlusion is None:
        return known
    return [occlude(sequence, occlusion, seed) for seed, sequence in enumerate(known)]


def looked_frames(sequence: PairSequence, stride: int) -> NDArray[np.int64]:
    """Every `stride`-th frame and the last one, where at least two joints are seen."""
    frames = np.arange(len(sequence))
    looks = np.unique(np.append(frames[::stride], frames[-1]))
    return looks[(sequence.confidence[looks] > 0).sum(1) >= 2]


def lift_sequence(
    lifter: Lifter,
    sequence: PairSequence,
    stride: int,
    camera: Camera | None = None,
    **options: Any,
) -> tuple[Lifted, NDArray[np.int64]]:
    """Lift a sequence from its `looked_frames`; and those frames (K,).

    The lifter is told another `camera` than the sequence's where one is given.
    """
    looks = looked_frames(sequence, stride)
    times = np.arange(len(sequence)) / sequence.fps
    lifted = lifter(
        sequence.keypoints2d[looks],
        sequence.confidence[looks],
        times=times[looks],
        out_times=times,
        camera=camera or sequence.camera,
        joint_set=sequence.joint_set,
        **options,
    )
    return lifted, looks


def action_of(name: str) -> str:
    """What is done in a sequence, by its name: `S9/Walking 1.60457274@300` is `Walking`.

    A number that stands apart counts repetitions; that of `TS1` (MPI-INF-3DHP) is of the name.
    """
    last = re.split(r"[@.#]", name.rsplit("/", 1)[-1])[0]
    return re.sub(r"[\s_]+\d+$", "", last) or last


def _systems(
    lifter: Lifter,
    sequence: PairSequence,
    stride: int,
    camera: Camera,
    scored: Sequence[int],
    options: dict[str, Any],
) -> Iterator[tuple[str, FrameScores]]:
    """The systems' frames of one sequence, as far as its truth is known."""
    lifted, looks = lift_sequence(lifter, sequence, stride, camera, **options)
    joints = lifted.joints3d.astype(np.float64)
    truth = np.asarray(sequence.joints3d, np.float64)
    frames = np.arange(len(sequence), dtype=np.float64)
    known = np.isfinite(root_relative(truth)[:, list(scored)].sum((1, 2)))
    looked = np.isin(frames, looks)
    action = np.full(len(frames), action_of(sequence.name))
    between = linear(joints[looks], frames[looks], frames)
    seen = sequence.camera.project(truth)
    no_spread = np.full(lifted.spread.shape, np.nan)
    for system, placed, spread in (
        ("lifter", joints, lifted.spread),
        ("linear", between, no_spread),
        ("linear root", root_relative(joints) + between[:, :1], no_spread),
    ):
        pixels = (camera.project(placed), seen)
        figures = frame_figures(placed, truth, sequence.fps, spread, pixels, scored)
        errors = 1000 * joint_errors(root_relative(placed), root_relative(truth))
        scores = FrameScores(figures, errors, looked, action)
        yield system, scores.only(known)


def _row(stride: int, system: str, part: str, frames: FrameScores) -> Row:
    return Row(stride, system, part, len(frames), frames.scores(), frames.joint_means())


def _moments(stride: int, system: str, frames: FrameScores) -> list[Row]:
    rows = [_row(stride, system, "all", frames)]
    if not frames.looked.all():
        rows.append(_row(stride, system, "at looks", frames.only(frames.looked)))
        rows.append(_row(stride, system, "between", frames.only(~frames.looked)))
    return rows


def _actions(stride: int, frames: FrameScores) -> list[Row]:
    """A row an action, and their plain mean, which the literature of Human3.6M reports."""
    if not len(frames):
        return []
    rows = [
        _row(stride, "lifter", action, frames.only(frames.action == action))
        for action in np.unique(frames.action).tolist()
    ]
    means = [
        mean(np.array(column)) for column in zip(*(astuple(r.scores) for r in rows), strict=True)
    ]
    joints = {name: mean(np.array([r.joints[name] for r in rows])) for name in H36M17.joints}
    return [*rows, Row(stride, "lifter", MEAN_OF_ACTIONS, len(frames), Scores(*means), joints)]


def _without_nan(value: Any) -> Any:
    """The value with None for NaN, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
