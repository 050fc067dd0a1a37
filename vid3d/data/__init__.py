"""Motion capture, posable bodies, virtual cameras, 2D noise and pair files."""
