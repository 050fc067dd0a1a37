"""`--stride auto` beside fixed strides: looks and errors on pair files.

python benchmarks/keyframes/run.py PAIRS... [--model vid3d-base] [--step 0.03]

Keypoints of a pair file are what a detector would see; the pictures that `AutoStride` compares are
drawn: a figure of thick limbs in front of a textured wall, at six times the size of the small copy,
with what the averaging leaves of a sensor's noise. It sees keypoints only of frames that it looks
at. Every clip is measured three times, begun at different frames, since errors depend on which
frames happen to be seen. Differences are from the default stride, five looks a second, with the
95 % interval of a bootstrap over sequences.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.metrics import root_relative
from vid3d.lifter import Lifter
from vid3d.pose2d.people import People, boxes_around
from vid3d.skeleton import H36M17
from vid3d.tracking.rest import with_rests
from vid3d.video.change import small_size
from vid3d.video.keyframes import AutoStride, default_stride

FINE = 6  # pixels of the drawing for one of the small copy
GRAIN = 4.0  # standard deviation of the noise in the drawing, of 255
STRIDES = (5, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 25, 30)
BEGINNINGS = (0, 3, 7)  # frames
AT_REST = 0.08  # metres a second, mean over joints
Array = NDArray[np.floating]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Watched:
    """A clip: what a detector would see of it and the small pictures of all its frames."""

    sequence: PairSequence
    pictures: Sequence[Picture]

    def begun(self, first: int) -> "Watched":
        """The clip from a frame on."""
        sequence = replace(
            self.sequence,
            keypoints2d=self.sequence.keypoints2d[first:],
            confidence=self.sequence.confidence[first:],
            joints3d=np.asarray(self.sequence.joints3d)[first:],
        )
        return Watched(sequence, self.pictures[first:])


@dataclass(frozen=True)
class Looks:
    """Frames (K,) that are looked at, and whether nothing moved (K,) since the look before."""

    frames: NDArray[np.int64]
    still: NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """Of one way to look, by sequence: looks, frames, and sums of errors (mm, mm/s) over frames."""

    looks: Array
    frames: Array
    resting: Array
    error: Array
    rest_error: Array
    velocity: Array

    def __add__(self, other: "Result") -> "Result":
        sums = (getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        return Result(*sums)

    def row(self, fps: float) -> str:
        """Looks a second; MPJPE of all, of resting and of moving frames; error of velocity."""
        frames, resting = self.frames.sum(), self.resting.sum()
        moving = (self.error - self.rest_error).sum() / max(frames - resting, 1)
        return (
            f"{self.looks.sum() / frames * fps:7.2f}  {self.error.sum() / frames:6.2f}"
            f"  {self.rest_error.sum() / max(resting, 1):6.2f}  {moving:6.2f}"
            f"  {self.velocity.sum() / frames:6.1f}"
        )

    def beyond(self, other: "Result") -> tuple[float, float, float]:
        """How much greater the error is than another's: the mean and its 95 % interval."""
        generator = np.random.default_rng(0)
        picks = generator.integers(0, len(self.frames), (4000, len(self.frames)))
        means = (self.error - other.error)[picks].sum(1) / self.frames[picks].sum(1)
        mean = (self.error - other.error).sum() / self.frames.sum()
        low, high = np.quantile(means, (0.025, 0.975))
        return float(mean), float(low), float(high)


def pictures_of(sequence: PairSequence, seed: int) -> list[Picture]:
    """Small grey pictures of the true person in every frame."""
    size = small_size(*sequence.camera.frame_size)
    scale = FINE * size[0] / sequence.camera.frame_size[0]
    generator = np.random.default_rng(seed)
    coarse = generator.integers(60, 200, (9, 16), np.uint8)
    large = [FINE * side for side in size]
    wall = np.asarray(cv2.resize(coarse, large, interpolation=cv2.INTER_CUBIC), np.uint8)
    greys = generator.integers(30, 220, 17)
    pictures = []
    for joints in np.asarray(sequence.joints3d):
        image = draw(sequence.camera.project(joints) * scale, wall, greys)
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        noisy = small + generator.normal(0, GRAIN / FINE, small.shape)
        pictures.append(noisy.clip(0, 255).astype(np.uint8))
    return pictures


def draw(points: Array, wall: Picture, greys: NDArray[np.int64]) -> Picture:
    """A figure with joints at points (17, 2) before a wall (H, W)."""
    size, image = np.linalg.norm(np.ptp(points, axis=0)) / 1.9, wall.copy()
    for joint, parent in enumerate(H36M17.parents):
        if parent >= 0:
            ends = [tuple(int(v) for v in np.rint(points[j] * 8)) for j in (parent, joint)]
            thick = max(2, round(size * (0.22 if joint in (7, 8) else 0.1)))
            cv2.line(image, ends[0], ends[1], (int(greys[joint]),), thick, cv2.LINE_AA, shift=3)
    return image


def auto_looks(clip: Watched, step: float = AutoStride.STEP) -> Looks:
    """What `AutoStride` looks at, with its own limit of motion or another."""
    sequence = clip.sequence
    stride = AutoStride(sequence.camera.frame_size, default_stride(sequence.fps))
    stride.STEP = step
    chosen, still = [], []
    last = len(sequence) - 1
    for newest in range(len(sequence) + stride.stride):
        if newest <= last:
            stride.see(newest / sequence.fps, clip.pictures[newest])
        frame = newest - stride.stride
        if frame >= 0 and (
            frame == last or (frame % stride.stride == 0 and stride.due(frame / sequence.fps))
        ):
            keypoints = sequence.keypoints2d[frame : frame + 1]
            confidence = sequence.confidence[frame : frame + 1]
            boxes = boxes_around(keypoints, confidence)
            still.append(stride.spared)
            stride.saw(
                frame / sequence.fps, People(boxes, np.ones(1, np.float32), keypoints, confidence)
            )
            chosen.append(frame)
    return Looks(np.array(chosen), np.array(still))


def fixed_looks(clip: Watched, stride: int) -> Looks:
    """Every stride-th frame and the last."""
    frames = np.arange(len(clip.sequence))
    frames = np.unique(np.append(frames[::stride], frames[-1]))
    return Looks(frames, np.zeros(len(frames), bool))


def lift(lifter: Lifter, sequence: PairSequence, looks: Looks) -> tuple[Array, Array]:
    """Errors (F,) of the pose (mm) and of the velocity (mm/s) of a sequence lifted from looks."""
    seen = np.flatnonzero((sequence.confidence[looks.frames] > 0).sum(1) >= 2)
    frames, next_to = looks.frames[seen], np.diff(seen, prepend=-1) == 1
    times = np.arange(len(sequence)) / sequence.fps
    keypoints, confidence, looked = with_rests(
        sequence.keypoints2d[frames],
        sequence.confidence[frames],
        times[frames],
        looks.still[seen] & next_to,
    )
    lifted = lifter(
        keypoints,
        confidence,
        times=looked,
        out_times=times,
        camera=sequence.camera,
        joint_set=sequence.joint_set,
        hypotheses=1,
    ).joints3d.astype(np.float64)
    truth = np.asarray(sequence.joints3d, np.float64)
    pose = np.linalg.norm(root_relative(lifted) - root_relative(truth), axis=-1).mean(-1)
    drift = np.linalg.norm(np.gradient(lifted - truth, axis=0), axis=-1).mean(-1)
    return 1000 * pose, 1000 * sequence.fps * drift


def at_rest(sequence: PairSequence) -> NDArray[np.bool_]:
    """Frames (F,) in which the person rests."""
    steps = np.linalg.norm(np.gradient(np.asarray(sequence.joints3d), axis=0), axis=-1).mean(-1)
    smooth = np.convolve(np.pad(steps, 5, "edge"), np.full(11, 1 / 11), "valid")
    return np.asarray(smooth * sequence.fps < AT_REST)


def measure(lifter: Lifter, clips: Sequence[Watched], look: Callable[[Watched], Looks]) -> Result:
    """One way to look at all clips, as they begin."""
    rows = []
    for clip in clips:
        looks, rest = look(clip), at_rest(clip.sequence)
        pose, velocity = lift(lifter, clip.sequence, looks)
        rows.append(
            (len(looks.frames), len(pose), rest.sum(), pose.sum(), pose[rest].sum(), velocity.sum())
        )
    return Result(*np.array(rows, float).T)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+")
    parser.add_argument("--model", default="vid3d-base")
    parser.add_argument("--step", action="append", default=[], type=float, help="another limit")
    parser.add_argument("--strides", default=",".join(map(str, STRIDES)))
    options = parser.parse_args()
    lifter = Lifter.load(options.model)
    sequences = [sequence for path in options.pairs for sequence in read_pairs(path)]
    clips = [Watched(each, pictures_of(each, seed)) for seed, each in enumerate(sequences)]
    fps = sequences[0].fps
    usual = default_stride(fps)
    strides = sorted({usual, *map(int, options.strides.split(","))})
    ways: dict[str, Callable[[Watched], Looks]] = {"auto": auto_looks}
    for step in options.step:
        ways[f"{step}"] = partial(auto_looks, step=step)
    for stride in strides:
        ways[f"{stride}"] = partial(fixed_looks, stride=stride)
    print(f"{sum(map(len, sequences)) / fps:.0f} s, {len(sequences)} sequences")
    print("  stride  looks/s   MPJPE    rest  moving  velocity   beyond the default (95 %)")
    base: Result | None = None
    for name in (f"{usual}", *(name for name in ways if name != f"{usual}")):
        parts = [measure(lifter, [c.begun(b) for c in clips], ways[name]) for b in BEGINNINGS]
        result = sum(parts[1:], parts[0])
        base = base or result
        mean, low, high = result.beyond(base)
        print(f"{name:>8}  {result.row(fps)}   {mean:+.2f} ({low:+.2f} to {high:+.2f})", flush=True)


if __name__ == "__main__":
    main()
