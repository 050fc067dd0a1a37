"""Feet that stand stay where they stand.

Every stance gets an anchor: across the line of sight where the foot is seen, in depth where the
lifter and the floor agree. The root follows the anchors slowly, mostly in depth, which the picture
does not show; the legs do the rest. Both corrections are smooth series in time, so nothing jumps,
and bones keep their lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.motion_schema import ORIGIN
from vid3d.world.balance import unit
from vid3d.world.ground import ANKLE_HEIGHT, Ground
from vid3d.world.legs import move_ankle
from vid3d.world.spline import smooth_series
from vid3d.world.stances import ANKLES, SHORTEST

Array = NDArray[np.floating]

# Standard deviations of one stance's place.
DEPTH = 0.03
"""Share of the distance."""
STEP = 0.04
"""Metres, of an ankle's height over the floor."""
GATE = 3.0
"""Deviations beyond which a stance is not on the floor but on something."""

PIVOT = 0.1
"""Metres that a foot may drift in a stance before it counts as having been set down again."""

ROOT_RATE, LEG_RATE = 1.5, 2.0
"""Hz, cutoffs of the two corrections."""
ROOT_DEPTH, ROOT_ACROSS = 0.01, 10.0
"""Pull of the root towards where it was, beside a standing foot's pull of 1."""
FAR = 0.3
"""Metres from its anchor at which a foot is hardly held any more: it does not stand there."""
HOLD, RELEASE = 30.0, 1.0
"""Pull of a leg's correction towards the anchor in a stance, and towards none outside of it."""


@dataclass(frozen=True)
class Anchor:
    """Where one foot stands from frame `start` to before frame `stop`."""

    foot: int
    start: int
    stop: int
    place: NDArray[np.float64]


def lock_feet(
    joints: Array,
    stances: Sequence[tuple[int, int, int]],
    times: Array,
    ground: Ground | None,
    eyes: Array = ORIGIN,
) -> NDArray[np.float64]:
    """Joints of one person with feet that do not slide.

    Args:
        joints: (F, 17, 3) h36m17 of one unbroken presence, camera frame, metres.
        stances: (foot, first frame, frame after the last), foot 0 left, 1 right.
        times: (F,) seconds.
        ground: floor that standing feet are on; None where none is known.
        eyes: (F, 3) where the camera was.

    Returns:
        (F, 17, 3) with the same bone lengths.
    """
    joints = np.asarray(joints, np.float64)
    eyes = np.broadcast_to(eyes, (len(joints), 3))

    def anchor(foot: int, start: int, stop: int) -> Anchor:
        ankle, eye = joints[start:stop, ANKLES[foot]], eyes[start:stop]
        return Anchor(foot, start, stop, anchor_place(ankle, ground, eye))

    anchors = [
        anchor(foot, first, last)
        for foot, start, stop in stances
        for first, last in steps(
            joints[start:stop, ANKLES[foot]], times[start:stop], start, eyes[start:stop]
        )
    ]
    if not anchors:
        return np.asarray(joints, np.float64)
    moved = joints + _root_shift(joints, anchors, times, eyes)[:, None]
    for foot in (0, 1):
        own = [anchor for anchor in anchors if anchor.foot == foot]
        moved = move_ankle(moved, foot, _leg_shift(moved[:, ANKLES[foot]], own, times))
    return np.asarray(moved, np.float64)


def steps(
    ankle: Array, times: Array, offset: int = 0, eyes: Array = ORIGIN
) -> list[tuple[int, int]]:
    """Parts (start, stop) of a stance in which the foot (F, 3) stays within `PIVOT`.

    A stance in which it does not is cut where two places explain it best.
    """
    eyes = np.broadcast_to(eyes, ankle.shape)
    across = _facing(ankle, eyes)
    drift = np.linalg.norm(across - np.median(across, axis=0), axis=1)
    cuts = np.flatnonzero((times - times[0] >= SHORTEST) & (times[-1] - times >= SHORTEST))
    if np.quantile(drift, 0.9) <= PIVOT or not len(cuts):
        return [(offset, offset + len(ankle))]
    count = np.arange(1, len(across))[:, None]
    total = np.cumsum(across, axis=0)
    left, right = total[:-1] / count, (total[-1] - total[:-1]) / (len(across) - count)
    between = (count * (len(across) - count))[:, 0] * ((left - right) ** 2).sum(1)
    cut = int(cuts[between[cuts - 1].argmax()])
    first, rest = slice(None, cut), slice(cut, None)
    return steps(ankle[first], times[first], offset, eyes[first]) + steps(
        ankle[rest], times[rest], offset + cut, eyes[rest]
    )


def _facing(ankle: Array, eyes: Array) -> NDArray[np.float64]:
    """Where rays from eyes (F, 3) to an ankle (F, 3) meet the plane through its median place that
    faces the camera, (F, 3): how it moves across the line of sight, in the picture's precision.
    """
    sight = ankle - eyes
    forward = unit(np.median(sight, axis=0))
    middle = float(np.median(ankle @ forward))
    return np.asarray(eyes + sight * ((middle - eyes @ forward) / (sight @ forward))[:, None])


def anchor_place(ankle: Array, ground: Ground | None, eyes: Array = ORIGIN) -> NDArray[np.float64]:
    """Where a foot with ankles (F, 3) stands: across the line of sight the median, and a depth
    between median and floor.

    The floor counts by its precision, and less the farther the two are apart.
    """
    eyes = np.broadcast_to(eyes, ankle.shape)
    seen, eye = np.median(_facing(ankle, eyes), axis=0), np.median(eyes, axis=0)
    depth = float(np.linalg.norm(seen - eye))
    ray = (seen - eye) / depth
    if ground is None or abs(ground.normal @ ray) < 1e-6:
        return np.asarray(seen)
    on_floor = (ANKLE_HEIGHT - ground.height - ground.normal @ eye) / float(ground.normal @ ray)
    own, floor = DEPTH * depth, STEP / abs(float(ground.normal @ ray))
    apart = (on_floor - depth) / (GATE * np.hypot(own, floor))
    weight = floor**-2 * np.exp(-(apart**2)) if on_floor > 0 else 0.0
    found = (depth * own**-2 + on_floor * weight) / (own**-2 + weight)
    return np.asarray(eye + ray * found, np.float64)


def _root_shift(
    joints: Array, anchors: Sequence[Anchor], times: Array, eyes: Array = ORIGIN
) -> NDArray[np.float64]:
    """Smooth shift (F, 3) of the whole body towards the anchors, mostly along the line of sight."""
    total, weight = np.zeros((len(joints), 3)), np.zeros(len(joints))
    for anchor in anchors:
        part = slice(anchor.start, anchor.stop)
        total[part] += anchor.place - joints[part, ANKLES[anchor.foot]]
        weight[part] += 1.0
    axes = _sight_axes(joints[:, 0] - eyes)
    wanted = (axes @ total[:, :, None])[..., 0]  # (F, 3): across, across, along
    shift = np.empty_like(wanted)
    for axis, pull in ((slice(0, 2), ROOT_ACROSS), (slice(2, 3), ROOT_DEPTH)):
        # A pull of `pull` towards 0 at every frame, one of 1 towards the anchor of each foot.
        value = wanted[:, axis] / (weight + pull)[:, None]
        shift[:, axis] = smooth_series(value, weight + pull, times, ROOT_RATE, order=2)
    return np.asarray((axes.transpose(0, 2, 1) @ shift[:, :, None])[..., 0], np.float64)


def _leg_shift(ankle: Array, anchors: Sequence[Anchor], times: Array) -> NDArray[np.float64]:
    """Shift (F, 3) of one ankle: onto the anchor while it stands, eased in and out around that."""
    wanted, hold = np.zeros_like(ankle), np.zeros(len(ankle))
    for anchor in anchors:
        part = slice(anchor.start, anchor.stop)
        wanted[part] = anchor.place - ankle[part]
        hold[part] = HOLD * np.exp(-((wanted[part] ** 2).sum(1)) / FAR**2)
    weight = hold + RELEASE
    return smooth_series(wanted * (hold / weight)[:, None], weight, times, LEG_RATE, order=2)


def _sight_axes(root: Array) -> NDArray[np.float64]:
    """Rows (F, 3, 3): two directions across the line of sight to the root (F, 3), and along it."""
    along = unit(root)
    right = unit(np.cross(np.array([0.0, 1.0, 0.0]), along))
    return np.stack([right, np.cross(along, right), along], axis=1)
