"""Fit a trained lifter's spread on dev pair files and write the model folder that ships.

python benchmarks/accuracy/calibrate_lifter.py WORK_DIR/model OUT DEV_PAIRS...
"""

import argparse
from dataclasses import replace
from pathlib import Path

from vid3d.data.pairs import read_pairs
from vid3d.evaluation.calibration import calibrate
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import load_networks, write_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("pairs", type=Path, nargs="+", help="dev pair files")
    options = parser.parse_args()
    networks = load_networks(options.model)
    sequences = [sequence for path in options.pairs for sequence in read_pairs(path)]
    config = calibrate(Lifter(networks), sequences)
    write_model(options.out, replace(networks, config=config))
    print(f"spread x {config.spread}, root spread x {config.root_spread}: {options.out}")


if __name__ == "__main__":
    main()
