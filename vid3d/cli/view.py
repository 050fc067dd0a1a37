"""`vid3d view`: a page of a motion, to turn in 3D beside its video."""

from pathlib import Path

import click

from vid3d.cli.options import FILE, console, talk_options, warn_of_another


@click.command("view")
@click.argument("motion", type=FILE)
@click.option("-o", "--output", type=FILE, help="The page to write; default: MOTION's name, .html.")
@click.option(
    "--video",
    type=FILE,
    help="MOTION's video; default: the file it was made from, where that lies beside MOTION, "
    "one folder up or in the current one.",
)
@click.option("--no-video", is_flag=True, help="The 3D view alone.")
@click.option(
    "--embed/--link",
    default=None,
    help="Put the video into the page, or refer to it; default: into the page up to 16 MB, or as "
    "a 720p copy up to a minute.",
)
@click.option("--rrd", is_flag=True, help="Write a rerun recording (.rrd) beside the page as well.")
@click.option("--open", "show", is_flag=True, help="Open the page in the browser.")
@talk_options
def command(
    motion: Path,
    output: Path | None,
    video: Path | None,
    no_video: bool,
    embed: bool | None,
    rrd: bool,
    show: bool,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> None:
    """Write MOTION (.vid3d.npz) as one web page that opens from disk, offline."""
    from vid3d.files import check_output
    from vid3d.motion import Motion
    from vid3d.render.page import find_video, write_page

    if no_video and video is not None:
        raise click.UsageError("--video and --no-video exclude each other")
    if no_video and embed is not None:
        raise click.UsageError("--no-video leaves nothing to --embed or --link: leave one out")
    if rrd and output is not None and output.suffix.lower() == ".rrd":
        raise click.UsageError(f"{output} would be the page and the recording: name the page .html")
    talk = console(quiet, verbose)
    loaded = Motion.load(motion)
    page = output or motion.with_name(
        f"{motion.name.removesuffix('.npz').removesuffix('.vid3d')}.html"
    )
    if video is not None:
        warn_of_another(loaded.meta, video, talk)
    elif not no_video:
        video = find_video(loaded, motion.parent)
        if video is None:
            talk.say("the video was not found: 3D alone; name it with --video")
    check_output(page, motion, video)
    with talk.stage("page", loaded.frames) as advance:
        write_page(loaded, page, video, embed, lambda done, total: advance(1))
    talk.say(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
    if rrd:
        from vid3d.export.rerun import write_rrd

        talk.say(str(write_rrd(loaded, page.with_suffix(".rrd"), video, talk.warn)))
    if show:
        click.launch(page.resolve().as_uri())
