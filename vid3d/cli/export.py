"""`vid3d export`: a motion for other programs."""

from pathlib import Path

import click

from vid3d.cli.options import FILE, console, talk_options


@click.command("export")
@click.argument("motion", type=FILE)
@click.option("--to", "formats", required=True, multiple=True, metavar="FORMAT,...",
              help="json, npz, csv, bvh, glb, usd, c3d, trc.")  # fmt: skip
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the files.")
@click.option("--up", type=click.Choice(["y", "z"]), default="y", show_default=True,
              help="Axis that points up; GLB is always y.")  # fmt: skip
@click.option("--origin", type=click.Choice(["floor", "camera"]), default="floor",
              show_default=True, help="0 is on the floor below the camera, or in it.")  # fmt: skip
@click.option("--floor", type=click.Choice(["on", "off"]), default="on", show_default=True,
              help="Level by the floor found under people's feet; off: by the camera.")  # fmt: skip
@click.option("--units", type=click.Choice(["m", "cm", "mm"]),
              help="Of BVH, C3D and TRC.  [default: m, C3D mm]")  # fmt: skip
@talk_options
def command(motion: Path, formats: tuple[str, ...], output: Path, up: str, origin: str, floor: str,
            units: str | None, quiet: bool, verbose: int, debug: bool) -> None:  # fmt: skip
    """Write MOTION (.vid3d.npz) in other formats: animation, biomechanics, tables.

    NAME.export.json beside them states axes, units, rate, and how well skeletons with fixed bones
    fit the joints.
    """
    from vid3d.export import check, export

    chosen = [name for part in formats for name in part.lower().split(",") if name]
    if not chosen:
        raise click.UsageError("--to names no format")
    check(chosen, units)
    from vid3d.export.space import export_space
    from vid3d.files import check_output
    from vid3d.motion import Motion

    talk = console(quiet, verbose)
    loaded = Motion.load(motion)
    stem = motion.name.removesuffix(".npz").removesuffix(".vid3d")
    if "npz" in chosen:
        check_output(output / f"{stem}.vid3d.npz", motion)
    space = export_space(loaded, up, origin, floor == "on")
    for path in export(loaded, chosen, output, stem, space, units):
        talk.say(str(path))
