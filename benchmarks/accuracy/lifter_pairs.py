"""Make the pair files that the lifter is measured on.

python benchmarks/accuracy/lifter_pairs.py MOCAP_FOLDER BODIES_FOLDER OUT

Dev actors (every choice is made on them) and held-out files (looked at once a release), each as
h36m17 input of the recorded skeletons and as coco17 input of posable bodies that perform them;
held-out motion is performed by the reserved bodies. Random cameras, fields of view 38-82 degrees,
detector-like noise, nobody leaves the picture on purpose. Then:

vid3d eval vid3d-base --data OUT/heldout_coco17.pairs.npz
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vid3d.data.bodies import RESERVED, load_library
from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.data.virtual_pairs import make_pairs

DEV_BODIES = 4


def described(sequences: Sequence[PairSequence], clips: Sequence[MotionClip]) -> list[PairSequence]:
    """Sequences called `clip/what is done@first frame`, for tables by action."""
    actions = {clip.name: clip.description.replace("/", " ") for clip in clips}
    named = []
    for sequence in sequences:
        clip, _, start = sequence.name.rpartition("@")
        named.append(replace(sequence, name=f"{clip}/{actions[clip]}@{start}"))
    return named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path, help="folder of motion files")
    parser.add_argument("bodies", type=Path, help="folder of the posable bodies")
    parser.add_argument("out", type=Path, help="folder of the pair files")
    options = parser.parse_args()
    library = load_library(options.bodies)
    recorded = {
        kind: [
            clip
            for path in sorted(options.mocap.glob(f"{kind}_*.npz"))
            for clip in read_mocap(path)
        ]
        for kind in ("train", "heldout")
    }
    dev = [clip for clip in recorded["train"] if clip.actor in DEV_ACTORS]
    others = [name for name in library.names if name not in RESERVED]
    for name, clips, performers in (
        ("dev", dev, others[:DEV_BODIES]),
        ("heldout", recorded["heldout"], list(RESERVED)),
    ):
        people = [library[performer] for performer in performers]
        for joint_set, made in (
            ("h36m17", make_pairs(clips, "h36m17", seed=1)),
            ("coco17", make_pairs(clips, "coco17", seed=2, bodies=people)),
        ):
            write_pairs(options.out / f"{name}_{joint_set}.pairs.npz", described(made, clips))


if __name__ == "__main__":
    main()
