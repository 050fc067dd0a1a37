"""The page as one HTML document."""

import base64
import hashlib
import html
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from vid3d.files import atomic_path, check_output, printable
from vid3d.motion import Motion
from vid3d.render.page.data import page_data
from vid3d.render.page.video import Footage, Progress, prepare


def write_page(
    motion: Motion,
    output: str | os.PathLike[str],
    video: str | os.PathLike[str] | None = None,
    embed: bool | None = None,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write one HTML file that shows a motion in 3D beside its video and needs no network.

    Args:
        motion: what to show.
        output: the HTML file.
        video: the video the motion was made from; None for the 3D view alone.
        embed: whether the video goes into the file (True) or stays beside it (False); None embeds
            files of up to 16 MB that browsers play, and 720p copies of clips of up to a minute.
        progress: called with (frames done, frames in all) while a copy of the video is made.

    Returns:
        The path written.

    Raises:
        Vid3dError: the video cannot be read or is of another size, or the page is the video or
            cannot be written.
    """
    page = Path(output)
    check_output(page, None if video is None else Path(video))
    footage = None if video is None else prepare(motion, Path(video), page, embed, progress)
    document = _document(page_data(motion), footage)
    with atomic_path(page) as temporary:
        temporary.write_text(document, encoding="utf-8")
    return page


def _document(data: dict[str, Any], footage: Footage | None) -> str:
    """HTML in which everything that comes from files is escaped.

    The content security policy lets only this page's script and style run and fetches nothing but
    its video, so that even a slip in escaping could neither run nor report anything.
    """
    if footage is not None:
        data["video"] = {
            "url": footage.url,
            "type": footage.type,
            "offset": round(footage.offset, 6),
        }
    style, script = _asset("viewer.css"), _asset("viewer.js")
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "img-src data: blob:; media-src 'self' file: blob:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(f"{printable(data['title'])} – vid3d"),
        "style": style,
        "script": script,
        "data": json_for_html(data),
        "video": footage.data if footage is not None else "",
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _asset("viewer.html"))


def json_for_html(data: Any) -> str:
    """JSON that can stand in a script element: no tag or comment can begin or end in it."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _asset(name: str) -> str:
    """A built part of the viewer (viewer/ holds its source)."""
    return files("vid3d.render.page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
