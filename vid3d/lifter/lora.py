"""Low-rank adaptation of a lifter's attention projections, and an output bias.

LoRA (Hu et al. 2022): the weight W (out, in) of a projection becomes W + B A with B (out, r) zero
and A (r, in) random at first; W stays as it is. PoSynDA (Liu et al. 2023, eq. 10 and 11) adapts
the query, key, value and output projections so, and adds a bias of 3 x J to the joints. Both are
parametrizations of the layers that are there, so that an adapted network runs the very operation
that its merged twin runs, and taking them off gives back the weights to the bit.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from vid3d.errors import Vid3dError

RANK = 4
PROJECTIONS = ("attention.qkv", "attention.proj")
"""How the names of adapted layers end."""
OUTPUT = "encoder.head"
"""The layer whose first numbers are the joints."""
_JOINTS = 17 * 3


class LowRank(nn.Module):
    """W + B A."""

    def __init__(self, down: Tensor, up: Tensor) -> None:
        super().__init__()
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)

    def forward(self, weight: Tensor) -> Tensor:
        """The adapted weight (out, in)."""
        return weight + self.up @ self.down


class Offset(nn.Module):
    """The bias of the output layer with metres (17, 3) added to that of the joints."""

    def __init__(self, joints: Tensor) -> None:
        super().__init__()
        self.joints = nn.Parameter(joints)

    def forward(self, bias: Tensor) -> Tensor:
        """The adapted bias."""
        rest = bias.new_zeros(len(bias) - _JOINTS)
        return bias + torch.cat([self.joints.flatten(), rest])


def projections(root: nn.Module) -> dict[str, nn.Linear]:
    """The attention projections of a lifter, by name.

    Args:
        root: a module whose children are `encoder` and, where there is one, `diffusion`.

    Raises:
        Vid3dError: there is none to adapt.
    """
    found = {
        name: module
        for name, module in root.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(PROJECTIONS)
    }
    if not found:
        raise Vid3dError("this lifter has no attention to adapt: choose another --model")
    return found


def output(root: nn.Module) -> nn.Linear:
    """The layer of a lifter that gets the output bias.

    Args:
        root: see `projections`.

    Raises:
        Vid3dError: this kind of encoder has none.
    """
    layer = dict(root.named_modules()).get(OUTPUT)
    if not isinstance(layer, nn.Linear):
        raise Vid3dError(f"this lifter has no layer {OUTPUT} for a bias: use --set bias=false")
    return layer


def fresh(
    root: nn.Module, generator: torch.Generator, rank: int = RANK, bias: bool = True
) -> dict[str, Tensor]:
    """The state of an adapter that changes nothing yet.

    Args:
        root: see `projections`.
        generator: of A, normal with deviation 1 / r.
        rank: r; 0 leaves the projections alone.
        bias: whether the output gets an offset.

    Raises:
        Vid3dError: nothing to adapt, or no output that could get an offset.
    """
    state: dict[str, Tensor] = {}
    for name, layer in projections(root).items() if rank else ():
        random = torch.randn(rank, layer.in_features, generator=generator)
        state[f"{name}.down"] = random / rank
        state[f"{name}.up"] = torch.zeros(layer.out_features, rank)
    if bias:
        output(root)
        state[f"{OUTPUT}.joints"] = torch.zeros(17, 3)
    if not state:
        raise Vid3dError("neither a rank nor a bias is wanted: nothing to adapt")
    return state


def attach(root: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put an adapter on a lifter, on top of those that are there; everything else is frozen.

    Raises:
        Vid3dError: the adapter does not fit.
    """
    root.requires_grad_(False)
    names = sorted({key.rpartition(".")[0] for key in state})
    layers = dict(root.named_modules())
    for name in names:
        layer = layers.get(name)
        if not isinstance(layer, nn.Linear):
            raise Vid3dError(f"the adapter does not fit: this lifter has no layer {name}")
        part, module = _parametrization(name, state)
        try:
            parametrize.register_parametrization(layer, part, module)
        except (RuntimeError, ValueError) as error:
            raise Vid3dError(f"the adapter does not fit layer {name}: {error}") from error


def _parametrization(name: str, state: Mapping[str, Tensor]) -> tuple[str, nn.Module]:
    """What is changed of a layer, and by what."""
    try:
        if f"{name}.joints" in state:
            return "bias", Offset(state[f"{name}.joints"].clone())
        return "weight", LowRank(state[f"{name}.down"].clone(), state[f"{name}.up"].clone())
    except KeyError as error:
        raise Vid3dError(f"the adapter is not whole: {error} is missing") from error


def state_of(root: nn.Module) -> dict[str, Tensor]:
    """The state of the adapter put on last."""
    state = {}
    for name, layer, part in _adapted(root):
        last = layer.get_submodule(f"parametrizations.{part}")[-1]  # type: ignore[index]
        for key, value in last.named_parameters():
            state[f"{name}.{key}"] = value.detach().clone()
    return state


def merge(root: nn.Module) -> None:
    """Write all adapters into the weights: the same numbers, nothing extra to compute."""
    _remove(root, keep=True)


def unmerge(root: nn.Module) -> None:
    """Take all adapters off: the weights are those of before, to the bit."""
    _remove(root, keep=False)


def _remove(root: nn.Module, keep: bool) -> None:
    for _, layer, part in list(_adapted(root)):
        parametrize.remove_parametrizations(layer, part, leave_parametrized=keep)


def _adapted(root: nn.Module) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, layer and changed part of every layer with an adapter."""
    for name, layer in root.named_modules():
        for part in ("weight", "bias"):
            if parametrize.is_parametrized(layer, part):
                yield name, layer, part
