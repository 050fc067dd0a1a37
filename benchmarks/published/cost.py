"""How much cheaper a frame of ours is than one of D3DP as published.

    python benchmarks/published/cost.py [--model vid3d-base]

A made-up track of 243 frames at 50 Hz, one thread. D3DP is 512 wide and 8 deep, with random
weights and the mirror image inside every step. It is lifted with 1 and with 3 hypotheses in a
single step: half of the difference is what one hypothesis and step costs, of which H = 20 and
K = 10 make 200. That is an extrapolation: the whole would take many minutes. Ours is lifted at its
defaults, all of it measured, with every 10th frame looked at and with every frame.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from measure import one_core

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import lift_sequence
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import build_networks
from vid3d.training.lifter import lifter_config
from vid3d.training.recipes import load_recipe

FRAMES, HYPOTHESES, STEPS = 243, 20, 10
CAMERA = Camera.from_fov(55, (1280, 720))


def track() -> PairSequence:
    """Somebody who sways."""
    draw = np.random.default_rng(0)
    swing = np.sin(np.arange(FRAMES)[:, None, None] / 15 + draw.normal(size=(17, 3)))
    joints = draw.normal(size=(17, 3)) * [0.2, 0.5, 0.1] + 0.05 * swing + [0, 0, 4]
    seen = CAMERA.project(joints)
    return PairSequence("sways", seen, np.ones((FRAMES, 17)), "h36m17", joints, CAMERA, 50.0)


def milliseconds(lift: Callable[[], object], repeated: int = 1) -> float:
    """Wall-clock milliseconds a frame on one thread, the best of several."""
    taken = []
    for _ in range(repeated):
        with one_core():
            began = time.perf_counter()
            lift()
            taken.append(time.perf_counter() - began)
    return 1000 * min(taken) / FRAMES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="vid3d-base")
    arguments = parser.parse_args()
    sequence = track()
    ours = Lifter.load(arguments.model)
    cheap = {
        stride: milliseconds(lambda stride=stride: lift_sequence(ours, sequence, stride), 5)
        for stride in (10, 1)
    }
    config = lifter_config(load_recipe("lifter/published/d3dp", ["diffusion.flip=true"]))
    theirs = Lifter(build_networks(config))
    one, three = (
        milliseconds(lambda n=n: lift_sequence(theirs, sequence, 1, hypotheses=n, steps=1))
        for n in (1, 3)
    )
    a_pass = (three - one) / 2
    whole = one + (HYPOTHESES * STEPS - 1) * a_pass
    print(f"d3dp: {one:.1f} ms a frame at H = 1, K = 1, "
          f"{three:.1f} at H = 3; {a_pass:.2f} a hypothesis and step, two passes")  # fmt: skip
    print(f"d3dp, H = {HYPOTHESES}, K = {STEPS}, extrapolated: {whole:.0f} ms a frame")
    for stride, taken in cheap.items():
        print(f"{arguments.model}, H = {ours.config.hypotheses}, K = {ours.config.steps}, every "
              f"{stride}. frame looked at: {taken:.3f} ms a frame; "
              f"{whole / taken:,.0f} times cheaper")  # fmt: skip


if __name__ == "__main__":
    main()
