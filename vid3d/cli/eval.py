"""`vid3d eval`: a lifter on pair files, or a result against truth."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from vid3d.cli.options import FILE, Paths, console, talk_options


class Strides(click.ParamType):
    """`1,5,10,20`."""

    name = "N,N,..."

    def convert(self, value: object, param: object, ctx: object) -> tuple[int, ...]:
        """Whole numbers from 1 up."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"{value!r} is not a list of whole numbers from 1 up, like 1,5,10")
        return tuple(int(part) for part in parts)


@click.command("eval")
@click.argument("target", metavar="MODEL|MOTION")
@click.option("--data", type=Paths(), multiple=True, required=True, help="Pair files; the truth.")
@click.option("--strides", type=Strides(), default="1,5,10,20", show_default=True,
              help="For a lifter: frames from one look to the next.")  # fmt: skip
@click.option("--json", "json_path", type=FILE, help="Write the figures to this file as well.")
@talk_options
def command(
    target: str,
    data: tuple[list[Path], ...],
    strides: tuple[int, ...],
    json_path: Path | None,
    quiet: bool,
    verbose: int,
    debug: bool,
) -> None:
    """Measure MODEL (a lifter) on pair files, or MOTION (.vid3d.npz) against the truth of its clip.

    A motion's people are matched to the truth's by mean 2D distance.
    """
    from vid3d.data.pairs import read_pairs
    from vid3d.files import atomic_path

    talk = console(quiet, verbose)
    truth = [sequence for paths in data for path in paths for sequence in read_pairs(path)]
    if target.endswith(".npz"):
        from vid3d.evaluation.result import evaluate_result
        from vid3d.motion import Motion

        report = evaluate_result(Motion.load(target), truth)
        text, figures = report.text(), report.to_json()
    else:
        from vid3d.evaluation.lifting import evaluate_lifter, format_table
        from vid3d.lifter import Lifter

        rows = evaluate_lifter(Lifter.load(target), truth, strides)
        text, figures = format_table(rows), {"rows": [asdict(row) for row in rows]}
    talk.say(text)
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(figures, indent=1))
