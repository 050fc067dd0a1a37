"""`vid3d info`: a card of a file."""

import click


@click.command("info")
@click.argument("target", metavar="FILE")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(target: str, debug: bool) -> None:
    """What is in FILE: a video, a motion, a pair file, keypoints, or weights (by path or name)."""
    from vid3d.files import printable
    from vid3d.info import describe

    card = describe(target)
    width = max(len(label) for label, _ in card)
    for label, text in card:
        click.echo(f"{printable(label):<{width}}  {printable(text)}")
