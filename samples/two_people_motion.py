"""The motion of samples/two_people.mp4: real takes joined, retimed, placed, and stood on the floor.

Everything is at FPS frames a second. Motion capture: 17 Human3.6M joints, metres, z up. A posed
trajectory is what the bodies' rig takes: a global rotation a bone and the place of the pelvis bone,
world axes x right, y up, z towards the camera, floor at y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

Array = NDArray[Any]

FPS = 30.0
CAPTURE_FPS = 50.0
JOIN_SECONDS = 0.3
HIPS, ANKLES, LEFT_HIP, RIGHT_HIP = [4, 1], [6, 3], 4, 1
FLIGHT = 0.06  # metres: a lower sole above this is off the floor
LEG_CHAIN = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot")
ROTATION_SCALE, ROOT_SCALE = float(np.pi), 8.0
ARM_CHAIN = (
    "upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist",
    "fingers1", "fingers2", "thumb1", "thumb2",
)  # fmt: skip
LEG_BONES = [(1, 2), (2, 3), (4, 5), (5, 6)]


@dataclass(frozen=True)
class Take:
    """A stretch of one clip (frames at CAPTURE_FPS), played `speed` times as fast."""

    file: str
    clip: str
    start: int
    stop: int
    speed: float = 1.0


@dataclass(frozen=True)
class Part:
    """One person.

    Attributes:
        body: name in the library of bodies.
        outfit: garments, hair and eyes; the sole of its shoes stands on the floor.
        takes: what the person does, in order.
        start: x, z of the pelvis at first, metres; it faces the camera.
        nod: radians that the head is bent forward, as the takes' actor looks up.
        arms: radians that the arms are held off the hips, as the takes' actor is narrower.
    """

    body: str
    outfit: tuple[str, ...]
    takes: tuple[Take, ...]
    start: tuple[float, float]
    nod: float = 0.0
    arms: float = 0.0


FAIR, ZOO = "train_fair1.npz", "train_biomechzoo.npz"
PARTS = (
    Part(
        "m_asian_35",
        ("male_casualsuit06", "shoes03", "short01", "eyebrow001", "eyes"),
        (
            Take(FAIR, "fair1_wave_hello", 172, 258, 1.0),
            Take(FAIR, "fair1_jumping", 74, 214, 1.0),
            Take(FAIR, "fair1_dab", 66, 400, 1.0),
        ),
        start=(-0.35, -1.3),
    ),
    Part(
        "f_cauc_25",
        ("female_casualsuit01", "shoes03", "ponytail01", "eyebrow009", "eyes"),
        (
            Take(ZOO, "bz_HC030A22", 0, 218, 1.12),
            Take(ZOO, "bz_HC044A29", 10, 196, 1.0),
        ),
        start=(1.75, -0.9),
        nod=0.2,
        arms=0.18,
    ),
)


def load_clips(folder: Path) -> dict[str, Array]:
    """The clips of all files that the takes name: clip -> (frames, 17, 3) at CAPTURE_FPS."""
    clips: dict[str, Array] = {}
    for name in sorted({take.file for part in PARTS for take in part.takes}):
        with np.load(folder / name, allow_pickle=False) as archive:
            low, high = (archive[key].T.astype(np.uint16) for key in ("lo", "hi"))
            zigzag = low | (high << 8)
            steps = ((zigzag >> 1) ^ (0 - (zigzag & 1)).astype(np.uint16)).view(np.int16)
            joints = np.cumsum(steps, axis=0, dtype=np.int16).reshape(-1, 17, 3) * archive["unit"]
            bounds = archive["offsets"]
            for i, clip in enumerate(archive["clips"]):
                clips[str(clip)] = joints[bounds[i] : bounds[i + 1]].astype(float)
    return clips


def resample(joints: Array, speed: float) -> Array:
    """(F, 17, 3) at CAPTURE_FPS -> (G, 17, 3) at FPS, `speed` times as fast."""
    times = np.arange(len(joints)) / CAPTURE_FPS / speed
    moments = np.arange(int(times[-1] * FPS) + 1) / FPS
    return np.asarray(CubicSpline(times, joints)(moments))


def leg_length(joints: Array) -> float:
    """Median over frames of the two legs' length together, hip to ankle."""
    bones = [np.linalg.norm(joints[:, a] - joints[:, b], axis=-1) for a, b in LEG_BONES]
    return float(np.median(sum(bones)))


def heading(pose: Array) -> float:
    """Angle of the line from right to left hip around the vertical."""
    line = pose[LEFT_HIP] - pose[RIGHT_HIP]
    return float(np.arctan2(line[1], line[0]))


def support(pose: Array) -> Array:
    """Where the weight is on the floor: the ankles' mean, the lower one counting more; (2,)."""
    ankles = pose[ANKLES]
    weight = np.exp(-(ankles[:, 2] - ankles[:, 2].min()) / 0.02)
    return np.asarray(weight @ ankles[:, :2] / weight.sum())


def turned(joints: Array, angle: float, about: Array, to: Array) -> Array:
    """Turn around the vertical through `about`, then move that point to `to` (both (2,))."""
    c, s = np.cos(angle), np.sin(angle)
    out = joints.copy()
    out[..., :2] = (joints[..., :2] - about) @ np.array([[c, s], [-s, c]]) + to
    return out


def join(first: Array, second: Array) -> Array:
    """Append `second`, turned and moved so that heading and support agree in the middle of an
    overlap of JOIN_SECONDS over which the two are blended.
    """
    n = round(JOIN_SECONDS * FPS)
    a, b = first[-n + n // 2], second[n // 2]
    second = turned(second, heading(a) - heading(b), support(b), support(a))
    x = (np.arange(n) + 0.5) / n
    weight = (x * x * (3 - 2 * x))[:, None, None]
    blend = first[-n:] * (1 - weight) + second[:n] * weight
    return np.concatenate([first[:-n], blend, second[n:]])


def compose(part: Part, clips: dict[str, Array], legs: float) -> Array:
    """The part's takes as one motion of a body whose legs are `legs` long together; (F, 17, 3)."""
    motion: Array | None = None
    for take in part.takes:
        joints = resample(clips[take.clip][take.start : take.stop], take.speed)
        joints = joints * (legs / leg_length(joints))
        motion = joints if motion is None else join(motion, joints)
    assert motion is not None
    at = np.array([part.start[0], -part.start[1]])
    return turned(motion, -heading(motion[0]), motion[0, 0, :2], at)


def soles(body: Any, shoes: Any, rotations: Array, roots: Array) -> Array:
    """Height of the lowest point of the left and right shoe above the floor; (F, 2) metres."""
    pos, weights, left = shoes.pos[::5], shoes.w[::5], shoes.pos[::5, 0] > 0
    heights = np.empty((len(roots), 2))
    for f, matrices in enumerate(body.matrices(rotations, roots)):
        y = body.lbs(matrices, pos, weights)[:, 1]
        heights[f] = y[left].min(), y[~left].min()
    return heights


def settle(body: Any, shoes: Any, rotations: Array, roots: Array) -> Array:
    """Raise or lower the body so that the lower shoe touches the floor, but in flight; roots."""
    lowest = soles(body, shoes, rotations, roots).min(axis=1)
    frames = np.arange(len(roots))
    down = lowest < FLIGHT
    error = gaussian_filter1d(np.interp(frames, frames[down], lowest[down]), 2.5, mode="nearest")
    return np.asarray(roots - error[:, None] * [0, 1, 0])


def swing(old: Array, new: Array) -> Array:
    """Shortest rotations from directions `old` to `new`, both (F, 3); (F, 3, 3)."""
    axis = np.cross(old, new)
    sine = np.linalg.norm(axis, axis=-1)
    angle = np.arctan2(sine, (old * new).sum(-1))
    return Rotation.from_rotvec(axis * (angle / np.maximum(sine, 1e-9))[:, None]).as_matrix()


def move_ankle(body: Any, rotations: Array, roots: Array, side: str, shift: Array) -> None:
    """Two-bone inverse kinematics in place: move one ankle by `shift` (F, 3), the knee staying in
    its plane and the foot keeping its direction in space.
    """
    heads = body.heads(rotations, roots)
    bones = {name: body.ix[f"{name}.{side}"] for name in LEG_CHAIN}
    hip, knee, ankle = (heads[:, bones[n]] for n in ("upperleg01", "lowerleg01", "foot"))
    thigh, shin = np.linalg.norm(knee - hip, axis=1), np.linalg.norm(ankle - knee, axis=1)
    line = ankle + shift - hip
    reach = np.minimum(np.linalg.norm(line, axis=1), (thigh + shin) * 0.9995)
    line /= np.linalg.norm(line, axis=1, keepdims=True)
    bend = knee - hip - ((knee - hip) * line).sum(-1, keepdims=True) * line
    bend /= np.maximum(np.linalg.norm(bend, axis=1, keepdims=True), 1e-9)
    along = (thigh**2 - shin**2 + reach**2) / (2 * reach)
    across = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    new_knee = hip + along[:, None] * line + across[:, None] * bend
    new_ankle = hip + reach[:, None] * line
    upper = swing(knee - hip, new_knee - hip)
    lower = swing(ankle - knee, new_ankle - new_knee)
    for name, turn in zip(LEG_CHAIN, (upper, upper, lower, lower), strict=False):
        rotations[:, bones[name]] = turn @ rotations[:, bones[name]]


def plant(body: Any, shoes: Any, rotations: Array, roots: Array) -> Array:
    """Bring each foot that rests to the floor by bending the leg; rotations."""
    rotations = rotations.copy()
    for _ in range(2):
        heights = soles(body, shoes, rotations, roots)
        for k, side in enumerate("LR"):
            ankle = body.heads(rotations, roots)[:, body.ix[f"foot.{side}"]]
            speed = np.linalg.norm(np.gradient(ankle, axis=0), axis=1) * FPS
            rests = np.clip(1.6 - speed / 0.6, 0, 1) * np.clip(2 - heights[:, k] / 0.03, 0, 1)
            rests = np.maximum(rests, heights[:, k] < 0)
            drop = gaussian_filter1d(rests * heights[:, k], 2.0, mode="nearest")
            move_ankle(body, rotations, roots, side, -drop[:, None] * [0, 1, 0])
    return rotations


def nod(body: Any, rotations: Array, angle: float) -> Array:
    """Bend the head forward by `angle` radians, the upper neck by half of it; rotations."""
    rotations = rotations.copy()
    for bone, share in (("neck02", 0.5), ("head", 1.0)):
        turn = Rotation.from_rotvec([angle * share, 0, 0]).as_matrix()
        rotations[:, body.ix[bone]] = rotations[:, body.ix[bone]] @ turn
    return rotations


def lift_arms(body: Any, rotations: Array, angle: float) -> Array:
    """Turn both arms sideways, away from the trunk, by `angle` radians; rotations."""
    rotations = rotations.copy()
    forward = rotations[:, body.ix["spine01"], :, 2]
    for side, sign in (("L", 1.0), ("R", -1.0)):
        turn = Rotation.from_rotvec(sign * angle * forward).as_matrix()
        for bone in ARM_CHAIN:
            index = body.ix[f"{bone}.{side}"]
            rotations[:, index] = turn @ rotations[:, index]
    return rotations


def leg_length_of(body: Any) -> float:
    """Both legs of a body together, hip to ankle, metres."""
    chains = [[body.joint(f"{side}_{n}") for n in ("hip", "knee", "ankle")] for side in "lr"]
    return float(sum(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum() for chain in chains))


def pose(body: Any, part: Part, clips: dict[str, Array]) -> tuple[Array, Array]:
    """The posed trajectory of one person: bone rotations (F, B, 3, 3) and roots (F, 3)."""
    joints = compose(part, clips, leg_length_of(body))
    shoes = next(mesh for mesh in body.dressed(list(part.outfit)) if mesh.kind == "shoes")
    rotations, roots = body.pose_from_h36m17(joints, smooth_s=2.0)
    roots = settle(body, shoes, rotations, roots)
    rotations = plant(body, shoes, rotations, roots)
    return lift_arms(body, nod(body, rotations, part.nod), part.arms), roots


@dataclass(frozen=True)
class Trajectory:
    """Name of the body, bone rotations (F, B, 3, 3) and roots (F, 3)."""

    body: str
    rotations: Array
    roots: Array


def compose_all(library: Any, folder: Path) -> list[Trajectory]:
    """Both people, cut to the shorter one's length."""
    clips = load_clips(folder)
    posed = [Trajectory(part.body, *pose(library[part.body], part, clips)) for part in PARTS]
    frames = min(len(one.roots) for one in posed)
    return [Trajectory(one.body, one.rotations[:frames], one.roots[:frames]) for one in posed]


def save_trajectories(path: Path, people: list[Trajectory]) -> None:
    """Rotation vectors and roots as 16-bit steps from frame to frame (pi and 8 m full scale)."""
    arrays: dict[str, Any] = {"bodies": np.array([one.body for one in people]), "fps": FPS}
    for i, one in enumerate(people):
        vectors = Rotation.from_matrix(one.rotations.reshape(-1, 3, 3)).as_rotvec()
        vectors = vectors.reshape(len(one.roots), -1)
        for key, values, scale in (
            ("rotvec", vectors, ROTATION_SCALE),
            ("root", one.roots, ROOT_SCALE),
        ):
            steps = np.round(values / scale * 32767).astype(np.int16)
            arrays[f"{i}/{key}"] = np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1]))
    np.savez_compressed(path, **arrays)


def load_trajectories(path: Path) -> list[Trajectory]:
    """What `save_trajectories` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        people = []
        for i, body in enumerate(archive["bodies"]):
            vectors, roots = (
                np.cumsum(archive[f"{i}/{key}"], axis=0, dtype=np.int16) * (scale / 32767)
                for key, scale in (("rotvec", ROTATION_SCALE), ("root", ROOT_SCALE))
            )
            matrices = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix()
            people.append(Trajectory(str(body), matrices.reshape(len(roots), -1, 3, 3), roots))
    return people
