"""`vid3d batch`: many videos, with a manifest of what is done."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vid3d.cli.lift import result_options, settings
from vid3d.cli.options import FILE, console, talk_options

if TYPE_CHECKING:
    from vid3d.batch.plan import Plan
    from vid3d.batch.runner import Report
    from vid3d.batch.worker import Outcome
    from vid3d.cli.console import Console


@click.command("batch")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(), metavar="FOLDER|GLOB...")
@click.option("-o", "--output", type=FILE, required=True, help="Folder of the results.")
@result_options
@click.option("--workers", type=click.IntRange(min=1),
              help="Processes.  [default: one for two cores, at most 8]")  # fmt: skip
@click.option("--ray", metavar="auto|ADDRESS",
              help="Work on this Ray cluster; auto: the one this machine belongs to.")  # fmt: skip
@click.option("--resume/--no-resume", default=True, show_default=True,
              help="Keep what is done and unchanged; --no-resume: lift all again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@talk_options
def command(inputs: tuple[str, ...], output: Path, workers: int | None, ray: str | None,
            resume: bool, dry_run: bool, quiet: bool, verbose: int, debug: bool,
            **given: Any) -> int:  # fmt: skip
    """Lift all videos in FOLDER and below; results mirror its folders.

    Goes on after failures and lists them at the end. Run it again to go on where it was
    interrupted, to retry what failed, and to lift what is new or changed.
    """
    options, wanted = settings(given)
    from vid3d.batch.lifting import lift_folder, plan_folder

    talk = console(quiet, verbose)
    if dry_run:
        _show(plan_folder(inputs, output, options, wanted, ray, resume, talk), talk)
        return 0

    def ended(source: str, outcome: "Outcome") -> None:
        talk.detail(f"{source}: {outcome.error or 'done'}, {outcome.seconds:.1f} s")
        if debug and outcome.trace:
            click.echo(outcome.trace, err=True)

    how = {"workers": workers, "resume": resume, "monitor": talk, "ended": ended}
    return _conclude(lift_folder(inputs, output, options, wanted, ray, **how), output, talk)


def _show(plan: "Plan", talk: "Console") -> None:
    """What would be done."""
    for job in plan.jobs:
        talk.say(f"{job.source} -> {job.output}.vid3d.npz  ({job.reason})")
    talk.say(f"would lift {len(plan.jobs)}; {len(plan.kept)} up to date; nothing was written")


def _conclude(report: "Report", output: Path, talk: "Console") -> int:
    """The closing summary; returns the exit status."""
    from vid3d.batch.manifest import NAME

    for source, error in report.failed.items():
        talk.error(f"{source}: {error}")
    counts = [f"{report.done} done", f"{report.kept} up to date", f"{len(report.failed)} failed"]
    left = report.total - report.done - report.kept - len(report.failed)
    talk.say(f"{', '.join(counts)} of {report.total} in {report.seconds:.1f} s")
    talk.say(str(output / NAME))
    if report.interrupted:
        talk.error(f"interrupted with {left} left: run the same command again to go on")
        return 130
    return 1 if report.failed else 0
