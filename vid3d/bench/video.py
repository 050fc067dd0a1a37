"""`vid3d bench video`: one run end to end, between two limits measured beside it.

The physical limit is to decode the file and do nothing else. What a run saves shows against the
same 2D networks on every frame (`per_frame`), fed as the public pipelines feed them. Networks are
loaded before the clock starts, on both sides; decoding, 2D, lifting and settling are timed, and
drawing where asked for. Processor seconds, of all threads, tell more where the machine is busy.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import av

from vid3d.bench.clip import make_clip
from vid3d.bench.per_frame import PerFrame, TemporalConvolution, run_per_frame
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor
from vid3d.pipeline import Pipeline
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.models import find_model
from vid3d.pose2d.onnx import OnnxDetector, OnnxPose
from vid3d.video import VideoInfo, probe
from vid3d.video.container import open_video

STRIDES = (10, 20)
ROUNDS = 2
"""Runs of what takes turns; the fastest counts."""
OF_BOUND = 0.8
"""Least share of Amdahl's bound."""
LEAST_GAIN = {10: 5.0, 20: 8.0}
"""Times faster than the per-frame pipeline, by stride."""
MOST_DECODING = {10: 2.0, 20: 1.0}
"""Highest multiple of bare decoding, by stride; the second on streams with B-frames."""
MOST_DRAWING = 4.0
"""The same with the overlay drawn."""


@dataclass(frozen=True)
class Lifted:
    """One run of vid3d.

    Attributes:
        stride: frames from look to look.
        drawn: whether the overlay was written too.
        looks: frames looked at.
        seconds: from end to end. cpu: of the processor.
        stages: seconds by name; decoding overlaps with them and shows where they wait for it.
    """

    stride: int
    drawn: bool
    looks: int
    seconds: float
    cpu: float
    stages: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoCost:
    """Everything measured on one video.

    Attributes:
        name: of the file.
        size: width and height.
        frames: how many. fps: a second. codec: ffmpeg's name.
        bit_rate: bits a second of the file.
        reordered: whether it has B-frames.
        decoding: seconds to decode all frames and do nothing with them, and of the processor.
        per_frame: the pipeline that looks at every frame.
        runs: of vid3d.
    """

    name: str
    size: tuple[int, int]
    frames: int
    fps: float
    codec: str
    bit_rate: float
    reordered: bool
    decoding: tuple[float, float]
    per_frame: PerFrame
    runs: list[Lifted]

    @property
    def duration(self) -> float:
        """Seconds that it plays."""
        return self.frames / self.fps


def bench_video(
    video: Path | None = None,
    height: int = 1080,
    detector: str = "vid3d-person",
    pose: str = "vid3d-pose",
    model: str = "vid3d-base",
    detect_every: int = 1,
) -> VideoCost:
    """Measure a video, or one of 12 seconds and `height` rows that is made for it.

    Raises:
        Vid3dError: an unreadable video or an unknown model.
    """
    with TemporaryDirectory() as folder:
        path = video or make_clip(Path(folder) / f"{height}p.mp4", height)
        options = LiftOptions(
            detector=detector,
            pose=pose,
            model=model,
            detect_every=detect_every,
            backend="onnx",
            device="cpu",
        )
        loaded = Pipeline(options)
        networks, lifter = loaded.estimator, loaded.lifter
        pipelines = {stride: Pipeline(replace(options, stride=stride)) for stride in STRIDES}
        for pipeline in pipelines.values():
            pipeline.estimator, pipeline.lifter = networks, lifter
        decoded, lifted = [], []
        overlay = Path(folder) / "overlay.mp4"
        for _ in range(ROUNDS):
            decoded.append(_decode(path))
            for stride, pipeline in pipelines.items():
                lifted.append(_lift(pipeline, path, stride, None))
            lifted.append(_lift(pipelines[STRIDES[0]], path, STRIDES[0], overlay))
        boxes = OnnxDetector(find_model(detector, "detection", ("onnx",)), padded=True)
        usual = TopDown(boxes, OnnxPose(find_model(pose, "pose", ("onnx",))))
        per_frame = run_per_frame(path, usual, TemporalConvolution())
        return _cost(probe(path), per_frame, min(decoded), lifted)


def _cost(
    info: VideoInfo,
    per_frame: PerFrame,
    decoding: tuple[float, float, bool],
    lifted: list[Lifted],
) -> VideoCost:
    kinds = sorted({(run.drawn, run.stride) for run in lifted})
    fastest = [
        min((run for run in lifted if (run.drawn, run.stride) == kind), key=lambda r: r.seconds)
        for kind in kinds
    ]
    return VideoCost(
        name=info.path.name,
        size=info.size,
        frames=per_frame.frames,
        fps=info.fps,
        codec=info.codec,
        bit_rate=8 * info.path.stat().st_size * info.fps / per_frame.frames,
        reordered=decoding[2],
        decoding=decoding[:2],
        per_frame=per_frame,
        runs=fastest,
    )


def _decode(path: Path) -> tuple[float, float, bool]:
    """Seconds and processor seconds to decode all frames of a file; whether it has B-frames."""
    start, cpu = time.perf_counter(), time.process_time()
    container, stream = open_video(path, "cpu")
    with container:
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):  # a damaged packet
                packet.decode()
        reordered = bool(stream.codec_context.has_b_frames)
        return time.perf_counter() - start, time.process_time() - cpu, reordered


def _lift(pipeline: Pipeline, path: Path, stride: int, overlay: Path | None) -> Lifted:
    pipeline.monitor = monitor = Monitor()
    start, cpu = time.perf_counter(), time.process_time()
    (clip,) = pipeline.observe(path)
    motion = pipeline.lift(clip)
    if overlay is not None:
        from vid3d.render import render_overlay

        with monitor.stage("drawing", motion.frames):
            render_overlay(motion, path, overlay)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    stages = {stage.name: stage.seconds for stage in monitor.stages}
    return Lifted(stride, overlay is not None, len(motion.keyframes), seconds, cpu, stages)
