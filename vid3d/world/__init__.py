"""The world people stand in: floor and gravity, feet that stay where they stand, smoothing."""
