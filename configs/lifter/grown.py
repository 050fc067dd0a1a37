# vid3d-base with another block and MLPs twice as wide: goes on from a trained lifter/seen.
_base_ = "seen.py"
encoder = dict(blocks=6, ratio=4)
