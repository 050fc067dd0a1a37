"""Make the image sets that configs/pose2d trains on and accuracy.py measures on.

python benchmarks/pose2d/prepare.py people2d PACK SETS/people2d --teacher tinypose.json
python benchmarks/pose2d/prepare.py rendered BODIES MOCAP SETS/rendered --photos SETS/people2d
python benchmarks/pose2d/prepare.py nobody SETS/people2d SETS/rendered -o NOBODY
python benchmarks/pose2d/prepare.py rendered BODIES MOCAP EVAL --reserved --shards 1 --pictures 250

MOCAP is the folder of train_*.npz and heldout_*.npz; reserved bodies move by heldout ones. Without
--photos backdrops are made up: such sets depend on no photograph.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from vid3d.data.bodies import RESERVED
from vid3d.data.labelled_images import LabelledImages
from vid3d.data.nobody import write_nobody
from vid3d.data.people2d import prepare_people2d
from vid3d.data.synthetic import render_sets
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import OnnxDetector, OnnxPose
from vid3d.training.pose2d import open_sets

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
TARGET = click.Path(file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Prepare image sets; what is finished already is kept."""


@main.command()
@click.argument("pack", type=FOLDER)
@click.argument("out", type=TARGET)
@click.option("--split", default="train", type=click.Choice(["train", "val"]))
@click.option("--teacher", help="Ask this pose model again about people who are not upright.")
def people2d(pack: Path, out: Path, split: str, teacher: str | None) -> None:
    """Decode a split of the people2d pack once."""
    network = OnnxPose(find_model(teacher, "pose", ["onnx"])) if teacher else None
    images = prepare_people2d(pack, out, split, network)
    click.echo(f"{out}: {len(images)} images, {len(images.image_of)} boxes")


@main.command()
@click.argument("bodies", type=FOLDER)
@click.argument("mocap", type=FOLDER)
@click.argument("out", type=TARGET)
@click.option(
    "--reserved", is_flag=True, help="Reserved bodies and held-out motion: to measure on."
)
@click.option("--photos", type=FOLDER, help="An image set whose people-free parts are backdrops.")
@click.option("--shards", default=9, show_default=True)
@click.option("--pictures", default=500, show_default=True, help="In each shard.")
@click.option("--seed", default=1, show_default=True)
def rendered(
    bodies: Path, mocap: Path, out: Path, reserved: bool, photos: Path | None,
    shards: int, pictures: int, seed: int,
) -> None:  # fmt: skip
    """Render the bodies in random scenes."""
    clips = sorted(mocap.glob("heldout_*.npz" if reserved else "train_*.npz"))
    backdrops = LabelledImages.open(photos) if photos else None
    names = RESERVED if reserved else None
    render_sets(bodies, clips, out, shards, pictures, names, backdrops, seed)
    click.echo(f"{out}: {shards} sets of {pictures} pictures")


@main.command("nobody")
@click.argument("sets", nargs=-1, type=FOLDER, required=True)
@click.option("-o", "--output", type=TARGET, required=True)
@click.option("--detector", default="vid3d-person", show_default=True)
@click.option("--score", default=0.1, show_default=True, help="Of the weakest boxes to take.")
def false_sightings(sets: tuple[Path, ...], output: Path, detector: str, score: float) -> None:
    """Cut out what a detector falsely takes for people, so that a pose network learns to doubt."""
    manifest = replace(find_model(detector, "detection", ["onnx"]), score_threshold=score)
    if not LabelledImages.exists(output):
        write_nobody(output, open_sets(list(sets)), OnnxDetector(manifest))
    click.echo(f"{output}: {len(LabelledImages.open(output))} pictures")


if __name__ == "__main__":
    main()
