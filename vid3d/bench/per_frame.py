"""What one would run instead: 2D networks on every frame, then a temporal convolution.

As MMPose's body3d demo and VideoPose3D do it, with the same 2D files as vid3d. The lifter is
VideoPose3D's network (Pavllo et al. 2019, arXiv 1811.11742) with 243 frames of context and random
weights, which cost what trained ones do. It runs over whole sequences, as VideoPose3D's own
inference does; the demo's window for every frame costs more.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vid3d.pose2d.estimator import TopDown
from vid3d.video import VideoReader

CHANNELS, LAYERS = 1024, 4
CONTEXT = 3 ** (LAYERS + 1)
CHUNK = 1000
"""Frames in one pass of the lifter: bounds memory."""


class TemporalConvolution(nn.Module):
    """2D joints (B, F + 242, 34) to 3D joints (B, F, 51); 16.95 million parameters."""

    def __init__(self, joints: int = 17) -> None:
        super().__init__()
        self.expand = _unit(2 * joints, CHANNELS, 3, bias=True)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _unit(CHANNELS, CHANNELS, 3, dilation=3**depth), _unit(CHANNELS, CHANNELS, 1)
            )
            for depth in range(1, LAYERS + 1)
        )
        self.shrink = nn.Conv1d(CHANNELS, 3 * joints, 1)

    def forward(self, joints: Tensor) -> Tensor:
        """Lift a sequence."""
        x = self.expand(joints.transpose(1, 2))
        for depth, block in enumerate(self.blocks, 1):
            x = x[..., 3**depth : -(3**depth)] + block(x)
        lifted: Tensor = self.shrink(x).transpose(1, 2)
        return lifted


def _unit(source: int, target: int, width: int, dilation: int = 1, bias: bool = False) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(source, target, width, dilation=dilation, bias=bias),
        nn.BatchNorm1d(target),
        nn.ReLU(),
    )


@dataclass(frozen=True)
class PerFrame:
    """Seconds of the pipeline's parts.

    Attributes:
        decoding: waiting for frames.
        looking: converting pictures, detector and pose network.
        lifting: the temporal convolution.
        frames: how many there were.
        cpu: processor seconds of all.
    """

    decoding: float
    looking: float
    lifting: float
    frames: int
    cpu: float

    @property
    def total(self) -> float:
        """Seconds from end to end."""
        return self.decoding + self.looking + self.lifting

    def bound(self, looks: int, decoding: float = 0.0) -> float:
        """How many times faster it could be, by Amdahl's law, if only `looks` were looked at.

        Args:
            looks: frames that networks see.
            decoding: seconds that decoding all frames takes by itself. While the networks work,
                decoding goes on behind them, so waiting for frames says too little about it; with
                the networks gone, it is what is left.
        """
        spared = self.looking * (1 - looks / self.frames)
        return self.total / max(self.total - spared, decoding)


def run_per_frame(video: Path, networks: TopDown, lifter: TemporalConvolution) -> PerFrame:
    """Time the pipeline on a video; of several people the largest is lifted."""
    decoding = looking = 0.0
    joints: list[np.ndarray] = []
    cpu = time.process_time()
    with VideoReader(video) as reader:
        frames = iter(reader)
        mark = time.perf_counter()
        for frame in frames:
            decoded = time.perf_counter()
            people = networks([frame.image])[0]
            areas = (people.boxes[:, 2:] - people.boxes[:, :2]).prod(-1)
            last = joints[-1] if joints else np.zeros((17, 2), np.float32)
            joints.append(people.keypoints[areas.argmax()] if len(areas) else last)
            decoding += decoded - mark
            mark = time.perf_counter()
            looking += mark - decoded
        lift(lifter, np.stack(joints) / reader.info.width)
    lifting, cpu = time.perf_counter() - mark, time.process_time() - cpu
    return PerFrame(decoding, looking, lifting, len(joints), cpu)


@torch.inference_mode()
def lift(lifter: TemporalConvolution, joints: np.ndarray) -> np.ndarray:
    """Joints (F, 17, 3) of 2D joints (F, 17, 2), the ends repeated as VideoPose3D does."""
    reach = CONTEXT // 2
    padded = np.pad(joints.reshape(len(joints), -1), ((reach, reach), (0, 0)), mode="edge")
    lifter.eval()
    parts = [
        lifter(torch.from_numpy(padded[None, start : start + CHUNK + 2 * reach]).float())[0]
        for start in range(0, len(joints), CHUNK)
    ]
    return torch.cat(parts).unflatten(-1, (-1, 3)).numpy()
