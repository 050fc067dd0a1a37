"""Made-up motions and looks for tests of lifters."""

import numpy as np
import torch

from vid3d.data.mocap import MotionClip
from vid3d.lifter.canonical import Looks


def motion(frames=60, actor="somebody", seed=0):
    """A rigid skeleton that walks a circle, z up."""
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(17, 3)) * [0.2, 0.2, 0.4] + [0, 0, 1]
    angle = np.linspace(0, 3, frames)
    path = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    joints = (pose + path[:, None]).astype(np.float32)
    return MotionClip(f"{actor}-{seed}", actor, "walks", joints)


def looks(seed=0):
    """Four windows, two of each joint set, with a padded last look in the first."""
    rays = 0.2 * torch.rand(4, 5, 17, 2, generator=torch.Generator().manual_seed(seed))
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[0, 4] = False
    times = (torch.arange(5) * 0.16).expand(4, -1)
    return Looks(rays, torch.full((4, 5, 17), 0.9), times, valid, torch.tensor([0, 1, 0, 1]))


def training_options():
    """The recipe of a lifter's training of four steps."""
    return {
        "name": "toy",
        "encoder": {"joint_width": 8, "spatial_blocks": 1, "width": 16, "blocks": 2, "heads": 2},
        "diffusion": {"width": 16, "blocks": 1, "heads": 2},
        "batches": {"seconds": 0.64, "grid": 0.08, "strides": [5, 10]},
        "seed": 0,
        "precision": "bfloat16",
        "stage": {"name": "main", "samples": 16, "batch": 4, "lr": 1e-3, "dev_every": 8},
        "dev_windows": 4,
        "data": {"files": ["toy"], "skipped": []},
    }
