"""How a lifter is adapted."""

from ast import literal_eval
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.given import whole_number
from vid3d.lifter import lora
from vid3d.lifter.aggregation import AGGREGATES
from vid3d.training.fitting import Stage

_MOST_SEED = 2**33
"""So that the seeds of all rounds and steps fit 64 bits."""


@dataclass(frozen=True)
class AdaptOptions:
    """How a lifter is adapted; the defaults are what `vid3d adapt` uses.

    Attributes:
        rounds: of teaching; the teacher labels the target anew for each.
        patience: rounds without a better proxy after which it ends.
        samples: windows a round; where the target is taught half of them are its own.
        batch: windows a step.
        lr: peak learning rate of the adapter.
        rank: of the low-rank matrices; 0 for none.
        bias: whether the output gets a bias (J x 3).
        hypotheses: that the teacher draws.
        aggregate: how one becomes of them: `soft`, `jpma` (a joint's best), `best` (whole pose).
        placed: whether the source is moved into the target's position and scale (F).
        rehearsed: share of the source that is seen as in training, against forgetting.
        taught: whether the target's own 2D and the teacher's pseudo-labels are learnt from as well;
            otherwise the target only says how to film the source. Off, since it was measured to
            recover half as much (benchmarks/adapt/README.md).
        ema: decay of the teacher's average.
        seed: of everything.
    """

    rounds: int = 3
    patience: int = 2
    samples: int = 2560
    batch: int = 32
    lr: float = 1e-3
    rank: int = lora.RANK
    bias: bool = True
    hypotheses: int = 3
    aggregate: str = "soft"
    placed: bool = True
    rehearsed: float = 0.5
    taught: bool = False
    ema: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "patience", "samples", "hypotheses"):
            if getattr(self, name) < 1:
                raise Vid3dError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if self.batch < 2 or self.batch % 2 or not 0 <= self.rank <= 64 or not 0 < self.lr < 1:
            raise Vid3dError(
                f"batch is {self.batch} (expected an even number), rank {self.rank} (0 to 64), "
                f"lr {self.lr} (between 0 and 1)"
            )
        whole_number("seed", self.seed, -_MOST_SEED, _MOST_SEED)
        for name in ("rehearsed", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise Vid3dError(f"{name} is {getattr(self, name)}, expected a share from 0 to 1")
        if self.aggregate not in AGGREGATES:
            raise Vid3dError(f"aggregate is {self.aggregate!r}, expected one of {AGGREGATES}")

    @classmethod
    def changed(cls, changes: Sequence[str]) -> "AdaptOptions":
        """The defaults with changes `key=value`.

        Raises:
            Vid3dError: an unknown key, or a value of another kind.
        """
        kinds = {item.name: type(item.default) for item in fields(cls)}
        given: dict[str, Any] = {}
        for change in changes:
            key, equals, text = change.partition("=")
            if not equals or key not in kinds:
                raise Vid3dError(f"{change!r}: expected key=value, the key of {', '.join(kinds)}")
            kind = kinds[key]
            try:
                value: Any = text if kind is str else literal_eval(text.strip().capitalize())
                value = float(value) if kind is float and type(value) is int else value
            except (ValueError, SyntaxError):
                value = None
            if type(value) is not kind:
                raise Vid3dError(f"{change!r}: expected a value like {key}={getattr(cls, key)}")
            given[key] = value
        return cls(**given)

    @property
    def shown(self) -> int:
        """Source windows a step."""
        return self.batch // 2 if self.taught else self.batch

    def stage(self, number: int) -> Stage:
        """One round; rates fall from round to round."""
        lr = self.lr * (1 - 0.6 * number / max(1, self.rounds))
        return Stage(
            name=f"round{number}",
            samples=self.samples,
            batch=self.batch,
            lr=lr,
            warm_up=0.05,
            decay=0.6,
            optimizer="adamw",
            weight_decay=0.0,
            clip=1.0,
            ema=self.ema,
        )
