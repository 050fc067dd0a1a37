"""Reports of `evaluate_lifter` as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

from vid3d.evaluation.protocols import find_protocol
from vid3d.skeleton import H36M17

if TYPE_CHECKING:
    from vid3d.evaluation.lifting import Report, Row
    from vid3d.evaluation.oracles import Aggregates

_HEADS = {
    "mpjpe": "MPJPE",
    "p_mpjpe": "P-MPJPE",
    "n_mpjpe": "N-MPJPE",
    "pck": "PCK",
    "auc": "AUC",
    "mrpe": "MRPE",
    "root_velocity": "root v",
    "reprojection": "reproj",
    "root_reprojection": "root r",
    "velocity": "veloc",
    "acceleration": "accel",
    "symmetry_gap": "symm",
    "bone_std": "bones",
    "inside1": "in 1x",
    "inside2": "in 2x",
}


def format_report(report: Report, by: Sequence[str] = ()) -> str:
    """The rows over all frames as text, a line each, and the wanted break-downs below them.

    Args:
        report: to show.
        by: any of `moment` (at looks and between), `action` and `joint`.
    """
    figures = find_protocol(report.protocol).figures
    parts = [_table(figures, [row for row in report.rows if row.part == "all"])]
    if "moment" in by:
        parts.append(_table(figures, [row for row in report.rows if row.part != "all"]))
    if "action" in by:
        parts.append(_table(figures, report.actions))
    if "joint" in by:
        parts.append(_joints([r for r in report.rows if (r.system, r.part) == ("lifter", "all")]))
    return "\n\n".join([*parts, _notes(report)])


def _table(figures: Sequence[str], rows: Sequence[Row]) -> str:
    head = ["stride", "system", "frames", *(_HEADS[name] for name in figures)]
    lines = []
    for row in rows:
        label = row.system if row.part == "all" else f"{row.system}, {row.part}"
        values = (_cell(getattr(row.scores, name)) for name in figures)
        lines.append([str(row.stride), label, f"{row.frames}", *values])
    return align([head, *lines], left=(1,))


def _joints(rows: Sequence[Row]) -> str:
    """MPJPE of every joint, a column a stride."""
    head = ["joint", *(f"stride {row.stride}" for row in rows)]
    lines = [[name, *(_cell(row.joints[name]) for row in rows)] for name in H36M17.joints]
    return align([head, *lines], left=(0,))


def _notes(report: Report) -> str:
    title = find_protocol(report.protocol).title
    occluded = f"; occlusion: {report.occlusion}" if report.occlusion else ""
    return (
        f"{report.model}; {title}; mm, mm/s, mm/s²; PCK, AUC and in 1x, 2x spread in per cent; "
        f"reproj in per cent of the person's size{occluded}"
    )


def format_aggregates(rows: Sequence[Aggregates]) -> str:
    """MPJPE of every way from hypotheses to one pose, a line a stride."""
    head = ["stride", "P-Agg", "J-Agg", "oracle J-Agg: root", "size", "oracle P-Best",
            "oracle J-Best"]  # fmt: skip
    lines = [[str(row.stride), *map(_cell, astuple(row)[1:])] for row in rows]
    note = ("MPJPE of what hypotheses hold, mm. Oracles use the truth (J-Agg: the true root, or "
            "the person's size; P-Best, J-Best: the best pose, the best joint): bounds, not "
            "results")  # fmt: skip
    return f"{align([head, *lines])}\n\n{note}"


def _cell(value: float) -> str:
    if value != value:
        return "-"
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def align(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """Rows of cells as lines: some columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if index in left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)
