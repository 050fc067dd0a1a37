"""Make samples/two_people.mp4 and its ground truth, samples/two_people.pairs.npz.

    python samples/make_two_people.py --bodies BODIES [--mocap MOCAP] [-o samples] [--height 720]

BODIES is the folder of the posable CC0 people with their renderer. The posed trajectories lie in
two_people_trajectories.npz; with --mocap they are composed anew from the motion-capture files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from two_people_motion import (  # noqa: E402
    FPS,
    PARTS,
    Trajectory,
    compose_all,
    load_trajectories,
    save_trajectories,
)
from two_people_room import furnish  # noqa: E402

from vid3d.camera import Camera  # noqa: E402
from vid3d.data.bodies import coco_keypoints, rig_joints  # noqa: E402
from vid3d.data.pairs import PairSequence, write_pairs  # noqa: E402

Array = NDArray[Any]

EYE, AIM, VERTICAL_FOV = (-0.15, 1.4, 5.6), (-0.15, 0.8, 0.0), 36.0
TINTS: dict[str, dict[str, Any]] = {"m_asian_35": {"suit": (0.75, 0.26, 0.22)}}
GRAIN = 2.0  # standard deviation of the sensor's noise, of 255


class Stage:
    """The renderer's scene, camera and dressed people at one picture size."""

    def __init__(
        self,
        bodies: Path,
        size: tuple[int, int],
        people: list[Trajectory],
        vertical_fov: float = VERTICAL_FOV,
    ) -> None:
        sys.path.insert(0, str(bodies))
        import render_demo

        self.library = render_demo.body.Library(str(bodies))
        self.size, self.people, self.vertical_fov = size, people, vertical_fov
        self.scene = render_demo.Scene(*size, shadow=2048, msaa=4)
        furnish(self.scene)
        self.eye = render_demo.Camera(EYE, AIM, vertical_fov, size[0] / size[1])
        self.actors = [
            render_demo.Person(
                self.scene,
                self.library[part.body],
                list(part.outfit),
                tint=TINTS.get(part.body, {}),
            )
            for part in PARTS
        ]

    @property
    def camera(self) -> Camera:
        """The pinhole camera behind the pictures (pixel centres at integers)."""
        width, height = self.size
        focal = height / 2 / np.tan(np.radians(self.vertical_fov) / 2)
        return Camera.from_focal(focal, focal, (width - 1) / 2, (height - 1) / 2, self.size)

    def in_camera(self, points: Array) -> Array:
        """World points (..., 3) in the camera frame: x right, y down, z forward."""
        view = self.eye.V
        return (points @ view[:3, :3].T + view[:3, 3]) * [1, -1, -1]

    def render(self) -> Iterator[tuple[Array, list[Array]]]:
        """Frame by frame: the picture (RGB) and each person's coco17 keypoints, (17,) of 1 seen,
        0.5 hidden, 0 outside the picture.
        """
        for f in range(len(self.people[0].roots)):
            for actor, one in zip(self.actors, self.people, strict=True):
                actor.set(one.rotations[f], one.roots[f])
            picture = self.scene.render(self.actors, self.eye, fade=40.0)
            yield picture, [self.scene.keypoints(actor)[:, 2] / 2 for actor in self.actors]

    def truth(self, confidence: Array) -> list[PairSequence]:
        """One sequence a person; `confidence` (P, F, 17)."""
        sequences = []
        for actor, one, seen in zip(self.actors, self.people, confidence, strict=True):
            keypoints = self.in_camera(coco_keypoints(actor.b, one.rotations, one.roots))
            joints = self.in_camera(rig_joints(actor.b, one.rotations, one.roots))
            sequences.append(
                PairSequence(
                    name=f"two_people/{one.body}",
                    keypoints2d=self.camera.project(keypoints).astype(np.float32),
                    confidence=seen.astype(np.float32),
                    joint_set="coco17",
                    joints3d=joints.astype(np.float32),
                    camera=self.camera,
                    fps=FPS,
                )
            )
        return sequences


def develop(picture: Array, rng: np.random.Generator) -> Array:
    """What a camera adds: a lens a little soft, and sensor noise."""
    soft = cv2.GaussianBlur(picture, (0, 0), 0.6).astype(np.float32)
    grain = rng.normal(size=(*picture.shape[:2], 1)) * GRAIN
    colour = rng.normal(size=picture.shape) * (GRAIN / 3)
    return np.clip(soft + grain + colour, 0, 255).astype(np.uint8)


def film(stage: Stage, path: Path, crf: int) -> Array:
    """Render and encode the clip (H.264); the keypoints' visibility (P, F, 17)."""
    rng = np.random.default_rng(0)
    seen = []
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height = stage.size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "slow"}
        for picture, visibility in stage.render():
            seen.append(visibility)
            frame = av.VideoFrame.from_ndarray(develop(picture, rng), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return np.array(seen).swapaxes(0, 1)


def main() -> None:
    """Parse the arguments, compose if asked, render, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bodies", type=Path, required=True, help="folder of the posable bodies")
    parser.add_argument("--mocap", type=Path, help="folder of the motion-capture files")
    parser.add_argument("-o", "--out", type=Path, default=HERE)
    parser.add_argument("--height", type=int, default=720, help="of the picture; 16:9")
    parser.add_argument("--crf", type=int, default=19, help="quality of H.264, less is better")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    trajectories = options.out / "two_people_trajectories.npz"
    if options.mocap:
        sys.path.insert(0, str(options.bodies))
        import body

        save_trajectories(
            trajectories, compose_all(body.Library(str(options.bodies)), options.mocap)
        )
    people = load_trajectories(trajectories if trajectories.exists() else HERE / trajectories.name)
    stage = Stage(options.bodies, (options.height * 16 // 9, options.height), people)
    seen = film(stage, options.out / "two_people.mp4", options.crf)
    write_pairs(options.out / "two_people.pairs.npz", stage.truth(seen))


if __name__ == "__main__":
    main()
