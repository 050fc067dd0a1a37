"""Scenes of known floor: recorded people on one floor, a camera at any height, lifted by vid3d.

python benchmarks/world/scenes.py MOCAP_FOLDER OUT [--first 0] [--scenes 80] [--stride 10]
    [--model vid3d-base]

One to five takes of the dev actors (nothing is trained on them) walk about on one floor, seen by a
random camera 0.3 to 6 m above it, which looks down as steeply as that takes. Detector-like 2D noise
on COCO keypoints at every `--stride`-th frame of 50 a second. Writes, for each scene, the result of
the lifter as `SCENE.vid3d.npz` and the truth as `SCENE.truth.npz`: `joints3d` (P, F, 17, 3) in the
camera frame, `up` (3,) and `offset` of the floor: up . X + offset = 0 on it.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from vid3d.camera import Camera
from vid3d.data.batches import random_coco
from vid3d.data.cameras import CameraRanges, view
from vid3d.data.mocap import DEV_ACTORS, MOCAP_FPS, MotionClip, read_mocap
from vid3d.data.noise import NoiseLevels, detect
from vid3d.data.pairs import PairSequence
from vid3d.evaluation.lifting import lift_sequence
from vid3d.lifter import Lifter
from vid3d.motion import Motion
from vid3d.skeleton import COCO17

FRAMES, FEWEST = 300, 150
RANGES = CameraRanges(fov=(38, 82), height=(0.3, 6.0), distance=(2.5, 9.0), truncated=0.0)
LONGER_SIDE = 1280


def dev_clips(folder: Path) -> list[MotionClip]:
    """Takes of the dev actors long enough for a scene, but those that leave the floor."""
    clips = [clip for path in sorted(folder.glob("train_*.npz")) for clip in read_mocap(path)]
    return [clip for clip in clips if clip.actor in DEV_ACTORS and len(clip.joints) >= FEWEST]


def compose(clips: list[MotionClip], rng: np.random.Generator) -> np.ndarray:
    """(P, F, 17, 3) world joints, z up: takes cut to one length, turned and placed at random."""
    count = int(rng.integers(1, 6))
    chosen = [clips[i] for i in rng.choice(len(clips), count, replace=False)]
    frames = min(FRAMES, *(len(clip.joints) for clip in chosen))
    people = []
    for clip in chosen:
        start = int(rng.integers(0, len(clip.joints) - frames + 1))
        joints = clip.joints[start : start + frames].astype(np.float64)
        angle, radius = rng.uniform(0, 2 * np.pi), 3 * np.sqrt(rng.uniform())
        c, s = np.cos(angle), np.sin(angle)
        joints[..., :2] = (joints[..., :2] - joints[..., :2].mean((0, 1))) @ [[c, s], [-s, c]]
        bearing = rng.uniform(0, 2 * np.pi)
        joints[..., :2] += radius * np.array([np.cos(bearing), np.sin(bearing)])
        people.append(joints)
    return np.stack(people)


def floor_of(world: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, float]:
    """Up and offset in the camera frame of the world's plane z = 0, from joints in both frames."""
    a, b = world.reshape(-1, 3), seen.reshape(-1, 3)
    U, _, Vt = np.linalg.svd((b - b.mean(0)).T @ (a - a.mean(0)))
    R = U @ np.diag([1, 1, np.linalg.det(U @ Vt)]) @ Vt
    up = R[:, 2]
    return up, float(-up @ (b.mean(0) - R @ a.mean(0)))


def see(world: np.ndarray, generator: torch.Generator) -> list[PairSequence]:
    """The people as one camera sees them, with noise: one sequence a person."""
    people, frames = world.shape[:2]
    joints = torch.from_numpy(world).float()
    coco = random_coco(joints, torch.linspace(0, 1, frames).expand(people, -1), generator)
    both = torch.cat([joints, coco], 2).transpose(0, 1).reshape(1, frames, -1, 3)
    views = view(both, RANGES, generator, tries=12)
    half = views.half[0]
    focal = LONGER_SIDE / 2 / float(half.max())
    size = (round(2 * focal * float(half[0])), round(2 * focal * float(half[1])))
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    camera = Camera.from_focal(focal, focal, *centre, frame_size=size)
    placed = views.joints[0].reshape(frames, people, 34, 3).transpose(0, 1)
    inside = views.inside()[0].reshape(frames, people, 34).transpose(0, 1)
    rays = placed[..., :2] / placed[..., 2:].clamp_min(0.05)
    noisy, confidence = detect(
        rays[:, :, 17:], inside[:, :, 17:], COCO17, NoiseLevels(look=0.0), generator
    )
    return [
        PairSequence(
            name=f"person {i}",
            keypoints2d=(noisy[i].numpy() * focal + np.array(centre)).astype(np.float32),
            confidence=confidence[i].numpy(),
            joint_set="coco17",
            joints3d=placed[i, :, :17].numpy(),
            camera=camera,
            fps=MOCAP_FPS,
        )
        for i in range(people)
    ]


def lift_scene(lifter: Lifter, sequences: list[PairSequence], stride: int) -> Motion:
    """The sequences lifted as the people of one clip."""
    lifted, looks = zip(*(lift_sequence(lifter, s, stride) for s in sequences), strict=True)
    keyframes = np.unique(np.concatenate(looks))
    keypoints = np.full((len(sequences), len(keyframes), 17, 3), np.nan, np.float32)
    for person, (sequence, frames) in enumerate(zip(sequences, looks, strict=True)):
        seen = sequence.confidence[frames, :, None] > 0
        xyc = np.concatenate([sequence.keypoints2d, sequence.confidence[..., None]], -1)
        keypoints[person, np.searchsorted(keyframes, frames)] = np.where(seen, xyc[frames], np.nan)
    arrays = {
        name: np.stack([getattr(one, name) for one in lifted])
        for name in ("joints3d", "spread", "root_spread", "contacts")
    }
    camera, frames = sequences[0].camera, len(sequences[0])
    return Motion(
        **arrays,
        present=np.ones((len(sequences), frames), bool),
        keyframes=keyframes,
        keypoints2d=keypoints,
        track_ids=np.arange(len(sequences)),
        timestamps=np.arange(frames) / sequences[0].fps,
        intrinsics=camera.intrinsics.astype(np.float32),
        frame_size=np.array(camera.frame_size),
        meta={"fps": sequences[0].fps},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mocap", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int, default=0, help="seed of the first scene")
    parser.add_argument("--scenes", type=int, default=80)
    parser.add_argument("--stride", type=int, default=10)
    parser.add_argument("--model", default="vid3d-base")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    clips, lifter = dev_clips(options.mocap), Lifter.load(options.model)
    for number in range(options.first, options.first + options.scenes):
        rng = np.random.default_rng(number)
        world = compose(clips, rng)
        sequences = see(world, torch.Generator().manual_seed(number))
        truth = np.stack([np.asarray(s.joints3d) for s in sequences])
        up, offset = floor_of(world, truth)
        lift_scene(lifter, sequences, options.stride).save(options.out / f"{number:04d}.vid3d.npz")
        np.savez_compressed(
            options.out / f"{number:04d}.truth.npz", joints3d=truth, up=up, offset=offset
        )


if __name__ == "__main__":
    main()
