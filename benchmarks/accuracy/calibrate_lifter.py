"""Fit a trained lifter's spread on dev pair files and write the model folder that ships.

python benchmarks/accuracy/calibrate_lifter.py WORK_DIR/model OUT DEV_PAIRS...
"""

import sys
from dataclasses import replace

from vid3d.data.pairs import read_pairs
from vid3d.evaluation.calibration import calibrate
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import load_networks, write_model


def main() -> None:
    model, out, *pair_files = sys.argv[1:]
    networks = load_networks(model)
    sequences = [sequence for path in pair_files for sequence in read_pairs(path)]
    config = calibrate(Lifter(networks), sequences)
    write_model(out, replace(networks, config=config))
    print(f"spread x {config.spread}, root spread x {config.root_spread}: {out}")


if __name__ == "__main__":
    main()
