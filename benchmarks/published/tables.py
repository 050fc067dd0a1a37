"""Markdown tables, the papers' relative claims and the picture of curves, from plain figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import FIGURES, Figures
from systems import curve

HEADS = ("MPJPE", "P-MPJPE", "velocity, mm/s", "symmetry gap", "segment std", "interpolated: MPJPE")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(value: float) -> str:
    return f"{value:.0f}" if value >= 200 else f"{value:.1f}"


def by_stride(results: Mapping[str, Figures]) -> str:
    """A row a system, four strides in every cell."""
    rows = []
    for name, figures in results.items():
        strides = figures["errors"]["strides"].values()
        cells = [" / ".join(_cell(each[key]) for each in strides) for key in (*FIGURES, "linear")]
        rows.append([name, *cells])
    return table(["system", *HEADS], rows)


def by_occlusion(results: Mapping[str, Figures]) -> str:
    """MPJPE, symmetry gap and segment std by pattern, all frames looked at."""
    keys = ("mpjpe", "symmetry_gap", "bone_std")
    rows, patterns = [], []
    for name, figures in results.items():
        patterns = list(figures["errors"]["occlusions"])
        cells = figures["errors"]["occlusions"].values()
        rows.append([name, *(" / ".join(_cell(each[key]) for key in keys) for each in cells)])
    return table(["system", *patterns], rows)


def by_hypotheses(results: Mapping[str, Figures]) -> str:
    """Ways from hypotheses to one pose at stride 10."""
    keys = ("p_agg", "j_agg", "oracle_j_agg", "oracle_j_agg_size", "oracle_p_best",
            "oracle_j_best")  # fmt: skip
    rows = [
        [name, count, *(f"{row[key]:.1f}" for key in keys)]
        for name, figures in results.items()
        for count, row in figures.get("hypotheses", {}).items()
    ]
    return table(["system", "H", *(key.replace("_", " ") for key in keys)], rows)


def matrix(trained: Mapping[str, Mapping[str, Figures]], system: str) -> str:
    """MPJPE by pattern in training (rows) and in the test (columns)."""
    rows = [
        [name, *(f"{figures[test]['mpjpe']:.1f}" for test in figures)]
        for name, figures in trained.items()
    ]
    tests = list(next(iter(trained.values())))
    return table([f"{system} trained with", *tests], rows)


def prompts(results: Mapping[str, Figures]) -> str:
    """A line a design of FinePOSE's prompts."""
    rows = [
        [name, *(f"{figures[key]:.1f}" for key in ("dev", "p_agg", "j_agg"))]
        for name, figures in results.items()
    ]
    return table(["prompt", "dev, one draw", "P-Agg, H = 5", "J-Agg, H = 5"], rows)


def claims(results: Mapping[str, Figures]) -> str:
    """The papers' relative claims, with what was measured here."""

    def score(system: str, stride: int, name: str = "mpjpe") -> float:
        return float(results[system]["errors"]["strides"][str(stride)][name])

    lines = []
    if "uplift_upsample" in results:
        lines.append("- upsampling tokens against interpolation of the same model's poses at "
                     f"stride 20: {score('uplift_upsample', 20):.1f} against "
                     f"{score('uplift_upsample', 20, 'linear'):.1f} mm")  # fmt: skip
    for better, worse, what in (
        ("diffhpe_wrapper", "diffhpe_backbone", "diffusion against its backbone"),
        ("diffhpe_wrapper", "diffhpe_2d", "wrapper against 2D condition"),
        ("finepose", "d3dp", "prompts against none, action unknown"),
    ):
        if {better, worse} <= set(results):
            compared = ", ".join(
                f"{name} {score(better, 1, name):.1f} against {score(worse, 1, name):.1f}"
                for name in ("mpjpe", "symmetry_gap", "bone_std")
            )
            lines.append(f"- {what} ({better}, {worse}), every frame looked at: {compared}")
    for name, figures in results.items():
        drawn = list(figures.get("hypotheses", {}).values())
        if drawn:
            first, last = drawn[0], drawn[-1]
            apart = last["j_agg"] - last["oracle_j_agg"]
            sized = last["oracle_j_agg_size"] - last["oracle_j_agg"]
            lines.append(f"- {name}, 1 to 20 hypotheses, stride 10: P-Agg {first['p_agg']:.1f} to "
                         f"{last['p_agg']:.1f} mm; J-Agg with our root less with the true one: "
                         f"{apart:+.1f} mm, with the person's size told {sized:+.1f}")  # fmt: skip
    return "\n".join(lines)


def draw(runs: Mapping[str, Sequence[Path]], milliseconds: Mapping[str, float], path: Path) -> None:
    """All trainings, by windows and by processor time: a colour a system, tries are pale.

    Args:
        runs: work directories by system, the kept one first.
        milliseconds: of a training window.
        path: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.8), sharey=True)
    for number, (system, folders) in enumerate(runs.items()):
        for index, folder in enumerate(folders):
            seen, errors = zip(*curve(folder), strict=True)
            style = {"color": f"C{number}", "linestyle": "--" if number > 9 else "-",
                     "alpha": 0.4 if index else 1.0, "marker": "x" if index else None}  # fmt: skip
            left.plot([s / 1000 for s in seen], errors, label=None if index else system, **style)
            if system in milliseconds and not index:
                minutes = [s * milliseconds[system] / 60_000 for s in seen]
                right.plot(minutes, errors, **style)
    left.set(xlabel="thousand windows (crosses: tries of other rates)",
             ylabel="dev MPJPE, mm (stride 10)", yscale="log")  # fmt: skip
    right.set(xlabel="processor minutes of one core")
    ticks = [80, 100, 150, 200, 300]
    left.set_yticks(ticks, map(str, ticks))
    left.minorticks_off()
    highest = max(error for folders in runs.values() for _, error in curve(folders[0]))
    left.set_ylim(top=1.1 * highest)  # some tries lie far beyond
    figure.legend(loc="upper center", ncol=5, fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.tight_layout(rect=(0, 0, 1, 0.9))
    figure.savefig(path, dpi=90)
