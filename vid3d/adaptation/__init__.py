"""Adaptation of a lifter to unlabelled video (PoSynDA, Liu et al. 2023)."""

from vid3d.adaptation.adapt import Adaptation, adapt
from vid3d.adaptation.options import AdaptOptions

__all__ = ["AdaptOptions", "Adaptation", "adapt"]
