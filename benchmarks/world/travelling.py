"""What it costs that a camera travels, and what of that is won back by finding its way.

    python benchmarks/world/travelling.py BODIES_FOLDER OUT

The people of the sample in their room, rendered again by a camera that is carried: held by somebody
who stands (4 cm root mean square), moved to the side, around the people, towards them, and by
somebody who walks towards them. Each clip is looked at once and lifted twice: with `--travelling`,
and in brackets with the camera held to stay in its place; its lens is known, or, with
`--unknown-lens`, to be found as well. Errors in millimetres: MPJPE and P-MPJPE
as of `vid3d eval`, MRPE of the pelvis in the frame of the camera at each moment, and "world", the
mean distance of all scored joints in the frame of the camera as it stood first, where nothing is
aligned; the slide of standing feet in cm/s; metres that the camera was away at most, and by how
many millimetres its place is wrong on average, as it is and in the best unit.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

SAMPLES = Path(__file__).parents[2] / "samples"
sys.path.insert(0, str(SAMPLES))

from make_two_people import AIM, EYE, FPS, Stage, develop  # noqa: E402
from two_people_motion import load_trajectories  # noqa: E402

import vid3d  # noqa: E402
from vid3d.data.bodies import coco_keypoints, rig_joints  # noqa: E402
from vid3d.data.pairs import PairSequence  # noqa: E402
from vid3d.evaluation.metrics import SCORED  # noqa: E402
from vid3d.evaluation.result import evaluate_result  # noqa: E402
from vid3d.motion import Motion  # noqa: E402
from vid3d.pipeline import LiftOptions, Pipeline  # noqa: E402

Array = NDArray[np.float64]

HEIGHT = 540
TO_CAMERA = np.diag([1.0, -1.0, -1.0])
"""From the renderer's axes (y up, z backward) to ours."""


@dataclass(frozen=True)
class Filmed:
    """Truth of one clip.

    Attributes:
        people: in the frame of the camera at each moment.
        rotation: (F, 3, 3) from the room's frame to the camera's.
        position: (F, 3) of the camera in the room.
    """

    people: list[PairSequence]
    rotation: Array
    position: Array


def ways(frames: int, seed: int) -> Iterator[tuple[str, Array, Array]]:
    """Names, and where (F, 3) the camera is and what it aims at (F, 3)."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(frames) / FPS

    def sway(slow: float, metres: float) -> Array:
        walk = gaussian_filter1d(rng.standard_normal((frames, 3)), slow * FPS, axis=0)
        return metres * walk / walk.std(0)

    def path(x: Array | float = 0, y: Array | float = 0, z: Array | float = 0) -> Array:
        return np.stack(np.broadcast_arrays(x, y, z, seconds)[:3], -1)

    once = np.sin(2 * np.pi * seconds / seconds[-1])
    near = 0.5 - 0.5 * np.cos(2 * np.pi * seconds / seconds[-1])
    eye, aim = path() + EYE, path() + AIM
    steps = path(y=0.03 * np.sin(2 * np.pi * 1.9 * seconds), z=1.0 - 2.4 * seconds / seconds[-1])
    yield "stands", eye, aim
    yield "held by hand", eye + sway(0.3, 0.04), aim + sway(0.12, 0.05)
    yield "to the side", eye + path(0.8 * once), aim + path(0.8 * once)
    yield "around them", eye + path(1.8 * once), aim
    yield "towards them", eye + path(z=-2.2 * near), aim
    yield "walks", eye + steps + sway(0.15, 0.03), aim + sway(0.12, 0.05)


def film(stage: Stage, video: Path, eyes: Array, aims: Array) -> Filmed:
    """Render a clip, and what is true of it."""
    import render_demo

    rng, (width, height) = np.random.default_rng(0), stage.size
    views, joints, keypoints, seen = [], [], [], []
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "20", "preset": "veryfast"}
        for frame, (eye, aim) in enumerate(zip(eyes, aims, strict=True)):
            stage.eye = render_demo.Camera(
                tuple(eye), tuple(aim), stage.vertical_fov, width / height
            )
            views.append(stage.eye.V[:3, :3])
            for actor, one in zip(stage.actors, stage.people, strict=True):
                actor.set(one.rotations[frame], one.roots[frame])
            picture = stage.scene.render(stage.actors, stage.eye, fade=40.0)
            seen.append([stage.scene.keypoints(actor)[:, 2] / 2 for actor in stage.actors])
            now = [
                (actor.b, one.rotations[frame : frame + 1], one.roots[frame : frame + 1])
                for actor, one in zip(stage.actors, stage.people, strict=True)
            ]
            joints.append([stage.in_camera(rig_joints(*one))[0] for one in now])
            keypoints.append([stage.in_camera(coco_keypoints(*one))[0] for one in now])
            shot = av.VideoFrame.from_ndarray(develop(picture, rng), "rgb24")
            container.mux(stream.encode(shot))
        container.mux(stream.encode())
    true, points, sure = (np.array(rows).swapaxes(0, 1) for rows in (joints, keypoints, seen))
    people = [
        PairSequence(
            name=f"{video.stem}/{one.body}",
            keypoints2d=stage.camera.project(points[person]).astype(np.float32),
            confidence=sure[person].astype(np.float32),
            joint_set="coco17",
            joints3d=true[person].astype(np.float32),
            camera=stage.camera,
            fps=FPS,
        )
        for person, one in enumerate(stage.people)
    ]
    return Filmed(people, TO_CAMERA @ np.array(views), eyes)


def report(motion: Motion, filmed: Filmed) -> list[float]:
    """MPJPE, P-MPJPE, MRPE, world, slide, metres away, and two errors of that."""
    found = evaluate_result(motion, filmed.people).overall
    first = filmed.rotation[0]
    back = first @ filmed.rotation.swapaxes(1, 2)
    away = (filmed.position - filmed.position[0]) @ first.T
    errors = []
    for one in filmed.people:
        true = one.joints3d[:, SCORED] @ back.swapaxes(1, 2) + away[:, None]
        apart = np.linalg.norm(motion.joints3d[:, :, SCORED] - true, axis=-1).mean(-1)
        errors.append(np.where(np.isnan(apart), np.inf, apart).min(0))
    world = np.array(errors)
    place = motion.camera_position.astype(np.float64)
    unit = float((place * away).sum() / max((place * place).sum(), 1e-12))
    off = [np.linalg.norm(factor * place - away, axis=1).mean() for factor in (1, unit)]
    slide = 100 * (motion.meta.get("feet") or {}).get("slide_after", np.nan)
    return [
        found.mpjpe, found.p_mpjpe, found.mrpe, 1000 * world[np.isfinite(world)].mean(), slide,
        float(np.linalg.norm(away, axis=1).max()), 1000 * off[0], 1000 * off[1],
    ]  # fmt: skip


def main() -> None:
    """Render, lift and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bodies", type=Path, help="folder of the posable bodies")
    parser.add_argument("out", type=Path, help="folder of the clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--unknown-lens", action="store_true", help="it is to be found as well")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    people = load_trajectories(SAMPLES / "two_people_trajectories.npz")
    stage = Stage(given.bodies, (HEIGHT * 16 // 9, HEIGHT), people)
    K = stage.camera.intrinsics
    known = {"intrinsics": tuple(K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist())}
    options = {} if given.unknown_lens else known
    print(f"{'':14}" + "".join(f"{name:>15}" for name in ("MPJPE", "P-MPJPE", "MRPE", "world")))
    for name, eyes, aims in ways(len(people[0].roots), given.seed):
        video = given.out / f"{name.replace(' ', '_')}.mp4"
        filmed, keypoints = film(stage, video, eyes, aims), video.with_suffix(".json")
        Pipeline(LiftOptions(**options)).detect(video, keypoints)
        lifted = [
            vid3d.lift(video, keypoints=keypoints, travelling=on, **options) for on in (True, False)
        ]
        found, stays = (report(motion, filmed) for motion in lifted)
        text = "".join(f"{a:7.0f} ({b:4.0f}) " for a, b in zip(found[:4], stays[:4], strict=True))
        print(
            f"{name:14}{text} slide {found[4]:4.1f} ({stays[4]:4.1f}); {found[5]:.1f} m away, "
            f"off by {found[6]:.0f} mm, {found[7]:.0f} in the best unit; "
            f"lens of {lifted[0].camera.fov:.1f} degrees",
            flush=True,
        )


if __name__ == "__main__":
    main()
