"""Which overlap suppression should allow, and whether choosing it flatters a detector.

python benchmarks/pose2d/overlap.py PACK [--detector vid3d-person] [--halvings 200]

Recall at precision 0.75 of people taller than 15 % of the image, IoU 0.5, on the validation images
of the people2d pack. In every halving the overlap and the score's threshold are chosen on a random
half of the images and measured on the other.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.people2d import People2d
from vid3d.evaluation.people2d import match_boxes, people2d_boxes
from vid3d.pose2d.decode import suppress
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import OnnxDetector

OVERLAPS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
WEAKEST, TALL, PRECISION = 0.05, 0.15, 0.75
Array = NDArray[np.floating]
Rows = NDArray[np.integer]
Judged = list[tuple[Rows, Array]]
"""Verdicts of `match_boxes` and scores of each image."""


def judge(pack: People2d, detector: str) -> tuple[dict[float, Judged], Rows]:
    """Boxes of every image judged after suppression at every overlap; how many people it has."""
    manifest = find_model(detector, "detection", ["onnx"])
    loose = replace(manifest, score_threshold=WEAKEST, iou_threshold=0.99)
    network = OnnxDetector(loose)
    judged: dict[float, Judged] = {overlap: [] for overlap in OVERLAPS}
    people = []
    for image, true, ignored in people2d_boxes(pack):
        tall = true[:, 3] - true[:, 1] >= TALL * image.shape[0]
        people.append(int(tall.sum()))
        boxes, scores = network([image])[0]
        for overlap in OVERLAPS:
            kept = suppress(boxes, scores, WEAKEST, overlap)
            others = np.concatenate([ignored, true[~tall]])
            verdict = match_boxes(boxes[kept], scores[kept], true[tall], others)
            judged[overlap].append((verdict, scores[kept]))
    return judged, np.array(people)


def curve(judged: Judged, people: Rows, rows: Rows) -> tuple[Array, Array, Array]:
    """Recall and precision down to each score, and the scores, over some images."""
    verdict = np.concatenate([judged[row][0] for row in rows])
    scores = np.concatenate([judged[row][1] for row in rows])
    order = np.argsort(-scores, kind="stable")
    order = order[verdict[order] >= 0]
    hits = np.cumsum(verdict[order])
    return hits / people[rows].sum(), hits / np.arange(1, len(hits) + 1), scores[order]


def best(judged: Judged, people: Rows, rows: Rows) -> tuple[float, float]:
    """The best recall with enough precision, and its score."""
    recall, precision, scores = curve(judged, people, rows)
    last = int(np.flatnonzero(precision >= PRECISION)[-1])
    return float(recall[last]), float(scores[last])


@click.command()
@click.argument("pack", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--detector", default="vid3d-person", show_default=True)
@click.option("--halvings", default=200, show_default=True)
def main(pack: Path, detector: str, halvings: int) -> None:
    """Print recalls on all images, on halves, and the interval of a bootstrap."""
    judged, people = judge(People2d(pack), detector)
    everything, generator = np.arange(len(people)), np.random.default_rng(0)
    for overlap, rows in judged.items():
        click.echo(f"overlap {overlap:.2f}: recall {best(rows, people, everything)[0]:.4f}")
    recalls, transferred = [], []
    for _ in range(halvings):
        first, second = np.array_split(generator.permutation(everything), 2)
        chosen = max(OVERLAPS, key=lambda overlap: best(judged[overlap], people, first)[0])
        recalls.append(best(judged[chosen], people, second)[0])
        recall, precision, scores = curve(judged[chosen], people, second)
        last = int((scores >= best(judged[chosen], people, first)[1]).sum()) - 1
        transferred.append((recall[last], precision[last]))
    recall, precision = np.mean(transferred, axis=0)
    click.echo(
        f"chosen on one half, on the other: recall {np.mean(recalls):.4f}; with the first half's "
        f"threshold too: recall {recall:.4f}, precision {precision:.4f}"
    )
    overall = max(OVERLAPS, key=lambda overlap: best(judged[overlap], people, everything)[0])
    drawn = generator.integers(0, len(people), (halvings, len(people)))
    low, high = np.quantile([best(judged[overall], people, d)[0] for d in drawn], (0.025, 0.975))
    click.echo(f"bootstrap over images at overlap {overall}: {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
