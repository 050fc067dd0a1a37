"""`vid3d bench lifter`: what lifting costs."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import numpy as np
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vid3d.camera import Camera
from vid3d.lifter import Lifter

FPS, LOOKS = 50, 5  # a second
SECONDS = 20
LONG = 600
"""Seconds of the clip whose memory is measured."""
HYPOTHESES, STEPS = 20, 5


@dataclass(frozen=True)
class Cost:
    """Of a network, by output frame.

    Attributes:
        parameters: of the network.
        flops: floating-point operations of matrix products, two a multiplication and addition.
        milliseconds: wall time, all of lifting included.
    """

    parameters: int
    flops: float
    milliseconds: float

    @property
    def rate(self) -> float:
        """Person-frames a second."""
        return 1e3 / self.milliseconds


@dataclass(frozen=True)
class LifterCost:
    """Costs of a lifter on one person.

    Attributes:
        name: of the model.
        frames: output frames that costs were measured over.
        count: hypotheses drawn. steps: sampling steps of each.
        encoder: lifting with the encoder alone; by default, its answer is what users get.
        hypotheses: parameters and FLOPs of the head, milliseconds of encoder and head together.
        memory: most bytes that a process of its own held before, and after it had lifted one
            person for `LONG` seconds in one piece; None where the system does not say.
    """

    name: str
    frames: int
    count: int
    steps: int
    encoder: Cost
    hypotheses: Cost
    memory: tuple[int, int] | None


def bench_lifter(model: str = "vid3d-base", rounds: int = 3) -> LifterCost:
    """Measure a lifter on a made-up person at 5 looks a second.

    Raises:
        Vid3dError: no such model, or one without a diffusion head.
    """
    lifter = Lifter.load(model)
    networks = lifter.networks
    frames = FPS * SECONDS
    alone = _run(lifter, SECONDS, 1, 1)
    drawn = _run(lifter, SECONDS, HYPOTHESES, STEPS)
    flops_alone, flops_drawn = _flops(alone), _flops(drawn)
    times = {call: [] for call in (alone, drawn)}  # type: dict[Callable[[], Any], list[float]]
    for _ in range(rounds):
        for call, values in times.items():
            start = time.perf_counter()
            call()
            values.append(1e3 * (time.perf_counter() - start) / frames)
    return LifterCost(
        name=lifter.name,
        frames=frames,
        count=HYPOTHESES,
        steps=STEPS,
        encoder=Cost(_parameters(networks.encoder), flops_alone / frames, min(times[alone])),
        hypotheses=Cost(
            _parameters(networks.diffusion), (flops_drawn - flops_alone) / frames, min(times[drawn])
        ),
        memory=_long_memory(model),
    )


def _run(lifter: Lifter, seconds: int, hypotheses: int, steps: int) -> Callable[[], Any]:
    """A call that lifts a person who sways in front of the camera."""
    times = np.arange(seconds * LOOKS + 1) / LOOKS
    pose = np.random.default_rng(0).uniform(-1, 1, (17, 2)) * [120, 300]
    sway = 40 * np.sin(times[:, None, None] * 2 + np.arange(17)[:, None])
    keypoints = np.array([960, 540]) + pose + sway

    def call() -> Any:
        return lifter(
            keypoints,
            np.ones((len(times), 17)),
            times=times,
            out_times=np.arange(FPS * seconds) / FPS,
            camera=Camera.from_fov(55, (1920, 1080)),
            hypotheses=hypotheses,
            steps=steps,
        )

    return call


def _flops(call: Callable[[], Any]) -> float:
    one_core = patch.dict(os.environ, OMP_NUM_THREADS="1")  # only this thread's are counted
    with one_core, FlopCounterMode(display=False) as counter:
        call()
    return float(counter.get_total_flops())


def _parameters(network: nn.Module | None) -> int:
    return 0 if network is None else sum(value.numel() for value in network.parameters())


def _long_memory(model: str) -> tuple[int, int] | None:
    """Peaks of a new process, in which nothing else has been held."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        before, after = pool.submit(lift_long, model).result()
    return None if before is None or after is None else (before, after)


def lift_long(model: str, seconds: int = LONG) -> tuple[int | None, int | None]:
    """Peak memory of this process before and after a long lift."""
    call = _run(Lifter.load(model), seconds, HYPOTHESES, STEPS)
    before = _peak_memory()
    call()
    return before, _peak_memory()


def _peak_memory() -> int | None:
    """Bytes; Linux counts kibibytes, macOS bytes, Windows has no such call."""
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
