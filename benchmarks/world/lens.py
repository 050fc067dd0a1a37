"""What it costs that nobody knows the lens, and what of that is won back where the camera turns.

    python benchmarks/world/lens.py BODIES_FOLDER OUT

The people of the sample in their room, rendered by cameras with other lenses, from where they fill
as much of the picture, that turn after somebody: on a tripod, held by somebody who stands (4 cm
and 0.6 degrees about each axis, root mean square), held so without turning after anybody, and by
somebody who walks. Each clip is lifted three times: nothing said about the lens, as `vid3d lift`
does it; with the lens that is assumed where nothing is known; with the true one. MRPE of the
pelvis, in the frame of the camera at each moment, millimetres.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

SAMPLES = Path(__file__).parents[2] / "samples"
sys.path[:0] = [str(SAMPLES), str(Path(__file__).parent)]

from make_two_people import AIM, EYE, FPS, VERTICAL_FOV, Stage  # noqa: E402
from travelling import HEIGHT, film  # noqa: E402
from two_people_motion import load_trajectories  # noqa: E402

import vid3d  # noqa: E402
from vid3d.camera import ASSUMED_FOV  # noqa: E402
from vid3d.data.pairs import PairSequence  # noqa: E402
from vid3d.evaluation.result import evaluate_result  # noqa: E402

Array = NDArray[np.float64]

FOVS = (35.0, 50.0, 65.0, 80.0, 100.0)
"""Degrees across the longer side."""


def courses(eye: Array, frames: int, seed: int) -> Iterator[tuple[str, Array, Array]]:
    """Names, and where (F, 3) a camera is and what it aims at (F, 3)."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(frames) / FPS

    def sway(slow: float) -> Array:
        walk = gaussian_filter1d(rng.standard_normal((frames, 3)), slow * FPS, axis=0)
        return np.asarray(walk / walk.std(0))

    away = float(np.linalg.norm(eye - AIM))
    turn = np.radians(10) * np.sin(2 * np.pi * seconds / seconds[-1])
    follows = away * np.stack([np.tan(turn), 0.1 * np.tan(turn), 0 * turn], -1)
    shake = away * np.radians(0.6) * sway(0.12)
    steps = np.stack([0 * seconds, 0.03 * np.sin(12 * seconds), 0.5 - 0.15 * seconds], -1)
    still = np.zeros((frames, 3))
    yield "turns", eye + still, AIM + follows
    yield "turns, held by hand", eye + 0.04 * sway(0.3), AIM + follows + shake
    yield "held by hand", eye + 0.04 * sway(0.3), AIM + still + shake
    yield "turns, walks", eye + steps + 0.03 * sway(0.15), AIM + follows + shake


def report(name: str, video: Path, people: list[PairSequence], fov: float) -> str:
    """One line of the table."""
    motions = [vid3d.lift(video, fov=known) for known in (None, ASSUMED_FOV, fov)]
    found = f"{motions[0].camera.fov:.1f}" if "lens" in motions[0].meta else "-"
    errors = [evaluate_result(motion, people).overall.mrpe for motion in motions]
    return f"{name:34}{found:>6}" + "".join(f"{error:9.0f}" for error in errors)


def main() -> None:
    """Render, lift and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bodies", type=Path, help="folder of the posable bodies")
    parser.add_argument("out", type=Path, help="folder of the clips")
    parser.add_argument("--fovs", default=",".join(f"{fov:g}" for fov in FOVS), help="degrees")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    people = load_trajectories(SAMPLES / "two_people_trajectories.npz")
    print(f"{'lens, camera':34}{'found':>6}  MRPE: so  assumed  true")
    for fov in map(float, given.fovs.split(",")):
        vertical = np.degrees(2 * np.arctan(np.tan(np.radians(fov) / 2) * 9 / 16))
        nearer = np.tan(np.radians(VERTICAL_FOV) / 2) / np.tan(np.radians(vertical) / 2)
        eye = np.array(AIM) + nearer * (np.array(EYE) - AIM)
        stage = Stage(given.bodies, (HEIGHT * 16 // 9, HEIGHT), people, vertical)
        for name, eyes, aims in courses(eye, len(people[0].roots), given.seed):
            video = given.out / f"{fov:g}_{name.replace(', ', '_').replace(' ', '_')}.mp4"
            filmed = film(stage, video, eyes, aims)
            print(report(f"{fov:g} degrees, {name}", video, filmed.people, fov), flush=True)


if __name__ == "__main__":
    main()
