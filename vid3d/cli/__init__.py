"""The `vid3d` command: a group whose commands are loaded when they are called.

A command's module parses, calls one library function and prints; errors become one line here.
"""

import importlib
import io
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
from click.exceptions import NoArgsIsHelpError

from vid3d import __version__
from vid3d.errors import Vid3dError
from vid3d.files import printable

COMMANDS = {
    "lift": "3D people from videos: the main job.",
    "batch": "3D people from all videos of a folder; goes on where it stopped.",
    "detect": "2D people on keyframes, written to a file.",
    "render": "Overlay video of a motion file.",
    "view": "A web page of a motion file, to turn in 3D.",
    "export": "A motion for other programs: BVH, GLB, USD, C3D, TRC, CSV.",
    "plot": "Figures of a motion file: angles, velocities, contacts, poses.",
    "eval": "Measure a lifter on pair files, or a result against truth.",
    "train": "Train a network by a recipe of configs/.",
    "adapt": "Make the lifter better on your own videos; no labels needed.",
    "data": "Data sets and motion capture, to train on and to measure with.",
    "models": "List, fetch and verify weights.",
    "info": "What is in a video, a motion, a pair file or weights.",
    "bench": "Speed of the 2D networks and the lifter on this machine.",
    "doctor": "Check the installation; say what mends each problem.",
}


class LazyGroup(click.Group):
    """Loads a command's module when it is asked for and prints errors in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of a user's first steps."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported now."""
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"vid3d.cli.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> NoReturn:
        """Run; exit with 0, 1 for an error, 2 for wrong usage, 130 when interrupted."""
        arguments = list(sys.argv[1:] if args is None else args)
        options["standalone_mode"] = False
        try:
            status = super().main(arguments, *rest, **options)
        except NoArgsIsHelpError as error:
            click.echo(error.ctx.get_help() if error.ctx else error.message)
            sys.exit(2)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "vid3d"
            fail(f"{error.format_message().rstrip('.')}; see `{where} --help`", 2)
        except click.ClickException as error:
            fail(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            fail("interrupted", 130)
        except Vid3dError as error:
            if "--debug" in arguments:
                raise
            fail(str(error), 1)
        except (OSError, MemoryError) as error:
            if "--debug" in arguments:
                raise
            fail(_of_the_system(error), 1)
        except Exception as error:
            if "--debug" in arguments:
                raise
            kind = type(error).__name__
            fail(f"unexpected {kind}: {error}; run again with --debug and report what it prints", 1)
        sys.exit(status if isinstance(status, int) else 0)


def _of_the_system(error: OSError | MemoryError) -> str:
    """What the operating system refused, and what to look at."""
    if isinstance(error, MemoryError):
        return f"not enough memory ({error}): take a smaller or shorter input, or close programs"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}; check the name, space and permissions"


def fail(message: str, status: int) -> NoReturn:
    """Print one line and exit."""
    click.echo(f"vid3d: error: {printable(' '.join(message.split()))}", err=True)
    sys.exit(status)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vid3d")
def cli() -> None:
    """3D people from ordinary videos.

    Start with `vid3d lift VIDEO`; results are written to ./vid3d-out.
    """


def main() -> NoReturn:
    """Entry point of the `vid3d` script."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    cli.main(prog_name="vid3d")
