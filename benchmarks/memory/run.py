"""Peak memory of lifting long videos beside a short one, each in a process of its own.

    python benchmarks/memory/run.py --minutes 1 60 --decode
    python benchmarks/memory/run.py --minutes 1 60 180 --people 4
    python benchmarks/memory/run.py --minutes 1 60 --decode --render --rows 144 --fps 10

The decoder with `--decode` (an H.264 file, its packets repeated until it is long enough), the
lifter, tracking, settling and writing are the real ones. The 2D networks are loaded but their
answers made up, since what they hold does not depend on the length and an hour of them takes an
hour; `--networks` asks them. Without `--decode` frames are made up as well.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from vid3d.camera import Camera
from vid3d.monitor import Monitor
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.estimator import TopDown
from vid3d.results import Wanted, write_results
from vid3d.video import VideoWriter

STRIDE = 10
LOOP = 10
"""Seconds that are encoded and repeated."""

# A standing body, COCO-17, metres from the middle of the hips, y down.
BODY = np.array(
    [
        (0, -0.7), (0.03, -0.73), (-0.03, -0.73), (0.07, -0.7), (-0.07, -0.7), (0.17, -0.48),
        (-0.17, -0.48), (0.3, -0.25), (-0.3, -0.25), (0.35, 0), (-0.35, 0), (0.12, 0), (-0.12, 0),
        (0.12, 0.43), (-0.12, 0.43), (0.12, 0.86), (-0.12, 0.86),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class MadeUpFrame:
    """A frame with nothing to be seen."""

    index: int
    time: float
    image: np.ndarray


class MadeUpReader:
    """Stands in for a `VideoReader` of as many minutes as the file's text says."""

    def __init__(
        self,
        path: Path,
        start: float | None = None,
        end: float | None = None,
        device: str = "cpu",
    ) -> None:
        minutes, self.fps, *size = map(float, Path(path).read_text(encoding="utf-8").split())
        self.expected_frames = round(minutes * 60 * self.fps)
        self.info = SimpleNamespace(fps=self.fps, size=tuple(map(int, size)), focal_35mm=None)
        self.truncated = None

    def __enter__(self) -> "MadeUpReader":
        return self

    def __exit__(self, *what: Any) -> None:
        return None

    def frames(self, stride: int) -> Iterator[MadeUpFrame]:
        """All frames."""
        width, height = self.info.size
        nothing = np.broadcast_to(np.uint8(0), (height, width, 3))
        return (MadeUpFrame(i, i / self.fps, nothing) for i in range(self.expected_frames))


class MadeUpNetworks:
    """Answers look after look: people who sway; every minute each is away for some seconds."""

    name, joint_set = "made up", "coco17"

    def __init__(self, people: int, size: tuple[int, int], fps: float) -> None:
        self._people, self._looks = people, array("q", [0, 0])
        self._camera, self._fps, self._unit = Camera.from_fov(55, size), fps, size[1] / 1080

    def _poses(self, look: int) -> np.ndarray:
        seconds, poses = look * STRIDE / self._fps, []
        for person in range(self._people):
            if (seconds + 7 * person) % 60 < 56 or self._people == 1:
                angle = 0.7 * seconds + person
                body = np.concatenate([BODY * [np.cos(0.3 * angle), 1], np.zeros((17, 1))], 1)
                spot = [2 * (person % 3 - 1) + 0.4 * np.sin(angle), 0.4, 5 + person // 3]
                poses.append(self._camera.project(body + spot))
        noise = np.random.default_rng(look).normal(0, self._unit, (len(poses), 17, 2))
        return (np.reshape(poses, (-1, 17, 2)) + noise).astype(np.float32)

    def __call__(self, images: list[Any], boxes: Any = None) -> list[Any]:
        """Boxes of the next looks, or the poses in boxes."""
        found = []
        for _ in images:
            kind = int(boxes is not None)
            if kind and self._looks[1] == self._looks[0]:  # asked again, for who is away
                count = len(boxes[0])
                found.append((np.zeros((count, 17, 2), "f4"), np.zeros((count, 17), "f4")))
                continue
            poses = self._poses(self._looks[kind])
            self._looks[kind] += 1
            if kind:
                found.append((poses, np.full((len(poses), 17), 0.9, np.float32)))
            else:
                margin = 15 * self._unit
                low, high = poses.min(1) - margin, poses.max(1) + margin
                found.append((np.concatenate([low, high], 1), np.full(len(poses), 0.9, "f4")))
        return found


def make_video(path: Path, minutes: float, size: tuple[int, int], fps: float) -> None:
    """An H.264 file whose packets repeat."""
    import av

    loop = path.with_name("loop.mp4")
    if not loop.exists():
        rng = np.random.default_rng(0)
        picture = np.asarray(rng.integers(0, 255, (34, 60, 3)), np.uint8)
        picture = picture.repeat(32, 0).repeat(32, 1)[: size[1], : size[0]]
        with VideoWriter(loop, fps, size) as writer:
            for frame in range(round(LOOP * fps)):
                writer.write(np.roll(picture, frame * 4, 1), frame / fps)
    with av.open(str(loop)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for turn in range(round(minutes * 60 / LOOP)):
            source.seek(0)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    shift = round(turn * LOOP / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = copy
                    target.mux(packet)


def lift(video: Path, options: argparse.Namespace) -> None:
    """Lift one file and print what it took."""
    if not options.decode:
        import vid3d.pipeline

        vid3d.pipeline.VideoReader = MadeUpReader  # type: ignore[misc, assignment]
    pipeline = Pipeline(LiftOptions(stride=STRIDE), Monitor())
    _ = pipeline.lifter, pipeline.estimator
    if not options.networks:
        made_up = MadeUpNetworks(options.people, _size(options), options.fps)
        pipeline.estimator = TopDown(made_up, made_up)
    begin, folder = time.perf_counter(), video.parent / "results"
    (clip,) = pipeline.observe(video)
    with pipeline.reel(clip, folder) as reel:
        drawn = options.decode and options.render
        wanted = Wanted(render=drawn)
        write_results(reel, clip, folder, video if drawn else None, wanted, pipeline.monitor)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
        print(
            f"{reel.people} {reel.frames} {time.perf_counter() - begin:.1f} {peak:.1f} {size:.1f}"
        )


def _size(options: argparse.Namespace) -> tuple[int, int]:
    return options.rows * 16 // 9 // 2 * 2, options.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 60.0])
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1080, help="height of the pictures, 16 to 9")
    parser.add_argument("--fps", type=float, default=30.0, help="frames a second")
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--networks", action="store_true")
    parser.add_argument("--render", action="store_true", help="with --decode: the overlay as well")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.file:
        lift(options.file, options)
        return
    print("minutes people  frames  seconds  peak MB  ratio  files MB")
    first, size = None, _size(options)
    with tempfile.TemporaryDirectory() as folder:
        for minutes in options.minutes:
            path = Path(folder) / "long.mp4"
            if options.decode:
                make_video(path, minutes, size, options.fps)
            else:
                path.write_text(f"{minutes} {options.fps} {size[0]} {size[1]}", encoding="utf-8")
            command = [sys.executable, __file__, *sys.argv[1:], "--file", str(path)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            people, frames, seconds, peak, files = map(float, answer.split())
            first = first or peak
            print(
                f"{minutes:7.0f} {people:6.0f} {frames:7.0f} {seconds:8.1f} {peak:8.0f} "
                f"{peak / first:6.2f} {files:9.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
