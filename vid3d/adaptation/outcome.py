"""What comes of an adaptation: rounds, their words, and the file that is written."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from vid3d.adaptation.proxy import Proxy
from vid3d.lifter import checkpoint, lora
from vid3d.lifter.adapters import Adapter, write_adapter


@dataclass(frozen=True)
class Adaptation:
    """What came of it.

    Attributes:
        path: of the adapter, or of the merged lifter.
        base, adapted: figures on held-out looks.
        ratio: of the two; below 1 is better than the base.
        rounds: that were run.
        kept: number of the round that was kept, from 1.
        pieces: of tracks that were learnt from, and held out.
        parameters: that were learnt.
    """

    path: Path
    base: Proxy
    adapted: Proxy
    ratio: float
    rounds: int
    kept: int
    pieces: tuple[int, int]
    parameters: int


@dataclass(frozen=True)
class Round:
    """A finished round: its adapter and how good it is."""

    number: int
    state: dict[str, Tensor]
    figures: Proxy
    ratio: float


def figures_text(base: Proxy, adapted: Proxy) -> str:
    """Both lifters' figures in words."""
    return (
        f"hidden joints {base.hidden_joints:.2f} -> {adapted.hidden_joints:.2f} %, "
        f"hidden looks {base.hidden_looks:.2f} -> {adapted.hidden_looks:.2f} %, "
        f"bones {base.bones:.2f} -> {adapted.bones:.2f} %"
    )


def refusal(name: str, base: Proxy, best: Round) -> str:
    """Why nothing was written."""
    return (
        f"no adapter written: on held-out looks it is not better than {name}, which suits these "
        f"videos as it is ({figures_text(base, best.figures)}; ratio {best.ratio:.3f}): give more "
        "videos, or --force"
    )


def write(
    output: Path,
    base: checkpoint.Networks,
    figures: Proxy,
    best: Round,
    about: Mapping[str, Any],
    merge: bool,
) -> None:
    """Write the adapter, or the whole lifter with it merged in.

    Args:
        output: safetensors file; it appears whole or not at all.
        base: the lifter, which is changed in place by merging.
        figures: of the lifter on held-out looks.
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
    held_out = {
        "base": _rounded(figures),
        "adapted": _rounded(best.figures),
        "ratio": round(best.ratio, 4),
    }
    told = {**about, "held_out": held_out}
    write_adapter(output, Adapter(name, base.config.name, base.sha256, best.state, told))


def _rounded(figures: Proxy) -> dict[str, float]:
    return {key: round(value, 4) for key, value in asdict(figures).items()}
