"""`vid3d models`: weights by name."""

import click

debug_option = click.option("--debug", is_flag=True, help="Show tracebacks.")


@click.group("models")
def command() -> None:
    """List, fetch and verify weights: those that ship and those that download by name."""


@command.command("list")
@debug_option
def list_command(debug: bool) -> None:
    """Every model that has a name, and whether it is here."""
    from vid3d.pose2d.zoo import list_models

    for model in list_models():
        click.echo(f"{model.name:<24} {model.task:<10} {model.state:<14} {model.summary}")


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@debug_option
def fetch_command(names: tuple[str, ...], debug: bool) -> None:
    """Download models NAMES, verified and resumable, into the user's cache."""
    from vid3d.pose2d.zoo import fetch

    for name in names:
        click.echo(fetch(name))


@command.command("verify")
@click.argument("names", nargs=-1)
@debug_option
def verify_command(names: tuple[str, ...], debug: bool) -> int:
    """Compare files with their checksums: NAMES, or everything that is here."""
    from vid3d.pose2d.zoo import list_models, verify

    damaged = 0
    for name in names or [model.name for model in list_models() if model.state != "not here"]:
        problem = verify(name)
        click.echo(f"{name:<24} {problem or 'whole'}")
        damaged += problem is not None
    return 1 if damaged else 0
