"""Does adaptation help where it should, and harm nowhere? Controlled shifts of the dev actors.

python benchmarks/adapt/shifts.py MOCAP_FOLDER OUT [--shifts tele,low] [--variants default,drawn]

For every shift the lifter is adapted to the 2D of some takes of the dev actors, as sparse as a lift
sees them, and measured on other takes, before and after, through the shift and through plain
cameras. Source: the motion capture of all other actors. Prints a table and writes OUT/shifts.json.

Variants: `default`; `drawn` (no motion capture: source drawn from the lifter); PoSynDA's table 3:
`source` (source seen as in training), `F` (in the target's position and scale; LoRA alone),
`F+bias` (the default), `F+taught1` (with the teacher's pseudo-labels, one hypothesis), `full`
(three), `H N`; the target's windows come on top of the source's. `rank N` is of the default.
`oracle` learns from the true motion of the very takes whose 2D is the target: what there is to be
had, not a method. Adapters are written by force; `refused` says where `vid3d adapt` would not have.
`trial`, `elsewhere` and `looks` are what it judges by: errors over the plain lifter's, on source
motion filmed like the target and as in training, and on held-out looks.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from shifted import SHIFTS, Shift, shifted, takes

from vid3d.adaptation import AdaptOptions, adapt
from vid3d.data.mocap import DEV_ACTORS, read_mocap, write_mocap
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.evaluation.lifting import evaluate_lifter
from vid3d.lifter import Lifter

FIGURES = ("mpjpe", "n_mpjpe", "p_mpjpe", "velocity")


def variant(name: str, options: AdaptOptions) -> AdaptOptions:
    """Options of a row of the ablation."""
    taught = {"taught": True, "batch": 2 * options.batch, "samples": 2 * options.samples}
    known = {
        "default": {},
        "drawn": {},
        "oracle": {},
        "source": {"placed": False},
        "F": {"bias": False},
        "F+bias": {},
        "F+taught1": {**taught, "hypotheses": 1},
        "full": taught,
        "drawn full": taught,
    }
    kind, _, number = name.partition(" ")
    if kind == "rank":
        return replace(options, rank=int(number))
    if kind == "H":
        return replace(options, **taught, hypotheses=int(number))
    return replace(options, **known[name])


def target_file(path: Path, sequences: Sequence[PairSequence], shift: Shift) -> Path:
    """The 2D of sequences at the looks of a lift, without truth."""
    thinned = [
        replace(
            one,
            keypoints2d=one.keypoints2d[:: shift.stride],
            confidence=one.confidence[:: shift.stride],
            joints3d=None,
            fps=one.fps / shift.stride,
        )
        for one in sequences
        if len(one) > 2 * shift.stride
    ]
    write_pairs(path, thinned)
    return path


def source_file(path: Path, mocap: Path) -> Path:
    """The motion of everybody but the dev actors."""
    files = sorted(mocap.glob("train_*.npz"))
    clips = [clip for file in files for clip in read_mocap(file)]
    write_mocap(path, [clip for clip in clips if clip.actor not in DEV_ACTORS])
    return path


def scores(
    model: str, sequences: Sequence[PairSequence], stride: int, hypotheses: int | None
) -> dict[str, float]:
    """Figures of a lifter on sequences."""
    report = evaluate_lifter(Lifter.load(model), sequences, [stride], hypotheses=hypotheses)
    found = asdict(report.row(stride).scores)
    return {name: round(found[name], 2) for name in FIGURES}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a markdown table; lengths in millimetres."""
    lines = [
        "| shift | variant | P-MPJPE before | after | gap to plain | recovered | N-MPJPE | MPJPE "
        "| plain P-MPJPE | plain MPJPE | trial | elsewhere | looks | adapter "
        "| minutes |",
        "|" + "---|" * 15,
    ]
    for row in rows:
        before, after, plain = row["before"], row["after"], row["plain"]
        gap = before["p_mpjpe"] - plain["before"]["p_mpjpe"]
        won = before["p_mpjpe"] - after["p_mpjpe"]
        share = f"{100 * won / gap:.0f} %" if gap > 3 else "-"

        def pair(figures: dict[str, Any], name: str) -> str:
            return f"{figures['before'][name]:.1f} -> {figures['after'][name]:.1f}"

        cells = [
            row["shift"],
            row["variant"],
            f"{before['p_mpjpe']:.1f}",
            f"{after['p_mpjpe']:.1f}",
        ]
        cells += [f"{gap:+.1f}", share, pair(row, "n_mpjpe"), pair(row, "mpjpe")]
        cells += [pair(plain, "p_mpjpe"), pair(plain, "mpjpe")]
        cells += [f"{row['ratio']:.3f}", f"{row['elsewhere']:.3f}", f"{row['looks']:.3f}"]
        cells += ["refused" if row["objection"] else "written", f"{row['minutes']:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="vid3d-base")
    parser.add_argument("--shifts", default=",".join(SHIFTS))
    parser.add_argument("--variants", default="default")
    parser.add_argument("--minutes", type=float, default=3.0, help="of takes, for each purpose")
    parser.add_argument("--hypotheses", type=int, help="to measure with; 1 is fast")
    parser.add_argument("--set", action="append", default=[], help="of AdaptOptions, key=value")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    options, drawn = AdaptOptions.changed(given.set), given.hypotheses
    learnt, judged = takes(given.mocap)
    others = source_file(given.out / "source.npz", given.mocap)
    write_mocap(given.out / "truth.npz", learnt)
    sources = {"drawn": [], "oracle": [given.out / "truth.npz"]}
    plain = shifted(judged, SHIFTS["plain"], given.minutes, seed=5)
    plain_before = scores(given.model, plain, SHIFTS["plain"].stride, drawn)
    rows: list[dict[str, Any]] = []
    for name in given.shifts.split(","):
        shift = SHIFTS[name]
        path = given.out / f"{name}.pairs.npz"
        target = target_file(path, shifted(learnt, shift, given.minutes, seed=3), shift)
        seen = shifted(judged, shift, given.minutes, seed=5)
        before = scores(given.model, seen, shift.stride, drawn)
        for kind in given.variants.split(","):
            adapter = given.out / f"{name}-{kind.replace(' ', '')}.safetensors"
            began = time.monotonic()
            done = adapt(
                [target],
                given.model,
                adapter,
                source=sources.get(kind.split()[0], [others]),
                force=True,
                options=variant(kind, options),
                report=lambda text: print(text, flush=True),
            )
            minutes = (time.monotonic() - began) / 60
            model = f"{given.model}+{adapter}"
            rows.append(
                {
                    "shift": name,
                    "variant": kind,
                    "before": before,
                    "after": scores(model, seen, shift.stride, drawn),
                    "plain": {
                        "before": plain_before,
                        "after": scores(model, plain, SHIFTS["plain"].stride, drawn),
                    },
                    "ratio": round(done.ratio, 4),
                    "looks": round(done.adapted.looks.ratio(done.base.looks), 4),
                    "elsewhere": round(done.adapted.elsewhere / done.base.elsewhere, 4),
                    "objection": done.objection,
                    "minutes": round(minutes, 1),
                }
            )
            print(table(rows), flush=True)
            (given.out / "shifts.json").write_text(
                json.dumps(rows, indent=1) + "\n", encoding="utf-8"
            )


if __name__ == "__main__":
    main()
