"""`vid3d train`: train a network by a recipe."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from vid3d.cli.options import FILE, Paths, console, talk_options


@click.command("train")
@click.argument("recipe", metavar="CONFIG")
@click.option("--data", type=Paths(), multiple=True, required=True,
              help="What the recipe reads, like a folder of motion capture.")  # fmt: skip
@click.option("--work-dir", type=FILE, default=Path("work_dirs/run"), show_default=True,
              help="Receives checkpoints and metrics.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in --work-dir.")
@click.option("--init-from", "start", metavar="MODEL",
              help="Begin with the weights of this model: a name, folder or file.")  # fmt: skip
@click.option(
    "--launcher",
    type=click.Choice(["none", "torchrun"]),
    default="none",
    show_default=True,
    help="torchrun: one of the processes that torchrun started.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the recipe.")
@talk_options
def command(
    recipe: str,
    data: tuple[list[Path], ...],
    work_dir: Path,
    resume: bool,
    start: str | None,
    launcher: str,
    changes: tuple[str, ...],
    quiet: bool,
    verbose: int,
    debug: bool,
) -> None:
    """Train by CONFIG, a recipe of configs/ (by name, like lifter/base) or a file of your own."""
    from vid3d.training.recipes import load_recipe, train

    talk = console(quiet, verbose)
    with _processes(launcher):
        train(load_recipe(recipe, changes), sum(data, []), work_dir, resume, start)
    talk.say(f"done: {work_dir}")


def _processes(launcher: str) -> AbstractContextManager[None]:
    """What training runs in: this process alone, or all that torchrun started."""
    if launcher == "none":
        return nullcontext()
    from vid3d.training.distributed import torchrun

    return torchrun()
