"""What `--detect-every N` saves and costs: detections, 3D errors, boxes beside another detector's.

    python benchmarks/pose2d/carrying.py samples/two_people.mp4 --stride 10 --stride 6 \
        --truth samples/two_people.pairs.npz
    python benchmarks/pose2d/carrying.py vtest.avi --end 12 --reference rtmdet-nano-640.json

One line for every stride and N.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.people2d import match_boxes
from vid3d.evaluation.result import evaluate_result
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.models import find_model
from vid3d.pose2d.networks import Found
from vid3d.pose2d.onnx import OnnxDetector
from vid3d.pose2d.people import Look
from vid3d.video import VideoReader


class Counting:
    """A detector that counts the images it sees."""

    def __init__(self, detector: Any) -> None:
        self.name, self.count, self._detector = detector.name, 0, detector

    def __call__(self, images: Sequence[Any]) -> list[Found]:
        """Boxes and scores of each image."""
        self.count += len(images)
        found: list[Found] = self._detector(images)
        return found


def reference_boxes(name: str, video: Path, looks: list[Look]) -> dict[int, np.ndarray]:
    """Boxes (N, 4) of another detector on the frames that were looked at."""
    detector = OnnxDetector(find_model(name, "detection", ["onnx"]))
    wanted = {look.frame for look in looks}
    boxes = {}
    with VideoReader(video, None, looks[-1].time + 0.01) as reader:
        for index, frame in enumerate(reader.frames(1)):
            if index in wanted:
                boxes[index] = detector([frame.image])[0][0]
    return boxes


def judged(looks: list[Look], true: dict[int, np.ndarray]) -> str:
    """Recall of the other detector's boxes, IoU 0.5, and how many boxes it does not have."""
    nothing = np.zeros((0, 4))
    verdicts = [
        match_boxes(look.people.boxes, look.people.scores, true[look.frame], nothing)
        for look in looks
    ]
    hits = sum(int(verdict.sum()) for verdict in verdicts)
    people, found = (sum(map(len, each)) for each in (true.values(), verdicts))
    return f"recall {hits / people:.3f} of {people} boxes, {found - hits} others"


@click.command()
@click.argument("video", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--stride", type=int, multiple=True, help="Repeat; default five looks a second.")
@click.option("--every", type=int, multiple=True, default=(1, 2, 3, 4), show_default=True)
@click.option("--end", type=float, help="Seconds to stop at.")
@click.option("--truth", type=click.Path(path_type=Path), help="Pair file: lift and compare.")
@click.option("--reference", help="Detector, name or path, whose boxes count as true.")
@click.option("--detector", default="vid3d-person", show_default=True)
@click.option("--pose", default="vid3d-pose", show_default=True)
def main(
    video: Path, stride: tuple[int, ...], every: tuple[int, ...], end: float | None,
    truth: Path | None, reference: str | None, detector: str, pose: str,
) -> None:  # fmt: skip
    """Print what detections at every N-th look come to."""
    sequences: list[PairSequence] = read_pairs(truth) if truth else []
    for step in stride or (None,):
        true: dict[int, np.ndarray] = {}
        for n in every:
            options = LiftOptions(
                stride=step, detect_every=n, end=end, detector=detector, pose=pose
            )
            pipeline = Pipeline(options)
            counting = pipeline.estimator.detect = Counting(pipeline.estimator.detect)
            (clip,) = pipeline.observe(video)
            said = []
            if sequences:
                report = evaluate_result(pipeline.lift(clip), sequences)
                said.append(
                    f"MPJPE {report.overall.mpjpe:.1f} mm, found {report.found_share:.3f}, "
                    f"{report.switches} switches"
                )
            else:
                looks = list(clip.looks(None))
                if reference:
                    true = true or reference_boxes(reference, video, looks)
                    said.append(judged(looks, true))
            click.echo(f"stride {step}, N = {n}: {counting.count} detections; {'; '.join(said)}")


if __name__ == "__main__":
    main()
