"""What it costs that a camera turns or zooms, and what of it is won back by taking that out.

    python benchmarks/world/turning.py OUT

A clip of known truth is filmed again by a camera in the same place that is held by hand, follows
somebody or zooms: its pictures are warped by the homographies of known rotations and focal lengths
(border pixels repeated beyond the edges). Each version is looked at once and lifted twice: as
`vid3d lift` does, and with the camera held to stand still. Errors in millimetres: MPJPE and P-MPJPE
as of `vid3d eval`, MRPE of the pelvis in the frame of the camera at each moment, and "world", the
mean distance of all scored joints in a frame that does not turn, where nothing is aligned.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

import vid3d
from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.evaluation.metrics import SCORED
from vid3d.evaluation.result import evaluate_result
from vid3d.motion import Motion
from vid3d.motion_schema import from_camera, largest_turn, largest_zoom
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.video import VideoReader, VideoWriter

SAMPLE = Path(__file__).parents[2] / "samples" / "two_people"
SHAKES = {"held by hand, calm": 0.3, "held by hand": 0.6, "held by hand, nervous": 1.2}
"""Degrees about each axis, root mean square."""


Course = tuple[str, NDArray[np.float64], NDArray[np.float64]]


def courses(frames: int, rate: float, seed: int) -> Iterator[Course]:
    """Names, rotation vectors (F, 3) in degrees from the first frame's camera, and zooms (F,)."""
    seconds = np.arange(frames) / rate
    random = np.random.default_rng(seed).standard_normal((frames, 3))
    shake = gaussian_filter1d(random, 0.12 * rate, axis=0)  # up to about 2 Hz
    shake /= shake.std(0)
    pan = np.zeros((frames, 3))
    pan[:, 1] = 8 * np.sin(2 * np.pi * seconds / seconds[-1])
    pan[:, 0] = 1.5 * np.sin(2 * np.pi * seconds / 5)
    still, same = np.zeros((frames, 3)), np.ones(frames)
    slow = np.exp(np.log(1.5) * np.sin(np.pi * seconds / seconds[-1]) ** 2)
    quick = np.exp(np.log(1.5) * (0.5 + 0.5 * np.tanh((seconds - seconds[-1] / 2) / 0.2)))
    yield "on a tripod", still, same
    for name, degrees in SHAKES.items():
        yield name, degrees * shake, same
    yield "follows", pan, same
    yield "follows, held by hand", pan + 0.6 * shake, same
    yield "zooms in to 1.5 and out", still, slow
    yield "zooms in to 1.5 within half a second", still, quick
    yield "zooms in and out, follows", pan, slow
    yield "zooms in and out, follows, held by hand", pan + 0.6 * shake, slow


def film(
    source: Path,
    target: Path,
    K: NDArray[np.floating],
    rotations: Rotation,
    zooms: NDArray[np.float64],
) -> None:
    """Film a clip again with the camera turned and zoomed by as much as is given for each frame."""
    with (
        VideoReader(source) as reader,
        VideoWriter(target, reader.info.fps, reader.info.size) as writer,
    ):
        for frame, turn, zoom in zip(reader, rotations.as_matrix(), zooms, strict=True):
            warp = K @ np.diag([zoom, zoom, 1.0]) @ turn @ np.linalg.inv(K)
            picture = cv2.warpPerspective(
                frame.image, warp, reader.info.size, borderMode=cv2.BORDER_REPLICATE
            )
            writer.write(picture, frame.time)


def truth_of(people: list[PairSequence], rotations: Rotation) -> list[PairSequence]:
    """The clip's people in the frame of the turned camera."""
    turn = rotations.as_matrix().swapaxes(1, 2)
    return [replace(one, joints3d=(one.joints3d @ turn).astype(np.float32)) for one in people]


def stripped(keypoints: Path) -> Path:
    """The same keypoints, as if the camera had stood still."""
    document = json.loads(keypoints.read_text(encoding="utf-8"))
    for image in document["images"]:
        image.pop("shift", None)
    still = keypoints.with_suffix(".still.json")
    still.write_text(json.dumps(document), encoding="utf-8")
    return still


def in_world(motion: Motion, people: list[PairSequence], rotations: Rotation) -> float:
    """Mean distance of scored joints, metres, in the frame of the camera at the first frame.

    Each true person has the result person nearest to it.
    """
    still = (rotations[0] * rotations.inv()).as_matrix().swapaxes(1, 2)
    errors = []
    for one in truth_of(people, rotations):
        true = (one.joints3d @ still)[:, SCORED]
        away = np.linalg.norm(motion.joints3d[:, :, SCORED] - true, axis=-1).mean(-1)
        errors.append(np.nanmin(away, 0))
    return float(np.nanmean(errors))


def report(
    name: str,
    motion: Motion,
    people: list[PairSequence],
    rotations: Rotation,
    zooms: NDArray[np.float64],
) -> str:
    """One line of the table."""
    found = evaluate_result(motion, truth_of(people, rotations)).overall
    world = 1000 * in_world(motion, people, rotations)
    slide = 100 * (motion.meta.get("feet") or {}).get("slide_after", np.nan)
    told = from_camera(motion, np.eye(3)[None].repeat(motion.frames, 0))
    true = (rotations[0] * rotations.inv()).as_matrix()
    off = Rotation.from_matrix(true @ told.swapaxes(1, 2)).magnitude()[motion.keyframes]
    wrong = np.abs(np.log(motion.camera_zoom / zooms))[motion.keyframes]
    return (
        f"{name:62} {found.mpjpe:6.1f} {found.p_mpjpe:6.1f} {found.mrpe:6.0f} {world:6.0f} "
        f"{slide:6.1f} {largest_turn(motion):6.1f} {np.degrees(off.mean()):6.2f} "
        f"{largest_zoom(motion):6.2f} {100 * wrong.mean():6.2f}"
    )


def main() -> None:
    """Film, lift and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the clips")
    parser.add_argument("--clip", type=Path, default=SAMPLE, help="NAME of .mp4 and .pairs.npz")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    people = read_pairs(given.clip.with_suffix(".pairs.npz"))
    camera = people[0].camera
    options = {"intrinsics": tuple(camera.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]].tolist())}
    head = "MPJPE  P-MPJ   MRPE  world  slide   turn    off   zoom    off  (cm/s, degrees, %)"
    print(f"{'':62}  {head}")
    frames = len(people[0].joints3d)
    for index, (name, vectors, zooms) in enumerate(courses(frames, people[0].fps, given.seed)):
        rotations = Rotation.from_rotvec(vectors, degrees=True)
        video = given.out / f"{index}.mp4"
        film(given.clip.with_suffix(".mp4"), video, camera.intrinsics, rotations, zooms)
        keypoints = given.out / f"{index}.json"
        Pipeline(LiftOptions(**options)).detect(video, keypoints)
        for how, file in (("", keypoints), (", held to stand still", stripped(keypoints))):
            motion = vid3d.lift(video, keypoints=file, **options)
            print(report(name + how, motion, people, rotations, zooms), flush=True)


if __name__ == "__main__":
    main()
