"""`vid3d doctor`: check the installation."""

import click


@click.command("doctor")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def command(debug: bool) -> int:
    """Versions, devices, codecs and weights; for each problem, the command that mends it."""
    from vid3d.doctor import diagnose

    report = diagnose()
    click.echo(report.text())
    return 1 if report.problems else 0
