"""Video in and out: frames with true timestamps, the choice of keyframes, H.264 files."""

from vid3d.video.container import VideoInfo
from vid3d.video.frame import Frame
from vid3d.video.keyframes import default_stride, looks
from vid3d.video.prefetch import prefetch
from vid3d.video.reader import VideoReader, probe
from vid3d.video.writer import VideoWriter

__all__ = [
    "Frame",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "default_stride",
    "looks",
    "prefetch",
    "probe",
]
