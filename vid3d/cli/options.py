"""Option groups that commands share, and the types that read them."""

import os
from collections.abc import Callable, Iterable, Mapping
from glob import glob
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from vid3d.cli.console import Console

Function = TypeVar("Function", bound=Callable[..., Any])


def together(*options: Callable[[Any], Any]) -> Callable[[Function], Function]:
    """One decorator of several options, shown in the order given."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


class Paths(click.ParamType):
    """One path, or several with commas between them."""

    name = "PATH,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> list[Path]:
        """The paths; a name that holds a comma and exists is one path."""
        whole = Path(str(value))
        return [whole] if whole.exists() else [Path(part) for part in str(value).split(",")]


class Names(click.ParamType):
    """Some of several names, separated by commas."""

    name = "NAME,..."

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.choices = choices

    def convert(self, value: object, param: object, ctx: object) -> tuple[str, ...]:
        """Known names, in the order given."""
        if isinstance(value, tuple):
            return value
        names = tuple(filter(None, str(value).split(",")))
        for name in names:
            if name not in self.choices:
                self.fail(f"{name!r} is not one of {', '.join(self.choices)}")
        return names


class Numbers(click.ParamType):
    """Whole numbers, separated by commas."""

    name = "ID,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """The numbers."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers, like 1,2")


class Heights(click.ParamType):
    """`M` or `ID=M`, or several with commas: metres for everybody or for one person."""

    name = "M|ID=M,..."

    def convert(self, value: Any, param: Any, ctx: Any) -> dict[int | None, float]:
        """Metres by track id, None for everybody."""
        heights = {}
        for part in str(value).split(","):
            person, _, metres = part.rpartition("=")
            try:
                heights[int(person) if person else None] = float(metres)
            except ValueError:
                self.fail(f"{part!r} is neither metres nor ID=metres, like 1.75 or 2=1.62")
        return heights


class Stride(click.ParamType):
    """`N` frames, or `auto`."""

    name = "stride"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """A whole number from 1 up, or "auto"."""
        if str(value).lower() == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is neither a whole number from 1 up nor auto", param, ctx)
        return number


class Intrinsics(click.ParamType):
    """`FX,FY,CX,CY` in pixels."""

    name = "FX,FY,CX,CY"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """Four numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != 4 or min(numbers[:2]) <= 0:
            self.fail(
                f"{value!r} is not four pixel numbers FX,FY,CX,CY with FX, FY > 0", param, ctx
            )
        return numbers


FILE = click.Path(path_type=Path)


def several_files(ctx: click.Context, param: click.Parameter, given: Iterable[Path]) -> list[Path]:
    """Callback of arguments that take several files: globs, which Windows leaves to programs.

    A path that exists is itself, whatever characters it holds; so is a glob that matches nothing,
    for the message that there is no such file.
    """
    found: list[Path] = []
    for path in given:
        matches = [] if os.path.exists(path) else glob(str(path), recursive=True)
        found += sorted(map(Path, matches)) or [path]
    return found


talk_options = together(
    click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
    click.option("-v", "--verbose", count=True, help="Say more; twice: what libraries say too."),
    click.option("--debug", is_flag=True, help="Show tracebacks."),
)

network_options = together(
    click.option(
        "--detect-every",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Looks from one run of the detector to the next; boxes are carried in between.",
    ),
    click.option(
        "--backend",
        type=click.Choice(["auto", "onnx", "mmpose"]),
        default="auto",
        show_default=True,
        help="What runs the 2D networks; auto: onnx on a CPU, mmpose on a GPU.",
    ),
    click.option(
        "--detector",
        default="vid3d-person",
        show_default=True,
        help="Person detector, name or path.",
    ),
    click.option(
        "--pose", default="vid3d-pose", show_default=True, help="2D pose network, name or path."
    ),
    click.option(
        "--flip-test",
        is_flag=True,
        help="The pose network looks at everybody in the mirror too: more accurate, and its time "
        "twice.",
    ),
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."),
)

OF_NETWORKS = ("detect_every", "backend", "detector", "pose", "flip_test")
"""Parameters of no use where keypoints come out of a file; the device is the lifter's too."""

span_options = together(
    click.option(
        "--stride",
        type=Stride(),
        metavar="N|auto",
        help="Frames from one look to the next; auto: as motion asks for.  "
        "[default: about 5 looks a second]",
    ),
    click.option("--start", type=click.FloatRange(min=0), help="Second to begin at."),
    click.option("--end", type=click.FloatRange(min=0), help="Second to stop at."),
)


def typed(names: Iterable[str]) -> str:
    """Which options of these parameters the command line names, as it calls them; "" for none."""
    ctx = click.get_current_context()
    given = {
        name for name in names if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }
    return ", ".join(option.opts[0] for option in ctx.command.params if option.name in given)


def check_options(given: Mapping[str, Any]) -> None:
    """Refuse a span that ends before it begins and two cameras, before anything heavy is imported.

    Raises:
        click.UsageError: which options clash.
    """
    if sum(given.get(name) is not None for name in ("fov", "intrinsics", "camera")) > 1:
        raise click.UsageError("--fov, --intrinsics and --camera exclude each other: give one")
    if None not in (given["start"], given["end"]) and given["end"] <= given["start"]:
        raise click.UsageError("--end must be later than --start")


def warn_of_another(meta: Mapping[str, Any], video: Path, talk: Console) -> None:
    """Say so where a motion was not made from this very file: a copy will do, another will not."""
    from vid3d.files import sha256_of
    from vid3d.motion_schema import filmed_source

    source = filmed_source(meta)
    known = source.get("sha256")
    if known and video.is_file() and sha256_of(video) != known:
        talk.warn(
            f"{video} is not the file that the motion was made from ({source.get('name')}): "
            "unless it is a copy, people and skeletons will not agree"
        )


def console(quiet: bool, verbose: int) -> Console:
    """The console that -q and -v ask for."""
    return Console(quiet=quiet, verbosity=verbose)
