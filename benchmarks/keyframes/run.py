"""`--stride auto` beside fixed strides: looks and errors on pair files.

python benchmarks/keyframes/run.py PAIRS... [--model vid3d-base]

Keypoints of a pair file are what a detector would see; the pictures that `AutoStride` compares are
drawn: a figure of thick limbs in front of a textured wall, with sensor noise, at six times the size
of the small copy. It sees keypoints only of frames that it looks at. A fixed stride is called equal
when its MPJPE is: looks between measured strides are interpolated.
"""

import argparse
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.scores import score
from vid3d.lifter import Lifter
from vid3d.pose2d.people import People, boxes_around
from vid3d.skeleton import H36M17
from vid3d.video.change import shrunk, small_size
from vid3d.video.keyframes import AutoStride

FINE = 6  # pixels of the drawing for one of the small copy
STRIDES = (4, 5, 6, 8, 10, 12, 15, 20)
Array = NDArray[np.floating]


@dataclass(frozen=True)
class Result:
    """Looks a second and mean errors (mm, mm/s) over sequences."""

    name: str
    looks: float
    mpjpe: float
    mrpe: float
    velocity: float


def draw(sequence: PairSequence, frame: int, wall: NDArray[np.uint8], seed: int) -> Array:
    """A picture (H, W, 3) of the true person in a frame."""
    joints = np.asarray(sequence.joints3d)[frame]
    points = sequence.camera.project(joints)
    width = wall.shape[1]
    points = points * (width / sequence.camera.frame_size[0])
    size = np.linalg.norm(np.ptp(points, axis=0)) / 1.9
    image = wall.copy()
    greys = np.random.default_rng(seed).integers(30, 220, 17)
    for joint, parent in enumerate(H36M17.parents):
        if parent >= 0:
            ends = [tuple(int(v) for v in np.rint(points[j] * 8)) for j in (parent, joint)]
            thick = max(2, round(size * (0.22 if joint in (7, 8) else 0.1)))
            cv2.line(image, *ends, [int(greys[joint])] * 3, thick, cv2.LINE_AA, shift=3)
    noise = np.random.default_rng((seed, frame)).normal(0, 4, image.shape[:2])
    return (image + noise[..., None]).clip(0, 255).astype(np.uint8)


def wall_of(sequence: PairSequence, seed: int) -> NDArray[np.uint8]:
    """A textured background at the size of the drawing."""
    width, height = (FINE * side for side in small_size(*sequence.camera.frame_size))
    coarse = np.random.default_rng(seed).integers(60, 200, (9, 16, 1), np.uint8).repeat(3, -1)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))


def auto_looks(sequence: PairSequence, pictures: list[NDArray[np.uint8]]) -> NDArray[np.int64]:
    """The frames that `AutoStride` looks at."""
    stride = AutoStride(sequence.camera.frame_size)
    chosen = []
    ahead = round(stride.AHEAD * sequence.fps)
    for newest in range(len(sequence) + ahead):
        if newest < len(sequence):
            stride.see(newest / sequence.fps, pictures[newest])
        frame = newest - ahead
        if frame == len(sequence) - 1 or (frame >= 0 and stride.due(frame / sequence.fps)):
            keypoints = sequence.keypoints2d[frame : frame + 1]
            confidence = sequence.confidence[frame : frame + 1]
            boxes = boxes_around(keypoints, confidence)
            stride.saw(frame / sequence.fps, People(boxes, np.ones(1), keypoints, confidence))
            chosen.append(frame)
    return np.array(chosen)


def fixed_looks(sequence: PairSequence, stride: int) -> NDArray[np.int64]:
    """Every stride-th frame and the last."""
    frames = np.arange(len(sequence))
    return np.unique(np.append(frames[::stride], frames[-1]))


def lift(lifter: Lifter, sequence: PairSequence, looks: NDArray[np.int64]) -> tuple[float, ...]:
    """MPJPE, MRPE and velocity error of the sequence lifted from some looks."""
    looks = looks[(sequence.confidence[looks] > 0).sum(1) >= 2]
    times = np.arange(len(sequence)) / sequence.fps
    lifted = lifter(
        sequence.keypoints2d[looks],
        sequence.confidence[looks],
        times=times[looks],
        out_times=times,
        camera=sequence.camera,
        joint_set=sequence.joint_set,
        hypotheses=1,
    )
    truth = np.asarray(sequence.joints3d, np.float64)
    scores = score(lifted.joints3d.astype(np.float64), truth, sequence.fps, lifted.spread)
    return scores.mpjpe, scores.mrpe, scores.velocity


def measure(
    name: str, lifter: Lifter, sequences: list[PairSequence], looks: list[NDArray[np.int64]]
) -> Result:
    """One line of the table."""
    errors = [lift(lifter, *each) for each in zip(sequences, looks, strict=True)]
    frames = np.array([len(sequence) for sequence in sequences])
    mpjpe, mrpe, velocity = np.average(errors, axis=0, weights=frames)
    seconds = sum(len(sequence) / sequence.fps for sequence in sequences)
    return Result(name, sum(map(len, looks)) / seconds, mpjpe, mrpe, velocity)


def saving(auto: Result, fixed: list[Result], error: str) -> float:
    """Share of looks saved against the fixed stride of the same error; NaN beyond those tried."""
    rates, errors = (np.array([getattr(f, field) for f in fixed]) for field in ("looks", error))
    order = np.argsort(errors)
    mine = getattr(auto, error)
    if not errors.min() <= mine <= errors.max():
        return float("nan")
    return 1 - auto.looks / float(np.interp(mine, errors[order], rates[order]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--model", default="vid3d-base")
    options = parser.parse_args()
    lifter = Lifter.load(options.model)
    for path in options.pairs:
        sequences = read_pairs(path)
        pictures = []
        for seed, sequence in enumerate(sequences):
            wall = wall_of(sequence, seed)
            pictures.append(
                [shrunk(draw(sequence, frame, wall, seed)) for frame in range(len(sequence))]
            )
        fixed = [
            measure(f"{s}", lifter, sequences, [fixed_looks(q, s) for q in sequences])
            for s in STRIDES
        ]
        chosen = [auto_looks(*each) for each in zip(sequences, pictures, strict=True)]
        auto = measure("auto", lifter, sequences, chosen)
        print(f"{path}\nstride  looks/s   MPJPE    MRPE  velocity")
        for row in (*fixed, auto):
            print(
                f"{row.name:>6}  {row.looks:7.2f}  {row.mpjpe:6.1f}  {row.mrpe:6.1f}"
                f"  {row.velocity:8.1f}"
            )
        for error in ("mpjpe", "mrpe", "velocity"):
            print(f"looks saved at the same {error}: {100 * saving(auto, fixed, error):.0f} %")


if __name__ == "__main__":
    main()
