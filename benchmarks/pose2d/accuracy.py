"""Accuracy of pose networks and detectors beside each other, on the same people in one run.

Each pose network has three rows: alone, as vid3d runs it (`vid3d.pose2d.turning`), and so with
`--flip-test`.

python benchmarks/pose2d/accuracy.py --people2d PACK --rendered SETS \
    --pose vid3d-pose --pose TEACHER.json --detector vid3d-person --detector OTHER.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.labelled_images import LabelledImages
from vid3d.data.people2d import People2d
from vid3d.evaluation.people2d import (
    box_accuracy,
    labelled_people,
    people2d_boxes,
    pose_accuracy,
    rendered_people,
    set_boxes,
)
from vid3d.pose2d.estimator import load_estimator
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import OnnxDetector, OnnxPose

WEAKEST = 0.02  # score of the weakest box that enters the recall-precision curve


def _report(what: str, name: str, figures: Any) -> dict[str, Any]:
    row = {"on": what, "model": name, **asdict(figures)}
    click.echo(json.dumps(row))
    return row


@click.command()
@click.option("--people2d", type=click.Path(path_type=Path), help="The pack of real people.")
@click.option("--rendered", type=click.Path(path_type=Path), help="A rendered image set.")
@click.option("--pose", multiple=True, help="Pose model, name or path; repeat.")
@click.option("--detector", multiple=True, help="Detector, name or path; repeat.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the rows as JSON.")
def main(
    people2d: Path | None, rendered: Path | None, pose: tuple[str, ...],
    detector: tuple[str, ...], out: Path | None,
) -> None:  # fmt: skip
    """Measure every model on every set and print one JSON line each."""
    people: dict[str, Callable[[], Iterable[Any]]] = {}
    boxes: dict[str, Callable[[], Iterable[Any]]] = {}
    if people2d:
        pack = People2d(people2d)
        people["real, human-checked"] = lambda: labelled_people(pack)
        people["real, all human labels"] = lambda: labelled_people(pack, checked=False)
        boxes["real"] = lambda: people2d_boxes(pack)
    if rendered:
        images = LabelledImages.open(rendered)
        people["rendered"] = lambda: rendered_people(images)
        boxes["rendered"] = lambda: set_boxes(images)
    rows = []
    for name in pose:
        manifest = find_model(name, "pose", ["onnx"])
        networks = {
            manifest.name: OnnxPose(manifest),
            f"{manifest.name}, turned where unsure": load_estimator("onnx", pose=name).pose,
            f"{manifest.name}, and flip test": load_estimator(
                "onnx", pose=name, flip_test=True
            ).pose,
        }
        rows += [
            _report(what, said, pose_accuracy(network, of()))
            for what, of in people.items()
            for said, network in networks.items()
        ]
    for name in detector:
        manifest = find_model(name, "detection", ["onnx"])
        weak = OnnxDetector(replace(manifest, score_threshold=WEAKEST))
        threshold = manifest.score_threshold
        rows += [
            _report(what, weak.name, box_accuracy(weak, of(), threshold))
            for what, of in boxes.items()
        ]
    if out:
        out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
