"""`vid3d adapt`: make the lifter better on videos of one's own."""

from pathlib import Path
from typing import Any

import click

from vid3d.cli.lift import lens_options
from vid3d.cli.options import (
    FILE,
    Paths,
    check_options,
    console,
    network_options,
    several_files,
    span_options,
    talk_options,
)


@click.command("adapt")
@click.argument("inputs", nargs=-1, required=True, type=FILE, metavar="INPUT...",
                callback=several_files)  # fmt: skip
@click.option("--model", default="vid3d-base", show_default=True, help="Lifter, name or path.")
@click.option("--source", "sources", type=Paths(), multiple=True,
              help="Motion capture; without it, motion is drawn from the lifter.")  # fmt: skip
@click.option("-o", "--output", type=FILE, required=True, help="Adapter: NAME.safetensors.")
@click.option("--merge", is_flag=True, help="Write a whole lifter with the adapter merged in.")
@click.option("--force", is_flag=True, help="Write it even if nothing tells that it helps.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
              help="Change an option, like rank=8 or samples=12800.")  # fmt: skip
@span_options
@network_options
@lens_options
@talk_options
def command(
    inputs: list[Path],
    model: str,
    sources: tuple[list[Path], ...],
    output: Path,
    merge: bool,
    force: bool,
    changes: tuple[str, ...],
    quiet: bool,
    verbose: int,
    debug: bool,
    **looking: Any,
) -> None:
    """Adapt the lifter to the people of INPUT: videos, folders of them, or keypoint files.

    No 3D is needed. The adapter is judged on motion that it did not learn from, filmed as INPUT
    is; if it gains too little there, nothing is written. Use it with
    `vid3d lift --model MODEL+NAME.safetensors`. After an interruption the same command goes on
    where it stopped.
    """
    check_options(looking)
    from vid3d.adaptation import AdaptOptions, adapt
    from vid3d.files import as_argument
    from vid3d.lift_options import LiftOptions

    talk = console(quiet, verbose)
    done = adapt(
        inputs,
        model,
        output,
        source=sum(sources, []),
        merge=merge,
        force=force,
        options=AdaptOptions.changed(changes),
        looking=LiftOptions(**looking),
        monitor=talk,
        report=talk.say,
    )
    learnt, held = done.pieces
    talk.say(f"learnt from {learnt} stretches of people, judged on {held} others")
    talk.say(talk.summary())
    use = str(done.path) if merge else f"{model}+{done.path}"
    talk.say(
        f"{done.path}: round {done.kept}; error on motion filmed "
        f"alike {100 * (done.ratio - 1):+.1f} %"
    )
    if done.objection:
        talk.say(f"written for --force alone: {done.objection}")
    talk.say(f"use it: vid3d lift VIDEO --model {as_argument(use)}")
