"""The figures of `vid3d bench` as text and as JSON."""

import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vid3d.bench.lifter import LifterCost
from vid3d.bench.timing import Timing
from vid3d.machine import usable_cores


def machine() -> str:
    """What was measured on."""
    return f"{platform.machine()} {platform.system()}, {usable_cores()} cores, CPU only"


def pose2d_table(timings: Sequence[Timing]) -> str:
    """One line a timing, milliseconds, with ratios and bars."""
    lines = [f"{'2D, one person, 1080p':24}{'median ms':>10}{'best ms':>10}"]
    for timing in timings:
        verdicts = [
            f"{ratio:.2f} x {other} (bar {timing.bars[other]:g})"
            for other, ratio in timing.ratios.items()
        ]
        line = f"{timing.name:24}{timing.median:10.2f}{timing.fastest:10.2f}  {', '.join(verdicts)}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def lifter_table(cost: LifterCost) -> str:
    """The lifter's figures, one a line."""
    encoder, head, memory = cost.encoder, cost.hypotheses, cost.peak_memory
    rows = {
        "parameters": f"encoder {encoder.parameters:,}, diffusion head {head.parameters:,}",
        "FLOPs an output frame": f"encoder {encoder.flops / 1e6:.2f} M, "
        f"H={cost.count}, K={cost.steps} {head.flops / 1e6:.2f} M",
        "ms an output frame": f"encoder {encoder.milliseconds:.3f}, "
        f"with H={cost.count}, K={cost.steps} {head.milliseconds:.3f} "
        f"({head.milliseconds / encoder.milliseconds:.1f} x)",
        "peak memory": "-" if memory is None else f"{memory / 2**20:.0f} MiB of the process",
    }
    title = f"lifter {cost.name}, {cost.frames} frames at 50 a second, 5 looks a second"
    return "\n".join([title, *(f"{name:24}{text}" for name, text in rows.items())])


def to_json(figures: Sequence[Timing] | LifterCost) -> Any:
    """The figures as JSON holds them."""
    if isinstance(figures, LifterCost):
        return asdict(figures)
    return [asdict(timing) for timing in figures]
