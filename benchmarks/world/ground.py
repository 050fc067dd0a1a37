"""Floor, gravity and sliding feet against truth, on the scenes that `scenes.py` writes.

python benchmarks/world/ground.py SCENES_FOLDER

Floor: tilt, degrees between estimated and true up; float, centimetres by which the height of
standing ankles over the estimated floor is wrong; both also for the assumption (camera upright,
floor under the lowest ankles). Feet: slide, cm/s along the true floor of feet that stand in truth
(slower than 0.25 m/s there), and what the corrections cost.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.evaluation.scores import score
from vid3d.motion import Motion
from vid3d.world import ground_of, settle, smoothed
from vid3d.world.fit import assumed_ground
from vid3d.world.ground import Ground
from vid3d.world.stances import ANKLES

Array = NDArray[np.floating]
STILL = 0.25


class Scene:
    """A lifted motion beside its truth."""

    def __init__(self, path: Path) -> None:
        self.motion = Motion.load(path)
        with np.load(str(path).replace(".vid3d.", ".truth.")) as truth:
            self.joints = truth["joints3d"].astype(np.float64)
            self.up, self.offset = truth["up"], float(truth["offset"])
        velocity = np.gradient(self.joints[:, :, ANKLES], self.motion.timestamps, axis=1)
        self.still = np.linalg.norm(velocity, axis=-1) < STILL
        self.pitch = float(np.degrees(np.arcsin(-self.up[2])))

    def tilt(self, ground: Ground) -> float:
        """Degrees between a ground's up and the true one."""
        return float(np.degrees(np.arccos(np.clip(ground.normal @ self.up, -1, 1))))

    def floating(self, motion: Motion, ground: Ground) -> float:
        """Centimetres by which standing ankles are wrong in height over a ground."""
        true = self.joints[:, :, ANKLES] @ self.up + self.offset
        error = ground.above(motion.joints3d[:, :, ANKLES]) - true
        return 100 * float(np.abs(error)[self.still].mean())

    def slide(self, joints: Array) -> float:
        """Median speed along the true floor, cm/s, of feet that stand in truth."""
        velocity = np.gradient(joints[:, :, ANKLES], self.motion.timestamps, axis=1)
        velocity = velocity - (velocity @ self.up)[..., None] * self.up
        return 100 * float(np.median(np.linalg.norm(velocity, axis=-1)[self.still]))

    def costs(self, motion: Motion) -> list[float]:
        """MPJPE, MRPE, velocity, acceleration (mm), and per cent of a person moved on screen."""
        joints, fps = motion.joints3d.astype(np.float64), motion.fps
        people = zip(joints, self.joints, motion.spread, strict=True)
        scores = [score(ours, truth, fps, spread) for ours, truth, spread in people]
        names = ("mpjpe", "mrpe", "velocity", "acceleration")
        camera = motion.camera
        before, after = (camera.project(m.joints3d) for m in (self.motion, motion))
        size = np.ptp(before[..., 1], axis=-1).mean()
        moved = 100 * float(np.nanmean(np.linalg.norm(after - before, axis=-1)) / size)
        return [float(np.mean([getattr(s, name) for s in scores])) for name in names] + [moved]


def floor_row(scene: Scene, settled: Motion) -> list[float]:
    found, assumed = ground_of(settled), assumed_ground(scene.motion)
    return [
        scene.motion.people, scene.pitch, found.confidence,
        scene.tilt(found), scene.floating(scene.motion, found), scene.floating(settled, found),
        scene.tilt(assumed), scene.floating(scene.motion, assumed),
        100 * (found.height / scene.offset - 1),
    ]  # fmt: skip


def floor_table(rows: list[list[float]]) -> None:
    table = np.array(rows)
    people, pitch, confidence = table[:, :3].T
    groups = {
        "all": people > 0,
        "one person": people == 1,
        "several people": people > 1,
        "looks down less than 10": pitch < 10,
        "10 to 25": (pitch >= 10) & (pitch < 25),
        "more than 25": pitch >= 25,
        "confidence under 0.3": confidence < 0.3,
        "0.3 to 0.6": (confidence >= 0.3) & (confidence < 0.6),
        "over 0.6": confidence >= 0.6,
    }
    print(f"{'scenes':24s}   n  tilt median mean  float settled | assumed: tilt float | height %")
    for name, chosen in groups.items():
        if chosen.any():
            part = table[chosen]
            mean = part.mean(0)
            print(
                f"{name:24s} {len(part):3d} {np.median(part[:, 3]):12.1f} {mean[3]:4.1f} "
                f"{mean[4]:6.1f} {mean[5]:7.1f} | {mean[6]:13.1f} {mean[7]:5.1f} | "
                f"{np.median(part[:, 8]):6.1f}"
            )


def feet_table(rows: list[dict[str, list[float]]]) -> None:
    print(f"\n{'':10s} slide   MPJPE    MRPE  velocity  acceleration  moved %")
    for name in rows[0]:
        slide, *costs = np.mean([row[name] for row in rows], axis=0)
        print(f"{name:10s} {slide:5.1f} " + " ".join(f"{cost:9.2f}" for cost in costs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--most", type=int, default=None, help="scenes to look at")
    options = parser.parse_args()
    floors, feet = [], []
    for path in sorted(options.scenes.glob("*.vid3d.npz"))[: options.most]:
        scene = Scene(path)
        truth = replace(scene.motion, joints3d=scene.joints.astype(np.float32))
        systems = {
            "truth": truth,
            "lifted": scene.motion,
            "smoothed": smoothed(scene.motion),
            "settled": settle(scene.motion),
        }
        floors.append(floor_row(scene, systems["settled"]))
        feet.append({
            name: [scene.slide(motion.joints3d.astype(np.float64)), *scene.costs(motion)]
            for name, motion in systems.items()
        })  # fmt: skip
    floor_table(floors)
    feet_table(feet)


if __name__ == "__main__":
    main()
