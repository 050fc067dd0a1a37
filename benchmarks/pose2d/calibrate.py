"""Fit what a pose network's scores are worth, and write it into its manifest.

python benchmarks/pose2d/calibrate.py --people2d PACK --rendered EVAL/000 --pose vid3d-pose --write

Labelled real people (the pack's validation part) and rendered ones count half each where both are
given. The calibration error is that of a table fitted on one half of the joints and tried on the
other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.labelled_images import LabelledImages
from vid3d.data.people2d import People2d
from vid3d.errors import Vid3dError
from vid3d.evaluation.confidence import calibration_error, fit_calibration, scored_joints
from vid3d.evaluation.people2d import labelled_people, rendered_people
from vid3d.files import atomic_path
from vid3d.pose2d.manifest import FILE_NAME
from vid3d.pose2d.models import find_model
from vid3d.pose2d.networks import PoseNetwork
from vid3d.pose2d.onnx import OnnxPose

HALVES = 20  # blocks of neighbouring joints that go to one half or the other


def _collect(
    network: PoseNetwork, people2d: Path | None, rendered: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, whether each joint is right, and weights that make the sources equal."""
    sources = []
    if people2d:
        people = labelled_people(People2d(people2d), checked=False)
        sources.append(scored_joints(network, people))
    if rendered:
        sources.append(scored_joints(network, rendered_people(LabelledImages.open(rendered))))
    if not sources:
        raise Vid3dError("nothing to calibrate by: give --people2d, --rendered or both")
    weights = [np.full(len(scores), 1 / len(scores)) for scores, _ in sources]
    scores, right = (np.concatenate(parts) for parts in zip(*sources, strict=True))
    return scores, right, np.concatenate(weights)


@click.command()
@click.option("--people2d", type=click.Path(path_type=Path), help="The pack of real people.")
@click.option("--rendered", type=click.Path(path_type=Path), help="A rendered image set.")
@click.option("--pose", required=True, help="Pose model, name or path.")
@click.option("--write", is_flag=True, help="Write the table into the model's manifest.")
def main(people2d: Path | None, rendered: Path | None, pose: str, write: bool) -> None:
    """Print the table of a pose network and its calibration error without and with it."""
    manifest = find_model(pose, "pose", ["onnx"])
    scores, right, weights = _collect(OnnxPose(manifest), people2d, rendered)
    table = fit_calibration(scores, right, weights)
    half = np.arange(len(scores)) // HALVES % 2 == 0
    tried = fit_calibration(scores[half], right[half], weights[half])(scores[~half])
    report = {
        "joints": len(scores),
        "error_before": round(calibration_error(scores, right, weights), 4),
        "error_after": round(calibration_error(tried, right[~half], weights[~half]), 4),
        "calibration": {"score": table.score, "probability": table.probability},
    }
    click.echo(json.dumps(report))
    if write:
        folder = manifest.files["onnx"].path.parent
        path = Path(pose) if pose.endswith(".json") else folder / FILE_NAME
        fields = json.loads(path.read_text(encoding="utf-8"))
        fields["calibration"] = report["calibration"]
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
        click.echo(f"{path}: calibration written")


if __name__ == "__main__":
    main()
