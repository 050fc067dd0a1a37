"""`python -m vid3d`: the same as the `vid3d` command."""

from vid3d.cli import main

main()
