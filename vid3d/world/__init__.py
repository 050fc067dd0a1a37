"""The world people stand in: floor and gravity, feet that stay where they stand, smoothing."""

from vid3d.world.fit import estimate_ground, ground_of
from vid3d.world.ground import Ground
from vid3d.world.measures import foot_slides, jitters, lag
from vid3d.world.settle import settle
from vid3d.world.smoothing import smoothed
from vid3d.world.stances import Stance, find_stances

__all__ = [
    "Ground",
    "Stance",
    "estimate_ground",
    "find_stances",
    "foot_slides",
    "ground_of",
    "jitters",
    "lag",
    "settle",
    "smoothed",
]
