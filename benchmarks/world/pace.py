"""How well the scale of a travelling camera's way is told by feet, on scenes of known truth.

    python benchmarks/world/pace.py MOCAP_FOLDER [--scenes 40] [--first 0] [--stride 10]
        [--model vid3d-base]

The scenes of `scenes.py` (takes of the dev actors, detector-like 2D noise), seen by a camera that
keeps its direction and stays, or travels in one of three ways: it wanders, goes straight on, or
follows the people. Where it was is known but for the scale. Prints, for each way, MPJPE and the
error of ankles (root-relative, millimetres), the scale found over the true one (median, and the
quantiles 0.1 and 0.9), what the camera travelled, the mean distance of joints from the truth in
metres with the camera held to stand, with the way found, and with the true one ("oracle"), and in
cm/s how fast ankles move that stand in truth (slower than 0.25 m/s), as lifted, with the way found,
and settled.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scenes import compose, dev_clips, lift_scene, see
from scipy.ndimage import gaussian_filter1d

from vid3d.data.mocap import MOCAP_FPS
from vid3d.evaluation.metrics import SCORED
from vid3d.lifter import Lifter
from vid3d.motion import Motion
from vid3d.travelling import Way, pace
from vid3d.world import settle
from vid3d.world.stances import ANKLES

Array = NDArray[np.float64]

WAYS = ("stays", "wanders", "goes straight on", "follows")
STANDS = 0.25


def way_through(world: Array, kind: str, rng: np.random.Generator) -> Array:
    """Places (F, 3) of a camera in the world, relative to the first; z is up."""
    frames = world.shape[1]
    if kind == "stays":
        return np.zeros((frames, 3))
    bob = gaussian_filter1d(rng.standard_normal((frames, 3)), 0.15 * MOCAP_FPS, axis=0)
    bob *= 0.02 / bob.std(0)
    if kind == "wanders":
        walk = gaussian_filter1d(rng.standard_normal((frames, 3)), MOCAP_FPS, axis=0)
        velocity = walk / walk.std() * [0.7, 0.7, 0.1]
        places = np.cumsum(velocity, 0) / MOCAP_FPS
    elif kind == "goes straight on":
        bearing, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.3)
        ahead = np.array([np.cos(bearing), np.sin(bearing), 0])
        places = speed * np.arange(frames)[:, None] / MOCAP_FPS * ahead
    else:
        places = gaussian_filter1d(world[:, :, 0].mean(0), 0.3 * MOCAP_FPS, axis=0) * [1, 1, 0]
    return places + bob - (places + bob)[0]


def turn_between(world: Array, seen: Array) -> Array:
    """The rotation (3, 3) from the world's directions to the camera's."""
    a, b = world.reshape(-1, 3), seen.reshape(-1, 3)
    U, _, Vt = np.linalg.svd((b - b.mean(0)).T @ (a - a.mean(0)))
    return np.asarray(U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt)


def along(motion: Motion, way: Way) -> Motion:
    """The motion in the frame of the camera as it stood first."""
    joints = np.stack([next(motion.stretches(p)).joints3d for p in range(motion.people)])
    for person in range(motion.people):
        joints[person] = way.along(next(motion.stretches(person))).joints3d
    return replace(motion, joints3d=joints, camera_position=way.position.astype(np.float32))


def slide(motion: Motion, truth: Array) -> float:
    """Metres a second of ankles that stand in truth."""
    true, own = (
        np.linalg.norm(np.gradient(joints[:, :, ANKLES], 1 / MOCAP_FPS, axis=1), axis=-1)
        for joints in (truth, motion.joints3d)
    )
    return float(np.median(own[true < STANDS]))


def measure(lifter: Lifter, world: Array, kind: str, seed: int, stride: int) -> list[float]:
    """Two errors of poses, ratio of scales, metres travelled, three errors of places, three slides;
    see above.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    places = way_through(world, kind, rng)
    passing = world - places[:, None]
    sequences = see(passing, generator)
    seen = np.stack([one.joints3d for one in sequences]).astype(np.float64)
    eye = places @ turn_between(passing, seen).T
    truth = seen + eye[:, None]
    lifted = lift_scene(lifter, sequences, stride)
    unit = rng.uniform(0.05, 20)
    way = Way(np.broadcast_to(np.eye(3), (len(eye), 3, 3)), eye / unit)
    stretches = [next(lifted.stretches(person)) for person in range(lifted.people)]
    factor = pace(way, stretches)
    found, oracle = along(lifted, way.scaled(factor)), along(lifted, way.scaled(unit))
    errors = [
        float(np.linalg.norm(one.joints3d - truth, axis=-1).mean())
        for one in (lifted, found, oracle)
    ]
    slides = [slide(one, truth) for one in (lifted, found, settle(found))]
    way_length = float(np.linalg.norm(np.diff(eye, axis=0), axis=1).sum())
    poses, true = (joints - joints[:, :, :1] for joints in (lifted.joints3d, seen))
    off = 1000 * np.linalg.norm(poses - true, axis=-1)
    limbs = [float(off[:, :, part].mean()) for part in (SCORED, ANKLES)]
    return [*limbs, factor / unit, way_length, *errors, *slides]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path, help="folder of motion files")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--model", default="vid3d-base")
    options = parser.parse_args()
    lifter, clips = Lifter.load(options.model), dev_clips(options.mocap)
    head = "MPJPE ankles  ratio (0.1, 0.9)     m  stands found oracle  slide found settled"
    print(f"{'camera':18} {head}")
    for kind in WAYS:
        rows = []
        for seed in range(options.first, options.first + options.scenes):
            world = compose(clips, np.random.default_rng(seed))
            try:
                rows.append(measure(lifter, world, kind, seed, options.stride))
            except ValueError as error:  # no camera has everybody in sight
                print(f"  scene {seed} left out: {error}")
        low, middle, high = np.quantile([row[2] for row in rows], [0.1, 0.5, 0.9])
        poses, ankles, _, length, stands, found, oracle, *slides = np.mean(rows, axis=0)
        moves = " ".join(f"{100 * one:6.1f}" for one in slides)
        print(
            f"{kind:18} {poses:5.1f} {ankles:6.1f}  {middle:5.2f} ({low:4.2f}, {high:4.2f}) "
            f"{length:6.1f} {stands:6.2f} {found:6.2f} {oracle:6.2f} {moves}",
            flush=True,
        )


if __name__ == "__main__":
    main()
