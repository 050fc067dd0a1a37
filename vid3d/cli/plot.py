"""`vid3d plot`: figures of a motion."""

from itertools import chain
from pathlib import Path

import click

from vid3d.cli.options import FILE, Names, Numbers, console, talk_options


@click.command("plot")
@click.argument("motion", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the figures.")
@click.option(
    "--format",
    "formats",
    type=Names(("png", "svg")),
    multiple=True,
    default=["png,svg"],
    show_default=True,
    help="Of the figures: png, svg; repeatable.",
)
@click.option(
    "--person",
    "people",
    type=Numbers(),
    multiple=True,
    help="Track id of whom to plot; repeatable.  [default: everybody]",
)
@talk_options
def command(
    motion: Path,
    output: Path,
    formats: tuple[tuple[str, ...], ...],
    people: tuple[tuple[int, ...], ...],
    quiet: bool,
    verbose: int,
    debug: bool,
) -> None:
    """Plot joint angles, velocities, foot contacts and poses of MOTION (.vid3d.npz).

    Angles have bands of one standard deviation and are also written as CSV.
    """
    talk = console(quiet, verbose)  # before matplotlib, which warns while it is imported
    from vid3d.errors import Vid3dError
    from vid3d.motion import Motion
    from vid3d.render.plots import plot_motion

    name = motion.name.removesuffix(".npz").removesuffix(".vid3d")
    loaded = Motion.load(motion)
    if not loaded.present.any():
        raise Vid3dError(f"{motion} has nobody in it: there is nothing to plot")
    written = plot_motion(loaded, output, name, list(chain(*formats)), list(chain(*people)) or None)
    talk.say("\n".join(map(str, written)))
