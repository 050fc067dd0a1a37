"""`vid3d render`: a video of a motion."""

from pathlib import Path

import click

from vid3d.cli.options import FILE, console, talk_options


@click.command("render")
@click.argument("motion", type=FILE)
@click.option("--video", type=FILE, help="The video to draw on; without it, the 3D view alone.")
@click.option("-o", "--output", type=FILE, required=True, help="The MP4 to write.")
@talk_options
def command(
    motion: Path, video: Path | None, output: Path, quiet: bool, verbose: int, debug: bool
) -> None:
    """Draw MOTION (.vid3d.npz) over its video with a 3D view beside it."""
    from vid3d.motion import Motion
    from vid3d.render import render_motion, render_overlay

    talk = console(quiet, verbose)
    loaded = Motion.load(motion)
    with talk.stage("drawing", loaded.frames) as advance:
        if video is None:
            render_motion(loaded, output, lambda done, total: advance(1))
        else:
            render_overlay(loaded, video, output, lambda done, total: advance(1))
    talk.say(f"{talk.summary()}\n{output}")
