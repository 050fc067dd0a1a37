"""One self-contained web page: video and 3D side by side, offline, from disk."""

from vid3d.render.page.document import write_page
from vid3d.render.page.video import find_video

__all__ = ["find_video", "write_page"]
