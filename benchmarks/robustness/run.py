"""Run the command line on the whole fault corpus and count the promises it keeps.

    python benchmarks/robustness/run.py [--only WORD] [--fork] [--json FILE]

The promise: a right result, or one clear line with exit status 1 or 2; never a hang, a traceback,
half a file under a final name, code out of a file that runs, or a wrong result without a word.
tests/faults makes the cases and says what is right of each. Needs the `dev` extra.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(REPO), str(REPO / "tests")]

from faults.case import Case, Runner, Situation, play  # noqa: E402
from faults.clips import TINY, Reference, lifted  # noqa: E402
from faults.corpus import CASES, SITUATIONS  # noqa: E402
from faults.forked import ForkedRunner, preload  # noqa: E402
from faults.videos import VIDEOS  # noqa: E402


def main() -> int:
    options = _arguments()
    if options.fork:
        preload()
    run = ForkedRunner() if options.fork else Runner()
    chosen = [case for case in (*CASES, *SITUATIONS) if options.only in str(case)]
    kept: dict[str, list[bool]] = defaultdict(list)
    broken = {}
    with tempfile.TemporaryDirectory() as folder:
        if any(case in VIDEOS for case in chosen):
            run("lift", TINY, "-o", f"{folder}/reference", "--no-render")
            Reference.motion = lifted(Path(folder) / "reference")
        for number, case in enumerate(chosen):
            begun = time.monotonic()
            complaint = _complaint(case, Path(folder) / str(number), run)
            kept[case.group].append(complaint is None)
            if complaint is not None:
                broken[str(case)] = complaint
            word = "kept" if complaint is None else "BROKEN"
            print(f"{word:<7} {time.monotonic() - begun:6.1f} s  {case}", flush=True)
            if complaint is not None:
                print(f"        {complaint}", flush=True)
    _report(kept)
    if options.json:
        rows = {group: [sum(all_), len(all_)] for group, all_ in kept.items()}
        options.json.write_text(
            json.dumps({"kept": rows, "broken": broken}, indent=1), encoding="utf-8"
        )
    return 1 if broken else 0


def _complaint(case: Case | Situation, folder: Path, run: Runner) -> str | None:
    """Why a promise is broken; None where it is kept."""
    try:
        if isinstance(case, Situation):
            case.play(folder, run)
        else:
            play(case, folder, run)
    except AssertionError as error:
        return " ".join(str(error).split())[-1500:] or "an assertion"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:1500]
    return None


def _report(kept: dict[str, list[bool]]) -> None:
    print("\n| class | cases | kept |\n|---|---|---|")
    for group, all_ in kept.items():
        print(f"| {group} | {len(all_)} | {sum(all_)} |")
    everything = [promise for all_ in kept.values() for promise in all_]
    print(f"| **all** | **{len(everything)}** | **{sum(everything)}** |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose class and name hold this")
    parser.add_argument(
        "--fork", action="store_true", help="fork runs off a process that has imported everything"
    )
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
