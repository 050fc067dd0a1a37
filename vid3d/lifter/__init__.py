"""The lifter: dense 3D motion from sparse 2D looks."""

from vid3d.lifter.lifter import Lifted, Lifter

__all__ = ["Lifted", "Lifter"]
