"""Identity over sparse looks, beside trackers of boxes, on simulated crowds.

    pip install requests
    pip install --no-deps trackeval tabulate trackers supervision pydeprecate defusedxml
    python benchmarks/tracking/run.py --mocap FOLDER [--crowds 70] [--seed 9000] [--groups 5]

FOLDER holds the compact motion files (`train_*.npz`). TrackEval scores; every detection knows whose
it is, so nothing is matched by overlap. Trackers of boxes come from the package `trackers`
(--no-deps: both ask for the OpenCV build with windows). They are told the rate of looks, keep lost
tracks for the second that they do by default, need no second look for a birth, and get the same
detections. Their thresholds were tuned for each stride; ours are the same at all.
"""

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with contextlib.redirect_stdout(io.StringIO()):  # it tells of readers that miss packages
    from trackeval.metrics import CLEAR, HOTA, Identity

from crowd import FPS, FRAME_SIZE, Crowd, Sighting, make_crowd, observe, read_clips, visible
from space import lifted

from vid3d.tracking import Track, continuations, joined, track_people
from vid3d.tracking.tracker import STRONG

STRIDES = (5, 10, 20)

Names = list[np.ndarray]
NameEverybody = Callable[[Crowd, Sequence[Sighting], int], Names]


def vid3d_names(crowd: Crowd, seen: Sequence[Sighting], stride: int) -> Names:
    """Track id of every detection by vid3d's tracker, -1 where it has none."""
    return named(seen, track_people([sighting.look for sighting in seen], FRAME_SIZE, "h36m17"))


def vid3d_names_in_space(crowd: Crowd, seen: Sequence[Sighting], stride: int) -> Names:
    """The same, with broken tracks put together after lifting."""
    tracks = track_people([sighting.look for sighting in seen], FRAME_SIZE, "h36m17")
    motion = lifted(crowd, seen, tracks, np.random.default_rng(len(tracks)))
    return named(seen, joined(tracks, continuations(motion)))


def named(seen: Sequence[Sighting], tracks: Sequence[Track]) -> Names:
    """Track id of every detection, -1 where it has none."""
    names = [np.full(len(sighting.owners), -1) for sighting in seen]
    for track in tracks:
        for look, keypoints in zip(track.looks, track.keypoints, strict=True):
            same = (seen[look].look.people.keypoints == keypoints).all((1, 2))
            names[look][np.flatnonzero(same)[0]] = track.id
    return names


def library_names(tracker: type, **options: float) -> NameEverybody:
    """The same by a tracker of boxes of the package `trackers`."""

    def names_of(crowd: Crowd, seen: Sequence[Sighting], stride: int) -> Names:
        import supervision

        follow = tracker(frame_rate=FPS / stride, minimum_consecutive_frames=1, **options)
        names = []
        for sighting in seen:
            people = sighting.look.people
            rows = np.arange(len(people))
            tracked = follow.update(
                supervision.Detections(
                    xyxy=people.boxes.astype(float),
                    confidence=people.scores.astype(float),
                    class_id=np.zeros(len(people), int),
                    data={"row": rows},
                )
            )
            given = np.full(len(people), -1)
            if len(tracked):
                given[tracked.data["row"].astype(int)] = tracked.tracker_id
            names.append(given)
        return names

    return names_of


TUNED: dict[str, dict[int, dict[str, float]]] = {
    "ByteTrackTracker": {
        5: {"track_activation_threshold": 0.5, "minimum_iou_threshold": 0.2},
        10: {"track_activation_threshold": STRONG, "minimum_iou_threshold": 0.02},
        20: {"track_activation_threshold": STRONG, "minimum_iou_threshold": 0.02},
    },
    "OCSORTTracker": {
        5: {"high_conf_det_threshold": 0.25, "minimum_iou_threshold": 0.1},
        10: {"high_conf_det_threshold": 0.25, "minimum_iou_threshold": 0.02},
        20: {
            "high_conf_det_threshold": 0.25,
            "minimum_iou_threshold": 0.02,
            "direction_consistency_weight": 0.0,
        },
    },
    "CBIoUTracker": {
        5: {"minimum_iou_threshold_first_assoc": 0.2},
        10: {"buffer_ratio_first": 0.6, "track_activation_threshold": 0.7},
        20: {"minimum_iou_threshold_first_assoc": 0.05},
    },
}
"""Options of the trackers of boxes with the best IDF1 on crowds 1000 to 1020, for each stride."""


def contenders(stride: int) -> dict[str, NameEverybody]:
    """Every tracker to compare, by name."""
    every: dict[str, NameEverybody] = {
        "vid3d": vid3d_names,
        "vid3d, joined in space": vid3d_names_in_space,
    }
    try:
        import trackers
    except ImportError:
        print("package `trackers` is not installed: vid3d alone")
        return every
    shared = {"high_conf_det_threshold": STRONG}
    births = {"track_activation_threshold": STRONG, **shared}
    loose = {"minimum_iou_threshold_second_assoc": 0.2}
    for name, kind, common in (
        ("ByteTrack (boxes)", "ByteTrackTracker", births),
        ("OC-SORT (boxes)", "OCSORTTracker", shared),
        ("C-BIoU (boxes)", "CBIoUTracker", births | loose),
    ):
        options = common | TUNED[kind][stride]
        every[name] = library_names(getattr(trackers, kind), **options)
    return every


def as_sequence(crowd: Crowd, seen: Sequence[Sighting], names: Names) -> dict[str, Any]:
    """One named clip as TrackEval takes it: similarity 1 for a person's own detection, else 0."""
    people = [np.flatnonzero(visible(crowd, sighting.look.frame)) for sighting in seen]
    named = [called >= 0 for called in names]
    true_ids, true = np.unique(np.concatenate(people), return_inverse=True)
    given_ids, given = np.unique(
        np.concatenate([called[kept] for called, kept in zip(names, named, strict=True)]),
        return_inverse=True,
    )
    return {
        "num_gt_ids": len(true_ids),
        "num_gt_dets": len(true),
        "num_tracker_ids": len(given_ids),
        "num_tracker_dets": len(given),
        "num_timesteps": len(seen),
        "gt_ids": np.split(true, np.cumsum([len(row) for row in people])[:-1]),
        "tracker_ids": np.split(given, np.cumsum([kept.sum() for kept in named])[:-1]),
        "similarity_scores": [
            (row[:, None] == sighting.owners[kept][None]).astype(float)
            for row, sighting, kept in zip(people, seen, named, strict=True)
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mocap", type=Path, default=Path("../shared/data/mocap"))
    parser.add_argument("--crowds", type=int, default=70)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--groups", type=int, default=5, help="To tell the spread.")
    options = parser.parse_args()
    motions = read_clips(options.mocap)
    seeds = range(options.seed, options.seed + options.crowds)
    crowds = [make_crowd(motions, 2 + s % 7, np.random.default_rng(s)) for s in seeds]
    print(f"{options.crowds} crowds of 2-8 people, 8 s each, seeds from {options.seed}")
    print(f"{'':23} stride  switches (groups)           IDF1         HOTA        ms/look")
    for stride in STRIDES:
        clips = [
            (crowd, observe(crowd, stride, np.random.default_rng((seed, stride))))
            for seed, crowd in zip(seeds, crowds, strict=True)
        ]
        for name, names_of in contenders(stride).items():
            start = time.perf_counter()
            names = [names_of(crowd, seen, stride) for crowd, seen in clips]
            cost = 1000 * (time.perf_counter() - start) / sum(len(seen) for _, seen in clips)
            print(f"{name:23} {stride:6}  {_figures(clips, names, options.groups)} {cost:7.2f}",
                  flush=True)  # fmt: skip


def _figures(
    clips: Sequence[tuple[Crowd, list[Sighting]]], names: Sequence[Names], groups: int
) -> str:
    """Switches in all and by group, IDF1 and HOTA with their standard deviation over groups."""
    sequences = [as_sequence(*clip, given) for clip, given in zip(clips, names, strict=True)]
    scores = np.array([score(sequences[group::groups]) for group in range(groups)])
    shares = [f"{100 * s.mean():5.1f} +-{100 * s.std(ddof=1):4.1f}" for s in scores.T[1:]]
    by_group = "(" + " ".join(str(int(n)) for n in scores[:, 0]) + ")"
    return f"{int(scores[:, 0].sum()):4} {by_group:22} {'  '.join(shares)}"


def score(sequences: Sequence[dict[str, Any]]) -> tuple[float, float, float]:
    """Identity switches, IDF1 and HOTA of some clips together."""
    found = []
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its configuration
        for metric in (CLEAR(), Identity(), HOTA()):
            parts = {str(i): metric.eval_sequence(part) for i, part in enumerate(sequences)}
            found.append(metric.combine_sequences(parts))
    clear, identity, hota = found
    return clear["IDSW"], identity["IDF1"], float(np.mean(hota["HOTA"]))


if __name__ == "__main__":
    main()
