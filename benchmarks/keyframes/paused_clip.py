"""The sample clip with pauses, and its truth, to measure `--stride auto` from pictures on.

python benchmarks/keyframes/paused_clip.py samples/two_people OUT

Now and then the clip stands still for one to two seconds (both people rest while the sensor's noise
and the encoder go on): OUT/two_people_paused.mp4 and .pairs.npz. Then, for several strides:

vid3d lift OUT/two_people_paused.mp4 --stride auto --no-render -o OUT/auto
vid3d eval OUT/auto/two_people_paused.vid3d.npz --data OUT/two_people_paused.pairs.npz
"""

import argparse
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from paused_pairs import places

from vid3d.data.pairs import read_pairs, write_pairs
from vid3d.video import VideoWriter

GRAIN = 2.0  # standard deviation of the sensor's noise, of 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="the clip and its pair file, without suffixes")
    parser.add_argument("out", type=Path, help="folder to write to")
    options = parser.parse_args()
    source, out = options.source, options.out
    truth = read_pairs(source.with_suffix(".pairs.npz"))
    fps = truth[0].fps
    generator = np.random.default_rng(4)
    place = places(len(truth[0]), generator, fps)
    nearest = np.rint(place).astype(int)
    out.mkdir(parents=True, exist_ok=True)
    with av.open(str(source.with_suffix(".mp4"))) as container:
        frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    height, width = frames[0].shape[:2]
    with VideoWriter(out / "two_people_paused.mp4", fps, (width, height)) as writer:
        for index in nearest:
            noise = generator.normal(0, GRAIN, (height, width, 1))
            writer.write((frames[index] + noise).clip(0, 255).astype(np.uint8))
    pairs = [
        replace(
            pair,
            keypoints2d=pair.keypoints2d[nearest],
            confidence=pair.confidence[nearest],
            joints3d=np.asarray(pair.joints3d)[nearest],
        )
        for pair in truth
    ]
    write_pairs(out / "two_people_paused.pairs.npz", pairs)
    rest = float((np.diff(place) < 0.5).mean())
    print(f"{len(nearest)} frames at {fps:g} a second, {100 * rest:.0f} % at rest")


if __name__ == "__main__":
    main()
