"""Muon: momentum whose matrices are orthogonalised before the step.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the update
scaled to AdamW's usual size, so that one learning rate serves both (Liu et al., "Muon is scalable
for LLM training", arXiv 2502.16982, eq. 4). torch.optim.Muon takes matrices only; here a
convolution (out, in, h, w) counts as the matrix (out, in * h * w).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vid3d.errors import Vid3dError

QUINTIC = (3.4445, -4.7750, 2.0315)  # steep at 0; drives singular values into about 0.7..1.2
ITERATIONS = 5
ADAMW_RMS = 0.2  # usual root mean square of an AdamW update
SMALLEST = 32  # inputs of a unit; a depthwise filter of 25 has no matrix worth orthogonalising


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix (m,n) with its singular values drawn to about 1 (Newton-Schulz, in bfloat16)."""
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, with decoupled weight decay.

    params        tensors of two or more axes, the first of them the outputs
    lr            learning rate, as AdamW would have it
    momentum      of the gradient's running mean
    weight_decay  decoupled
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step from the gradients at hand."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        mean = state["mean"].lerp_(gradient, 1 - group["momentum"])
        update = orthogonalised(gradient.lerp(mean, group["momentum"]).flatten(1))
        scale = ADAMW_RMS * max(update.shape) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update.reshape(weight.shape).to(weight.dtype), alpha=-group["lr"] * scale)


def optimizers(
    model: nn.Module, kind: str, lr: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """AdamW for what learns, or, of ``kind`` "muon", Muon for its matrices and AdamW for the rest.

    Norms and biases do not decay. Raises Vid3dError for another kind.
    """
    if kind not in ("muon", "adamw"):
        raise Vid3dError(f"optimizer is {kind!r}, expected muon or adamw")
    learning = [p for p in model.parameters() if p.requires_grad]
    least = SMALLEST if kind == "muon" else math.inf
    matrices = [p for p in learning if p.ndim > 1 and p[0].numel() >= least]
    filters = [p for p in learning if p.ndim > 1 and p[0].numel() < least]
    vectors = [p for p in learning if p.ndim <= 1]
    rest = [
        {"params": filters, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(rest, lr, betas=(0.9, 0.98), foreach=True)
    return [adamw, *([Muon(matrices, lr, weight_decay=weight_decay)] if matrices else [])]
