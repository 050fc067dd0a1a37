"""Looks that `--stride auto` left out while nothing moved, put back for the lifter.

The lifter cannot know that a long gap between looks is rest: it would take it for motion that
nobody saw. What looks would have found there is known, since nothing moved. And where two looks
at the same pose disagree, one of them is wrong, which would last as long as the rest.
"""

import numpy as np
from numpy.typing import NDArray

from vid3d.pose2d.people import boxes_around, sizes

USUAL = 0.2
"""Seconds between looks that the lifter is given at rest: those of the default stride."""

APART = 0.1
"""Distance of a joint at rest from itself, in sizes (root of the box area), that is an error."""

Array = NDArray[np.floating]


def at_rest(looks: NDArray[np.int64], still: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(L,) whether nothing moved since the sighting before, which the look before brought.

    Args:
        looks: (L,) numbers of the looks at which one person was seen.
        still: (L,) whether nothing moved since the look before.
    """
    return still & (np.diff(looks, prepend=-1) == 1)


def looks_counted(times: Array, rested: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(L,) how many looks each sighting counts, with those spared before it; see `with_rests`."""
    gaps = np.diff(times, prepend=times[:1])
    return np.where(rested, np.maximum(np.rint(gaps / USUAL), 1), 1).astype(np.int64)


def with_rests(
    keypoints: Array, confidence: Array, times: Array, rested: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """One person's sightings with those between that were left out at rest.

    Sightings that nothing moved between are made to agree (`settled`); from one to the next
    everything goes in a straight line, and a joint that neither of the two has stays missing.

    Args:
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        times: (L,) seconds, rising.
        rested: (L,) whether nothing moved since the sighting before.

    Returns:
        keypoints (M, 17, 2), confidence (M, 17) and times (M,), the given ones among them.
    """
    keypoints, confidence = settled(keypoints, confidence, rested)
    counts = looks_counted(times, rested)[1:]
    steps = [before + np.arange(count) / count for before, count in enumerate(counts)]
    place = np.concatenate([*steps, [len(times) - 1]])
    low = place.astype(int)
    high = np.minimum(low + 1, len(times) - 1)
    share = (place - low)[:, None]
    both = (confidence[low] > 0) & (confidence[high] > 0)

    def between(values: Array, known: NDArray[np.bool_], weight: Array) -> Array:
        line = (1 - weight) * values[low] + weight * values[high]
        return np.where(known, line, values[low]).astype(values.dtype)

    return (
        between(keypoints, both[..., None], share[..., None]),
        between(confidence, both, share),
        (1 - share[:, 0]) * times[low] + share[:, 0] * times[high],
    )


def settled(keypoints: Array, confidence: Array, rested: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Keypoints and confidence of sightings, arguments as above, that agree where nothing moved.

    Of two places of a resting joint that are too far `APART` the less sure one goes; who misses a
    joint that the sighting on the other side of a rest has takes it from there.
    """
    after = np.flatnonzero(rested[1:]) + 1
    before = after - 1
    size = sizes(boxes_around(keypoints[before], confidence[before]))[:, None]
    steps = np.linalg.norm(keypoints[after] - keypoints[before], axis=-1)
    wrong = (steps > APART * size) & (confidence[before] > 0) & (confidence[after] > 0)
    surer = confidence[before] >= confidence[after]
    kept = confidence.copy()
    kept[before] = np.where(wrong & ~surer, 0, kept[before])
    kept[after] = np.where(wrong & surer, 0, kept[after])
    points, weights = keypoints.copy(), kept.copy()
    for here, there in ((before, after), (after, before)):
        missed = (weights[here] <= 0) & (kept[there] > 0)
        points[here] = np.where(missed[..., None], keypoints[there], points[here])
        weights[here] = np.where(missed, kept[there], weights[here])
    return points, weights
