"""Broken tracklets put together in space: who went on as whom, after lifting.

In the image two people who cross are at one place; in space they are a metre apart, and whoever
comes out again must have been able to walk there. So after lifting every end of a track is
compared with every beginning that follows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

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
class End:
    """One end of a tracklet: seconds, root (3,), its velocity (3,), its spread along the ray."""

    time: float
    place: Array
    velocity: Array
    spread: float

    @classmethod
    def of(cls, roots: Array, root_spread: Array, times: Array, last: bool) -> "End":
        """The first or last moments of roots (F, 3) with spreads (F,), at times (F,)."""
        frame = len(times) - 1 if last else 0
        near = np.abs(times - times[frame]) <= _HISTORY
        since = times[near] - times[near].mean()
        velocity = since @ roots[near].astype(np.float64) / max(float(since @ since), 1e-6)
        spread = float(root_spread[frame])
        place = roots[frame].astype(np.float64)
        return cls(float(times[frame]), place, velocity, spread if np.isfinite(spread) else 0.0)


@dataclass(frozen=True)
class Tracklet:
    """What joining asks of one track: its ends, the person's stature in metres, and the shot."""

    first: End
    last: End
    stature: float
    shot: int = 0


def continuations(motion: Motion) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of people in a motion who are one person whose track broke.

    Returns:
        Rows of the motion, ordered; a person may continue more than once (1, 2), (2, 5).
    """
    people = [p for p in range(motion.people) if motion.present[p].any()]
    tracklets = [_tracklet(motion, person) for person in people]
    return [(people[i], people[j]) for i, j in continued(tracklets)]


def continued(tracklets: Sequence[Tracklet]) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of tracklets, by place in the sequence, that are one person's.

    Costs are negative log likelihoods of the step between where the earlier one was heading and
    where the later one came from, with errors along the line of sight larger than across it, and
    of the ratio of their statures. Pairs are the cheapest assignment; one that has a rival nearly
    as good is left out, since a wrong merger is worse than a broken track.
    """
    steps = {(i, j): _cost(tracklets[i], tracklets[j]) for i, j in _possible(tracklets)}
    telling = {step: cost for step, cost in steps.items() if cost < LIMIT + MARGIN}
    pairs: list[tuple[int, int]] = []
    for group in _groups(list(telling), len(tracklets)):
        (ends, rows), (starts, columns) = (
            np.unique(side, return_inverse=True) for side in np.transpose(group)
        )
        costs = np.full((len(ends), len(starts)), np.inf)
        costs[rows, columns] = [telling[step] for step in group]
        found = assign(costs, LIMIT)
        pairs += [(int(ends[i]), int(starts[j])) for i, j in found if _is_clear(costs, i, j)]
    return sorted(pairs)


def _possible(tracklets: Sequence[Tracklet]) -> Iterator[tuple[int, int]]:
    """Steps from the end of one tracklet to the beginning of another soon after it."""
    starts = np.array([one.first.time for one in tracklets])
    order = np.argsort(starts, kind="stable")
    for i, one in enumerate(tracklets):
        low, high = (
            int(np.searchsorted(starts, one.last.time + wait, "right", sorter=order))
            for wait in (0, LONGEST)
        )
        yield from ((i, j) for j in order[low:high].tolist() if tracklets[j].shot == one.shot)


def _groups(steps: Sequence[tuple[int, int]], size: int) -> list[list[tuple[int, int]]]:
    """Steps by whom they connect: those of two groups have nobody in common."""
    if not steps:
        return []
    links = coo_array((np.ones(len(steps)), tuple(np.transpose(steps))), shape=(size, size))
    labels = connected_components(links, directed=False)[1]
    groups: dict[int, list[tuple[int, int]]] = {}
    for step in steps:
        groups.setdefault(labels[step[0]], []).append(step)
    return list(groups.values())


def _cost(earlier: Tracklet, later: Tracklet) -> float:
    body = np.log(earlier.stature / later.stature) ** 2 / (4 * _BODY**2)
    return step_cost(earlier.last, later.first) + float(body)


def _tracklet(motion: Motion, person: int) -> Tracklet:
    frames = np.flatnonzero(motion.present[person])
    joints, times = motion.joints3d[person, frames], motion.timestamps[frames]
    first, last = (
        End.of(joints[:, 0], motion.root_spread[person, frames], times, end)
        for end in (False, True)
    )
    return Tracklet(first, last, stature(joints))


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
                weights=np.concatenate([part.weights for part in parts]),
                boxes=np.concatenate([part.boxes for part in parts]),
                keypoints=np.concatenate([part.keypoints for part in parts]),
                confidence=np.concatenate([part.confidence for part in parts]),
            )
        )
    return whole


def step_cost(last: End, first: End) -> float:
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
