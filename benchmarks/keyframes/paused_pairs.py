"""Pair files of dev actors with pauses, to measure `--stride auto` on.

python benchmarks/keyframes/paused_pairs.py MOCAP_FOLDER BODIES_FOLDER OUT [--seed 4]

Recorded motion (the actors that no training sees) slows down, stops for one to two seconds and goes
on, again and again. Seen as coco17 of posable bodies through random cameras, with detector-like
noise. A network that looks at the same picture twice finds the same joints twice, so in
`dev_paused` the noise stops with the motion but for a jitter; in `dev_paused_anew` it goes on
as if the person moved, which is unkind to every look that is saved. `dev_natural` are the two long
clips as recorded (one has rests). Each seed modulo 4 takes other clips, so that a rule can be tuned
on some and measured on others.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from vid3d.data.bodies import RESERVED, load_library
from vid3d.data.mocap import DEV_ACTORS, MOCAP_FPS, MotionClip, read_mocap
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.data.virtual_pairs import make_pairs

BODIES = 4
MOVE, REST, EASE = (1.0, 2.5), (1.0, 2.0), 0.15  # seconds
SWAY = 0.02  # speed of a person at rest, as a share of the motion's own
JITTER = 0.002  # of the person's size: what grain and compression do to a network at rest


def places(frames: int, generator: np.random.Generator, fps: float = MOCAP_FPS) -> np.ndarray:
    """Moments of a recording, in frames, played at a speed that nearly stops at times."""
    speed: list[float] = []
    while sum(speed) < frames - 1:
        speed += [1.0] * round(generator.uniform(*MOVE) * fps)
        speed += [SWAY] * round(generator.uniform(*REST) * fps)
    kernel = np.hanning(2 * round(EASE * fps) + 1)
    smooth = np.convolve(np.pad(speed, len(kernel) // 2, "edge"), kernel / kernel.sum(), "valid")
    place = np.cumsum(smooth) - smooth[0]
    return place[place < frames - 1]


def played(array: np.ndarray, place: np.ndarray) -> np.ndarray:
    """An array (F, ...) at fractional frames."""
    low = place.astype(int)
    share = (place - low).reshape(-1, *[1] * (array.ndim - 1))
    return ((1 - share) * array[low] + share * array[low + 1]).astype(np.float32)


def paused_clip(clip: MotionClip, generator: np.random.Generator) -> MotionClip:
    """The motion with pauses."""
    return replace(clip, joints=played(clip.joints, places(len(clip.joints), generator)))


def paused_pair(pair: PairSequence, generator: np.random.Generator) -> PairSequence:
    """A pair with pauses in which its noise rests too."""
    place = places(len(pair), generator)
    nearest, low = np.rint(place).astype(int), place.astype(int)
    sure = (pair.confidence[low] > 0) & (pair.confidence[low + 1] > 0)
    keypoints = np.where(
        sure[..., None], played(pair.keypoints2d, place), pair.keypoints2d[nearest]
    )
    size = np.linalg.norm(np.ptp(pair.keypoints2d, axis=1), axis=-1).mean() / 1.9
    return replace(
        pair,
        keypoints2d=keypoints + generator.normal(0, JITTER * size, keypoints.shape).astype("f4"),
        confidence=pair.confidence[nearest],
        joints3d=played(np.asarray(pair.joints3d), place),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("motions", "bodies", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    seed, out = options.seed, options.out
    library = load_library(options.bodies)
    people = [library[name] for name in library.names if name not in RESERVED][:BODIES]
    generator = np.random.default_rng(seed)
    dev = [
        clip
        for path in sorted(options.motions.glob("train_*.npz"))
        for clip in read_mocap(path)
        if clip.actor in DEV_ACTORS
    ]
    some = [clip for clip in dev if len(clip.joints) >= 100][seed % 4 :: 4]
    natural = [clip for clip in dev if len(clip.joints) > 1000]
    seen = make_pairs(some, "coco17", seed=seed, bodies=people)
    anew = [paused_clip(clip, generator) for clip in some]
    for name, pairs in (
        ("dev_paused", [paused_pair(pair, generator) for pair in seen if len(pair) >= 100]),
        ("dev_paused_anew", make_pairs(anew, "coco17", seed=seed, bodies=people, seconds=12)),
        ("dev_natural", make_pairs(natural, "coco17", seed=seed, bodies=people)),
    ):
        write_pairs(out / f"{name}.pairs.npz", pairs)
        print(f"{name}: {len(pairs)} sequences, {sum(map(len, pairs)) / MOCAP_FPS:.0f} s")


if __name__ == "__main__":
    main()
