"""The files that a lift leaves behind."""

import re
from pathlib import Path

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.pipeline import Clip


def prepare_folder(folder: Path) -> Path:
    """Make the folder of results and prove that it can be written, before anything long begins.

    Raises:
        Vid3dError: it cannot.
    """
    if folder.exists() and not folder.is_dir():
        raise Vid3dError(f"cannot write to {folder}: it is a file; choose a folder with -o")
    probe = folder / ".vid3d-probe"
    try:
        with atomic_path(probe):
            pass
        probe.unlink()
    except (Vid3dError, OSError) as error:
        reason = error.__cause__ or error
        raise Vid3dError(f"cannot write to {folder} ({reason}); choose a folder with -o") from error
    return folder


def write_results(
    motion: Motion, clip: Clip, folder: Path, video: Path | None, monitor: Monitor
) -> list[Path]:
    """Write NAME.vid3d.npz, NAME.vid3d.json and, for a video, NAME.overlay.mp4.

    Args:
        motion: the result.
        clip: what it was lifted from.
        folder: where to.
        video: to draw on, or None for no overlay.
        monitor: told of the drawing's progress.

    Returns:
        The paths written.
    """
    stem = re.sub(r"[^\w.+-]+", "_", clip.name).strip("._") or "clip"
    written = [
        motion.save(folder / f"{stem}.vid3d.npz"),
        motion.save_json(folder / f"{stem}.vid3d.json"),
    ]
    if video is not None:
        from vid3d.render import render_overlay

        overlay = folder / f"{stem}.overlay.mp4"
        with monitor.stage("drawing", motion.frames) as advance:
            render_overlay(motion, video, overlay, lambda done, total: advance(1))
        written.append(overlay)
    return written
