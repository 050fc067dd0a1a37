"""The figures of `vid3d bench` as text and as JSON."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vid3d.bench.lifter import LONG, LifterCost
from vid3d.bench.timing import Timing
from vid3d.bench.video import (
    LEAST_GAIN,
    MOST_DECODING,
    MOST_DRAWING,
    OF_BOUND,
    Lifted,
    VideoCost,
)
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
    encoder, head, memory = cost.encoder, cost.hypotheses, cost.memory
    rows = {
        "parameters": f"encoder {encoder.parameters:,}, diffusion head {head.parameters:,}",
        "FLOPs an output frame": f"encoder {encoder.flops / 1e6:.2f} M, "
        f"H={cost.count}, K={cost.steps} {head.flops / 1e6:.2f} M",
        "ms an output frame": f"encoder {encoder.milliseconds:.3f}, "
        f"with H={cost.count}, K={cost.steps} {head.milliseconds:.3f} "
        f"({head.milliseconds / encoder.milliseconds:.1f} x)",
        "person-frames a second": f"encoder {encoder.rate:,.0f}, with H={cost.count}, "
        f"K={cost.steps} {head.rate:,.0f}",
        "peak memory": "-"
        if memory is None
        else f"{memory[1] / 2**20:.0f} MiB for {LONG // 60} minutes, "
        f"{memory[0] / 2**20:.0f} of them before",
    }
    title = f"lifter {cost.name}, {cost.frames} frames at 50 a second, 5 looks a second"
    return "\n".join([title, *(f"{name:24}{text}" for name, text in rows.items())])


def video_table(cost: VideoCost) -> str:
    """One line a way through the video, its stages below it, with ratios and bars."""
    kind = f"{cost.codec}, {'with' if cost.reordered else 'without'} B-frames"
    title = (
        f"{cost.name}: {cost.size[0]} x {cost.size[1]}, {cost.frames} frames at {cost.fps:g} "
        f"a second, {kind}, {cost.bit_rate / 1e6:.1f} Mbit/s"
    )
    slow = cost.per_frame
    parts = {"decoding": slow.decoding, "2D": slow.looking, "lifting to 3D": slow.lifting}
    lines = [title, f"{'':28}{'seconds':>9}{'CPU s':>9}{'ms/frame':>10}{'x playing':>11}"]
    lines += _way(cost, "bare decoding", cost.decoding, {})
    lines += _way(cost, "2D on every frame", (slow.total, slow.cpu), parts)
    for run in cost.runs:
        name = f"vid3d, stride {run.stride}{', drawn' if run.drawn else ''}"
        lines += _way(cost, name, (run.seconds, run.cpu), run.stages)
        lines += [f"  {verdict}" for verdict in _verdicts(cost, run)]
    return "\n".join(line.rstrip() for line in lines)


def _way(
    cost: VideoCost, name: str, spent: tuple[float, float], stages: Mapping[str, float]
) -> list[str]:
    seconds, cpu = spent
    each, speed = 1e3 * seconds / cost.frames, cost.duration / seconds
    head = f"{name:28}{seconds:9.2f}{cpu:9.2f}{each:10.2f}{speed:11.2f}"
    return [head, *(f"    {stage:24}{taken:9.2f}" for stage, taken in stages.items())]


def _verdicts(cost: VideoCost, run: Lifted) -> list[str]:
    """How a run stands against the limits, with bars where there are any."""
    decoding, cpu = run.seconds / cost.decoding[0], run.cpu / cost.decoding[1]
    alike = f"{decoding:.2f} x bare decoding, {cpu:.2f} x its CPU"
    if run.drawn:
        return [f"{alike} (bar {MOST_DRAWING:g})"]
    gain = cost.per_frame.total / run.seconds
    bound = cost.per_frame.bound(run.looks, cost.decoding[0])
    hidden = cost.per_frame.bound(run.looks)
    most = MOST_DECODING[run.stride]
    return [
        f"{alike} (bar {most:g})",
        f"{gain:.2f} x faster than 2D on every frame, {cost.per_frame.cpu / run.cpu:.2f} x by CPU "
        f"(bar {LEAST_GAIN[run.stride]:g}), "
        f"{gain / bound:.2f} of Amdahl's bound {bound:.2f} (bar {OF_BOUND:g}), "
        f"{gain / hidden:.2f} if its decoding were free behind the networks",
    ]


def to_json(figures: Sequence[Timing] | LifterCost | VideoCost) -> Any:
    """The figures as JSON holds them."""
    if isinstance(figures, LifterCost | VideoCost):
        return asdict(figures)
    return [asdict(timing) for timing in figures]
