"""A larger encoder that begins with what a smaller one knows.

Function-preserving growth (Net2Net, Chen et al., ICLR 2016, for the residual blocks of a
transformer): whatever is new adds nothing at first, so both give the same answers, and training
goes on from there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

_ADDED = ("attention.proj.weight", "attention.proj.bias", "mlp.2.weight", "mlp.2.bias")
"""The last layers of a block, whose outputs it adds to its tokens."""


def grown(small: Mapping[str, Tensor], large: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights for a larger `Encoder`: those of a smaller one, and new ones that are silent.

    Args:
        small: weights of an encoder with no more temporal blocks and no wider MLPs.
        large: untrained weights of the larger one; new hidden units and blocks read as these do.

    Returns:
        What the larger encoder loads; where the two differ in other ways, what does not fit it.
    """
    weights = dict(small)
    for name, made in large.items():
        known = small.get(name)
        if known is not None and (known.shape == made.shape or ".mlp." not in name):
            continue
        if known is None and not name.startswith("temporal."):
            continue
        begun = torch.zeros_like(made) if name.endswith(_ADDED) else made.clone()
        if known is not None:
            begun[tuple(slice(size) for size in known.shape)] = known
        weights[name] = begun
    return weights
