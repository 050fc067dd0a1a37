"""How much the lifter's error depends on the camera: lens, distance, and place in the picture.

python benchmarks/accuracy/cameras.py MODEL MOCAP_FILE... [--actors hdm05_tr,cmu_s35,cmu_s86]

The same pieces of motion with the same 2D noise (a share of the person's size, same draws) are seen
by one camera a cell, from the same side: fields of view across a square picture, distances, and
places between the centre (0) and the border (1) of the picture, in one direction a piece. A piece
counts in a cell where all joints of all its frames are inside the picture. Cells hold different
pieces, so what counts is the error in the cell over the mean error of the same pieces in all cells
(last columns): 1.05 is 5 % worse than elsewhere. Views with somebody cut off are told apart.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.data.mocap import DEV_ACTORS, MOCAP_FPS, read_mocap
from vid3d.data.noise import NoiseLevels, detect
from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import lift_sequence
from vid3d.evaluation.scores import score
from vid3d.evaluation.tables import align
from vid3d.lifter import Lifter
from vid3d.lifter.canonical import rotations
from vid3d.skeleton import H36M17

FIELDS = (38.0, 55.0, 82.0)  # degrees
DISTANCES = (3.0, 4.5, 7.0)  # metres
PLACES = (0.0, 0.3, 0.6)  # of the way to the border
SIDE = 1080  # pixels
HEIGHT = 1.3  # metres above the lowest joint
SECONDS = 3.0
FIGURES = ("mpjpe", "p_mpjpe")
Array = NDArray[np.floating]


def pieces(files: list[Path], actors: list[str], most: int) -> list[Array]:
    """Evenly chosen pieces (F, 17, 3) of the actors' clips, z up."""
    length = round(SECONDS * MOCAP_FPS)
    found = [
        clip.joints[start : start + length].astype(np.float64)
        for path in files
        for clip in read_mocap(path)
        if clip.actor in actors
        for start in range(0, len(clip.joints) - length // 2, length)
    ]
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [found[index] for index in chosen]


def through_camera(
    joints: Array, distance: float, heading: float, slopes: tuple[float, float]
) -> Array:
    """World joints (F, 17, 3) in the frame of an upright camera that sees their middle at slopes.

    Slopes are x/z and y/z; the camera stands `distance` metres from the middle, at `heading`.
    """
    low, high = joints.min((0, 1)), joints.max((0, 1))
    middle = (low + high) / 2
    position = middle + distance * np.array([np.cos(heading), np.sin(heading), 0])
    position[2] = low[2] + HEIGHT
    forward = (middle - position) / np.linalg.norm(middle - position)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    look = np.stack([right, np.cross(forward, right), forward])
    yaw = np.arctan(slopes[0])
    pitch = np.arctan(slopes[1] * np.cos(yaw))
    turn = rotations(torch.tensor([yaw, pitch], dtype=torch.float64)).numpy().T
    return (joints - position) @ (turn @ look).T


def see(joints: Array, camera: Camera, levels: NoiseLevels, seed: int) -> tuple[PairSequence, bool]:
    """Joints of the camera's frame as a detector sees them, and whether all are in the picture."""
    pixels = camera.project(joints)
    inside = ((pixels >= 0) & (pixels <= SIDE - 1)).all(-1) & (joints[..., 2] > 0.2)
    noisy, confidence = detect(
        torch.from_numpy(np.nan_to_num(pixels))[None].float(),
        torch.from_numpy(inside)[None],
        H36M17,
        levels,
        torch.Generator().manual_seed(seed),
    )
    sequence = PairSequence(
        f"piece {seed}", noisy[0].numpy(), confidence[0].numpy(), H36M17.name,
        joints.astype(np.float32), camera, MOCAP_FPS,
    )  # fmt: skip
    return sequence, bool(inside.all())


def cells() -> Iterator[tuple[float, float, float]]:
    """Field of view, distance and place of every cell."""
    for fov in FIELDS:
        for distance in DISTANCES:
            for place in PLACES:
                yield fov, distance, place


def measure(
    lifter: Lifter, motions: list[Array], stride: int, hypotheses: int
) -> tuple[Array, NDArray[np.bool_]]:
    """Errors (cells, pieces, figures) in mm, and whether the whole person is inside."""
    rng = np.random.default_rng(0)
    headings, directions = rng.uniform(0, 2 * np.pi, (2, len(motions)))
    levels = NoiseLevels(look=0.0)
    errors = np.full((len(list(cells())), len(motions), len(FIGURES)), np.nan)
    whole = np.zeros(errors.shape[:2], bool)
    for row, (fov, distance, place) in enumerate(cells()):
        camera = Camera.from_fov(fov, (SIDE, SIDE))
        reach = place * np.tan(np.radians(fov) / 2)
        for column, joints in enumerate(motions):
            angle = directions[column]
            slopes = (reach * np.cos(angle), reach * np.sin(angle))
            placed = through_camera(joints, distance, headings[column], slopes)
            sequence, whole[row, column] = see(placed, camera, levels, column)
            if not (sequence.confidence[::stride] > 0).any():
                continue
            lifted, _ = lift_sequence(lifter, sequence, stride, hypotheses=hypotheses)
            scores = score(lifted.joints3d.astype(float), placed, MOCAP_FPS, lifted.spread)
            errors[row, column] = [getattr(scores, name) for name in FIGURES]
    return errors, whole


def relative(
    errors: Array, whole: NDArray[np.bool_], chosen: NDArray[np.bool_], over: tuple[int, ...] = (1,)
) -> Array:
    """Error of the chosen views over the usual error of the same pieces, a row a cell.

    The usual error of a piece is its mean over all views with the whole person. `over` are the
    axes that are summed: (0, 1) for all cells together.
    """
    usual = np.nanmean(np.where(whole[..., None], errors, np.nan), axis=0)
    both = chosen[..., None] & np.isfinite(usual) & np.isfinite(errors)
    sums = [np.where(both, values, 0).sum(over) for values in (errors, usual + 0 * errors)]
    return sums[0] / np.where(sums[1] > 0, sums[1], np.nan)


def table(errors: Array, ratios: Array, whole: NDArray[np.bool_], full: NDArray[np.bool_]) -> str:
    """A line a cell."""
    lines = [["fov", "distance", "place", "pieces", *FIGURES, *(f"{name} /" for name in FIGURES)]]
    for row, cell in enumerate(cells()):
        figures = ["-"] * (2 * len(FIGURES))
        if full[row]:
            means = np.nanmean(errors[row][whole[row]], axis=0)
            figures = [*(f"{mean:.1f}" for mean in means), *(f"{r:.3f}" for r in ratios[row])]
        lines.append([*(f"{each:g}" for each in cell), str(whole[row].sum()), *figures])
    return align(lines, left=())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("mocap", type=Path, nargs="+")
    parser.add_argument("--actors", default=",".join(DEV_ACTORS))
    parser.add_argument("--pieces", type=int, default=40)
    parser.add_argument("--least", type=int, default=8, help="pieces that make a cell count")
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--hypotheses", type=int, default=1)
    options = parser.parse_args()
    motions = pieces(options.mocap, options.actors.split(","), options.pieces)
    if not motions:
        parser.error(f"no motion of {options.actors} in the files; name others with --actors")
    lifter = Lifter.load(options.model)
    errors, whole = measure(lifter, motions, options.stride, options.hypotheses)
    full = whole.sum(1) >= options.least
    ratios = relative(errors, whole, whole)
    print(table(errors, ratios, whole, full))
    cut = relative(errors, whole, ~whole, (0, 1))
    for index, name in enumerate(FIGURES):
        span = ratios[full, index]
        apart = span.max() / span.min() - 1
        print(
            f"{name}: {span.min():.3f} to {span.max():.3f} over {full.sum()} cells with the whole "
            f"person, {apart:.1%} apart (bar: 10 %); cut off by the border: {cut[index]:.3f}"
        )


if __name__ == "__main__":
    main()
