"""The video that `vid3d bench video` makes where none is given: one person, as a phone records.

Out of the sample a part with one person is cut, enlarged, grained and played to and fro, in H.264
with B-frames that serve as references, two thirds of all pictures B, at a phone's bit rate.
"""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import av
import cv2
import numpy as np

from vid3d.errors import Vid3dError
from vid3d.video import VideoReader
from vid3d.video.frame import Image

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "two_people.mp4"
ROWS, COLUMNS, SECONDS = slice(100, 572), slice(60, 900), 2.7
"""Where and until when the sample shows one person alone."""
FPS = 50
BIT_RATE = 16_000_000
"""Of 1080 rows."""
GRAIN = 2.5
"""Grey levels, which keep the encoder as busy as a sensor's noise does."""
CODING = {"preset": "superfast", "x264-params": "ref=3:bframes=3:b-pyramid=normal"}


def make_clip(path: Path, height: int = 1080, seconds: float = 12) -> Path:
    """Write the clip, 16 to 9 in even numbers, 50 frames a second.

    Raises:
        Vid3dError: the sample is not there, as in an installation without the repository.
    """
    if not SAMPLE.is_file():
        raise Vid3dError(f"no sample at {SAMPLE} to make a clip of; give a video with --video")
    size = (height * 16 // 9 // 2 * 2, height // 2 * 2)
    frames = round(seconds * FPS)
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options=CODING)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = round(BIT_RATE * (height / 1080) ** 2)
        for number, image in zip(range(frames), _pictures(size), strict=False):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _pictures(size: tuple[int, int]) -> Iterator[Image]:
    """The person to and fro, for ever."""
    with VideoReader(SAMPLE, 0, SECONDS) as reader:
        parts = [
            cv2.resize(frame.image[ROWS, COLUMNS], size, interpolation=cv2.INTER_CUBIC)
            for frame in reader
        ]
    generator = np.random.default_rng(0)
    shape = (size[1] + 64, size[0] + 64)
    grain = generator.normal(0, GRAIN, shape).astype(np.int16)[..., None].repeat(3, 2)
    for part in cycle(parts + parts[-2:0:-1]):
        y, x = generator.integers(0, 64, 2)
        moved = grain[y : y + size[1], x : x + size[0]]
        yield np.asarray(cv2.add(part, moved, dtype=cv2.CV_8U), np.uint8)
