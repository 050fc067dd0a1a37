"""Adaptation of a lifter to unlabelled video (PoSynDA, Liu et al. 2023)."""

from vid3d.adaptation.adapt import adapt
from vid3d.adaptation.options import AdaptOptions
from vid3d.adaptation.outcome import Adaptation

__all__ = ["AdaptOptions", "Adaptation", "adapt"]
