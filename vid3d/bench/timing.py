"""Timing things against each other on a machine that does other work as well."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Milliseconds a call.

    Attributes:
        name: of what was called.
        median: over all rounds.
        fastest: of all rounds.
        ratios: fastest time divided by that of others, by the other's name.
        bars: the highest ratio that is good enough, by the other's name.
    """

    name: str
    median: float
    fastest: float
    ratios: Mapping[str, float]
    bars: Mapping[str, float]


def take_turns(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of every call in every round, by name.

    The calls take turns, to and fro, so that whatever else the machine does falls on all alike, and
    none always comes after one whose threads go on spinning; the first round warms up and is not
    counted.
    """
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names if turn % 2 == 0 else reversed(names):
            start = time.perf_counter()
            calls[name]()
            if turn:
                times[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(values) for name, values in times.items()}


def compare(
    times: Mapping[str, np.ndarray], against: Mapping[str, Mapping[str, float]]
) -> list[Timing]:
    """One line a call, in the order given.

    Args:
        times: of `take_turns`.
        against: for some names, what each is compared with and the highest good ratio.
    """
    return [
        Timing(
            name,
            float(np.median(values)),
            float(values.min()),
            {other: float(values.min() / times[other].min()) for other in bars if other in times},
            dict(bars),
        )
        for name, values in times.items()
        for bars in [against.get(name, {})]
    ]
