"""`vid3d render`: a video of a motion."""

import re
from pathlib import Path
from typing import Any

import click

from vid3d.cli.options import FILE, console, talk_options, together, warn_of_another


class PeoplesNames(click.ParamType):
    """`ID=NAME`, or several with commas: what people are called; names may hold commas."""

    name = "ID=NAME,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[int, str]:
        """Names by track id."""
        names = {}
        for part in re.split(r",(?=\s*\d+\s*=)", str(value)):
            number, _, words = part.partition("=")
            if not number.strip().isdecimal() or not words.strip():
                self.fail(f"{part!r} is not ID=NAME, like 2=Ann")
            names[int(number)] = words.strip()
        return names


layout_options = together(
    click.option(
        "--layout",
        type=click.Choice(["side", "inset", "overlay", "view"]),
        default="side",
        show_default=True,
        help="3D view beside the picture, in a corner of it, none, or the view alone.",
    ),
    click.option("--height", type=click.IntRange(16, 8192), help="Pixels of the picture's height."
                 "  [default: the video's; beside a view 480 to 1080]"),
    click.option("--fps", type=click.FloatRange(0.1, 1000), help="Frames a second."
                 "  [default: the video's]"),
    click.option("--audio/--no-audio", default=True, show_default=True, help="Keep the sound."),
)  # fmt: skip

skeleton_options = together(
    click.option(
        "--colors",
        type=click.Choice(["person", "side"]),
        default="person",
        show_default=True,
        help="A colour each person, or one for left and one for right limbs.",
    ),
    click.option("--labels/--no-labels", default=True, show_default=True, help="Name the people."),
    click.option("--name", "names", type=PeoplesNames(), multiple=True,
                 help="Name instead of a number."),
    click.option("--fade/--no-fade", default=True, show_default=True, help="Fade unsure limbs."),
    click.option("--dashed", is_flag=True, help="Dash skeletons between looks."),
    click.option("--uncertainty", is_flag=True, help="Draw each joint's spread as a blob."),
    click.option("--keypoints/--no-keypoints", default=True, show_default=True,
                 help="Dot detected keypoints at looks."),
)  # fmt: skip

view_options = together(
    click.option("--turn", type=click.FloatRange(min=0), default=0.0, show_default=True,
                 help="Seconds in which the 3D view goes once round; 0: fixed."),
    click.option("--azimuth", type=float, help="Degrees of the view to the right of the camera."
                 "  [default: chosen]"),
    click.option("--elevation", type=click.FloatRange(-10, 90), default=18.0, show_default=True,
                 help="Degrees by which the view looks down."),
    click.option("--trails", type=click.FloatRange(min=0), default=2.0, show_default=True,
                 help="Seconds of people's ways on the floor; 0: none."),
)  # fmt: skip


@click.command("render")
@click.argument("motion", type=FILE)
@click.option("--video", type=FILE, help="The video to draw on; without it, the 3D view alone.")
@click.option("-o", "--output", type=FILE, required=True, help="The MP4 to write.")
@layout_options
@skeleton_options
@view_options
@talk_options
def command(
    motion: Path,
    video: Path | None,
    output: Path,
    quiet: bool,
    verbose: int,
    debug: bool,
    **chosen: Any,
) -> None:
    """Draw MOTION (.vid3d.npz) over its video with a 3D view, as H.264 with the sound."""
    if video is None and chosen["layout"] in ("inset", "overlay"):
        raise click.UsageError(f"--layout {chosen['layout']} draws on a video: give --video")
    from vid3d.files import check_output
    from vid3d.motion import Motion
    from vid3d.render import RenderOptions, render_motion, render_overlay
    from vid3d.video.writer import check_film

    talk = console(quiet, verbose)
    check_output(output, motion, video)
    check_film(output)
    loaded = Motion.load(motion)
    if video is not None:
        warn_of_another(loaded.meta, video, talk)
    names = {number: name for part in chosen["names"] for number, name in part.items()}
    options = RenderOptions(**{**chosen, "names": names})
    _check_names(options.names, loaded)
    with talk.stage("drawing", loaded.frames) as advance:
        if video is None:
            render_motion(loaded, output, lambda done, total: advance(1), options)
        else:
            render_overlay(
                loaded, video, output, lambda done, total: advance(1), options, talk.warn
            )
    talk.say(f"{talk.summary()}\n{output}")


def _check_names(names: Any, motion: Any) -> None:
    """Names of nobody are mistakes."""
    known = [int(number) for number in motion.track_ids]
    for number in names:
        if number not in known:
            raise click.UsageError(
                f"--name {number}=...: nobody has that number, only {known or 'nobody at all'}"
            )
