"""When feet stand: the rule of `vid3d.world.stances` fitted and judged on scenes of known truth.

python benchmarks/world/stances.py SCENES_FOLDER [--test OTHER_SCENES]

Scenes are those that `scenes.py` writes. A foot stands in truth where its ankle is slower than
0.25 m/s. Logistic regressions on the logit of the lifter's contact, on the speed of the lifted
ankle across the line of sight, and on both; F1 at a chance of one half on the scenes of `--test`.
"""

import argparse
from pathlib import Path

import numpy as np
from ground import STILL, Scene
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from vid3d.world.smoothing import smoothed
from vid3d.world.stances import ANKLES, LOGIT, SPEED, STANDING, evidence_of

Array = NDArray[np.floating]


def samples(folder: Path) -> tuple[Array, NDArray[np.bool_]]:
    """Logits and speeds (N, 2) of feet, and whether they stand (N,)."""
    seen, truth = [], []
    for path in sorted(folder.glob("*.vid3d.npz")):
        scene = Scene(path)
        motion = smoothed(scene.motion)
        for person in range(motion.people):
            ankles = motion.joints3d[person][:, ANKLES].astype(np.float64)
            logits, speeds = evidence_of(motion.contacts[person], ankles, motion.timestamps)
            seen.append(np.stack([logits, speeds], -1).reshape(-1, 2))
        truth.append(scene.still.reshape(-1))
    return np.concatenate(seen), np.concatenate(truth)


def fitted(seen: Array, stands: NDArray[np.bool_]) -> Array:
    """Constant and weights of a logistic regression by maximum likelihood."""

    def unlikelihood(weights: Array) -> tuple[float, Array]:
        evidence = weights[0] + seen @ weights[1:]
        missed = expit(evidence) - stands
        slope = np.concatenate([[missed.mean()], missed @ seen / len(seen)])
        return float(np.mean(np.logaddexp(0, evidence) - stands * evidence)), slope

    begin = np.zeros(1 + seen.shape[1])
    return np.asarray(minimize(unlikelihood, begin, jac=True).x)


def f1(weights: Array, seen: Array, stands: NDArray[np.bool_]) -> float:
    """F1 of standing feet."""
    said = weights[0] + seen @ weights[1:] > 0
    return float(2 * (said & stands).sum() / (said.sum() + stands.sum()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--test", type=Path, help="other scenes to judge on")
    options = parser.parse_args()
    seen, stands = samples(options.scenes)
    judged = samples(options.test or options.scenes)
    for name, columns in (("contact", [0]), ("speed", [1]), ("both", [0, 1])):
        weights = fitted(seen[:, columns], stands)
        score = f1(weights, judged[0][:, columns], judged[1])
        print(f"{name:8} {np.round(weights, 2).tolist()}: F1 {score:.3f}")
    now = np.array([STANDING, LOGIT, SPEED])
    print(f"in use   {now.tolist()}: F1 {f1(now, *judged):.3f}; {stands.mean():.2f} stand, "
          f"slower than {STILL} m/s")  # fmt: skip


if __name__ == "__main__":
    main()
