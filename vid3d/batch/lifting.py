"""What a batch does with each video: the same lift as `vid3d lift`, its networks loaded once."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from vid3d import __version__
from vid3d.batch.cluster import connected
from vid3d.batch.plan import Plan, plan_batch
from vid3d.batch.runner import Report, run_batch
from vid3d.batch.worker import Lift, Made, Task
from vid3d.errors import Vid3dError
from vid3d.files import sha256_of
from vid3d.machine import find_device, usable_cores
from vid3d.monitor import Monitor
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.estimator import find_networks
from vid3d.results import Wanted, write_results
from vid3d.weights import find_model, shipped_models, split_adapters


def lift_folder(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: LiftOptions | None = None,
    wanted: Wanted | None = None,
    ray: str | None = None,
    **how: Any,
) -> Report:
    """Lift all videos of folders, files and globs into a folder: `vid3d batch`.

    Workers are spawned, so a script that calls this needs `if __name__ == "__main__":`.

    Args:
        inputs: folders, files and globs.
        output: folder of the results and of the manifest, `batch.sqlite`.
        options: of each lift.
        wanted: which files each leaves.
        ray: address of a Ray cluster to work on, or "auto"; None: processes of this machine.
        how: `workers`, `resume`, `monitor` and `ended` of `run_batch`.

    Raises:
        Vid3dError: as `run_batch`; an unknown model; no cluster, or one without this vid3d.
    """
    options, wanted = _anchored(options or LiftOptions()), wanted or Wanted()
    if ray is None:
        load = partial(load_lift, options, wanted)
        return run_batch(inputs, Path(output), recipe(options, wanted), load, **how)
    with connected(ray, options.device) as cluster:
        same = cluster.call(recipe, options, wanted)  # there: this machine may have no GPU
        load = partial(_load_same, same, options, wanted)
        return run_batch(inputs, Path(output), same, load, cluster=cluster, **how)


def plan_folder(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: LiftOptions | None = None,
    wanted: Wanted | None = None,
    ray: str | None = None,
    resume: bool = True,
    monitor: Monitor | None = None,
) -> Plan:
    """What `lift_folder` would do with the same arguments; writes nothing."""
    options, wanted = _anchored(options or LiftOptions()), wanted or Wanted()
    if ray is None:
        made_with = recipe(options, wanted)
    else:
        with connected(ray, options.device) as cluster:
            made_with = cluster.call(recipe, options, wanted)
    return plan_batch(inputs, Path(output), made_with, resume, monitor)


def load_lift(options: LiftOptions, wanted: Wanted) -> Lift:
    """The function that lifts one video in a worker, with all networks loaded."""
    cv2.setNumThreads(usable_cores())
    monitor = Monitor()
    pipeline = Pipeline(options, monitor)
    _ = pipeline.estimator, pipeline.lifter

    def lift(task: Task) -> Made:
        monitor.begin()
        (clip,) = pipeline.observe(task.path)
        with pipeline.reel(clip, task.work) as motion:
            named = replace(clip, name=task.stem)
            write_results(motion, named, task.folder, task.path, wanted, monitor)
            return Made(motion.frames, motion.people, tuple(monitor.warnings))

    return lift


def recipe(options: LiftOptions, wanted: Wanted) -> str:
    """Everything that results depend on beside the video, as JSON: options, models, version.

    Models and a camera file count by their bytes, wherever they lie.
    """
    given: dict[str, Any] = {one.name: getattr(options, one.name) for one in fields(options)}
    networks = find_networks(options.backend, options.detector, options.pose, options.device)
    given["device"] = _kind_of(options.device)
    given["model"] = _bytes_of(find_model(options.model))
    if adapters := split_adapters(options.model)[1]:
        given["adapters"] = [sha256_of(adapter) for adapter in adapters]
    for name, manifest in zip(("detector", "pose"), networks, strict=True):
        given[name] = manifest.identity()
    given["height"] = {str(person): metres for person, metres in options.height.items()}
    if isinstance(options.camera, Path):
        given["camera"] = sha256_of(options.camera)
    elif options.camera is not None:
        given["camera"] = repr(options.camera)
    made_with = {"vid3d": __version__, "options": given, "files": asdict(wanted)}
    return json.dumps(made_with, sort_keys=True, default=str)


def _kind_of(device: str) -> str:
    """`cpu` or `cuda`: results of the two differ, those of two GPUs are taken to be the same."""
    return (find_device(device) if device == "auto" else device).partition(":")[0]


def _load_same(made_with: str, options: LiftOptions, wanted: Wanted) -> Lift:
    """`load_lift`, once it is sure that this machine of a cluster has the same version and models.

    Raises:
        Vid3dError: it has not.
    """
    if recipe(options, wanted) != made_with:
        raise Vid3dError(
            "this machine has other models or another version of vid3d than the one that was asked "
            "first; install the same on all"
        )
    return load_lift(options, wanted)


def _anchored(options: LiftOptions) -> LiftOptions:
    """Options whose paths do not depend on the folder that a process runs in."""

    def anchor(name: str) -> str:
        named = name not in shipped_models() and os.path.exists(name)
        return os.path.abspath(name) if named else name

    base, adapters = split_adapters(options.model)
    camera = options.camera
    return replace(
        options,
        detector=anchor(options.detector),
        pose=anchor(options.pose),
        model="+".join(map(anchor, (base, *adapters))),
        camera=camera.absolute() if isinstance(camera, Path) else camera,
    )


def _bytes_of(model: Path) -> dict[str, str]:
    """Checksums of a model's file, or of the files of its folder but its model card, by name."""
    files = sorted(model.rglob("*")) if model.is_dir() else [model]
    return {one.name: sha256_of(one) for one in files if one.is_file() and one.suffix != ".md"}
