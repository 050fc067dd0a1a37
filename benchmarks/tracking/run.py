"""Identity over sparse looks, beside trackers of boxes, on simulated crowds.

    python benchmarks/tracking/run.py --mocap FOLDER [--crowds 60] [--seed 5000]

FOLDER holds the compact motion files (`train_*.npz`). Trackers of boxes come from the package
`trackers` (pip install trackers) and are left out, with a word, where it is not installed. They
are told the rate of looks, keep lost tracks for the second that they do by default, need no second
look for a birth, and get the same detections.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from crowd import FPS, FRAME_SIZE, Sighting, make_crowd, observe, read_clips

from vid3d.evaluation.identity import IdentityCount, score_identities
from vid3d.tracking import track_people
from vid3d.tracking.tracker import STRONG

STRIDES = (5, 10, 20)

Names = list[np.ndarray]
NameEverybody = Callable[[Sequence[Sighting], int], Names]


def vid3d_names(sightings: Sequence[Sighting], stride: int) -> Names:
    """Track id of every detection by vid3d's tracker, -1 where it has none."""
    looks = [sighting.look for sighting in sightings]
    names = [np.full(len(look.people), -1) for look in looks]
    for track in track_people(looks, FRAME_SIZE, "h36m17"):
        for look, keypoints in zip(track.looks, track.keypoints, strict=True):
            same = (looks[look].people.keypoints == keypoints).all((1, 2))
            names[look][np.flatnonzero(same)[0]] = track.id
    return names


def library_names(tracker: type, **options: float) -> NameEverybody:
    """The same by a tracker of boxes of the package `trackers`."""

    def names_of(sightings: Sequence[Sighting], stride: int) -> Names:
        import supervision

        follow = tracker(frame_rate=FPS / stride, minimum_consecutive_frames=1, **options)
        names = []
        for sighting in sightings:
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


def contenders() -> dict[str, NameEverybody]:
    """Every tracker to compare, by name."""
    every: dict[str, NameEverybody] = {"vid3d": vid3d_names}
    try:
        from trackers import ByteTrackTracker, CBIoUTracker, OCSORTTracker
    except ImportError:
        print("package `trackers` is not installed: vid3d alone")
        return every
    return every | {
        "ByteTrack (boxes)": library_names(
            ByteTrackTracker, track_activation_threshold=STRONG, high_conf_det_threshold=STRONG
        ),
        "OC-SORT (boxes)": library_names(
            OCSORTTracker, high_conf_det_threshold=STRONG, minimum_iou_threshold=0.1
        ),
        "C-BIoU (boxes)": library_names(CBIoUTracker),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mocap", type=Path, default=Path("../shared/data/mocap"))
    parser.add_argument("--crowds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=5000)
    options = parser.parse_args()
    clips = read_clips(options.mocap)
    trackers = contenders()
    seeds = range(options.seed, options.seed + options.crowds)
    crowds = [make_crowd(clips, 2 + s % 5, np.random.default_rng(s)) for s in seeds]
    print(f"{options.crowds} crowds of 2-6 people, 8 s each, seeds from {options.seed}")
    print(f"{'':18} {'stride':>6} {'looks/s':>7} {'switches':>8} {'IDF1':>6} {'ms/look':>7}")
    for stride in STRIDES:
        clips_seen = [
            observe(crowd, stride, np.random.default_rng((seed, stride)))
            for seed, crowd in zip(seeds, crowds, strict=True)
        ]
        for name, names_of in trackers.items():
            total, start = IdentityCount(), time.perf_counter()
            for seen in clips_seen:
                names = names_of(seen, stride)
                owners = np.concatenate([sighting.owners for sighting in seen])
                total = total + score_identities(owners, np.concatenate(names))
            cost = 1000 * (time.perf_counter() - start) / sum(map(len, clips_seen))
            print(
                f"{name:18} {stride:6} {FPS / stride:7.1f} {total.switches:8} "
                f"{100 * total.idf1:6.2f} {cost:7.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
