"""Where weights lie: those that ship with vid3d, and folders that users name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vid3d.errors import Vid3dError
from vid3d.files import below, expanded, read_json, sha256_of

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


def split_adapters(model: str) -> tuple[str, list[str]]:
    """A model `NAME|PATH[+ADAPTER...]` as what it is based on and its adapters.

    A name or path that exists is one, whatever characters it holds.
    """
    parts, found = model.split("+"), []
    while parts:
        ends = [end for end in range(len(parts), 0, -1) if _is_known("+".join(parts[:end]))]
        end = ends[0] if ends else 1
        found.append("+".join(parts[:end]))
        parts = parts[end:]
    return found[0], found[1:]


def _is_known(name: str) -> bool:
    """Whether a model of this name ships, or the path exists."""
    shipped = bool(name) and (weights_dir() / name / "manifest.json").is_file()
    return shipped or expanded(name).exists()


def find_model(name: str) -> Path:
    """Path of a model given by shipped name or by path; of `MODEL+ADAPTER...` that of the model.

    Raises:
        Vid3dError: neither a shipped name nor an existing path, or no such adapter.
    """
    base, adapters = split_adapters(name)
    shipped = weights_dir() / base
    for adapter in adapters:
        if not expanded(adapter).is_file():
            raise Vid3dError(f"no such adapter: {adapter}; make one with `vid3d adapt`")
    if (shipped / "manifest.json").is_file():
        return shipped
    path = expanded(base)
    if path.exists():
        return path
    raise Vid3dError(
        f"unknown model {base!r}: neither a path nor one of {', '.join(shipped_models())}; "
        "see `vid3d models list`"
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a model's folder as it stands in the file.

    Raises:
        Vid3dError: there is none, or it is no JSON object.
    """
    path = folder / "manifest.json"
    try:
        manifest = read_json(path)
    except FileNotFoundError as error:
        raise Vid3dError(
            f"{folder} is a folder without manifest.json, so not a model; give a file"
        ) from error
    except (OSError, ValueError) as error:
        raise Vid3dError(f"{path} is not a manifest ({error})") from error
    if not isinstance(manifest, dict):
        raise Vid3dError(f"{path} is not a manifest: not a JSON object")
    return manifest


@dataclass(frozen=True)
class ModelFile:
    """A file of a model and, where known, its SHA-256."""

    path: Path
    sha256: str | None = None

    def check(self) -> Path:
        """The path, once the file is there and is the one that the manifest means.

        Raises:
            Vid3dError: it is missing or has another checksum.
        """
        if not self.path.is_file():
            raise Vid3dError(f"{self.path} is missing, though its manifest names it; copy it there")
        if self.sha256 and sha256_of(self.path) != self.sha256.lower():
            raise Vid3dError(
                f"{self.path} is damaged or another version (its SHA-256 is not the manifest's); "
                "get the file again"
            )
        return self.path


def check_model(folder: Path) -> list[Path]:
    """The files that a model's manifest names, once all are there and have their checksums.

    Raises:
        Vid3dError: a file is missing or damaged.
    """
    try:
        entries = read_manifest(folder)["files"].values()
        files = [ModelFile(below(folder, e["path"]), e.get("sha256")) for e in entries]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Vid3dError(f"{folder}: the files of its manifest are wrong ({error})") from error
    return [file.check() for file in files]
