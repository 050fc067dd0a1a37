"""`vid3d models`: weights by name."""

import click


@click.group("models")
def command() -> None:
    """List, fetch and verify weights: those that ship and official ones that download by name."""


@command.command("list")
def list_command() -> None:
    """Every model that has a name, and whether it is here."""
    from vid3d.info import describe
    from vid3d.pose2d.zoo import list_models
    from vid3d.weights import shipped_models

    for name in shipped_models():
        card = dict(describe(name))
        click.echo(f"{name:<20} {card['task']:<10} shipped")
    for model in list_models():
        here = f"here: {', '.join(model.cached)}" if model.cached else "to download"
        click.echo(f"{model.name:<20} {model.task:<10} {here:<12} {model.summary}")


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@click.option("--kind", type=click.Choice(["onnx", "pth"]), help="Which files; default: onnx.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def fetch_command(names: tuple[str, ...], kind: str | None, debug: bool) -> None:
    """Download official models NAMES into the user's cache: resumable, checked."""
    from vid3d.pose2d.zoo import fetch

    for name in names:
        click.echo(f"{name:<20} {fetch(name, kind)}")


@command.command("verify")
@click.argument("names", nargs=-1)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def verify_command(names: tuple[str, ...], debug: bool) -> int:
    """Compare files with their checksums: of NAMES, or of everything that is here."""
    from vid3d.errors import Vid3dError
    from vid3d.pose2d import zoo
    from vid3d.weights import check_model, find_model, shipped_models

    shipped = shipped_models()
    cached = [model.name for model in zoo.list_models() if model.cached]
    damaged = 0
    for name in names or [*shipped, *cached]:
        try:
            files = check_model(find_model(name)) if name in shipped else zoo.verify(name)
            click.echo(f"{name:<20} whole: {', '.join(path.name for path in files)}")
        except Vid3dError as error:
            click.echo(f"{name:<20} {error}", err=True)
            damaged += 1
    return 1 if damaged else 0
