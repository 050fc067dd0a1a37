"""Where weights lie: those that ship with vid3d, and folders that users name."""

from pathlib import Path

from vid3d.errors import Vid3dError

_PACKAGE = Path(__file__).resolve().parent


def _shipped(kind: str) -> Path:
    """Folder of shipped files: inside an installed package, beside it in a source tree."""
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def weights_dir() -> Path:
    """Folder of the weights that ship with vid3d, one folder a model."""
    return _shipped("weights")


def configs_dir() -> Path:
    """Folder of the recipes that ship with vid3d."""
    return _shipped("configs")


def shipped_models() -> list[str]:
    """Names of the models that ship with vid3d."""
    return sorted(path.parent.name for path in weights_dir().glob("*/manifest.json"))


def find_model(name: str) -> Path:
    """Path of a model given by shipped name or by path.

    Raises:
        Vid3dError: neither a shipped name nor an existing path.
    """
    shipped = weights_dir() / name
    if (shipped / "manifest.json").is_file():
        return shipped
    path = Path(name).expanduser()
    if path.exists():
        return path
    raise Vid3dError(
        f"unknown model {name!r}: neither a path nor one of {', '.join(shipped_models())}; "
        "see `vid3d models list`"
    )
