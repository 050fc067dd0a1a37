"""Broken tracklets put together in space: who went on as whom, after lifting.

In the image two people who cross are at one place; in space they are a metre apart, and whoever
comes out again must have been able to walk there. So after lifting every end of a track is
compared with every beginning that follows it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vid3d.motion import Motion
from vid3d.stature import stature
from vid3d.tracking.association import assign
from vid3d.tracking.tracks import Track

Array = NDArray[np.floating]

LONGEST = 3.0
"""Seconds unseen after which nobody is taken for a continuation."""

LIMIT = 2.0
"""Cost above which two tracklets are two people."""

MARGIN = 2.0
"""By how much a continuation must be better than any rival of either side; else it is left."""

_HISTORY = 0.5  # seconds whose mean velocity a person is expected to keep
_FADE = 1.0  # seconds after which an unconfirmed velocity has faded to 37 %
_WANDER = (0.15, 0.5)  # metres, and metres a second unseen, that people stray from their path
_PLACE = (0.05, 0.05)  # standard deviation of a root across and along the ray, share of the depth
_REFERENCE = 0.1  # standard deviation, share of the depth, at which its normalising term is nought
_BODY = 0.08  # standard deviation of the logarithm of a lifted person's stature


@dataclass(frozen=True)
class _End:
    """One end of a tracklet: seconds, root (3,), its velocity (3,), its spread along the ray."""

    time: float
    place: Array
    velocity: Array
    spread: float


def continuations(motion: Motion) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of people in a motion who are one person whose track broke.

    Costs are negative log likelihoods of the step between where the earlier one was heading and
    where the later one came from, with errors along the line of sight larger than across it, and
    of the ratio of their statures. Pairs are the cheapest assignment; one that has a rival nearly
    as good is left out, since a wrong merger is worse than a broken track.

    Returns:
        Rows of the motion, ordered; a person may continue more than once (1, 2), (2, 5).
    """
    people = [p for p in range(motion.people) if motion.present[p].any()]
    if len(people) < 2:
        return []
    sizes = np.log([stature(motion.joints3d[p, motion.present[p]]) for p in people])
    lasts = [_end(motion, p, last=True) for p in people]
    firsts = [_end(motion, p, last=False) for p in people]
    costs = np.full((len(people), len(people)), np.inf)
    for i, last in enumerate(lasts):
        for j, first in enumerate(firsts):
            if 0 < first.time - last.time <= LONGEST:
                body = (sizes[i] - sizes[j]) ** 2 / (4 * _BODY**2)
                costs[i, j] = step_cost(last, first) + body
    pairs = assign(costs, LIMIT)
    return sorted((people[i], people[j]) for i, j in pairs if _is_clear(costs, i, j))


def joined(tracks: Sequence[Track], pairs: Sequence[tuple[int, int]]) -> list[Track]:
    """Tracks put together by the pairs of their places in the list; each keeps its first id."""
    after = dict(pairs)
    later = set(after.values())
    whole = []
    for start, track in enumerate(tracks):
        if start in later:
            continue
        chain = [start]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        parts = [tracks[i] for i in chain]
        whole.append(
            Track(
                id=track.id,
                looks=np.concatenate([part.looks for part in parts]),
                boxes=np.concatenate([part.boxes for part in parts]),
                keypoints=np.concatenate([part.keypoints for part in parts]),
                confidence=np.concatenate([part.confidence for part in parts]),
            )
        )
    return whole


def _end(motion: Motion, person: int, last: bool) -> _End:
    """The first or last moments of a person."""
    frames = np.flatnonzero(motion.present[person])
    frame = frames[-1] if last else frames[0]
    times = motion.timestamps
    near = frames[np.abs(times[frames] - times[frame]) <= _HISTORY]
    roots = motion.joints3d[person, near, 0].astype(np.float64)
    since = times[near] - times[near].mean()
    velocity = since @ roots / max(float(since @ since), 1e-6)
    spread = float(motion.root_spread[person, frame])
    place = motion.joints3d[person, frame, 0].astype(np.float64)
    return _End(float(times[frame]), place, velocity, spread if np.isfinite(spread) else 0.0)


def step_cost(last: _End, first: _End) -> float:
    """Negative log likelihood of the step across a gap, given the velocities at both ends.

    0 for the expected step where the standard deviation is a tenth of the depth: strangers appear
    anywhere in view, thus the less densely the further away.
    """
    gap = first.time - last.time
    reach = _FADE * (1 - np.exp(-gap / _FADE))
    miss = first.place - last.place - reach * (last.velocity + first.velocity) / 2
    middle = (first.place + last.place) / 2
    depth = float(np.linalg.norm(middle))
    ray = middle / max(depth, 1e-6)
    along = float(miss @ ray)
    across = np.linalg.norm(miss - along * ray)
    wander = (_WANDER[0] + _WANDER[1] * gap) ** 2
    noise = 2 * (np.array(_PLACE) * depth) ** 2
    variance = wander + noise + [0, last.spread**2 + first.spread**2]
    distance = across**2 / variance[0] + along**2 / variance[1]
    volume = np.log(variance / (_REFERENCE * depth) ** 2) @ [
        2,
        1,
    ]  # two axes across the ray, one along it
    return float((distance + volume) / 2)


def _is_clear(costs: Array, row: int, column: int) -> bool:
    """Whether a pair beats every rival of its row and of its column."""
    rivals = np.concatenate([np.delete(costs[row], column), np.delete(costs[:, column], row)])
    return bool(costs[row, column] + MARGIN <= rivals.min(initial=np.inf))
