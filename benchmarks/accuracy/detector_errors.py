"""What a pose network says of rendered people, beside the truth: the data of `vid3d.data.detector`.

python benchmarks/accuracy/detector_errors.py MOCAP_FOLDER BODIES_FOLDER OUT.npz [--count 4000]
    [--pose vid3d-pose --pose OTHER] [--seed 0]
python -m vid3d.data.detector OUT.npz...

Recorded motion of the training actors, performed by the bodies that training pictures show, before
random cameras; one picture in five has a second person in it. Boxes are those of the true outline,
moved and scaled a little, as a detector's are. Needs moderngl and an EGL driver.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rendered_pairs import Theatre, in_camera

from vid3d.data.bodies import RESERVED, coco_keypoints
from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.pose2d.estimator import load_estimator

Array = NDArray[Any]

SIZE, WINDOW, STEP, SHOTS = (320, 320), 24, 4, 8
"""Pixels of a picture; poses that a body takes up at once, frames between them, pictures of it."""


class Errors:
    """Pictures of single moments."""

    def __init__(self, bodies: Path, clips: list[MotionClip], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.theatre = Theatre(bodies, self.rng, SIZE)
        self.names = [name for name in self.theatre.library.names if name not in RESERVED]
        self.clips = [clip for clip in clips if len(clip.joints) >= 2 * STEP]
        lengths = np.array([len(clip.joints) for clip in self.clips], float)
        self.odds = lengths**0.6 / (lengths**0.6).sum()

    def performer(self) -> tuple[Any, tuple[Array, Array]]:
        """A dressed body and the poses that it takes."""
        rng = self.rng
        person = self.theatre.person(str(rng.choice(self.names)))
        clip = self.clips[rng.choice(len(self.clips), p=self.odds)].joints
        start = int(rng.integers(0, max(1, len(clip) - WINDOW * STEP)))
        joints = clip[start : start + WINDOW * STEP : STEP].astype(float)
        return person, person.b.pose_from_h36m17(joints, head_yaw=float(rng.normal(0, 0.4)))

    def moments(self, count: int) -> Any:
        """Picture (BGR), box (4,), true coco17 keypoints (17, 3) in the camera frame, the camera;
        `count` times, or less where no camera fits.
        """
        other = self.performer()
        for number in range(-(-count // SHOTS)):
            person, poses = self.performer()
            if number % 4 == 0:
                other = self.performer()
            for frame in self.rng.integers(0, len(poses[1]), SHOTS):
                yield from self._moment(person, poses, int(frame), other)

    def _moment(self, person: Any, poses: Any, frame: int, other: Any) -> Any:
        rng, stage = self.rng, self.theatre
        pose = poses[0][frame : frame + 1], poses[1][frame : frame + 1]
        keypoints = coco_keypoints(person.b, *pose)
        view = stage.camera(keypoints)
        if view is None:
            return
        renderer, camera = view
        stage.dress_set()
        person.set(pose[0][0], pose[1][0])
        actors = [person]
        if rng.random() < 0.2:
            at = int(rng.integers(len(other[1][1])))
            beside = pose[1][0] - other[1][1][at] + rng.normal(0, 0.7, 3) * [1, 0, 1]
            other[0].set(other[1][0][at], other[1][1][at] + beside * [1, 0, 1])
            actors.append(other[0])
        image = stage.scene.render(actors, renderer, floor=bool(rng.random() < 0.7))[..., ::-1]
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9)).astype(float)
        image = (image + rng.normal(0, 3, (*image.shape[:2], 1))).clip(0, 255).astype(np.uint8)
        outline = stage.scene.cam.project(person.posed[::7], *SIZE)[:, :2] - 0.5
        low, high = outline.min(0), outline.max(0)
        size = high - low
        box = np.concatenate([low, high]) + np.tile(size, 2) * rng.normal(0, 0.03, 4)
        yield image, box, in_camera(renderer, keypoints)[0], camera


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("motions", type=Path)
    parser.add_argument("bodies", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--pose", action="append", help="by default vid3d-pose")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clips = [c for path in sorted(options.motions.glob("train_*.npz")) for c in read_mocap(path)]
    clips = [clip for clip in clips if clip.actor not in DEV_ACTORS]
    networks = [load_estimator(pose=pose).pose for pose in options.pose or ["vid3d-pose"]]
    truth, said, errors = [], [], Errors(options.bodies, clips, options.seed)
    for image, box, joints, camera in errors.moments(options.count):
        centre = (np.array(SIZE) - 1) / 2
        focal = float(camera.intrinsics[0, 0])
        boxes = [box[None].astype(np.float32)]
        answers = [network([image], boxes)[0] for network in networks]
        spots = [(points[0] - centre) / focal for points, _ in answers]  # as slopes x/z, y/z
        sure = [confidence[0] for _, confidence in answers]
        truth.append(joints)
        said.append(np.concatenate([np.stack(spots), np.stack(sure)[..., None]], -1))
        print(f"{len(truth)} of {options.count}", end="\r", file=sys.stderr)
    np.savez_compressed(options.out, truth=np.float32(truth), said=np.float32(said))


if __name__ == "__main__":
    main()
