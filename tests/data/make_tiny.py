"""Make tiny.mp4 and tiny.pairs.npz: the first 1.5 s of the sample at 480 x 270, for fast tests."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from vid3d.data.pairs import PairSequence, read_pairs, write_pairs

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent.parent / "samples" / "two_people"
FRAMES, SIZE = 45, (480, 270)


def shrink_clip(source: Path, target: Path) -> None:
    """Decode the first FRAMES frames, scale and encode them."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=clip.streams.video[0].average_rate)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "19", "preset": "slow"}
        for _, frame in zip(range(FRAMES), clip.decode(video=0), strict=False):
            picture = frame.reformat(*SIZE, format="rgb24", interpolation="AREA").to_ndarray()
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode())


def shrink_truth(sequence: PairSequence) -> PairSequence:
    """The same person at SIZE (pixel centres at integers)."""
    scale = np.array(SIZE) / sequence.camera.frame_size
    keypoints = (sequence.keypoints2d[:FRAMES] + 0.5) * scale - 0.5
    assert sequence.joints3d is not None
    return replace(
        sequence,
        keypoints2d=keypoints.astype(np.float32),
        confidence=sequence.confidence[:FRAMES],
        joints3d=sequence.joints3d[:FRAMES],
        camera=sequence.camera.resized(SIZE),
    )


if __name__ == "__main__":
    shrink_clip(SAMPLE.with_suffix(".mp4"), HERE / "tiny.mp4")
    truth = read_pairs(SAMPLE.with_suffix(".pairs.npz"))
    write_pairs(HERE / "tiny.pairs.npz", [shrink_truth(sequence) for sequence in truth])
