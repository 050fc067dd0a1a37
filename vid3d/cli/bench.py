"""`vid3d bench`: speed of the parts, beside what they are compared with."""

import json
from pathlib import Path
from typing import Any

import click

from vid3d.cli.options import FILE, console, talk_options


@click.command("bench")
@click.argument("part", type=click.Choice(["all", "lifter", "pose2d", "video"]), default="all")
@click.option("--detector", default="vid3d-person", show_default=True, help="Person detector.")
@click.option("--pose", default="vid3d-pose", show_default=True, help="2D pose network.")
@click.option("--model", default="vid3d-base", show_default=True, help="Lifter.")
@click.option("--rounds", type=click.IntRange(min=1), default=50, show_default=True,
              help="Times that everything of pose2d is run, in turns.")  # fmt: skip
@click.option("--video", type=FILE, help="Video to run from end to end; default: one that is made.")
@click.option("--rows", type=click.IntRange(min=144), default=1080, show_default=True,
              help="Height of the video that is made.")  # fmt: skip
@click.option("--detect-every", type=click.IntRange(min=1), default=1, show_default=True,
              help="Looks from one detection to the next, end to end.")  # fmt: skip
@click.option("--json", "json_path", type=FILE, help="Write the figures to this file as well.")
@talk_options
def command(part: str, detector: str, pose: str, model: str, rounds: int, video: Path | None,
            rows: int, detect_every: int, json_path: Path | None, quiet: bool, verbose: int,
            debug: bool) -> None:  # fmt: skip
    """Measure speed on this machine's CPU: PART is all, lifter, pose2d or video.

    video: one run end to end at strides 10 and 20, between bare decoding of the same file and a
    pipeline that looks at every frame.
    """
    from vid3d.bench.report import lifter_table, machine, pose2d_table, to_json, video_table
    from vid3d.files import atomic_path, check_output
    from vid3d.video import probe

    talk = console(quiet, verbose)
    if video is not None:
        probe(video)  # before anything is measured
    if json_path is not None:
        check_output(json_path, video, option="--json")
    figures: dict[str, Any] = {"machine": machine()}
    talk.say(figures["machine"])
    if part in ("all", "pose2d"):
        from vid3d.bench.pose2d import bench_pose2d

        timings, missing = bench_pose2d(detector, pose, rounds)
        figures["pose2d"] = to_json(timings)
        talk.say(pose2d_table(timings))
        if missing:
            talk.say(missing)
    if part in ("all", "lifter"):
        from vid3d.bench.lifter import bench_lifter

        cost = bench_lifter(model)
        figures["lifter"] = to_json(cost)
        talk.say(lifter_table(cost))
    if part in ("all", "video"):
        from vid3d.bench.video import bench_video

        whole = bench_video(video, rows, detector, pose, model, detect_every)
        figures["video"] = to_json(whole)
        talk.say(video_table(whole))
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
