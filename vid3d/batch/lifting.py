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
from vid3d.batch.plan import Plan, plan_batch
from vid3d.batch.runner import Report, run_batch
from vid3d.batch.worker import Lift, Made
from vid3d.files import sha256_of
from vid3d.machine import usable_cores
from vid3d.monitor import Monitor
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.estimator import find_networks
from vid3d.results import Wanted, write_results
from vid3d.weights import find_model


def lift_folder(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: LiftOptions | None = None,
    wanted: Wanted | None = None,
    **how: Any,
) -> Report:
    """Lift all videos of folders, files and globs into a folder: `vid3d batch`.

    Workers are spawned, so a script that calls this needs `if __name__ == "__main__":`.

    Args:
        inputs: folders, files and globs.
        output: folder of the results and of the manifest, `batch.sqlite`.
        options: of each lift.
        wanted: which files each leaves.
        how: `workers`, `resume`, `monitor` and `ended` of `run_batch`.

    Raises:
        Vid3dError: as `run_batch`; an unknown model.
    """
    options, wanted = options or LiftOptions(), wanted or Wanted()
    return run_batch(
        inputs, Path(output), recipe(options, wanted), partial(load_lift, options, wanted), **how
    )


def plan_folder(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    options: LiftOptions | None = None,
    wanted: Wanted | None = None,
    resume: bool = True,
    monitor: Monitor | None = None,
) -> Plan:
    """What `lift_folder` would do with the same arguments; writes nothing."""
    options, wanted = options or LiftOptions(), wanted or Wanted()
    return plan_batch(inputs, Path(output), recipe(options, wanted), resume, monitor)


def load_lift(options: LiftOptions, wanted: Wanted) -> Lift:
    """The function that lifts one video in a worker, with all networks loaded."""
    cv2.setNumThreads(usable_cores())
    monitor = Monitor()
    pipeline = Pipeline(options, monitor)
    _ = pipeline.estimator, pipeline.lifter

    def lift(video: Path, stem: str, folder: Path) -> Made:
        monitor.stages.clear()
        monitor.warnings.clear()
        (clip,) = pipeline.observe(video)
        motion = pipeline.lift(clip)
        write_results(motion, replace(clip, name=stem), folder, video, wanted, monitor)
        return Made(motion.frames, motion.people, tuple(monitor.warnings))

    return lift


def recipe(options: LiftOptions, wanted: Wanted) -> str:
    """Everything that results depend on beside the video, as JSON: options, models, version.

    Models and a camera file count by their bytes, wherever they lie.
    """
    given: dict[str, Any] = {one.name: getattr(options, one.name) for one in fields(options)}
    networks = find_networks(options.backend, options.detector, options.pose, options.device)
    given["model"] = _bytes_of(find_model(options.model))
    for name, manifest in zip(("detector", "pose"), networks, strict=True):
        files = {kind: sha256_of(file.path) for kind, file in manifest.files.items()}
        given[name] = {**asdict(replace(manifest, files={}, licence="")), "files": files}
    given["height"] = {str(person): metres for person, metres in options.height.items()}
    if isinstance(options.camera, Path):
        given["camera"] = sha256_of(options.camera)
    elif options.camera is not None:
        given["camera"] = repr(options.camera)
    made_with = {"vid3d": __version__, "options": given, "files": asdict(wanted)}
    return json.dumps(made_with, sort_keys=True, default=str)


def _bytes_of(model: Path) -> dict[str, str]:
    """Checksums of a model's file, or of the files of its folder but its model card, by name."""
    files = sorted(model.rglob("*")) if model.is_dir() else [model]
    return {one.name: sha256_of(one) for one in files if one.is_file() and one.suffix != ".md"}
