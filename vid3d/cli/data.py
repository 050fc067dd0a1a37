"""`vid3d data`: data sets and motion capture as files that training and evaluation read."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vid3d.cli.options import FILE, console, several_files, talk_options, together
from vid3d.errors import Vid3dError
from vid3d.files import printable, read_json

if TYPE_CHECKING:
    from vid3d.cli.console import Console
    from vid3d.data.readers.building import Group
    from vid3d.data.readers.reading import Reading

reading_options = together(
    click.option("--kind", help="h36m, 3dhp, 3dpw, amass, bvh, amc; motion or pairs of vid3d.  "
                 "[default: what is found]"),
    click.option("--only", multiple=True, metavar="NAME,...",
                 help="Keep what has a name that begins so, like S9,S11."),
    click.option("--split", type=click.Choice(["train", "validation", "test"]),
                 help="h36m, 3dhp, 3dpw: the customary part."),
    click.option("--cameras", type=FILE, help="h36m: camera parameters, JSON.  [default: solved]"),
    click.option("--detections", default="gt", show_default=True,
                 help="h36m: which data_2d_h36m_*.npz."),
    click.option("--body-model", type=FILE, help="amass: model.npz of SMPL-H, or its folder."),
    click.option("--fps", type=click.FloatRange(min=0.1),
                 help="h36m, 3dhp, 3dpw, amass, bvh, amc: the rate where files do not say it."),
    click.option("--unit", type=click.FloatRange(min=1e-6), metavar="METRES",
                 help="bvh: metres a unit.  [default: by the person's height]"),
    click.option("--up", type=click.Choice(["x", "y", "z", "-x", "-y", "-z"]),
                 help="bvh, amc: axis that points up.  [default: as people stand; amc: y]"),
    click.option("--joints", type=FILE,
                 help='bvh, amc: JSON of joints by their h36m17 name, {"left_hip": "LThigh"}.'),
)  # fmt: skip


@click.group("data")
def command() -> None:
    """Data sets and motion capture, to train on and to measure with."""


@command.command("info")
@click.argument("path", type=FILE)
@reading_options
@talk_options
def info(path: Path, quiet: bool, verbose: int, debug: bool, **given: Any) -> None:
    """What the data set in PATH holds, by actor."""
    from vid3d.data.readers.building import inspect

    talk = console(quiet, verbose)
    found, groups = inspect(path, given.pop("kind"), _reading(given))
    talk.say(f"{found.title}: {path}")
    _show(groups, talk)


@command.command("build")
@click.argument("paths", nargs=-1, required=True, type=FILE, metavar="PATH...",
                callback=several_files)  # fmt: skip
@click.option("-o", "--output", type=FILE, required=True,
              help="NAME.npz: motion to train on; NAME.pairs.npz: 2D with 3D.")  # fmt: skip
@reading_options
@talk_options
def build(paths: list[Path], output: Path, quiet: bool, verbose: int, debug: bool,
          **given: Any) -> None:  # fmt: skip
    """Write the data sets in PATH as one file of vid3d.

    `vid3d train --data FOLDER --set data.files='["NAME"]'` takes motion files, `vid3d eval
    --data` and `vid3d lift --keypoints` take pair files.
    """
    from vid3d.data.readers import building

    talk = console(quiet, verbose)
    groups = building.build(paths, output, given.pop("kind"), _reading(given), talk)
    _show(groups, talk)
    talk.say(str(output))


def _reading(given: dict[str, Any]) -> "Reading":
    """How the options say that data is read."""
    from vid3d.data.readers.reading import Reading

    only = tuple(name for part in given.pop("only") for name in part.split(",") if name)
    joints = given.pop("joints")
    return Reading(only=only, joints=_joints(joints) if joints else (), **given)


def _joints(path: Path) -> tuple[tuple[str, str], ...]:
    """Names of joints out of a JSON object."""
    try:
        named = read_json(path)
    except OSError as error:
        raise Vid3dError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise Vid3dError(f"{path} is not JSON ({error})") from error
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        example = json.dumps({"left_hip": "LThigh"})
        raise Vid3dError(f"{path} is not an object of names like {example}")
    return tuple(named.items())


def _show(groups: "list[Group]", talk: "Console") -> None:
    """A line a group, and the total."""
    total = type(groups[0])("all") if groups else None
    width = max([len(printable(group.name)) for group in groups] + [5])
    for group in [*groups, *([total] if total and len(groups) > 1 else [])]:
        if total is not None and group is not total:
            total.sequences += group.sequences
            total.frames += group.frames
            total.seconds += group.seconds
        talk.say(
            f"{printable(group.name):<{width}}  {group.sequences:6} sequences  "
            f"{group.frames:9} frames  {group.seconds / 60:8.2f} min"
        )
