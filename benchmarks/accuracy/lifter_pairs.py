"""Make the pair files that the lifter is measured on.

python benchmarks/accuracy/lifter_pairs.py MOCAP_FOLDER BODIES_FOLDER OUT

Dev actors (every choice is made on them) and held-out files (looked at once a release), each as
h36m17 input of the recorded skeletons and as coco17 input of posable bodies that perform them;
held-out motion is performed by the reserved bodies. Random cameras, fields of view 38-82 degrees,
detector-like noise, nobody leaves the picture on purpose. Then:

vid3d eval vid3d-base --data OUT/heldout_coco17.pairs.npz
"""

import sys
from pathlib import Path

from vid3d.data.bodies import RESERVED, load_library
from vid3d.data.mocap import DEV_ACTORS, read_mocap
from vid3d.data.pairs import write_pairs
from vid3d.data.virtual_pairs import make_pairs

DEV_BODIES = 4


def main() -> None:
    motions, bodies, out = (Path(argument) for argument in sys.argv[1:])
    library = load_library(bodies)
    recorded = {
        kind: [clip for path in sorted(motions.glob(f"{kind}_*.npz")) for clip in read_mocap(path)]
        for kind in ("train", "heldout")
    }
    dev = [clip for clip in recorded["train"] if clip.actor in DEV_ACTORS]
    others = [name for name in library.names if name not in RESERVED]
    for name, clips, performers in (
        ("dev", dev, others[:DEV_BODIES]),
        ("heldout", recorded["heldout"], list(RESERVED)),
    ):
        people = [library[performer] for performer in performers]
        write_pairs(out / f"{name}_h36m17.pairs.npz", make_pairs(clips, "h36m17", seed=1))
        coco = make_pairs(clips, "coco17", seed=2, bodies=people)
        write_pairs(out / f"{name}_coco17.pairs.npz", coco)


if __name__ == "__main__":
    main()
