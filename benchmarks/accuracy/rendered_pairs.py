"""Pair files of recorded motion as the shipped 2D networks see it: rendered, then detected.

python benchmarks/accuracy/rendered_pairs.py MOCAP_FOLDER BODIES_FOLDER OUT [--actors dev]
    [--pieces 80] [--detector PERSON --pose POSE --flip-test]

The motion of the dev actors (`--actors heldout`: of the held-out files) is performed by the bodies
that are in no training picture, one at a time, before random cameras, light and made-up backdrops.
What is looked at (every 10th frame at 50 Hz) becomes a video of 5 frames a second, and what
`vid3d detect` says of that video becomes the 2D of OUT/dev_seen.pairs.npz. OUT/dev_true.pairs.npz
holds the same pieces with the true keypoints, OUT/dev_noisy.pairs.npz with noise that knows nothing
of the pose. OUT/dev_near.pairs.npz is what was seen without far misses, OUT/dev_exchanged.pairs.npz
has what was seen wrong of another piece in its place, OUT/dev_sided.pairs.npz is what was seen with
the joints that were taken for those of the other side put where they belong. Then:

vid3d eval vid3d-base --data OUT/dev_seen.pairs.npz --strides 10

Needs moderngl and an EGL driver.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.data.backdrops import Backdrops
from vid3d.data.bodies import RESERVED, coco_keypoints, rig_joints
from vid3d.data.detector import taken_for_twins
from vid3d.data.mocap import DEV_ACTORS, MOCAP_FPS, MotionClip, read_mocap
from vid3d.data.noise import NoiseLevels, detect
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.lift_options import LiftOptions
from vid3d.pipeline import Pipeline
from vid3d.skeleton import COCO17
from vid3d.video import VideoWriter

Array = NDArray[Any]

SIZE, FRAMES, STRIDE = (640, 480), round(4 * MOCAP_FPS), 10
FAR = 0.06
"""Of the person's size: a far miss."""
TRIES, MARGIN, SMALLEST = 60, 0.03, 0.3
"""Cameras tried for a piece; shares of the picture kept free round the person, and filled by it."""


class Theatre:
    """One body at a time on a stage."""

    def __init__(
        self, bodies: Path, rng: np.random.Generator, size: tuple[int, int] = SIZE
    ) -> None:
        sys.path.insert(0, str(bodies))
        import render_demo

        self.rd, self.rng, self.size = render_demo, rng, size
        self.library = render_demo.body.Library(str(bodies))
        self.scene = render_demo.Scene(*size, shadow=512, msaa=0)
        self.scene.ctx.gc_mode = "auto"

    def person(self, name: str) -> Any:
        """A body of the library, dressed at random."""
        cast = _One(self.library, name)
        return self.rd.random_person(self.scene, cast, self.rng)

    def camera(self, joints: Array) -> tuple[Any, Camera] | None:
        """A random camera that has joints (F, J, 3), y up, in its picture at all times."""
        rng, (width, height) = self.rng, self.size
        middle = joints.reshape(-1, 3).mean(0)
        for _ in range(TRIES):
            distance, yaw, fov = rng.uniform(2.2, 8), rng.uniform(0, 2 * np.pi), rng.uniform(30, 62)
            eye = middle + distance * np.array([np.cos(yaw), 0, np.sin(yaw)])
            eye[1] = rng.uniform(0.4, 2.6)
            eye_at = middle + rng.normal(0, 0.06 * distance, 3)
            focal = height / 2 / np.tan(np.radians(fov) / 2)
            camera = Camera.from_focal(focal, focal, (width - 1) / 2, (height - 1) / 2, self.size)
            renderer = self.rd.Camera(eye, eye_at, fov, width / height)
            seen = in_camera(renderer, joints)
            if seen[..., 2].min() < 0.5:
                continue
            spots = camera.project(seen.reshape(-1, 3)).reshape(seen.shape[:2] + (2,)) / self.size
            tall = np.ptp(spots[..., 1], axis=1)
            if spots.min() > MARGIN and spots.max() < 1 - MARGIN and np.median(tall) > SMALLEST:
                return renderer, camera
        return None

    def dress_set(self) -> None:
        """New floor, backdrop and light, as in training pictures, without photographs."""
        rng, backdrops = self.rng, Backdrops()
        self.scene.set_floor(backdrops.texture((256, 256), rng))
        self.scene.set_background(backdrops.texture(self.size, rng))
        angle, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 2.0)
        self.scene.light = {
            "dir": (np.cos(angle), rise, np.sin(angle)),
            "col": tuple(rng.uniform(0.5, 1.4, 3)),
            "amb": tuple(rng.uniform(0.3, 0.7, 3)),
            "ground": tuple(rng.uniform(0.1, 0.3, 3)),
        }

    def film(self, person: Any, poses: tuple[Array, Array], camera: Any) -> Iterator[Array]:
        """Pictures (BGR) of all looks."""
        floor = bool(self.rng.random() < 0.7)
        for frame in range(0, len(poses[1]), STRIDE):
            person.set(poses[0][frame], poses[1][frame])
            image = self.scene.render([person], camera, floor=floor)[..., ::-1]
            noise = self.rng.normal(0, 2.0, (*image.shape[:2], 1))
            soft = cv2.GaussianBlur(image, (0, 0), 0.6).astype(float) + noise
            yield np.ascontiguousarray(soft.clip(0, 255).astype(np.uint8))


class _One:
    """A library of one body."""

    def __init__(self, library: Any, name: str) -> None:
        self.body, self.gmeta = library[name], library.gmeta

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return self.body


def in_camera(renderer: Any, points: Array) -> Array:
    """World points (..., 3) in the camera frame: x right, y down, z forward."""
    return (points @ renderer.V[:3, :3].T + renderer.V[:3, 3]) * [1, -1, -1]


def detected(pipeline: Pipeline, images: Sequence[Array], truth: Array) -> Array:
    """What vid3d sees of the person with true keypoints (K, 17, 2): (K, 17, 3), 0 if not at all.

    Of several tracks the one nearest to the truth counts at every look.
    """
    with tempfile.TemporaryDirectory() as folder:
        video, found = Path(folder, "looks.mp4"), Path(folder, "looks.json")
        with VideoWriter(video, MOCAP_FPS / STRIDE, SIZE) as writer:
            for image in images:
                writer.write(image)
        pipeline.detect(video, found)
        said = json.loads(found.read_text(encoding="utf-8"))
    frames = {image["id"]: image["frame"] for image in said["images"]}
    best = np.zeros((len(truth), 17, 3))
    nearest = np.full(len(truth), 0.25 * np.ptp(truth, axis=1).max(-1))
    for one in said["annotations"]:
        look, keypoints = frames[one["image_id"]], np.reshape(one["keypoints"], (17, 3))
        far = np.median(np.linalg.norm(keypoints[:, :2] - truth[look], axis=-1))
        if far < nearest[look]:
            nearest[look], best[look] = far, keypoints
    return best


def at_looks(sequence: PairSequence, seen: Array) -> PairSequence:
    """The sequence with 2D (K, 17, 3) at every `STRIDE`-th frame and nothing between."""
    keypoints = np.zeros_like(sequence.keypoints2d)
    confidence = np.zeros_like(sequence.confidence)
    keypoints[::STRIDE], confidence[::STRIDE] = seen[..., :2], seen[..., 2]
    return replace(sequence, keypoints2d=keypoints, confidence=confidence)


def noisy(sequence: PairSequence, seed: int) -> Array:
    """True keypoints at looks with the noise that pair files have: (K, 17, 3)."""
    truth = torch.from_numpy(sequence.keypoints2d[None, ::STRIDE]).float()
    inside = torch.ones(truth.shape[:3], dtype=torch.bool)
    generator = torch.Generator().manual_seed(seed)
    spots, confidence = detect(truth, inside, COCO17, NoiseLevels(look=0.0), generator)
    return torch.cat([spots, confidence[..., None]], -1)[0].numpy()


def near(seen: Sequence[PairSequence], exact: Sequence[PairSequence]) -> list[PairSequence]:
    """What was seen, without keypoints that miss by over `FAR` (an oracle knows which)."""
    pieces = []
    for said, truth in zip(seen, exact, strict=True):
        missed = np.linalg.norm(said.keypoints2d - truth.keypoints2d, axis=-1)
        confidence = np.where(missed > FAR * person_height(truth), 0, said.confidence)
        pieces.append(replace(said, confidence=confidence.astype(np.float32)))
    return pieces


def sided(seen: Sequence[PairSequence], exact: Sequence[PairSequence]) -> list[PairSequence]:
    """What was seen, true where a joint was taken for its twin (an oracle knows which)."""
    pieces = []
    for said, truth in zip(seen, exact, strict=True):
        keypoints = np.where(twins(said, truth)[..., None], truth.keypoints2d, said.keypoints2d)
        pieces.append(replace(said, keypoints2d=keypoints))
    return pieces


def twins(said: PairSequence, truth: PairSequence) -> NDArray[np.bool_]:
    """Keypoints (F, 17) that were taken for those of the other side."""
    spots = (torch.from_numpy(x.keypoints2d) for x in (said, truth))
    found: NDArray[np.bool_] = taken_for_twins(
        *spots, torch.full((1, 1, 1), person_height(truth))
    ).numpy()
    return found & (said.confidence > 0)


def taken_for_others(seen: Sequence[PairSequence], exact: Sequence[PairSequence]) -> str:
    """Shares of what was seen that was taken for the other side, in words."""
    pairs = zip(seen, exact, strict=True)
    taken = np.concatenate([twins(said, truth)[said.confidence.any(1)] for said, truth in pairs])
    kinds = ("ankle", "knee", "wrist", "elbow")
    shares = [taken[:, [name.endswith(kind) for name in COCO17.joints]].mean() for kind in kinds]
    parts = [f"{kind}s {100 * share:.1f} %" for kind, share in zip(kinds, shares, strict=True)]
    return f"taken for the other side's: {', '.join(parts)}"


def missed_by(said: Sequence[PairSequence], exact: Sequence[PairSequence]) -> str:
    """How far keypoints miss, in words: the median and the ninth tenth, in sizes of the person."""
    missed = [
        (np.linalg.norm(one.keypoints2d - truth.keypoints2d, axis=-1) / person_height(truth))[
            one.confidence > 0
        ]
        for one, truth in zip(said, exact, strict=True)
    ]
    middle, high = 100 * np.quantile(np.concatenate(missed), [0.5, 0.9])
    return f"median {middle:.1f} %, one in ten by {high:.1f} % of the person's size or more"


def exchanged(seen: Sequence[PairSequence], exact: Sequence[PairSequence]) -> list[PairSequence]:
    """Every piece with the errors, and confidences, of another: as large, but of another pose."""
    pieces = []
    for at, truth in enumerate(exact):
        other = (at + 7) % len(exact)
        scale = person_height(truth) / person_height(exact[other])
        errors = scale * (seen[other].keypoints2d - exact[other].keypoints2d)[::STRIDE]
        answer = np.concatenate([errors, seen[other].confidence[::STRIDE, :, None]], -1)
        looks = len(truth.keypoints2d[::STRIDE])
        answer = np.concatenate([answer] * -(-looks // len(answer)))[:looks]
        answer[..., :2] += truth.keypoints2d[::STRIDE]
        pieces.append(at_looks(truth, answer))
    return pieces


def person_height(sequence: PairSequence) -> float:
    """Larger side of the person's box, the median of all frames, pixels."""
    return float(np.median(np.ptp(sequence.keypoints2d, axis=1).max(-1)))


def perform(
    theatre: Theatre, clip: MotionClip, at: int, name: str
) -> tuple[PairSequence, list[Array]] | None:
    """A piece of a clip by a body: the truth and the pictures of its looks; None if none fits."""
    person = theatre.person(name)
    poses = person.b.pose_from_h36m17(clip.joints[at : at + FRAMES].astype(float))
    keypoints, joints = coco_keypoints(person.b, *poses), rig_joints(person.b, *poses)
    view = theatre.camera(np.concatenate([keypoints, joints], 1))
    if view is None:
        return None
    renderer, camera = view
    theatre.dress_set()
    exact = PairSequence(
        name=f"{clip.name}@{at}",
        keypoints2d=camera.project(in_camera(renderer, keypoints)).astype(np.float32),
        confidence=np.ones(keypoints.shape[:2], np.float32),
        joint_set="coco17",
        joints3d=in_camera(renderer, joints).astype(np.float32),
        camera=camera,
        fps=float(MOCAP_FPS),
    )
    return exact, list(theatre.film(person, poses, renderer))


def pieces_of(
    motions: Path, actors: str, count: int, rng: np.random.Generator
) -> list[tuple[MotionClip, int]]:
    """Clips of actors and first frames in them, drawn at random."""
    kind = "heldout" if actors == "heldout" else "train"
    clips = [clip for path in sorted(motions.glob(f"{kind}_*.npz")) for clip in read_mocap(path)]
    if kind == "train":
        clips = [clip for clip in clips if (clip.actor in DEV_ACTORS) == (actors == "dev")]
    starts = [
        (clip, at) for clip in clips for at in range(0, max(1, len(clip.joints) - 49), FRAMES)
    ]
    return [starts[i] for i in rng.permutation(len(starts))[:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motions", type=Path)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--actors", choices=["dev", "heldout", "train"], default="dev")
    parser.add_argument("--pieces", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detector", default=LiftOptions.detector, help="as for vid3d lift")
    parser.add_argument("--pose", default=LiftOptions.pose)
    parser.add_argument("--flip-test", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    chosen = pieces_of(options.motions, options.actors, options.pieces, rng)
    theatre = Theatre(options.bodies, rng)
    networks = {name: getattr(options, name) for name in ("detector", "pose", "flip_test")}
    pipeline = Pipeline(LiftOptions(stride=1, **networks))
    rows: dict[str, list[PairSequence]] = {"seen": [], "true": [], "noisy": []}
    for number, (clip, at) in enumerate(chosen):
        performed = perform(theatre, clip, at, RESERVED[number % len(RESERVED)])
        if performed is None:
            continue
        exact, images = performed
        said = detected(pipeline, images, exact.keypoints2d[::STRIDE])
        rows["seen"].append(at_looks(exact, said))
        rows["true"].append(exact)
        rows["noisy"].append(at_looks(exact, noisy(exact, number)))
        print(f"{number + 1} of {len(chosen)}", end="\r", file=sys.stderr)
    rows["near"] = near(rows["seen"], rows["true"])
    rows["sided"] = sided(rows["seen"], rows["true"])
    rows["exchanged"] = exchanged(rows["near"], rows["true"])
    for name, sequences in rows.items():
        write_pairs(options.out / f"{options.actors}_{name}.pairs.npz", sequences)
    print(f"{len(rows['seen'])} pieces in {options.out}")
    for name in ("seen", "noisy"):
        print(f"{name}: {missed_by(rows[name], rows['true'])}")
    print(f"seen: {taken_for_others(rows['seen'], rows['true'])}")


if __name__ == "__main__":
    main()
