"""`vid3d lift`: 3D people from videos."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vid3d.cli.options import (
    FILE,
    OF_NETWORKS,
    Heights,
    Intrinsics,
    check_options,
    console,
    network_options,
    several_files,
    span_options,
    talk_options,
    together,
    typed,
)
from vid3d.errors import Vid3dError
from vid3d.files import safe_stem

if TYPE_CHECKING:
    from vid3d.pipeline import LiftOptions
    from vid3d.results import Wanted
    from vid3d.streaming import Reel

lifter_options = together(
    click.option(
        "--model",
        default="vid3d-base",
        show_default=True,
        help="Lifter, name or path; +ADAPTER.safetensors stacks adapters.",
    ),
    click.option("--hypotheses", type=click.IntRange(min=1),
                 help="3D hypotheses drawn.  [default: the model's own; vid3d-base: 20]"),
    click.option("--steps", type=click.IntRange(min=1),
                 help="Sampling steps of each.  [default: the model's own; vid3d-base: 3]"),
    click.option(
        "--aggregate",
        type=click.Choice(["soft", "jpma", "mean", "best"]),
        help="How hypotheses become one result.  [default: the model's own; vid3d-base: soft]",
    ),
    click.option("--action", metavar="TEXT", help="What people do, for models that listen to it."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of the hypotheses."),
)  # fmt: skip

lens_options = together(
    click.option(
        "--fov",
        type=click.FloatRange(1, 179),
        help="Degrees across the longer side.  [default: what the file says of its lens, or the "
        "camera's turns tell, or 55]",
    ),
    click.option("--intrinsics", type=Intrinsics(), help="Camera matrix in pixels."),
    click.option("--camera", type=FILE, help="Camera file: JSON of fx, fy, cx, cy, width, height."),
)

camera_options = together(
    lens_options,
    click.option("--travelling", is_flag=True,
                 help="The camera goes from place to place: find its way (needs vid3d[travel])."),
)  # fmt: skip

people_options = together(
    click.option("--height", type=Heights(), multiple=True, help="Metres a person is tall."),
    click.option("--max-people", type=click.IntRange(min=1), help="Keep those seen most."),
    click.option("--person", help="Keep one: largest, longest or a track id."),
)

world_options = together(
    click.option("--smooth", type=click.FloatRange(0, 1), default=0.3, show_default=True,
                 help="0: as lifted, 1: calmest; never shifts timing."),
    click.option("--floor", type=click.Choice(["on", "off"]), default="on", show_default=True,
                 help="Put people on the floor found under them; off: as lifted."),
)  # fmt: skip

file_options = together(
    click.option("--render/--no-render", default=True, show_default=True, help="Overlay video."),
    click.option("--format", "formats", multiple=True, metavar="FORMAT,...",
                 help="Other files: csv, bvh, glb, usd, c3d, trc."),
    click.option("--up", type=click.Choice(["y", "z"]), default="y", show_default=True,
                 help="Axis that points up in them."),
    click.option("--origin", type=click.Choice(["floor", "camera"]), default="floor",
                 show_default=True, help="Origin of them."),
    click.option("--rrd", is_flag=True, help="A recording for rerun."),
)  # fmt: skip

result_options = together(
    span_options,
    network_options,
    lifter_options,
    camera_options,
    people_options,
    world_options,
    file_options,
)


def settings(given: dict[str, Any]) -> tuple["LiftOptions", "Wanted"]:
    """What `result_options` say, checked: how to lift, and which files are wanted.

    Raises:
        click.UsageError: options that clash, found before anything heavy is imported.
        Vid3dError: a format that cannot be written.
    """
    check_options(given)
    from vid3d.pipeline import LiftOptions
    from vid3d.results import Wanted

    options = dict(given, floor=given["floor"] == "on")
    options["height"] = {key: m for part in given["height"] for key, m in part.items()}
    files = {name: options.pop(name) for name in ("render", "up", "origin", "rrd")}
    chosen = [name for part in options.pop("formats") for name in part.lower().split(",") if name]
    wanted = Wanted(formats=chosen, floor=options["floor"], **files)
    wanted.check()
    return LiftOptions(**options), wanted


@click.command("lift")
@click.argument("videos", nargs=-1, type=FILE, metavar="[VIDEO]...", callback=several_files)
@click.option("-o", "--output", type=FILE, default=Path("vid3d-out"), show_default=True,
              help="Folder of the results.")  # fmt: skip
@click.option("--keypoints", type=FILE, help="2D keypoints from a file instead of the networks: "
              ".pairs.npz, COCO-style JSON, or a folder of OpenPose JSON.")  # fmt: skip
@result_options
@talk_options
def command(videos: list[Path], output: Path, quiet: bool, verbose: int, debug: bool,
            **given: Any) -> int:  # fmt: skip
    """3D people from VIDEO: writes VIDEO.vid3d.npz, .vid3d.json and .overlay.mp4.

    Looks for people on keyframes only, follows each of them, lifts them to 3D at every frame and
    places them in the camera's space, in metres. Ctrl-C writes what there is so far; after any
    interruption the same command goes on where it stopped (of several videos, finished ones are
    lifted again: see `vid3d batch`).
    """
    _check_videos(videos, given["keypoints"])
    options, wanted = settings(given)
    from vid3d.pipeline import Pipeline
    from vid3d.results import PARTIAL, keep_earlier, prepare_folder, write_results

    talk = console(quiet, verbose)
    if given["keypoints"] is not None and (idle := typed(OF_NETWORKS)):
        talk.warn(f"--keypoints takes the place of the 2D networks: of no use here are {idle}")
    folder = prepare_folder(output)
    pipeline = Pipeline(options, talk)
    failed = 0
    for video in videos or (None,):
        try:
            for clip in pipeline.observe(video):
                if talk.stopping:  # wished when all of the clip before was read: that one is whole
                    raise KeyboardInterrupt
                with pipeline.reel(clip, folder) as motion:
                    partial = "partial" in motion.meta
                    written = []
                    if not keep_earlier(folder, clip, partial, talk):
                        files = PARTIAL if partial else wanted
                        written = write_results(motion, clip, folder, video, files, talk)
                    talk.say(_report(motion, clip.name, talk.summary(), written))
                    talk.detail(_origin(motion))
                if partial:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            again = "; videos that are finished are lifted again" if len(videos) > 1 else ""
            talk.error(f"interrupted; the same command goes on from here{again}")
            return 130
        except Vid3dError as error:
            if len(videos) <= 1 or debug:
                raise
            talk.error(str(error))
            talk.begin()
            failed += 1
    return 1 if failed else 0


def _report(motion: "Reel", name: str, stages: str, written: list[Path]) -> str:
    """The closing summary of one clip."""
    people = "no people found" if not motion.people else _count(motion.people, "person", "people")
    looks = f"{_count(len(motion.keyframes), 'keyframe', 'keyframes')} looked at"
    frames = _count(motion.frames, "frame", "frames")
    return "\n".join([f"{name}: {people}, {frames}, {looks}", stages, *map(str, written)])


def _origin(motion: "Reel") -> str:
    """What the result was made with."""
    from vid3d.motion_schema import moves_of

    meta, given = motion.meta, motion.meta["options"]
    known = any(name in given for name in ("camera", "intrinsics", "fov"))
    by = "given" if known else "assumed" if motion.camera.is_assumed else "from the file"
    by = f"{meta['lens']} by how it moves" if "lens" in meta else by
    camera = f"{motion.camera.fov:.1f} degrees, {by}"
    if moves := moves_of(motion):
        camera += f", {moves}"
    return f"  2D by {meta['pose2d']}; lifter {meta['model']['name']}; camera {camera}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _check_videos(videos: list[Path], keypoints: Path | None) -> None:
    """What is to be lifted, checked before anything heavy is imported."""
    if not videos and keypoints is None:
        raise click.UsageError("Missing argument 'VIDEO': give a video or --keypoints FILE")
    if len(videos) > 1 and keypoints is not None:
        raise click.UsageError("--keypoints goes with one video, or with none")
    counts = Counter(safe_stem(video.stem).casefold() for video in videos)  # as file systems may
    twins = sorted(stem for stem, count in counts.items() if count > 1)
    if twins:
        raise click.UsageError(
            f"several videos are called {twins[0]}: their results would overwrite each other; "
            "lift them into different folders with -o"
        )
