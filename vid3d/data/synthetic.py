"""Rendered scenes of posable CC0 bodies as a labelled image set with exact keypoints.

Every picture has its own camera, light, floor, backdrop and occluders; one to four people move as
in recorded motion. Needs the folder of the bodies (its body.py and render_demo.py) and moderngl.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vid3d.data.backdrops import Backdrops, paste_occluder
from vid3d.data.bodies import RESERVED
from vid3d.data.labelled_images import (
    NOWHERE,
    ImageLabels,
    LabelledImages,
    write_labelled_images,
)
from vid3d.data.mocap import DEV_ACTORS, MotionClip, read_mocap
from vid3d.errors import Vid3dError

SIZE = (448, 320)  # width, height of a picture
WINDOW, WINDOW_STEP = 24, 4  # poses taken from a clip at once, frames between them
CORNER = 0.5  # the renderer's 0 is the first pixel's corner, that of our labels is its centre
SEEN, HIDDEN, OUTSIDE = 1.0, 0.6, 0.25  # weights
SHOTS = {  # share of the pictures, range of camera distances in metres
    "close": (0.2, (1.4, 2.8)),
    "whole": (0.4, (2.8, 6.0)),
    "wide": (0.4, (6.0, 14.0)),
}
HEIGHTS = ((0.55, (1.0, 1.9)), (0.3, (1.9, 5.0)), (0.15, (0.25, 1.0)))


@dataclass(frozen=True)
class _Cast:
    """A library of bodies narrowed to some names, as the renderer's ``random_person`` wants it."""

    library: Any
    names: tuple[str, ...]

    @property
    def gmeta(self) -> Any:
        return self.library.gmeta

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        return self.library[self.names[index]]


def _renderer(bodies: Path) -> Any:
    """The module render_demo of the bodies folder."""
    if not (bodies / "render_demo.py").is_file():
        raise Vid3dError(f"no render_demo.py in {bodies}; give the folder of the posable bodies")
    if str(bodies) not in sys.path:
        sys.path.insert(0, str(bodies))
    return importlib.import_module("render_demo")


class _Actor:
    """A dressed body and a window of poses; both are exchanged now and then."""

    def __init__(self, stage: Studio) -> None:
        rng = stage.rng
        self.person = stage.rd.random_person(stage.scene, stage.cast, rng)
        clip = stage.clips[rng.choice(len(stage.clips), p=stage.odds)].joints
        start = int(rng.integers(0, max(1, len(clip) - WINDOW * WINDOW_STEP)))
        joints = clip[start : start + WINDOW * WINDOW_STEP : WINDOW_STEP].astype(float)
        joints[..., :2] -= joints[:, :1, :2].mean(0)
        turn = rng.uniform(0, 2 * np.pi)
        cos, sin = np.cos(turn), np.sin(turn)
        joints[..., :2] = joints[..., :2] @ np.array([[cos, sin], [-sin, cos]])
        yaw = float(rng.normal(0, 0.35))
        self.poses = self.person.b.pose_from_h36m17(joints, head_yaw=yaw)

    def place(self, where: np.ndarray, rng: np.random.Generator) -> None:
        """Take a random pose of the window at ``where`` (x, z) on the floor."""
        rotations, roots = self.poses
        frame = int(rng.integers(len(roots)))
        self.person.set(rotations[frame], roots[frame] + [where[0], 0, where[1]])


class Studio:
    """Renders random pictures of the bodies ``names`` moving as in ``clips``."""

    def __init__(
        self,
        bodies: Path,
        clips: Sequence[MotionClip],
        names: Sequence[str],
        backdrops: Backdrops,
        rng: np.random.Generator,
        size: tuple[int, int] = SIZE,
    ) -> None:
        self.rd, self.rng, self.backdrops = _renderer(bodies), rng, backdrops
        self.cast = _Cast(self.rd.body.Library(str(bodies)), tuple(names))
        self.clips = [c for c in clips if len(c.joints) >= 2 * WINDOW_STEP]
        lengths = np.array([len(c.joints) for c in self.clips], float)
        self.odds = lengths**0.5 / (lengths**0.5).sum()
        self.scene = self.rd.Scene(*size, shadow=512, msaa=0)
        self.scene.ctx.gc_mode = "auto"  # actors come and go
        self.actors = [_Actor(self) for _ in range(5)]

    def picture(self) -> tuple[np.ndarray, ImageLabels]:
        """One picture, uint8 (H,W,3) BGR, and its people."""
        rng = self.rng
        if rng.random() < 0.35:
            self.actors[int(rng.integers(len(self.actors)))] = _Actor(self)
        self._dress_set()
        actors = self._arrange()
        camera = self._camera(actors)
        floor = bool(rng.random() < 0.65)
        image = self.scene.render([a.person for a in actors], camera, floor=floor)[..., ::-1]
        if not image.any():
            raise Vid3dError("the renderer drew a black picture; check its OpenGL driver")
        people = [self._label(a) for a in actors]
        labels = ImageLabels.join(people)
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8))  # in place of antialiasing
        if rng.random() < 0.35:
            image, labels = paste_occluder(image, labels, self.backdrops, HIDDEN, rng)
        return image, labels

    def _dress_set(self) -> None:
        """New floor, backdrop and light."""
        rng, scene = self.rng, self.scene
        if rng.random() < 0.4:
            scene.set_floor(self.backdrops.texture((256, 256), rng))
        scene.set_background(self.backdrops.texture((scene.w, scene.h), rng))
        angle, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 2.0)
        tint = rng.uniform(0.85, 1.15, (3, 3))
        scene.light = {
            "dir": (np.cos(angle), rise, np.sin(angle)),
            "col": tuple(rng.uniform(0.3, 1.5) * tint[0]),
            "amb": tuple(rng.uniform(0.2, 0.7) * tint[1]),
            "ground": tuple(rng.uniform(0.08, 0.35) * tint[2]),
        }

    def _arrange(self) -> list[_Actor]:
        rng = self.rng
        count = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.18, 0.12]))
        spread = rng.uniform(0.5, 2.5)
        chosen = [self.actors[i] for i in rng.permutation(len(self.actors))[:count]]
        for actor in chosen:
            actor.place(rng.normal(0, spread, 2), rng)
        return chosen

    def _camera(self, actors: list[_Actor]) -> Any:
        rng = self.rng
        shares = [share for share, _ in SHOTS.values()]
        _, distances = list(SHOTS.values())[int(rng.choice(len(shares), p=shares))]
        height_range = HEIGHTS[int(rng.choice(3, p=[share for share, _ in HEIGHTS]))][1]
        person = actors[int(rng.integers(len(actors)))].person
        at = person.M[0, :, 3] + person.M[0, :, :3] @ person.b.h[0]
        distance, yaw = rng.uniform(*distances), rng.uniform(0, 2 * np.pi)
        eye = at + distance * np.array([np.cos(yaw), 0, np.sin(yaw)])
        eye[1] = rng.uniform(*height_range)
        at = at + rng.normal(0, 0.12 * distance, 3) * [1, 0.5, 1]
        return self.rd.Camera(eye, at, rng.uniform(30, 55), self.scene.w / self.scene.h)

    def _label(self, actor: _Actor) -> ImageLabels:
        """Box of the visible part, keypoints and weights of one person of the last picture."""
        scene, person = self.scene, actor.person
        limit = np.array([scene.w, scene.h], float)
        shape = scene.cam.project(person.posed[::7], scene.w, scene.h)
        shape = shape[shape[:, 2] > 0.1, :2] - CORNER
        if not len(shape):
            shape = np.zeros((1, 2))
        whole = np.prod(np.ptp(shape, axis=0)) + 1e-9
        low, high = np.clip(shape.min(0), 0, limit - 1), np.clip(shape.max(0), 0, limit - 1)
        points = scene.keypoints(person)
        seen = int((points[:, 2] == 2).sum())
        weights = np.array([OUTSIDE, HIDDEN, SEEN])[points[:, 2].astype(int)]
        xy = np.where(points[:, 2:] > 0, points[:, :2] - CORNER, NOWHERE)
        lost = seen < 3 or np.prod(high - low) < 0.08 * whole
        return ImageLabels(
            boxes=np.concatenate([low, high])[None].astype(np.float32),
            ignored=np.array([lost]),
            keypoints=xy[None].astype(np.float32),
            weights=(weights * (not lost))[None].astype(np.float32),
        )

    def pictures(self, count: int) -> Iterator[tuple[np.ndarray, ImageLabels]]:
        """``count`` pictures."""
        for _ in range(count):
            yield self.picture()

    def close(self) -> None:
        """Give back the renderer's context with all that lies in it."""
        # Later, garbage would be deleted by its number: in the next studio's context.
        self.scene.ctx.gc_mode = None
        self.scene.ctx.release()


def training_names(bodies: Path) -> list[str]:
    """The bodies that may be rendered into training images: all but the reserved ones."""
    names = _renderer(bodies).body.Library(str(bodies)).names
    return [name for name in names if name not in RESERVED]


def motion_of(files: Sequence[Path]) -> list[MotionClip]:
    """Clips of motion files, but for those of the dev actors: choices are made on these."""
    clips = [clip for path in files for clip in read_mocap(path)]
    return [clip for clip in clips if clip.actor not in DEV_ACTORS]


def render_sets(
    bodies: Path,
    mocap: Sequence[Path],
    folder: Path,
    shards: int,
    pictures: int,
    names: Sequence[str] | None = None,
    photos: LabelledImages | None = None,
    seed: int = 0,
) -> None:
    """Render ``shards`` sets of ``pictures`` into ``folder``/000, 001, ...; finished ones are kept.

    names   bodies to use (default: all that are not reserved)
    photos  photographs whose people-free parts become backdrops; None: procedural backdrops only,
            so that the pictures depend on nothing but the CC0 bodies and the motion
    """
    clips = motion_of(mocap)
    names = names or training_names(bodies)
    for shard in range(shards):
        target = folder / f"{shard:03d}"
        if not LabelledImages.exists(target):
            rng = np.random.default_rng((seed, shard))
            studio = Studio(bodies, clips, names, Backdrops(photos), rng)
            write_labelled_images(target, studio.pictures(pictures))
            studio.close()
