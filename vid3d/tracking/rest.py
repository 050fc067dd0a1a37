"""Looks that `--stride auto` left out while nothing moved, put back for the lifter.

The lifter cannot know that a long gap between looks is rest: it would take it for motion that
nobody saw. What looks would have found there is known, since nothing moved.
"""

import numpy as np
from numpy.typing import NDArray

USUAL = 0.2
"""Seconds between looks that the lifter is given at rest: those of the default stride."""

Array = NDArray[np.floating]


def with_rests(
    keypoints: Array, confidence: Array, times: Array, rested: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """One person's sightings with those between that were left out at rest.

    Between two sightings everything goes in a straight line; a joint that only one of them has
    stays where that one saw it, in its half of the time.

    Args:
        keypoints: (L, 17, 2) pixels.
        confidence: (L, 17), 0 where missing.
        times: (L,) seconds, rising.
        rested: (L,) whether nothing moved since the sighting before.

    Returns:
        keypoints (M, 17, 2), confidence (M, 17) and times (M,), the given ones among them.
    """
    gaps = np.diff(times)
    counts = np.where(rested[1:], np.maximum(np.rint(gaps / USUAL), 1), 1).astype(int)
    steps = [before + np.arange(count) / count for before, count in enumerate(counts)]
    place = np.concatenate([*steps, [len(times) - 1]])
    low = place.astype(int)
    high = np.minimum(low + 1, len(times) - 1)
    share = (place - low)[:, None]
    nearest = np.where(share[:, 0] < 0.5, low, high)
    both = (confidence[low] > 0) & (confidence[high] > 0)

    def between(values: Array, known: NDArray[np.bool_], weight: Array) -> Array:
        line = (1 - weight) * values[low] + weight * values[high]
        return np.where(known, line, values[nearest]).astype(values.dtype)

    return (
        between(keypoints, both[..., None], share[..., None]),
        between(confidence, both, share),
        (1 - share[:, 0]) * times[low] + share[:, 0] * times[high],
    )
