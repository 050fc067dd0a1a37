"""`vid3d detect`: 2D people on keyframes."""

from pathlib import Path
from typing import Any

import click

from vid3d.cli.options import (
    FILE,
    check_options,
    console,
    network_options,
    span_options,
    talk_options,
)


@click.command("detect")
@click.argument("video", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="JSON to write; MOT text if .txt.")
@span_options
@network_options
@talk_options
def command(
    video: Path, output: Path, quiet: bool, verbose: int, debug: bool, **options: Any
) -> int:
    """2D people of VIDEO on keyframes, with identities, as COCO-style JSON.

    `vid3d lift VIDEO --keypoints FILE` reads it back, so that the networks run once. A name that
    ends in .txt gets MOTChallenge text: boxes and identities. After an interruption the same
    command goes on where it stopped.
    """
    check_options(options)
    from vid3d.files import check_output
    from vid3d.pipeline import LiftOptions, Pipeline

    talk = console(quiet, verbose)
    check_output(output, video)
    pipeline = Pipeline(LiftOptions(**options), talk)
    try:
        people = pipeline.detect(video, output)
    except KeyboardInterrupt:
        talk.error("interrupted; the same command goes on from here")
        return 130
    talk.say(f"{video.name}: {people} people\n{talk.summary()}\n{output}")
    return 0
