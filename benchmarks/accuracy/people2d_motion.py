"""A motion file from photographs: 2D poses lifted by a model, joined to one long motion.

python benchmarks/accuracy/people2d_motion.py PEOPLE2D_FOLDER OUT/train_people2d.npz

Of the pack's training part, each person who is seen whole is lifted as a clip of one look, through
a camera of the assumed field of view whose down counts as gravity. Poses are kept that fall onto
their keypoints again, whose hypotheses agree and that no better one resembles. They become motion
by walking from each to the nearest one not visited yet, after turning about the vertical. With OUT
holding the recorded files as well (links will do):

vid3d train lifter/wider --data OUT --init-from vid3d-base --set
    'data.files=[train_cmu,train_cmu2,train_hdm05,train_biomechzoo,train_fair1,train_people2d]'
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.data.mocap import MOCAP_FPS, MotionClip, write_mocap
from vid3d.data.people2d import People2d
from vid3d.evaluation.metrics import SCORED
from vid3d.lifter import Lifter
from vid3d.skeleton import COCO17, H36M17

Array = NDArray[np.floating]

SURE = 0.4
"""Teacher score from which a joint counts as seen."""
UNSURE = 1
"""Of shoulders, elbows, wrists, hips, knees and ankles, how many may score less."""
MOST_MISSED, MOST_SPREAD = 0.025, 0.25
"""Reprojection of limbs, as a share of the person's longer side; mean spread of joints, metres."""
ALIKE = 0.05
"""Metres, root mean square of all joints after turning, within which poses count as one."""
LENGTHS = np.array([*2 * (0.09, 0.42, 0.41), 0.27, 0.23, 0.16, 0.13, *2 * (0.19, 0.28, 0.25)])
"""Metres of the bones of one adult; those lifted are foreshortened where depth is in doubt."""
STEP_SECONDS = (0.4, 0.9)
"""Shortest and longest time from a pose to the next."""
SPEED = 0.35
"""Metres a second, root mean square of all joints, that the time of a step is chosen for."""
LARGEST_TURN = 120.0
"""Degrees that a bone may turn by in a step."""
SHORTEST = 129
"""Frames of a clip: a training window's."""
SWAY, HEADING = 0.03, 0.15
"""Metres and radians by which the body sways and turns."""
RESTING_HEIGHT = 0.06
"""Metres above the floor of the lowest joint of each pose."""

_BODY = slice(5, 17)
_LIMBS = [f"{side}_{j}" for side in ("left", "right") for j in ("elbow", "wrist", "knee", "ankle")]


@dataclass(frozen=True)
class Lift:
    """A photograph's person in 3D.

    Attributes:
        joints: (17, 3) h36m17, metres, relative to the pelvis, z up.
        missed: root mean square distance from projected elbows, wrists, knees and ankles to their
            keypoints, as a share of the longer side of the keypoints' box.
        spread: metres, mean of 15 joints.
    """

    joints: Array
    missed: float
    spread: float


def lift_poses(pack: People2d, lifter: Lifter) -> Iterator[Lift]:
    """Every person of the training part who is seen well enough, in the pack's order."""
    for entry in pack.images:
        if entry["split"] != "train":
            continue
        labels = pack.labels(entry)
        camera = Camera.from_fov(ASSUMED_FOV, (entry["width"], entry["height"]))
        for keypoints, scores in zip(labels.keypoints, labels.weights, strict=True):
            if (scores[_BODY] < SURE).sum() <= UNSURE and (scores[:5] >= SURE).any():
                yield _lift(lifter, keypoints, scores, camera)


def _lift(lifter: Lifter, keypoints: Array, scores: Array, camera: Camera) -> Lift:
    lifted = lifter(
        keypoints[None], scores[None], times=[0.0], out_times=[0.0], camera=camera,
        joint_set="coco17",
    )  # fmt: skip
    joints = lifted.joints3d[0].astype(np.float64)
    own, limbs = COCO17.indices(_LIMBS), H36M17.indices(_LIMBS)
    sure = scores[own] >= SURE
    apart = np.linalg.norm(camera.project(joints[limbs]) - keypoints[own], axis=-1)[sure]
    size = np.ptp(keypoints[scores > 0], axis=0).max()
    relative = joints - joints[:1]
    return Lift(
        np.stack([relative[:, 0], relative[:, 2], -relative[:, 1]], -1),
        float(np.sqrt(np.mean(apart**2)) / size),
        float(lifted.spread[0, SCORED].mean()),
    )


def is_good(lift: Lift) -> bool:
    """Whether a pose falls onto what was seen, and hypotheses agree about it."""
    return lift.missed <= MOST_MISSED and lift.spread <= MOST_SPREAD


def bone_directions(joints: Array) -> Array:
    """Unit vectors (N, 16, 3) of the bones of poses (N, 17, 3)."""
    parents, children = zip(*H36M17.bones, strict=True)
    vectors = joints[:, children] - joints[:, parents]
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def assemble(directions: Array) -> Array:
    """Joints (N, 17, 3) about their own mean, of bones (N, 16, 3) of the lengths `LENGTHS`."""
    joints = np.zeros((len(directions), 17, 3))
    for bone, (parent, child) in enumerate(H36M17.bones):
        joints[:, child] = joints[:, parent] + directions[:, bone] * LENGTHS[bone]
    return joints - joints.mean(1, keepdims=True)


def turned(vectors: Array, angle: Array) -> Array:
    """Vectors (N, J, 3) turned about z by angles (N,)."""
    flat = (vectors[..., 0] + 1j * vectors[..., 1]) * np.exp(1j * angle)[:, None]
    return np.stack([flat.real, flat.imag, vectors[..., 2]], -1)


def alignments(joints: Array) -> tuple[Array, Array]:
    """How far poses (N, 17, 3) are apart after the best turn about z.

    Returns:
        distances (N, N), root mean square of joints in metres, and angles (N, N): pose j turned by
        angle [i, j] lies nearest to pose i.
    """
    flat, height = joints[..., 0] + 1j * joints[..., 1], joints[..., 2]
    overlap = flat @ flat.conj().T
    square = (joints**2).sum((1, 2))
    square = square[:, None] + square - 2 * np.abs(overlap) - 2 * height @ height.T
    return np.sqrt(np.maximum(square, 0) / 17), np.angle(overlap)


def unlike(joints: Array) -> list[int]:
    """Of poses (N, 17, 3), best first, those that lie apart from all better ones."""
    distances, _ = alignments(joints)
    chosen: list[int] = []
    for pose in range(len(joints)):
        if (distances[pose, chosen] > ALIKE).all():
            chosen.append(pose)
    return chosen


def walk(joints: Array, directions: Array, start: int) -> list[list[int]]:
    """Visit every pose once, always the nearest next; a walk ends where none is near enough.

    Near enough means: the step takes no longer than the longest, and no bone turns too far.
    """
    distances, angles = alignments(joints)
    left = np.ones(len(joints), bool)
    walks, here = [[start]], start
    left[start] = False
    while left.any():
        others = np.flatnonzero(left & (distances[here] <= SPEED * STEP_SECONDS[1]))
        ahead = turned(directions[others], angles[here, others])
        steady = ((ahead * directions[here]).sum(-1) > np.cos(np.radians(LARGEST_TURN))).all(-1)
        others = others[steady]
        if len(others):
            here = int(others[distances[here, others].argmin()])
            walks[-1].append(here)
        else:
            here = int(np.flatnonzero(left)[0])
            walks.append([here])
        left[here] = False
    return walks


def move(joints: Array, directions: Array, generator: np.random.Generator) -> Array:
    """Motion (F, 17, 3) through poses in turn, z up, on one body.

    Bones follow monotone cubic curves (no overshooting) between the poses, made unit again; the
    middle of the body sways about one place, its height is that of the poses on the floor.
    """
    distances, angles = alignments(joints)
    steps = np.arange(len(joints) - 1)
    headings = np.concatenate([[0.0], angles[steps, steps + 1].cumsum()])
    headings += HEADING * generator.standard_normal(len(joints))
    seconds = np.clip(distances[steps, steps + 1] / SPEED, *STEP_SECONDS)
    keys = np.concatenate([[0.0], seconds.cumsum()])
    place = SWAY * generator.standard_normal((len(joints), 3))
    place[:, 2] = RESTING_HEIGHT - joints[..., 2].min(1)
    times = np.arange(0.0, keys[-1], 1 / MOCAP_FPS)
    bones = PchipInterpolator(keys, turned(directions, headings))(times)
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    moving: Array = assemble(bones) + PchipInterpolator(keys, place)(times)[:, None]
    return moving


def make_clips(poses: Array, seed: int = 0) -> list[MotionClip]:
    """Clips of walks through poses (N, 17, 3), best first, z up; the shortest are left out."""
    generator = np.random.default_rng(seed)
    directions = bone_directions(poses)
    joints = assemble(directions)
    chosen = unlike(joints)
    joints, directions = joints[chosen], directions[chosen]
    paths = walk(joints, directions, int(generator.integers(len(chosen))))
    motions = [move(joints[path], directions[path], generator) for path in paths if len(path) > 1]
    return [
        MotionClip(f"people2d_{number}", "people2d", "photographs", motion.astype(np.float32))
        for number, motion in enumerate(motions)
        if len(motion) >= SHORTEST
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="vid3d-base", help="that lifts the poses")
    arguments = parser.parse_args()
    lifts = list(lift_poses(People2d(arguments.pack), Lifter.load(arguments.model)))
    kept = sorted(filter(is_good, lifts), key=lambda lift: lift.spread)
    clips = make_clips(np.stack([lift.joints for lift in kept]))
    write_mocap(arguments.out, clips)
    frames = sum(len(clip.joints) for clip in clips)
    print(f"{len(lifts)} poses seen, {len(kept)} kept, {len(clips)} clips of {frames} frames")


if __name__ == "__main__":
    main()
