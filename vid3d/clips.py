"""What was seen of a clip, however it was seen: 2D people at looks, read once and in order."""

from array import array
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from vid3d import __version__
from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.files import sha256_of
from vid3d.lift_options import LiftOptions
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import read_keypoints
from vid3d.pose2d.people import Look
from vid3d.tracking import has_identities
from vid3d.video import VideoInfo, VideoReader, default_stride

_NEVER = 1 << 30  # frames from one picture to the next, where none is needed


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        name: of the video or the sequence.
        looks: reads the looks in time order, once; answers of networks go through a journal if one
            is given.
        times: seconds of every frame; grows while the looks are read.
        fps: mean frame rate.
        frame_size: width and height as displayed.
        keypoint_set: joint set of the looks' keypoints.
        camera: where the file that the clip came from knew it.
        source: the file it came from.
        seen_by: the 2D networks, or the kind of file.
        identified: whether every person of every look brings an identity.
    """

    name: str
    looks: Callable[[Journal | None], Generator[Look, None, None]]
    times: array
    fps: float
    frame_size: tuple[int, int]
    keypoint_set: str
    camera: Camera | None
    source: Path
    seen_by: str
    identified: bool = field(default=False)

    @cached_property
    def digest(self) -> str | None:
        """Checksum of the source; None for a folder (OpenPose writes one file a frame)."""
        return sha256_of(self.source) if self.source.is_file() else None

    def journal(self, path: Path, options: LiftOptions) -> Journal:
        """What the networks answer about the clip, kept in a file; to be closed."""
        names = ("stride", "detect_every", "start", "end", "backend", "device")
        return Journal(
            path,
            {
                "video": self.digest,
                "networks": self.seen_by,
                "options": {name: getattr(options, name) for name in names},
                "vid3d": __version__,
            },
        )


def clips_of_keypoints(
    path: Path, video: str | Path | None, options: LiftOptions
) -> Iterator[Clip]:
    """Clips of a keypoint file; a video beside it gives true timestamps and frame size.

    Raises:
        Vid3dError: unreadable files, or one video beside several sequences.
    """
    clips = read_keypoints(path)
    if video is not None and len(clips) != 1:
        raise Vid3dError(
            f"{path} holds {len(clips)} sequences, one video is given: leave the video out"
        )
    for clip in clips:
        if video is not None:
            times, info = _clock(Path(video), options)
            fps, size, filmed = info.fps, info.size, camera_of(info)
        else:
            times, fps, size = array("d", clip.timestamps.tolist()), clip.fps, clip.frame_size
            filmed = None
        stride = options.stride if isinstance(options.stride, int) else default_stride(fps)
        looks = [
            replace(look, time=times[look.frame])
            for look in _thinned(clip.looks, stride)
            if look.frame < len(times)
        ]
        yield Clip(
            name=Path(video).stem if video is not None else clip.name,
            looks=_given(looks),
            times=times,
            fps=fps,
            frame_size=size,
            keypoint_set=clip.joint_set,
            camera=clip.camera or filmed,
            source=Path(video) if video is not None else path,
            seen_by=f"file {path.name}",
            identified=has_identities(looks),
        )


def _given(looks: list[Look]) -> Callable[[Journal | None], Generator[Look, None, None]]:
    return lambda journal: (look for look in looks)


def _thinned(seen: list[Look], stride: int) -> list[Look]:
    """Looks at least `stride` frames apart; the first and the last always stay."""
    kept: list[Look] = []
    for look in seen:
        if not kept or look.frame - kept[-1].frame >= stride:
            kept.append(look)
    if seen and kept[-1] is not seen[-1]:
        kept.append(seen[-1])
    return kept


def camera_of(info: VideoInfo) -> Camera | None:
    """What a video says of its camera."""
    return None if info.focal_35mm is None else Camera.from_35mm(info.focal_35mm, info.size)


def _clock(path: Path, options: LiftOptions) -> tuple[array, VideoInfo]:
    """Timestamps of a video whose pictures are not needed, and what it says of itself."""
    with VideoReader(path, options.start, options.end) as reader:
        return array("d", (frame.time for frame in reader.frames(_NEVER))), reader.info
