"""What comes of an adaptation: rounds, their words, and the file that is written."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vid3d.adaptation.judge import Figures
from vid3d.lifter import checkpoint, lora
from vid3d.lifter.adapters import Adapter, write_adapter


@dataclass(frozen=True)
class Adaptation:
    """What came of it.

    Attributes:
        path: of the adapter, or of the merged lifter.
        base, adapted: figures that they are judged by.
        ratio: of their errors on motion filmed like the target; below 1 is better than the base.
        rounds: that were run.
        kept: number of the round that was kept, from 1.
        pieces: of tracks that were learnt from, and held out.
        parameters: that were learnt.
        objection: why it would not have been written without `force`; empty if it was.
    """

    path: Path
    base: Figures
    adapted: Figures
    ratio: float
    rounds: int
    kept: int
    pieces: tuple[int, int]
    parameters: int
    objection: str


@dataclass(frozen=True)
class Round:
    """A finished round: its adapter and how good it is.

    Attributes:
        number: from 0.
        state: of the adapter.
        figures: that it is judged by.
        base: those of the lifter as it was.
    """

    number: int
    state: dict[str, Tensor]
    figures: Figures
    base: Figures

    @property
    def ratio(self) -> float:
        """Of the trial's error over that of the lifter as it was."""
        return self.figures.ratio(self.base)

    @property
    def objection(self) -> str:
        """To writing it; empty if there is none."""
        return self.figures.objection(self.base)

    @property
    def rank(self) -> tuple[bool, float]:
        """Smaller is better."""
        return bool(self.objection), self.ratio


def refusal(name: str, best: Round) -> str:
    """Why nothing was written."""
    return (
        f"no adapter written, since it would not help: {best.objection}. Lift with {name} as it "
        "is, or give more videos of the kind; --force writes the adapter all the same"
    )


def write(
    output: Path,
    base: checkpoint.Networks,
    best: Round,
    about: Mapping[str, Any],
    merge: bool,
) -> None:
    """Write the adapter, or the whole lifter with it merged in.

    Args:
        output: safetensors file; it appears whole or not at all.
        base: the lifter, which is changed in place by merging.
        best: what was kept.
        about: what it was made from.
        merge: write the whole lifter.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    name = output.stem
    if merge:
        root = base.as_module()
        lora.attach(root, best.state)
        lora.merge(root)
        config = replace(base.config, name=f"{base.config.name}+{name}")
        checkpoint.save_networks(output, replace(base, config=config))
        return
    judged = {
        "base": _rounded(best.base),
        "adapted": _rounded(best.figures),
        "ratio": round(best.ratio, 4),
        "objection": best.objection,
    }
    told = {**about, "judged": judged}
    write_adapter(output, Adapter(name, base.config.name, base.sha256, best.state, told))


def _rounded(figures: Figures) -> dict[str, float]:
    told = asdict(figures)
    return {key: round(value, 4) for key, value in (told.pop("looks") | told).items()}
