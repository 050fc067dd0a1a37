"""Training batches by their step: made in place, or ahead of time by worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

from vid3d.training.distributed import processes

T = TypeVar("T")

LAST_STEP = 10**9
FORKS = "fork" in multiprocessing.get_all_start_methods()
"""Whether processes can begin with what this one holds: no other way hands on how batches are made
and the pictures that they are made of. Windows has none."""


class _Steps(Dataset[T]):
    """A data set whose item i is the batch of step i."""

    def __init__(self, make: Callable[[int], T]) -> None:
        self.make = make

    def __getitem__(self, step: int) -> T:
        return self.make(step)


class Feed(Generic[T]):
    """The batch of each step, in order; of every n-th step where n processes train together.

    A batch depends on its step alone, so it is the same whoever makes it, and a resumed run starts
    in the middle.

    make     draws the batch of a step
    workers  processes that make batches ahead; 0: none, which suits a CPU that trains, and none
             where they cannot be forked
    """

    def __init__(self, make: Callable[[int], T], workers: int = 0) -> None:
        self.make, self.workers = make, workers
        self._ahead: Iterator[T] | None = None
        self._next = -1

    def __call__(self, step: int) -> T:
        """The batch of ``step``."""
        if not (self.workers and FORKS):
            return self.make(step)
        if self._ahead is None or step != self._next:
            steps = range(step, LAST_STEP, processes())
            loader = DataLoader(
                _Steps(self.make),
                None,
                sampler=steps,
                num_workers=self.workers,
                multiprocessing_context="fork",
            )
            self._ahead = iter(loader)
        self._next = step + processes()
        return next(self._ahead)
