"""Identity on a real street: OpenCV's `vtest.avi`, against names that were checked by eye.

    pip install requests
    pip install --no-deps trackeval tabulate trackers supervision pydeprecate defusedxml
    python benchmarks/tracking/street.py vtest.avi [--stride 2 --first 0] [--detector D --pose P]

`street.csv` has the boxes of everybody in sight at every frame. Boxes are PicoDet-S's; who is who
was looked at in the pictures and put right by hand; the few looks at which nobody could tell are
left out. Whoever leaves the picture and comes back is somebody new. The same looks are given to
vid3d's tracker and to trackers of boxes from the package `trackers`.
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from crowd import Sighting
from run import contenders, named, score

from vid3d.evaluation.people2d import iou
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.people import Look
from vid3d.tracking import track_people

TRUTH = Path(__file__).with_name("street.csv")
FPS = 10
"""Of the video."""

TUNED_FOR = 10
"""Stride of the simulated crowds whose 5 looks a second are the default here."""

Boxes = dict[int, tuple[np.ndarray, np.ndarray]]
"""Names (N,) and boxes (N, 4) by frame."""


def true_boxes() -> Boxes:
    """What is written in `street.csv`."""
    rows = np.loadtxt(TRUTH, delimiter=",", skiprows=1)
    return {
        int(frame): (here[:, 1].astype(int), here[:, 2:])
        for frame in np.unique(rows[:, 0])
        for here in [rows[rows[:, 0] == frame]]
    }


def named_boxes(looks: Sequence[Look], names: Sequence[np.ndarray]) -> Boxes:
    """Boxes of the detections that a tracker named."""
    return {
        look.frame: (given[given >= 0], look.people.boxes[given >= 0])
        for look, given in zip(looks, names, strict=True)
    }


def as_sequence(true: Boxes, found: Boxes) -> dict[str, Any]:
    """Both as TrackEval takes them, at the frames that both have."""
    frames = sorted(set(true) & set(found))
    sides = []
    for boxes in (true, found):
        ids, places = np.unique(
            np.concatenate([boxes[frame][0] for frame in frames]), return_inverse=True
        )
        ends = np.cumsum([len(boxes[frame][0]) for frame in frames])
        sides.append((len(ids), len(places), np.split(places, ends[:-1])))
    return {
        "num_gt_ids": sides[0][0],
        "num_gt_dets": sides[0][1],
        "num_tracker_ids": sides[1][0],
        "num_tracker_dets": sides[1][1],
        "num_timesteps": len(frames),
        "gt_ids": sides[0][2],
        "tracker_ids": sides[1][2],
        "similarity_scores": [iou(true[frame][1], found[frame][1]) for frame in frames],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="Frame to begin at.")
    parser.add_argument("--detector", default="vid3d-person")
    parser.add_argument("--pose", default="vid3d-pose")
    options = parser.parse_args()
    networks = {"detector": options.detector, "pose": options.pose}
    start = max(options.first - 0.5, 0) / FPS
    chosen = LiftOptions(stride=options.stride, start=start, **networks)
    (clip,) = Pipeline(chosen).observe(options.video)
    looks = [replace(look, frame=look.frame + options.first) for look in clip.looks(None)]
    seen = [Sighting(look, np.zeros(len(look.people), int)) for look in looks]
    true = true_boxes()
    people = len(np.unique(np.concatenate([names for names, _ in true.values()])))
    print(f"{people} people, {len(looks)} looks, {options.detector} and {options.pose}")
    print(f"{'':23} tracks  switches  IDF1  HOTA")
    trackers = contenders(TUNED_FOR)
    del trackers["vid3d, joined in space"]  # it needs the crowd's truth
    tracked = named(seen, track_people(looks, clip.frame_size, clip.keypoint_set))
    for name, names_of in trackers.items():
        names = tracked if name == "vid3d" else names_of(None, seen, TUNED_FOR)
        tracks = len({int(each) for given in names for each in given if each >= 0})
        with contextlib.redirect_stdout(io.StringIO()):
            switches, idf1, hota = score([as_sequence(true, named_boxes(looks, names))])
        print(f"{name:23} {tracks:6} {int(switches):9} {100 * idf1:5.1f} {100 * hota:5.1f}")


if __name__ == "__main__":
    main()
