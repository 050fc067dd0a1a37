"""Crowds without pictures: motion capture seen by one camera and a fallible detector.

Every detection knows whose it is, so identities can be scored without matching boxes. World frame
of the motion: z up, metres; the camera stands at the origin's side and looks along world +y.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vid3d.camera import Camera
from vid3d.pose2d.people import Look, People
from vid3d.skeleton import H36M17

Array = NDArray[np.floating]

FPS = 50.0
FRAME_SIZE = (1280, 720)
# Radii in metres of the capsules along the bones that hide what is behind them.
_TRUNK_RADIUS, _LIMB_RADIUS = 0.16, 0.07
_TRUNK = {0, 1, 4, 7, 8, 11, 14}


@dataclass(frozen=True)
class Crowd:
    """A simulated clip at full rate.

    Attributes:
        joints: (P, F, 17, 3) camera frame, NaN where a person's motion has not begun or has ended.
        keypoints: (P, F, 17, 2) exact pixels.
        hidden: (P, F, 17) joints behind another person or outside the frame.
    """

    joints: Array
    keypoints: Array
    hidden: NDArray[np.bool_]


@dataclass(frozen=True)
class Sighting:
    """A look together with the person behind each detection, -1 for nobody."""

    look: Look
    owners: NDArray[np.int64]


def read_clips(folder: Path, actors: Sequence[str] = ()) -> list[Array]:
    """Joint positions (F, 17, 3), world frame, of the pack's training clips of at least 1.6 s.

    Args:
        folder: of the compact motion files `train_*.npz`.
        actors: keep only clips of these actors; empty keeps all.
    """
    clips = []
    for path in sorted(folder.glob("train_*.npz")):
        pack = np.load(path)
        zigzag = pack["lo"].T.astype(np.uint16) | (pack["hi"].T.astype(np.uint16) << 8)
        steps = ((zigzag >> 1) ^ (0 - (zigzag & 1)).astype(np.uint16)).view(np.int16)
        joints = np.cumsum(steps, axis=0, dtype=np.int16).reshape(-1, 17, 3) * pack["unit"]
        bounds = zip(pack["actors"], pack["offsets"], pack["offsets"][1:], strict=False)
        clips += [
            joints[a:b].astype(np.float32)
            for actor, a, b in bounds
            if b - a >= 80 and (not actors or str(actor) in actors)
        ]
    return clips


def make_crowd(clips: Sequence[Array], people: int, rng: np.random.Generator) -> Crowd:
    """A clip of 8 s: walkers cross the view, others stay near where they are."""
    frames = int(8 * FPS)
    degrees = rng.uniform(45, 75)
    camera = Camera.from_fov(degrees, FRAME_SIZE)
    joints = np.full((people, frames, 17, 3), np.nan, np.float32)
    for person in range(people):
        motion = _placed(_long_clip(clips, frames, rng), degrees, rng)
        start = 0 if len(motion) >= frames else rng.integers(0, frames - len(motion) + 1)
        joints[person, start : start + len(motion)] = motion[:frames]
    joints = _to_camera(joints, rng.uniform(1.2, 2.6), rng.uniform(-2, 10))
    # Nobody walks through the camera.
    joints[(joints[..., 2] < 1.2).any(-1)] = np.nan
    keypoints = camera.project(joints)
    return Crowd(joints, keypoints, _hidden(joints, keypoints, camera.intrinsics[0, 0]))


def _long_clip(clips: Sequence[Array], frames: int, rng: np.random.Generator) -> Array:
    """A random clip, preferring long and travelling ones: half of all draws must travel 2 m."""
    wants_travel = rng.random() < 0.7
    for _ in range(100):
        clip = clips[rng.integers(len(clips))]
        start = rng.integers(0, max(1, len(clip) - frames + 1))
        clip = clip[start : start + frames]
        travel = np.linalg.norm(clip[-1, 0, :2] - clip[0, 0, :2])
        if not wants_travel or travel > 2:
            return clip
    return clip


def _placed(clip: Array, fov: float, rng: np.random.Generator) -> Array:
    """Turn a clip about the vertical and move it into view; walkers go mostly sideways."""
    path = clip[-1, 0, :2] - clip[0, 0, :2]
    if np.linalg.norm(path) > 1:
        heading = rng.choice([0, np.pi]) + rng.normal(0, 0.5)
        turn = heading - np.arctan2(path[1], path[0])
    else:
        turn = rng.uniform(-np.pi, np.pi)
    c, s = np.cos(turn), np.sin(turn)
    turned = clip @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32).T
    depth = rng.uniform(3.5, 9)
    half_width = depth * np.tan(np.radians(fov / 2))
    place = np.array([rng.normal(0, 0.35) * half_width, depth])
    middle = turned[len(turned) // 2, 0, :2]
    turned[..., :2] += place - middle
    turned[..., 2] -= turned[..., 2].min()
    # An even drift stands for the variety of speeds that few clips have.
    drift = rng.normal(0, 0.25) * np.linspace(-0.5, 0.5, len(turned)) * len(turned) / FPS
    turned[..., 0] += drift[:, None]
    return turned


def _to_camera(joints: Array, height: float, pitch: float) -> Array:
    """World (x, y forward, z up) to the camera frame of a camera tilted down by `pitch` degrees."""
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2] - height
    c, s = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    return np.stack([x, -c * z - s * y, c * y - s * z], -1)


def _hidden(joints: Array, keypoints: Array, focal: float) -> NDArray[np.bool_]:
    """Joints outside the frame or behind a capsule of a person who is nearer by 15 cm."""
    width, height = FRAME_SIZE
    x, y = keypoints[..., 0], keypoints[..., 1]
    hidden = ~((x >= 0) & (x < width) & (y >= 0) & (y < height))
    people = len(joints)
    for front in range(people):
        for parent, child in H36M17.bones:
            radius = _TRUNK_RADIUS if {parent, child} <= _TRUNK else _LIMB_RADIUS
            a, b = keypoints[front, :, None, parent], keypoints[front, :, None, child]
            depth = joints[front, :, None, [parent, child], 2].mean(0)
            for behind in range(people):
                if behind == front:
                    continue
                p = keypoints[behind]
                along = ((p - a) * (b - a)).sum(-1) / np.maximum(((b - a) ** 2).sum(-1), 1e-6)
                gap = np.linalg.norm(p - a - np.clip(along, 0, 1)[..., None] * (b - a), axis=-1)
                behind_it = joints[behind, ..., 2] > depth + 0.15
                hidden[behind] |= behind_it & (gap < radius * focal / depth)
    return hidden


def visible(crowd: Crowd, frame: int) -> NDArray[np.bool_]:
    """(P,) whose joints can be seen, three or more of them."""
    there = np.isfinite(crowd.keypoints[:, frame]).all((-2, -1))
    return there & ((~crowd.hidden[:, frame]).sum(-1) >= 3)


def observe(crowd: Crowd, stride: int, rng: np.random.Generator) -> list[Sighting]:
    """What a detector and a pose network tell at every `stride`-th frame (and the last)."""
    frames = crowd.joints.shape[1]
    looks = sorted({*range(0, frames, stride), frames - 1})
    drift = rng.normal(0, 0.008, (len(crowd.joints), 1, 17, 2))
    return [_observe_frame(crowd, frame, drift, rng) for frame in looks]


def _observe_frame(crowd: Crowd, frame: int, drift: Array, rng: np.random.Generator) -> Sighting:
    found: list[tuple[Array, float, Array, Array, int]] = []
    for person in range(len(crowd.joints)):
        exact, hidden = crowd.keypoints[person, frame], crowd.hidden[person, frame]
        if not visible(crowd, frame)[person]:
            continue
        share = float(hidden.mean())
        size = _size(exact)
        front = _in_front(crowd, person, frame)
        # Mostly hidden people are missed, or their box shows the pose of who stands in front.
        missed = rng.random() < 0.02 + 1 / (1 + np.exp(-(share - 0.65) * 14))
        if missed and (front is None or rng.random() > 0.3):
            continue
        shown, owner = (front, -1) if missed and front is not None else (person, person)
        points = crowd.keypoints[shown, frame] + drift[shown, 0] * size
        points = points + rng.normal(0, 0.012, (17, 2)) * size
        unsure = crowd.hidden[shown, frame]
        points = _mistakes(points, unsure, crowd, shown, frame, size, rng)
        confidence = np.clip(rng.normal(np.where(unsure, 0.3, 0.8), 0.12), 0, 1)
        score = float(np.clip(rng.normal(0.85 - 0.6 * share, 0.08), 0.05, 1))
        if owner < 0:
            score *= 0.7
        box = _box(exact, hidden, size, rng)
        found.append((box, score, points, confidence, owner))
    if rng.random() < 0.03:
        found.append(_phantom(rng))
    return _sighting(found, frame)


def _size(points: Array) -> float:
    low, high = points.min(0), points.max(0)
    return float(np.sqrt(np.prod(np.maximum(high - low, 8.0))))


def _in_front(crowd: Crowd, person: int, frame: int) -> int | None:
    """The nearest other person whose pelvis is within a body's width in the image."""
    own = crowd.keypoints[person, frame]
    gaps = np.linalg.norm(crowd.keypoints[:, frame, 0] - own[0], axis=-1)
    nearer = crowd.joints[:, frame, 0, 2] < crowd.joints[person, frame, 0, 2]
    gaps = np.where(nearer & np.isfinite(gaps), gaps, np.inf)
    gaps[person] = np.inf
    front = int(gaps.argmin())
    return front if gaps[front] < 0.6 * _size(own) else None


def _mistakes(
    points: Array,
    hidden: NDArray[np.bool_],
    crowd: Crowd,
    person: int,
    frame: int,
    size: float,
    rng: np.random.Generator,
) -> Array:
    """Outliers, hidden joints that are guessed or taken from the person in front, swapped sides."""
    points = points.copy()
    outliers = rng.random(17) < 0.01
    points[outliers] += rng.normal(0, 0.3, (int(outliers.sum()), 2)) * size
    points[hidden] += rng.normal(0, 0.08, (int(hidden.sum()), 2)) * size
    front = _in_front(crowd, person, frame)
    if front is not None and hidden.any():
        stolen = hidden & (rng.random(17) < 0.4)
        points[stolen] = crowd.keypoints[front, frame][stolen]
    if rng.random() < 0.03:
        points = points[H36M17.flip]
    return points


def _box(exact: Array, hidden: NDArray[np.bool_], size: float, rng: np.random.Generator) -> Array:
    """Box around what is seen (all of it where little is), with margin and jitter."""
    seen = exact[~hidden] if (~hidden).sum() >= 4 else exact
    low, high = seen.min(0) - 0.08 * size, seen.max(0) + 0.08 * size
    box = np.concatenate([low, high]) + rng.normal(0, 0.025, 4) * size
    width, height = FRAME_SIZE
    return np.clip(box, 0, [width, height, width, height])


def _phantom(rng: np.random.Generator) -> tuple[Array, float, Array, Array, int]:
    """A person where there is none, with a pose made up."""
    size = rng.uniform(40, 150)
    centre = rng.uniform([0, 0], FRAME_SIZE)
    box = np.concatenate([centre - [size * 0.6, size * 1.4], centre + [size * 0.6, size * 1.4]])
    points = centre + rng.normal(0, 0.4, (17, 2)) * size
    return box, rng.uniform(0.1, 0.6), points, rng.uniform(0.1, 0.5, 17), -1


def _sighting(found: list[tuple[Array, float, Array, Array, int]], frame: int) -> Sighting:
    boxes = np.array([f[0] for f in found], np.float32).reshape(-1, 4)
    scores = np.array([f[1] for f in found], np.float32)
    kept = _box_nms(boxes, scores)
    people = People(
        boxes=boxes[kept],
        scores=scores[kept],
        keypoints=np.array([f[2] for f in found], np.float32).reshape(-1, 17, 2)[kept],
        confidence=np.array([f[3] for f in found], np.float32).reshape(-1, 17)[kept],
        ids=None,
    )
    owners = np.array([f[4] for f in found], np.int64)[kept]
    return Sighting(Look(frame, frame / FPS, people), owners)


def _box_nms(boxes: Array, scores: Array, threshold: float = 0.65) -> NDArray[np.int64]:
    """The detector's own non-maximum suppression, which loses people who overlap a lot."""
    kept: list[int] = []
    for i in np.argsort(-scores):
        a = boxes[i]
        for j in kept:
            b = boxes[j]
            sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
            shared = sides.prod()
            union = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared
            if shared > threshold * union:
                break
        else:
            kept.append(int(i))
    return np.array(sorted(kept), np.int64)
