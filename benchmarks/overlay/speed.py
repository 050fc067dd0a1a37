"""Speed of the overlay without decoding, beside bare encoding of the same pictures.

python benchmarks/overlay/speed.py MOTION VIDEO [--layout side] [--frames 120]
"""

import argparse
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.motion import Motion
from vid3d.render import RenderOptions
from vid3d.render.film import Stage, _drawn, _film
from vid3d.video import VideoReader, VideoWriter

KEPT = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motion", type=Path)
    parser.add_argument("video", type=Path)
    parser.add_argument("--layout", default="side")
    parser.add_argument("--frames", type=int, default=120)
    arguments = parser.parse_args()
    motion = Motion.load(arguments.motion)
    options = RenderOptions(layout=arguments.layout, audio=False)
    stage = Stage.of(motion, tuple(motion.frame_size.tolist()), options)
    with VideoReader(arguments.video) as reader:
        pictures, coding = list(islice(reader, KEPT)), reader.coding
    count = min(arguments.frames, motion.frames)
    times = (motion.timestamps[:count] - motion.timestamps[0]).tolist()
    shown = (((n, t, p), 1) for n, t, p in zip(range(KEPT), times, pictures, strict=False))
    finished = [
        av.VideoFrame.from_ndarray(frame.to_ndarray(), "yuv420p")
        for _, frame, _ in _drawn(motion, stage, shown, coding, options)
    ]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "a.mp4")

        def bare() -> None:
            with VideoWriter(output, motion.fps, stage.size, coding) as writer:
                for frame, _ in zip(cycle(finished), times, strict=False):
                    writer.write_frame(frame)

        def whole() -> None:
            again = zip(times, cycle(pictures), strict=False)
            _film(motion, stage, again, output, motion.fps, coding, options, None)

        for name, job in (("bare", bare), ("whole", whole)) * 3:
            wall, cpu = time.perf_counter(), time.process_time()
            job()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            print(
                f"{name:6} {count / wall:6.1f} frames/s, {1e3 * cpu / count:5.1f} ms of CPU a frame"
            )


if __name__ == "__main__":
    main()
