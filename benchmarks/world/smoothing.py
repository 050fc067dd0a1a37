"""The dial of smoothing against truth: errors, what it removes, and how late it comes.

python benchmarks/world/smoothing.py PAIRS [--strides 2,5,10] [--dials 0,0.1,0.3,0.5,0.7,1]

PAIRS is a pair file with 3D truth, such as dev_coco17.pairs.npz of benchmarks/accuracy.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.lifting import lift_sequence
from vid3d.evaluation.scores import score
from vid3d.lifter import Lifted, Lifter
from vid3d.motion import Motion
from vid3d.world import jitters, lag, smoothed
from vid3d.world.smoothing import cutoff


def as_motion(sequence: PairSequence, lifted: Lifted) -> Motion:
    frames = len(sequence)
    return Motion(
        joints3d=lifted.joints3d[None],
        present=np.ones((1, frames), bool),
        spread=lifted.spread[None],
        root_spread=lifted.root_spread[None],
        contacts=lifted.contacts[None],
        keyframes=np.zeros(0, np.int64),
        keypoints2d=np.zeros((1, 0, 17, 3), np.float32),
        track_ids=np.zeros(1, np.int64),
        timestamps=np.arange(frames) / sequence.fps,
        intrinsics=sequence.camera.intrinsics.astype(np.float32),
        frame_size=np.array(sequence.camera.frame_size),
        meta={"fps": sequence.fps},
    )


def row(motion: Motion, after: Motion, truth: np.ndarray) -> list[float]:
    joints = after.joints3d[0].astype(np.float64)
    one = score(joints, truth, motion.fps, after.spread[0])
    bend = np.diff(joints[:, 0] - truth[:, 0], n=2, axis=0)
    root = 1000 * np.linalg.norm(bend, axis=-1).mean() * motion.fps**2
    return [
        one.mpjpe, one.p_mpjpe, one.velocity, one.acceleration, one.mrpe, float(root),
        1000 * float(jitters(after)[0]), 1000 * lag(motion, after),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--strides", default="2,5,10")
    parser.add_argument("--dials", default="0,0.1,0.2,0.3,0.4,0.5,0.7,1")
    options = parser.parse_args()
    lifter, sequences = Lifter.load("vid3d-base"), read_pairs(options.pairs)
    print("stride dial    Hz  MPJPE P-MPJPE velocity acceleration   MRPE root-acc jitter lag-ms")
    for stride in map(int, options.strides.split(",")):
        motions = [as_motion(s, lift_sequence(lifter, s, stride)[0]) for s in sequences]
        for dial in map(float, options.dials.split(",")):
            rows = [
                row(motion, smoothed(replace(motion), dial), np.asarray(s.joints3d, np.float64))
                for motion, s in zip(motions, sequences, strict=True)
            ]
            weights = [len(sequence) for sequence in sequences]
            mean = np.average(rows, axis=0, weights=weights)
            late = np.abs(np.array(rows)[:, -1]).max()
            hertz = f"{cutoff(dial):5.1f}" if dial else "    -"
            print(
                f"{stride:6d} {dial:4.2f} {hertz} {mean[0]:6.2f} {mean[1]:7.2f} {mean[2]:8.1f} "
                f"{mean[3]:12.0f} {mean[4]:6.1f} {mean[5]:8.0f} {mean[6]:6.2f} "
                f"{mean[7]:6.3f} (worst {late:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
