"""Pictures of a motion: the overlay video and the 3D view."""

from vid3d.render.overlay import render_motion, render_overlay

__all__ = ["render_motion", "render_overlay"]
