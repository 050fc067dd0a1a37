"""Where the evidence of true and of false sightings lies, to check the limit of `tracking.belief`.

python benchmarks/tracking/belief.py --people2d PACK --detector vid3d-person --pose vid3d-pose

Sightings in the photographs of the pack's validation part: true ones overlap a known person by more
than half, false ones nothing that the pack knows; both at least 50 pixels high.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.people2d import People2d
from vid3d.evaluation.people2d import iou, people2d_boxes
from vid3d.pose2d.estimator import load_estimator
from vid3d.tracking.belief import LEAST_EVIDENCE, evidence

SHARES = (0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
MIN_HEIGHT = 50  # pixels


@click.command()
@click.option("--people2d", type=click.Path(path_type=Path), required=True, help="The pack.")
@click.option("--detector", default="vid3d-person", show_default=True)
@click.option("--pose", default="vid3d-pose", show_default=True)
def main(people2d: Path, detector: str, pose: str) -> None:
    """Print quantiles of the evidence, and how much of both lies below the limit."""
    estimator = load_estimator("onnx", detector, pose, "cpu")
    found: dict[str, list[np.ndarray]] = {"true": [], "false": []}
    for image, true, ignored in people2d_boxes(People2d(people2d)):
        (people,) = estimator([image])
        tall = people.boxes[:, 3] - people.boxes[:, 1] >= MIN_HEIGHT
        sure = evidence(
            people.boxes, people.keypoints, people.confidence, people.scores, estimator.joint_set
        )
        overlap = iou(people.boxes, true).max(1, initial=0)
        known = iou(people.boxes, np.concatenate([true, ignored])).max(1, initial=0)
        found["true"].append(sure[tall & (overlap > 0.5)])
        found["false"].append(sure[tall & (known < 0.15)])
    click.echo("quantile " + " ".join(f"{share:6.2f}" for share in SHARES) + "   below the limit")
    for name, parts in found.items():
        values = np.concatenate(parts)
        row = " ".join(f"{value:6.2f}" for value in np.quantile(values, SHARES))
        below = (values < LEAST_EVIDENCE).mean()
        click.echo(f"{name:8} {row}   {100 * below:.0f} % of {len(values)}")


if __name__ == "__main__":
    main()
