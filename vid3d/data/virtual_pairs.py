"""Pair files from recorded motion: virtual cameras and detector-like noise, at full rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vid3d.camera import Camera
from vid3d.data.bodies import coco_keypoints, rig_joints
from vid3d.data.cameras import CameraRanges, view
from vid3d.data.mocap import MOCAP_FPS, MotionClip
from vid3d.data.noise import NoiseLevels, detect
from vid3d.data.pairs import PairSequence
from vid3d.skeleton import joint_set as named_set

LONGER_SIDE = 1920  # pixels


def make_pairs(
    clips: Sequence[MotionClip],
    joint_set: str,
    seed: int,
    bodies: Sequence[Any] = (),
    seconds: float = 6.0,
    camera: CameraRanges | None = None,
    levels: NoiseLevels | None = None,
) -> list[PairSequence]:
    """Sequences of clips, cut to pieces, each seen by a random camera.

    Args:
        clips: recorded motions.
        joint_set: of the 2D keypoints; `coco17` needs bodies.
        seed: of everything.
        bodies: posable bodies that perform the clips in turn; the truth is then the rig's joints.
        seconds: longest piece.
        camera: ranges; by default nobody leaves the picture on purpose.
        levels: of the 2D noise.
    """
    generator = torch.Generator().manual_seed(seed)
    ranges = camera or CameraRanges(fov=(38, 82), truncated=0.0)
    longest = round(seconds * MOCAP_FPS)
    sequences: list[PairSequence] = []
    for clip in clips:
        for start in range(0, len(clip.joints), longest):
            piece = clip.joints[start : start + longest]
            if len(piece) < 25:
                continue
            body = bodies[len(sequences) % len(bodies)] if bodies else None
            truth, seen = _perform(piece, body, joint_set)
            name = f"{clip.name}@{start}"
            sequences.append(_see(name, truth, seen, joint_set, ranges, levels, generator))
    return sequences


def _perform(piece: np.ndarray, body: Any, joint_set: str) -> tuple[Tensor, Tensor]:
    """The h36m17 truth and the joints that are seen, both (F, 17, 3), z up."""
    if body is None:
        joints = torch.from_numpy(piece)
        return joints, joints
    R, root = body.pose_from_h36m17(piece)
    y_up_to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    truth = rig_joints(body, R, root) @ y_up_to_z_up.T
    seen = coco_keypoints(body, R, root) @ y_up_to_z_up.T if joint_set == "coco17" else truth
    return torch.from_numpy(truth).float(), torch.from_numpy(seen).float()


def _see(
    name: str,
    truth: Tensor,
    seen: Tensor,
    joint_set: str,
    ranges: CameraRanges,
    levels: NoiseLevels | None,
    generator: torch.Generator,
) -> PairSequence:
    views = view(torch.cat([truth, seen], 1)[None], ranges, generator, tries=12)
    rays = views.joints[..., :2] / views.joints[..., 2:].clamp_min(0.05)
    noisy, confidence = detect(
        rays[:, :, 17:],
        views.inside()[:, :, 17:],
        named_set(joint_set),
        levels or NoiseLevels(look=0.0),
        generator,
    )
    half_width, half_height = views.half[0].tolist()
    focal = LONGER_SIDE / 2 / max(half_width, half_height)
    size = (round(2 * focal * half_width), round(2 * focal * half_height))
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return PairSequence(
        name=name,
        keypoints2d=(noisy[0].numpy() * focal + np.array(centre)).astype(np.float32),
        confidence=confidence[0].numpy(),
        joint_set=joint_set,
        joints3d=views.joints[0, :, :17].numpy(),
        camera=Camera.from_focal(focal, focal, *centre, frame_size=size),
        fps=MOCAP_FPS,
    )
