"""`vid3d eval`: a lifter on pair files, or a result against truth."""

import json
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import click

from vid3d.cli.options import FILE, Names, Paths, console, talk_options, typed

BREAKDOWNS = ("moment", "action", "joint")


class Strides(click.ParamType):
    """`1,5,10,20`."""

    name = "N,N,..."

    def convert(self, value: object, param: object, ctx: object) -> tuple[int, ...]:
        """Whole numbers from 1 up."""
        if isinstance(value, tuple):
            return value
        parts = str(value).split(",")
        if not all(part.isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r} is not a list of whole numbers from 1 up, like 1,5,10")
        return tuple(int(part) for part in parts)


@click.command("eval")
@click.argument("target", metavar="MODEL|MOTION")
@click.option("--data", type=Paths(), multiple=True, required=True, help="Pair files; the truth.")
@click.option("--strides", type=Strides(), multiple=True, default=["1,5,10,20"], show_default=True,
              help="Frames from one look to the next.")  # fmt: skip
@click.option("--protocol", default="vid3d", show_default=True, metavar="NAME",
              help="Joints and figures: vid3d, root, h36m-p1, h36m-p2, 3dhp or 3dpw.")  # fmt: skip
@click.option("--occlusion", metavar="NAME",
              help="Keypoints left out: random, leg-arm, leg or frames (DiffHPE).")  # fmt: skip
@click.option("--by", type=Names(BREAKDOWNS), multiple=True,
              help="Break-downs to show: moment, action, joint.")  # fmt: skip
@click.option("--fov", type=click.FloatRange(1, 179), metavar="DEG",
              help="Assume this field of view in place of the true camera.")  # fmt: skip
@click.option("--screen", is_flag=True,
              help="Tell of no camera: screen-normalised 2D, for models trained so.")  # fmt: skip
@click.option("--hypotheses", type=click.IntRange(1), metavar="H",
              help="As in lift; 1 is the encoder alone.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), metavar="K", help="As in lift.")
@click.option("--aggregate", metavar="RULE", help="As in lift: soft, jpma, mean or best.")
@click.option("--oracles", is_flag=True,
              help="Also P-Agg, J-Agg and, labelled as oracles, P-Best, J-Best and J-Agg with the "
                   "true root or size.")  # fmt: skip
@click.option("--json", "json_path", type=FILE, help="Write the figures to this file as well.")
@talk_options
def command(
    target: str,
    data: tuple[list[Path], ...],
    strides: tuple[tuple[int, ...], ...],
    by: tuple[tuple[str, ...], ...],
    oracles: bool,
    json_path: Path | None,
    quiet: bool,
    verbose: int,
    debug: bool,
    **options: Any,
) -> None:
    """Measure MODEL (a lifter) on pair files, or MOTION (.vid3d.npz) against the truth of its clip.

    A motion's people are matched to the truth's by mean 2D distance. All options but --data and
    --json are about lifters.
    """
    from vid3d.data.pairs import read_pairs
    from vid3d.files import atomic_path, check_output

    if options["fov"] is not None and options["screen"]:
        raise click.UsageError("--fov and --screen exclude each other: give one")
    if oracles and (options["fov"] is not None or options["screen"]):
        raise click.UsageError("--oracles has the true camera: leave --fov and --screen out")
    is_result = target.endswith((".npz", ".vid3d.json"))
    if is_result and (others := typed(["strides", "by", "oracles", *options])):
        raise click.UsageError(f"{target} is a result: leave out {others}, for lifters alone")
    talk = console(quiet, verbose)
    if json_path is not None:
        check_output(json_path, Path(target), *chain(*data), option="--json")
    truth = [sequence for paths in data for path in paths for sequence in read_pairs(path)]
    if is_result:
        from vid3d.evaluation.result import evaluate_result
        from vid3d.motion import Motion

        result = evaluate_result(Motion.load(target), truth)
        text, figures = result.text(), result.to_json()
    else:
        looks = tuple(dict.fromkeys(chain(*strides)))
        text, figures = _measure_lifter(target, truth, looks, list(chain(*by)), oracles, options)
    talk.say(text)
    if json_path is not None:
        with atomic_path(json_path) as temporary:
            temporary.write_text(json.dumps(figures, indent=1, allow_nan=False), encoding="utf-8")


def _measure_lifter(
    model: str,
    truth: list[Any],
    strides: tuple[int, ...],
    by: list[str],
    oracles: bool,
    options: dict[str, Any],
) -> tuple[str, dict[str, Any]]:
    """What to say and to write about a lifter."""
    from vid3d.evaluation.lifting import evaluate_lifter
    from vid3d.evaluation.oracles import measure_aggregates
    from vid3d.evaluation.tables import format_aggregates, format_report
    from vid3d.lifter import Lifter

    lifter = Lifter.load(model)
    report = evaluate_lifter(lifter, truth, strides, **options)
    text, figures = format_report(report, by), report.to_json()
    if oracles:
        drawing = {name: options[name] for name in ("occlusion", "hypotheses", "steps")}
        rows = measure_aggregates(lifter, truth, strides, **drawing)
        text = f"{text}\n\n{format_aggregates(rows)}"
        figures["aggregates"] = [asdict(row) for row in rows]
    return text, figures
