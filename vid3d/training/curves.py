"""The course of a training as a picture: its losses, its figures on the dev set, its pace."""

import json
from pathlib import Path
from typing import Any

from vid3d.files import atomic_path

METRICS = "metrics.jsonl"
"""In a work directory: figures of the training, a JSON object a line."""


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; a last line that was cut off by a kill is left out."""
    rows = []
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def keep_rows(path: Path, stage: str, samples: int) -> None:
    """Leave out what a run told of a stage after its checkpoint: it will tell it again.

    Args:
        path: of the metrics.jsonl, which may not be there yet.
        stage: that goes on.
        samples: of the stage in the checkpoint, 0 without one.
    """
    if not path.is_file():
        return
    kept = [row for row in read_metrics(path) if row["stage"] != stage or row["samples"] <= samples]
    with atomic_path(path) as aside:
        aside.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")


def draw_curves(metrics: str | Path, picture: str | Path) -> None:
    """Draw the rows of a metrics.jsonl: losses (logarithmic) left, dev figures right, by samples.

    Stages follow each other. Nothing is drawn of a run without rows.
    """
    from matplotlib.figure import Figure

    rows = _continued(read_metrics(metrics))
    losses = [row for row in rows if "loss" in row]
    looks = [row for row in rows if "loss" not in row]
    if not losses:
        return
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in _figures(losses):
        points = [(row["at"], row[name]) for row in losses if row.get(name, 0) > 0]
        left.plot(*zip(*points, strict=True), label=name)
    for name in _figures(looks):
        points = [(row["at"], row[name]) for row in looks if row.get(name, 0) > 0]
        at, values = zip(*points, strict=True)
        shares = [value / values[0] for value in values]
        right.plot(at, shares, marker=".", label=f"{name}, at last {values[-1]:g}")
    left.set(title="training", xlabel="samples", yscale="log")
    right.set(title="dev set, shares of the first look", xlabel="samples")
    for axis in (left, right):
        if axis.lines:
            axis.legend()
    with atomic_path(picture) as aside:
        figure.savefig(aside, format="png", dpi=120)


_CLOCK = {"stage", "samples", "minutes", "eta_minutes", "samples_per_second", "lr", "at"}


def _figures(rows: list[dict[str, Any]]) -> list[str]:
    """Names of figures that are above 0 somewhere."""
    names = {name: None for row in rows for name in row if name not in _CLOCK}
    return [name for name in names if any(row.get(name, 0) > 0 for row in rows)]


def _continued(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `at`, samples since the first stage began."""
    before, stage, last = 0, None, 0
    for row in rows:
        if row["stage"] != stage:
            before, stage = before + last, row["stage"]
        last = row["samples"]
        row["at"] = before + last
    return rows
