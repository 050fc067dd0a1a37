"""How well identities are kept: switches and IDF1, from who was called what."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def count_switches(names: Iterable[int]) -> int:
    """How often a person's name changes along time; -1 (not found) neither counts nor is kept."""
    known = [name for name in names if name >= 0]
    return sum(a != b for a, b in pairwise(known))


@dataclass(frozen=True)
class IdentityCount:
    """Sightings by how they were named, summable over clips.

    Attributes:
        true: true sightings that bear the name of the track assigned to their person.
        truth: true sightings.
        named: sightings that bear any name, false ones as well.
        switches: changes of name.
        names: different names given to true people.
        people: true people.
    """

    true: int = 0
    truth: int = 0
    named: int = 0
    switches: int = 0
    names: int = 0
    people: int = 0

    def __add__(self, other: "IdentityCount") -> "IdentityCount":
        return IdentityCount(
            self.true + other.true,
            self.truth + other.truth,
            self.named + other.named,
            self.switches + other.switches,
            self.names + other.names,
            self.people + other.people,
        )

    @property
    def idf1(self) -> float:
        """2 true / (truth + named), in 0..1."""
        return 2 * self.true / max(self.truth + self.named, 1)


def score_identities(people: Sequence[int], names: Sequence[int]) -> IdentityCount:
    """Compare names with people: ID measures of Ristani et al. 2016, section 3.

    One name is assigned to each person so that the most sightings agree; that is the global,
    one-to-one matching of IDF1.

    Args:
        people: true person of each sighting in the order of time, -1 for a false sighting.
        names: track of each sighting, -1 for none.
    """
    truth, given = np.asarray(people, np.int64), np.asarray(names, np.int64)
    table = _table(truth, given)
    rows, columns = linear_sum_assignment(table, maximize=True)
    persons = np.unique(truth[truth >= 0])
    return IdentityCount(
        true=int(table[rows, columns].sum()),
        truth=int((truth >= 0).sum()),
        named=int((given >= 0).sum()),
        switches=sum(count_switches(given[truth == person].tolist()) for person in persons),
        names=sum(len(np.unique(given[(truth == p) & (given >= 0)])) for p in persons),
        people=len(persons),
    )


def _table(truth: NDArray[np.int64], given: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many sightings of each person bear each name."""
    both = (truth >= 0) & (given >= 0)
    people, row = np.unique(truth[both], return_inverse=True)
    names, column = np.unique(given[both], return_inverse=True)
    table = np.zeros((len(people), len(names)), np.int64)
    np.add.at(table, (row, column), 1)
    return table
