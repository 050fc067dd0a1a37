"""The lifter: dense 3D motion from sparse 2D looks."""
