"""Pictures of a motion: the overlay video, the 3D view and plots."""

from vid3d.render.film import render_motion, render_overlay
from vid3d.render.options import RenderOptions

__all__ = ["RenderOptions", "render_motion", "render_overlay"]
