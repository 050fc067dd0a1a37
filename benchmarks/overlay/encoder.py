"""Encoder settings on pictures of videos: time, size and loss.

python benchmarks/overlay/encoder.py VIDEO... [--frames 120]

Settings are measured in turn on the same pictures; milliseconds are the processor's, conversion
from BGR included, PSNR is of all channels against what went in.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from vid3d.video import writer
from vid3d.video.reader import VideoReader

SHIPPED = dict(writer.QUALITY)
PLAIN = {name: value for name, value in SHIPPED.items() if name not in ("qp", "crf")}
SETTINGS = {
    "shipped": SHIPPED,
    "crf 24": {**PLAIN, "crf": "24"},
    "qp 24": {**PLAIN, "qp": "24"},
    "qp 23, CAVLC": {**PLAIN, "qp": "23", "x264-params": "cabac=0:deblock=0,0"},
    "threads on frames": {**SHIPPED, "x264-params": "cabac=1:deblock=0,0:sliced-threads=0"},
}


def measured(
    pictures: list[np.ndarray], fps: float, settings: dict[str, str], path: Path
) -> tuple[float, float, float]:
    """Milliseconds and kB a frame, and PSNR in decibels."""
    writer.QUALITY.clear()
    writer.QUALITY.update(settings)
    height, width = pictures[0].shape[:2]
    began = time.process_time()
    with writer.VideoWriter(path, fps, (width, height)) as film:
        for picture in pictures:
            film.write(picture)
    spent = time.process_time() - began
    with VideoReader(path) as reader:
        written = itertools.islice(reader, 0, None, 8)
        losses = [
            np.square(frame.image.astype(float) - picture).mean()
            for picture, frame in zip(pictures[::8], written, strict=True)
        ]
    psnr = 10 * np.log10(255**2 / np.mean(losses))
    count = len(pictures)
    return 1000 * spent / count, path.stat().st_size / 1000 / count, float(psnr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    options = parser.parse_args()
    print("| video | setting | ms a frame | kB a frame | PSNR |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for video in options.videos:
            with VideoReader(video) as reader:
                pictures = [frame.image for frame in itertools.islice(reader, options.frames)]
                fps = reader.info.fps
            for name, settings in SETTINGS.items():
                ms, kilobytes, psnr = measured(pictures, fps, settings, Path(folder) / "a.mp4")
                print(f"| {video.name} | {name} | {ms:.1f} | {kilobytes:.1f} | {psnr:.1f} |")


if __name__ == "__main__":
    main()
