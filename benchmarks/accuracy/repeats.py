"""Is anything that lifters are measured on a recording that they learned?

python benchmarks/accuracy/repeats.py MOCAP_FOLDER

Distances between limbs' joints, in legs of the person, do not depend on where somebody stands or on
bones' scale. Two seconds of them at 10 Hz of every held-out and dev clip look for their nearest
neighbour among what is trained on. The same recording again would be nearly 0 apart.
"""

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.skeleton import H36M17

LIMBS = H36M17.indices(
    [f"{side}_{part}" for side in ("left", "right") for part in ("knee", "ankle", "elbow", "wrist")]
)
FRAMES, STEP = 20, 5


def windows(clip: MotionClip) -> Tensor:
    """(W, D) descriptions of all stretches of a clip; none of a short one."""
    joints = torch.from_numpy(clip.joints[::STEP])
    first, second = torch.tensor(list(combinations(LIMBS, 2))).T
    apart = (joints[:, first] - joints[:, second]).norm(dim=-1)
    hip, knee, ankle = H36M17.indices(["left_hip", "left_knee", "left_ankle"])
    leg = sum((joints[:, a] - joints[:, b]).norm(dim=-1) for a, b in ((hip, knee), (knee, ankle)))
    apart = apart / leg.median()
    return apart.unfold(0, FRAMES, 1).flatten(1) if len(apart) >= FRAMES else apart[:0]


def nearest(clips: Sequence[MotionClip], bank: Tensor) -> list[tuple[float, str]]:
    """How far the nearest learned stretch is from any of each clip, rising."""
    found = []
    for clip in clips:
        described = windows(clip)
        if len(described):
            apart = torch.cdist(described, bank).min() / described.shape[1] ** 0.5
            found.append((float(apart), f"{clip.name}: {clip.description}"))
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path, help="folder of motion files")
    folder = parser.parse_args().mocap
    train, heldout = (
        [clip for path in sorted(folder.glob(f"{kind}_*.npz")) for clip in read_mocap(path)]
        for kind in ("train", "heldout")
    )
    learned = [clip for clip in train if clip.actor not in DEV_ACTORS]
    bank = torch.cat([found for clip in learned if len(found := windows(clip))])
    for name, clips in (
        ("held-out", heldout),
        ("dev", [clip for clip in train if clip.actor in DEV_ACTORS]),
    ):
        found = nearest(clips, bank)
        quantiles = np.quantile([apart for apart, _ in found], [0, 0.05, 0.5]).round(3)
        print(f"{name}: {len(found)} clips, nearest {quantiles[0]}, 5 % {quantiles[1]}, ", end="")
        print(f"median {quantiles[2]}; {'; '.join(words for _, words in found[:3])}")


if __name__ == "__main__":
    main()
