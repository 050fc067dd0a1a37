"""Recipes: the config files of `configs/`, found by name, changed by `key=value`, and run."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, expanded, held
from vid3d.given import real_number, unfit, whole_number
from vid3d.weights import configs_dir

TASKS = ("lifter", "pose2d", "detect2d")
"""What a recipe's `task` may be: each is a module of this package with a `train` function."""

OPTIONAL = {
    "lifter": ("lifting", "frozen", "velocity", "compiled", "data.dev"),
    "pose2d": (),
    "detect2d": ("training.backbone", "training.teacher"),
}
"""Keys that a task reads where a recipe has them; all others it needs."""
_NETWORKS = ("task", "encoder", "diffusion", "model")
"""Keys that say what is trained; a run that goes on cannot change them, one that ended no key."""
_START = "init_from"
"""In the recipe that a run notes: the model whose weights it began with."""
_LISTS = ("data.dev",)
"""Of these, those that are lists."""


def _two_numbers(name: str, value: Any) -> None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise unfit(name, value, "two numbers")
    for number in value:
        real_number(name, number, "two numbers")


_NUMBERS: dict[Any, Callable[[str, Any], object]] = {
    int: whole_number,
    float: real_number,
    tuple[float, float]: _two_numbers,
}
"""How fields of these types are checked."""

Made = TypeVar("Made")


def made(part: str, kind: Callable[..., Made], fields: Mapping[str, Any]) -> Made:
    """What a part of a config describes.

    Raises:
        Vid3dError: the part has a field that there is not, lacks one, or has words for a number.
    """
    try:
        thing = kind(**fields)
    except TypeError as error:
        reason = str(error).rpartition("() ")[2]
        raise Vid3dError(f"the recipe's {part} {reason}; correct the recipe or --set") from error
    for field in dataclasses.fields(thing) if dataclasses.is_dataclass(thing) else ():
        if check := _NUMBERS.get(field.type):
            check(f"the recipe's {part}.{field.name}", getattr(thing, field.name))
    return thing


def recipes() -> dict[str, Path]:
    """Every recipe that ships, by name (its path below configs/ without the suffix)."""
    folder = configs_dir()
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*.py"))
    }


def load_recipe(name: str, changes: Sequence[str] = ()) -> Any:
    """A recipe as an mmengine Config.

    Args:
        name: of a shipped recipe, or a path.
        changes: `key=value` with dots in the key; values are read as YAML, in which 6e-4 is a
            number too.

    Raises:
        Vid3dError: no such recipe, one that cannot be read, or a change that is no `key=value` or
            of a key that nobody would read.
    """
    try:
        from mmengine import Config
    except ImportError as error:
        from vid3d.pose2d.openmmlab import INSTALL_ALL

        raise Vid3dError(f"training needs OpenMMLab ({error}); run: {INSTALL_ALL}") from error
    path = recipes().get(name, Path(name))
    if not path.is_file():
        raise Vid3dError(f"no recipe {name}; give a path or one of {', '.join(recipes())}")
    options = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not (key and equals):
            raise Vid3dError(f"{change!r} is not key=value, like stage.lr=1.0e-3")
        options[key] = _value(change, value)
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a recipe is Python: anything can be wrong with it
        raise Vid3dError(f"recipe {path} cannot be read: {error}") from error
    for key, value in options.items():
        _check_known(config, key)
        _check_kind(config, key, value)
    try:
        config.merge_from_dict(options)
    except (IndexError, KeyError, TypeError) as error:
        raise Vid3dError(f"the recipe cannot be changed so: {error}") from error
    if config.get("task") not in TASKS:
        raise Vid3dError(f"recipe {path}: task is {config.get('task')!r}, expected one of {TASKS}")
    return config


def _value(change: str, text: str) -> Any:
    """What stands behind the `=` of a change."""
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 takes 6e-4 for words."""

    exponent = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", exponent, list("-+0123456789"))
    try:
        return Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise Vid3dError(f"{change!r} is no YAML behind the =, like data.skipped=[a, b]") from error


def _check_known(config: Any, key: str) -> None:
    """Only keys of the recipe may be changed, and those that its task reads besides.

    Groups that become dataclasses (stage, encoder, ...) refuse unknown fields by themselves.
    """
    group, dot, rest = key.partition(".")
    has, name = set(config.keys()), group
    if dot and group in ("data", "training"):
        has = {f"{group}.{member}" for member in config.get(group, {})}
        name = f"{group}.{rest.partition('.')[0]}"
    known = has.union(OPTIONAL.get(config.get("task"), ()))
    if name not in known:
        raise Vid3dError(f"the recipe has no {name} to set; choose of {', '.join(sorted(known))}")


def _check_kind(config: Any, key: str, value: Any) -> None:
    """A number may only give way to a number, a list to a list: a word is a list of letters."""
    for part in key.split("."):
        config = config.get(part) if hasattr(config, "get") else None
    numbers = (int, float)
    if isinstance(config, numbers) and not isinstance(value, numbers):
        raise Vid3dError(f"{key} is {config}, so {value!r} must be a number")
    listed = isinstance(config, list | tuple) or key in _LISTS
    if listed and not isinstance(value, list):
        raise Vid3dError(f"{key} is a list, so {value!r} must be one: {key}=[{value}]")


def train(
    config: Any,
    data: Sequence[Path],
    work_dir: Path,
    resume: bool = False,
    start: str | None = None,
) -> None:
    """Run a recipe.

    Args:
        config: from `load_recipe`.
        data: folders or files that the recipe's task reads.
        work_dir: receives checkpoints and metrics.
        resume: go on from the checkpoint in `work_dir`; a run that was killed before its first one
            begins anew, with the weights that it began with.
        start: name or path of a model of the same shape whose weights this run begins with.

    Raises:
        Vid3dError: data missing, `work_dir` holds another run and `resume` is not given, it is of
            another recipe or has ended and would be changed, or a training is at work there.
    """
    from contextlib import nullcontext
    from importlib import import_module

    from vid3d.training.curves import METRICS, draw_curves
    from vid3d.training.distributed import rank

    for path in data:
        if not path.exists():
            raise Vid3dError(f"no such data: {path}")
    saved, noted = any(work_dir.glob("*.pth")), work_dir / "config.py"  # of short runs the result
    if saved and not resume:
        raise Vid3dError(f"{work_dir} holds a run: go on with --resume or give another --work-dir")
    if start is None and not saved:
        begun = load_recipe(str(noted)) if resume and noted.is_file() else config
        start = begun.get(_START)
    task = import_module(f"vid3d.training.{config.task}")
    with held(work_dir, "another training") if rank() == 0 else nullcontext():
        if rank() == 0:
            _note(config, start, noted)
        task.train(config, list(data), work_dir, resume, start)
        if rank() == 0:
            draw_curves(work_dir / METRICS, work_dir / "metrics.png")


def _note(config: Any, start: str | None, path: Path) -> None:
    """Write what a run is trained by and begins with; what it has been through stays as it was.

    Raises:
        Vid3dError: it does not, or the file cannot be written.
    """
    noted = dict(config.to_dict())
    if any(path.parent.glob("*.pth")) and path.is_file():
        before = load_recipe(str(path))
        start = before.get(_START)
        other = _changed(before, config, path.parent)
        if other:
            raise Vid3dError(
                f"{path.parent} was trained with another {', '.join(other)}: go on with its "
                f"recipe, {path}, or train on in another --work-dir with --init-from"
            )
    noted.pop(_START, None)
    if start is not None:
        noted[_START] = str(expanded(start).resolve()) if expanded(start).exists() else start
    with atomic_path(path) as aside:
        type(config)(noted).dump(aside)


def _changed(before: Any, config: Any, work_dir: Path) -> list[str]:
    """Keys of a recipe that the run in `work_dir`, trained by `before`, can no longer change."""
    stages = _stages(config)
    ended = all((work_dir / f"{name}.pth").is_file() for name in stages)
    keys = sorted({*before.keys(), *config.keys()} - {_START}) if ended else _NETWORKS
    other = [key for key in keys if before.get(key) != config.get(key)]
    return other if _stages(before) <= stages else [*other, "stage"]


def _stages(config: Any) -> set[str]:
    """Names of a recipe's stages: each ends with a file NAME.pth."""
    stages = config.get("training", {}).get("stages") or [config.get("stage", {})]
    return {str(stage.get("name")) for stage in stages}
