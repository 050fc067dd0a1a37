"""Training by several processes, started by torchrun; a single process needs none of it.

Every process draws its own batches and torch's DistributedDataParallel averages their gradients.
Process 0 keeps the clock, looks at the dev set and writes files.
"""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

from vid3d.errors import Vid3dError


def processes() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def torchrun() -> Iterator[None]:
    """Join the processes that torchrun started, each on its own GPU where there is one.

    Raises:
        Vid3dError: torchrun did not start this process.
    """
    if "LOCAL_RANK" not in os.environ:
        raise Vid3dError(
            "--launcher torchrun: start it as torchrun --nproc-per-node N -m vid3d train ..."
        )
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield
        distributed.barrier()  # nobody hangs up while another still reads what was sent
    finally:
        # DistributedDataParallel is a reference cycle; left to the interpreter's end it would take
        # the group's threads down after Python itself, which aborts the process now and then.
        gc.collect()
        distributed.destroy_process_group()


def agreed(value: float) -> float:
    """Process 0's value, for all."""
    if processes() == 1:
        return value
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.broadcast(shared, 0)
    return float(shared)


class Objective(nn.Module):
    """A model with its loss as one module, which is what DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module, loss: Any) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        """The loss of this process's batch of a step."""
        figures: tuple[Tensor, dict[str, float]] = self.loss(step * processes() + rank(), progress)
        return figures


def objective(model: nn.Module, loss: Any) -> nn.Module:
    """The loss as a module; with several processes its gradients are their mean."""
    alone = Objective(model, loss)
    if processes() == 1:
        return alone
    # Not every part of a model learns from every batch: a prompt slot is empty until it is used.
    return nn.parallel.DistributedDataParallel(alone, find_unused_parameters=True)
