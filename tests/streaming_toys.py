"""Made-up streams of any length: a decoder, networks and a lifter that cost next to nothing.

As a script, it lifts one: `python tests/streaming_toys.py FOLDER SECONDS [SECONDS_A_LOOK]`.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from vid3d.camera import Camera
from vid3d.files import sha256_of
from vid3d.lifter.lifter import Lifted
from vid3d.monitor import Monitor
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.estimator import TopDown
from vid3d.skeleton import COCO17, H36M17

FPS, SIZE = 10, (640, 480)

# h36m17 standing, metres from the pelvis, y down.
BODY = np.array(
    [
        (0, 0, 0), (-0.13, 0, 0), (-0.13, 0.43, 0), (-0.13, 0.86, 0), (0.13, 0, 0), (0.13, 0.43, 0),
        (0.13, 0.86, 0), (0, -0.24, 0), (0, -0.48, 0), (0, -0.68, 0), (0, -0.87, 0),
        (0.17, -0.45, 0), (0.2, -0.17, 0), (0.2, 0.08, 0), (-0.17, -0.45, 0), (-0.2, -0.17, 0),
        (-0.2, 0.08, 0),
    ]
)  # fmt: skip
FACE = H36M17.index("nose")
AS_COCO = np.array(
    [BODY[H36M17.index(name)] if name in H36M17.joints else BODY[FACE] for name in COCO17.joints]
)
CAMERA = Camera.from_fov(55, SIZE)


def way(seconds):
    """Metres along a way to and fro, at 0.4 m/s for a second, then two seconds of rest."""
    turn, phase = np.divmod(np.asarray(seconds, float), 3)
    step = np.clip(phase - 1, 0, 1)
    return 0.4 * np.where(turn % 2, 1 - step, step)


def root(person, seconds):
    """Where a person's pelvis is, each on a spot of their own."""
    return np.array([1.5 * (person % 3 - 1) + way(seconds), 0.3, 4.0 + person % 2])


@dataclass(frozen=True)
class ToyFrame:
    """A frame whose picture holds its number."""

    index: int
    time: float

    @property
    def image(self):
        return np.frombuffer(np.int64(self.index).tobytes() * 3, np.uint8).reshape(1, 8, 3)


class ToyReader:
    """Stands in for `VideoReader`: as many seconds as the file's text says."""

    def __init__(self, path, start=None, end=None, device="cpu"):
        self.count = round(float(Path(path).read_text()) * FPS)
        self.info = SimpleNamespace(
            fps=float(FPS),
            size=SIZE,
            width=SIZE[0],
            height=SIZE[1],
            focal_35mm=None,
            filmed_fps=None,
        )
        self.expected_frames = self.count
        self.truncated = None

    def __enter__(self):
        return self

    def __exit__(self, *what):
        pass

    def frames(self, stride):
        return (ToyFrame(i, i / FPS) for i in range(self.count))


class ToyNetworks:
    """A detector and a pose network in one.

    Args:
        people: who is there at a number of seconds.
        wait: seconds that each answer takes.
    """

    name, joint_set = "toy", "coco17"

    def __init__(self, people=lambda seconds: (0, 1), wait=0.0):
        self.people, self.wait, self.calls = people, wait, 0

    def poses(self, image):
        seconds = int(np.frombuffer(image.tobytes()[:8], np.int64)[0]) / FPS
        rng = np.random.default_rng(int(seconds * FPS))
        poses = [CAMERA.project(AS_COCO + root(person, seconds)) for person in self.people(seconds)]
        poses = np.array(poses).reshape(-1, 17, 2)
        return (poses + rng.normal(0, 0.5, poses.shape)).astype(np.float32)

    def __call__(self, images, boxes=None):
        self.calls += 1
        time.sleep(self.wait)
        found = []
        for image in images:
            poses = self.poses(image)
            if boxes is None:
                low, high = poses.min(1, initial=1e9) - 10, poses.max(1, initial=-1e9) + 10
                found.append((np.concatenate([low, high], -1), np.full(len(poses), 0.9, "f4")))
            else:
                found.append((poses, np.full((len(poses), 17), 0.9, "f4")))
        return found


class ToyLifter:
    """Puts the standing body where the looks are, with some noise of the track's own."""

    name, sha256 = "toy", "0" * 64

    def __init__(self):
        self.calls = 0

    def __call__(self, keypoints, confidence, times, out_times, camera, seed, track, **options):
        self.calls += 1
        hips = keypoints[:, [11, 12]].mean(1)
        at = np.stack([np.interp(out_times, times, hips[:, axis]) for axis in (0, 1)], -1)
        depth = 4.0 + (track - 1) % 2
        roots = np.concatenate([camera.rays(at)[..., :2] * depth, np.full((len(at), 1), depth)], 1)
        noise = np.random.default_rng([seed, track]).normal(0, 0.002, (1000, 17, 3))
        moments = np.round(np.asarray(out_times) * FPS).astype(int) % len(noise)
        joints = roots[:, None] + BODY + noise[moments]
        spread = np.full((len(at), 17), 0.03, np.float32)
        rests = np.abs(way(out_times + 0.2) - way(out_times - 0.2)) < 0.02
        contacts = np.where(rests, 0.95, 0.02).astype(np.float32)[:, None].repeat(2, 1)
        return Lifted(joints.astype(np.float32), spread, spread[:, 0] * 2, contacts)


def toy_pipeline(monkeypatch=None, people=lambda seconds: (0, 1), wait=0.0, **options):
    """A pipeline of toys, and nothing else changed."""
    import vid3d.pipeline

    if monkeypatch is None:
        vid3d.pipeline.VideoReader = ToyReader
    else:
        monkeypatch.setattr("vid3d.pipeline.VideoReader", ToyReader)
    pipeline = Pipeline(LiftOptions(**{"stride": 2, **options}), Monitor())
    networks = ToyNetworks(people, wait)
    pipeline.estimator, pipeline.lifter = TopDown(networks, networks), ToyLifter()
    return pipeline


def toy_clip(folder, seconds):
    """The file of a stream."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "toy.mp4"
    path.write_text(str(seconds))
    return path


def lift_toy(pipeline, video, folder):
    """Lift a stream into files; checksums of these."""
    (clip,) = pipeline.observe(video)
    with pipeline.reel(clip, folder) as reel:
        files = [reel.save(folder / "toy.vid3d.npz"), reel.save_json(folder / "toy.vid3d.json")]
    return [sha256_of(path) for path in files]


if __name__ == "__main__":
    where = Path(sys.argv[1])
    waiting = float(sys.argv[3]) if len(sys.argv) > 3 else 0.0
    lift_toy(toy_pipeline(wait=waiting), toy_clip(where, sys.argv[2]), where)
