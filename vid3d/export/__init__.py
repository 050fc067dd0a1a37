"""Files for other programs: BVH, GLB, USD, C3D, TRC, CSV, and the motion's own JSON and NPZ."""

import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vid3d.errors import Vid3dError

if TYPE_CHECKING:
    from vid3d.export.space import Space
    from vid3d.motion import Motion

FORMATS = {
    "json": "the motion as JSON",
    "npz": "the motion as NumPy arrays",
    "csv": "a tidy table of joints",
    "bvh": "skeleton animation, one file a person",
    "glb": "glTF scene: animated figures and the camera",
    "usd": "the same as USD",
    "c3d": "markers for biomechanics",
    "trc": "markers for OpenSim, one file a person",
}
_NEEDS = {"c3d": ("ezc3d", "ezc3d"), "usd": ("pxr", "usd-core")}


def export(
    motion: "Motion",
    formats: Iterable[str],
    folder: str | Path,
    stem: str = "motion",
    space: "Space | None" = None,
    units: str | None = None,
) -> list[Path]:
    """Write a motion in other formats, and STEM.export.json that says what is in them.

    Args:
        motion: what to write.
        formats: names of `FORMATS`.
        folder: where to; made if missing.
        stem: what the files' names begin with.
        space: the files' frame; without it, `export_space(motion)`: y up, the origin on the floor
            below the camera.
        units: `m`, `cm` or `mm` in BVH, C3D and TRC; without it, metres, C3D millimetres.

    Returns:
        The paths written.

    Raises:
        Vid3dError: an unknown format or unit, a package that a format needs is missing, or more
            people or frames than a format holds; nothing is written then.
    """
    if isinstance(formats, str):
        raise Vid3dError(f"formats is {formats!r}, expected a list of names, like ['bvh', 'glb']")
    folder, chosen = Path(folder), list(dict.fromkeys(formats))
    check(chosen, units)
    from vid3d.export.space import export_space
    from vid3d.export.summary import write_summary
    from vid3d.export.take import Take

    take = Take(motion, space or export_space(motion), units)
    if "c3d" in chosen:
        from vid3d.export import c3d

        c3d.check(take, stem)
    written = []
    for name in chosen:
        written += importlib.import_module(f"vid3d.export.{name}").write(take, folder, stem)
    summary = write_summary(take, chosen, written, folder / f"{stem}.export.json")
    return [*written, summary]


def check(formats: Sequence[str], units: str | None = None) -> None:
    """Find what `export` would refuse, before anything is computed.

    Raises:
        Vid3dError: as `export`.
    """
    from vid3d.export.units import scale

    for name in formats:
        if name not in FORMATS:
            raise Vid3dError(f"unknown format {name!r}: choose from {', '.join(FORMATS)}")
        module, package = _NEEDS.get(name, ("json", ""))
        if importlib.util.find_spec(module) is None:
            raise Vid3dError(
                f"format {name} needs the package {package}: pip install 'vid3d[{name}]'"
            )
    scale(units or "m")
