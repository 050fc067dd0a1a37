"""The files that a lift leaves behind."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vid3d.errors import Vid3dError
from vid3d.export import check, export
from vid3d.export.rerun import rerun_package, write_rrd
from vid3d.export.space import export_space
from vid3d.files import atomic_path, open_npz, safe_stem
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.pipeline import Clip
from vid3d.streaming import Reel


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
        probe.unlink(missing_ok=True)  # another run may have been quicker
    except (Vid3dError, OSError) as error:
        reason = error.__cause__ or error
        raise Vid3dError(f"cannot write to {folder} ({reason}); choose a folder with -o") from error
    return folder


@dataclass(frozen=True)
class Wanted:
    """What a lift leaves besides NAME.vid3d.npz and NAME.vid3d.json.

    Attributes:
        render: NAME.overlay.mp4, where there is a video.
        formats: of `vid3d.export`.
        up: axis that points up in them, "y" or "z".
        origin: of them, "floor" or "camera".
        floor: whether they are level by the floor; else by the camera.
        rrd: NAME.rrd for rerun.
    """

    render: bool = True
    formats: Sequence[str] = ()
    up: str = "y"
    origin: str = "floor"
    floor: bool = True
    rrd: bool = False

    def check(self) -> None:
        """Find what cannot be written, before anything is computed.

        Raises:
            Vid3dError: an unknown format, or a package that is missing.
        """
        check(self.formats)
        if self.rrd:
            rerun_package()


PARTIAL = Wanted(render=False)
"""What an interrupted lift leaves."""
BESIDE = re.compile(r"overlay\.mp4|rrd|csv|glb|usdc|c3d|person\d+\.(bvh|trc)|export\.json")
"""What may follow NAME. in names of other files than the result itself."""


def keep_earlier(folder: Path, clip: Clip, partial: bool, monitor: Monitor) -> bool:
    """Whether an earlier result is to stay: whole ones do where a lift was interrupted.

    Warns where a result of another video of the same name is about to be replaced.
    """
    path = folder / f"{safe_stem(clip.name)}.vid3d.npz"
    try:
        with open_npz(path) as data:
            earlier = json.loads(str(data["meta"]))
            source = (earlier.get("source") or {}).get("sha256")
    except (OSError, ValueError, KeyError, AttributeError):  # none, or none of ours
        return False
    if partial and "partial" not in earlier:
        monitor.warn(f"{path} is whole and stays; what was done until now is kept beside it")
        return True
    if source and clip.digest and source != clip.digest:
        monitor.warn(f"{path} was the result of another video of that name, and is replaced")
    return False


def write_results(
    motion: Motion | Reel,
    clip: Clip,
    folder: Path,
    video: Path | None,
    wanted: Wanted,
    monitor: Monitor,
) -> list[Path]:
    """Write NAME.vid3d.npz, NAME.vid3d.json and what else is wanted.

    Args:
        motion: the result, in memory or in files.
        clip: what it was lifted from.
        folder: where to.
        video: that it was lifted from, or None.
        wanted: which files.
        monitor: told of the drawing's progress, and what a film or a recording is without.

    Returns:
        The paths written.
    """
    stem = safe_stem(clip.name)
    again = (folder / f"{stem}.vid3d.npz").exists()
    written = [
        motion.save(folder / f"{stem}.vid3d.npz"),
        motion.save_json(folder / f"{stem}.vid3d.json"),
    ]
    if video is not None and wanted.render:  # first: of the rest, formats may not hold all people
        from vid3d.render import render_overlay

        overlay = folder / f"{stem}.overlay.mp4"
        with monitor.stage("drawing", motion.frames) as advance:
            render_overlay(
                motion, video, overlay, lambda done, total: advance(1), warn=monitor.warn
            )
        written.append(overlay)
    if others := [name for name in wanted.formats if name not in ("npz", "json")]:
        whole = _whole(motion)
        space = export_space(whole, wanted.up, wanted.origin, wanted.floor)
        written += export(whole, others, folder, stem, space)
    if wanted.rrd:
        recording = folder / f"{stem}.rrd"
        written.append(write_rrd(_whole(motion), recording, video, monitor.warn))
    if again and (stale := _beside(folder, stem) - {path.name for path in written}):
        monitor.warn(f"of an earlier result, not of this one: {', '.join(sorted(stale))}")
    return written


def _beside(folder: Path, stem: str) -> set[str]:
    """Names of the files beside a result."""
    names = {path.name for path in folder.iterdir() if path.name.startswith(f"{stem}.")}
    return {name for name in names if BESIDE.fullmatch(name, len(stem) + 1)}


def _whole(motion: Motion | Reel) -> Motion:
    """In memory, for formats that hold a whole motion."""
    return motion.motion() if isinstance(motion, Reel) else motion
