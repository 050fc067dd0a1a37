"""Whether cuts of a film are found, and none where there is none.

    python benchmarks/world/cuts.py OUT VIDEO...

Pieces of the videos follow each other in a film, no two of one video; `vid3d detect` looks at it
and at each video by itself. With `--dissolve SECONDS` each melts into the next.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.video import VideoReader, VideoWriter

SIZE, RATE = (1280, 720), 25
PIECE = (1.0, 2.5)
"""Seconds of a piece, at least and at most."""


def join(
    videos: list[Path], target: Path, pieces: int, seed: int, dissolve: int = 0
) -> list[float]:
    """Write a film; returns the seconds of its cuts, or at which its dissolves begin.

    Args:
        videos: to take pieces from.
        target: the film.
        pieces: how many.
        seed: of what is drawn.
        dissolve: pictures that are mixtures of two pieces; 0 are cuts.
    """
    random = np.random.default_rng(seed)
    lengths = random.uniform(*PIECE, pieces)
    offsets = random.uniform(0, 60, pieces)
    clips = {}
    for video in videos:
        with VideoReader(video) as reader:
            clips[video] = [cv2.resize(frame.image, SIZE) for frame in reader if frame.index < 600]
    cuts, count, before = [], 0, None
    end: list[np.ndarray] = []  # of the piece before, still to be mixed
    with VideoWriter(target, RATE, SIZE) as writer:
        for length, offset in zip(lengths, offsets, strict=True):
            video = random.choice([one for one in videos if one != before])
            first = int(offset * RATE) % max(1, len(clips[video]) - int(PIECE[1] * RATE))
            shown = clips[video][first : first + int(length * RATE)]
            for index, image in enumerate(shown[: len(shown) - dissolve]):
                if index < len(end):
                    share = (index + 1) / (dissolve + 1)
                    image = cv2.addWeighted(image, share, end[index], 1 - share, 0)
                writer.write(image, count / RATE)
                count += 1
            end = shown[len(shown) - dissolve :] if dissolve else []
            cuts.append(count / RATE)
            before = video
    return cuts[:-1]


def found_in(video: Path, keypoints: Path) -> tuple[list[float], float]:
    """Seconds of the cuts that are found, and from one look to the next."""
    Pipeline(LiftOptions()).detect(video, keypoints)
    images = json.loads(keypoints.read_text(encoding="utf-8"))["images"]
    step = float(np.median(np.diff([image["time"] for image in images])))
    return [image["time"] for image in images if image.get("cut")], step


def main() -> None:
    """Join, look and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the film")
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--pieces", type=int, default=31)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dissolve", type=float, default=0.0, help="seconds; 0 are cuts")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    mixed = round(given.dissolve * RATE)
    cuts = join(given.videos, given.out / "film.mp4", given.pieces, given.seed, mixed)
    found, step = found_in(given.out / "film.mp4", given.out / "film.json")
    late = given.dissolve + step + 1e-3
    near = [[0 <= at - cut <= late for at in found] for cut in cuts]
    missed = [cut for cut, hits in zip(cuts, near, strict=True) if not any(hits)]
    wrong = sum(not any(hits) for hits in zip(*near, strict=True))
    print(f"film: {len(cuts) - len(missed)} of {len(cuts)} cuts found, {wrong} where none is")
    if missed:
        print(f"missed at {missed} s")
    for video in given.videos:
        found, _ = found_in(video, given.out / f"{video.stem}.json")
        print(f"{video.name}: {len(found)} cuts found")


if __name__ == "__main__":
    main()
