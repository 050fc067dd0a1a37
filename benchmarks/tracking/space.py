"""Tracks of a simulated crowd in space, as a lifter would place them: truth with its errors."""

from collections.abc import Sequence

import numpy as np
from crowd import FPS, FRAME_SIZE, Crowd, Sighting

from vid3d.motion import Motion
from vid3d.tracking import Track, segments

# Standard deviations: of a tracklet's scale about the camera (depth and stature together), of its
# depth from look to look, both relative, and of joints against the body in metres.
SCALE, JITTER, JOINTS = 0.06, 0.02, 0.04


def lifted(
    crowd: Crowd, seen: Sequence[Sighting], tracks: Sequence[Track], rng: np.random.Generator
) -> Motion:
    """The motion of some tracks; where a look shows nobody's own pose, it is bridged."""
    frames = crowd.joints.shape[1]
    looks = [sighting.look for sighting in seen]
    joints = np.full((len(tracks), frames, 17, 3), np.nan, np.float32)
    for number, track in enumerate(tracks):
        at, bodies = _bodies(crowd, seen, track)
        if len(at) == 0:
            continue
        shape = (len(at), 1, 1)
        bodies = bodies * np.exp(rng.normal(0, SCALE) + rng.normal(0, JITTER, shape))
        bodies = bodies + rng.normal(0, JOINTS, bodies.shape)
        for run in segments(track, looks):
            here = np.arange(frames)[run.frames]
            flat = [np.interp(here, at, line) for line in bodies.reshape(len(at), -1).T]
            joints[number, here] = np.stack(flat, -1).reshape(-1, 17, 3)
    present = np.isfinite(joints[:, :, 0, 0])
    return Motion(
        joints3d=joints,
        present=present,
        spread=np.full(joints.shape[:3], np.nan),
        root_spread=SCALE * np.linalg.norm(joints[:, :, 0], axis=-1),
        contacts=np.full((*present.shape, 2), np.nan),
        keyframes=np.array([look.frame for look in looks]),
        keypoints2d=np.full((len(tracks), len(looks), 17, 3), np.nan),
        keypoint_set="h36m17",
        track_ids=np.array([track.id for track in tracks], np.int64),
        timestamps=np.arange(frames) / FPS,
        intrinsics=np.eye(3),
        frame_size=np.array(FRAME_SIZE),
    )


def _bodies(crowd: Crowd, seen: Sequence[Sighting], track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Frames (n,) and true joints (n, 17, 3) of the people behind a track's own sightings."""
    at, bodies = [], []
    for look, keypoints in zip(track.looks, track.keypoints, strict=True):
        sighting = seen[look]
        same = (sighting.look.people.keypoints == keypoints).all((1, 2))
        owner = sighting.owners[np.flatnonzero(same)[0]]
        if owner >= 0:
            at.append(sighting.look.frame)
            bodies.append(crowd.joints[owner, sighting.look.frame])
    return np.array(at), np.array(bodies, np.float64).reshape(-1, 17, 3)
