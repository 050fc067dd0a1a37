"""What this process may use of the machine."""

import os
from typing import Any

from vid3d.errors import Vid3dError


def usable_cores() -> int:
    """CPU cores that this process may run on, and no more than OMP_NUM_THREADS allows."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(allowed)) if allowed.isdecimal() and int(allowed) else cores


def find_device(device: Any) -> str:
    """A device by name: "cpu", "cuda", "cuda:N", or "auto" for the first GPU, else the CPU.

    A `torch.device` is taken by its name.

    Raises:
        Vid3dError: there is no such device here.
    """
    device = str(device)
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise Vid3dError(f"unknown device {device!r}: give auto, cpu, cuda or cuda:N") from error
    if wanted.type != "cuda" or not torch.cuda.is_available():
        raise Vid3dError(f"device {device!r} is not available here; use --device cpu")
    if (wanted.index or 0) >= torch.cuda.device_count():
        raise Vid3dError(f"there is no {device}: {torch.cuda.device_count()} CUDA device(s) here")
    return device
