"""What was seen of a clip, however it was seen: 2D people at looks, read once and in order."""

from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d import __version__
from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.files import sha256_of
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import read_keypoints
from vid3d.pose2d.people import KeypointClip, Look
from vid3d.tracking import has_identities
from vid3d.video import VideoInfo, VideoReader, default_stride
from vid3d.video.reader import SAME_TIME

SAME_RATE = 0.1
"""Share by which rates may differ of a video and of keypoints of its frames: films are sped up by
less for television."""

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
        source: the video, or the file of keypoints where there is none.
        seen_by: the 2D networks, or the kind of file.
        identified: whether every person of every look brings an identity.
        networks: all that the answers of `seen_by` depend on, for JSON.
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
    identified: bool = False
    networks: Any = None

    @cached_property
    def digest(self) -> str | None:
        """Checksum of the source; None for a folder (OpenPose writes one file a frame)."""
        return sha256_of(self.source) if self.source.is_file() else None

    def journal(self, path: Path, options: LiftOptions) -> Journal:
        """What the networks answer about the clip, kept in a file; to be closed."""
        names = ("stride", "detect_every", "flip_test", "start", "end", "backend", "device")
        camera = options.known_camera(self.camera, self.frame_size)
        return Journal(
            path,
            {
                "video": self.digest,
                "networks": self.networks,
                "options": {name: getattr(options, name) for name in names},
                "fov": None if camera is None else camera.fov,  # turns and cuts hang on it
                "vid3d": __version__,
            },
        )


def clips_of_keypoints(
    path: Path,
    video: str | Path | None,
    options: LiftOptions,
    monitor: Monitor | None = None,
) -> Iterator[Clip]:
    """Clips of a keypoint file; a video beside it gives true timestamps and frame size.

    Args:
        path: of the file.
        video: that it is of.
        options: span, stride and camera.
        monitor: told of another rate than the video's, and of identities that cannot be kept.

    Raises:
        Vid3dError: unreadable files, or one video beside several sequences.
    """
    clips, monitor = read_keypoints(path), monitor or Monitor()
    if video is not None and len(clips) != 1:
        raise Vid3dError(
            f"{path} holds {len(clips)} sequences, one video is given: leave the video out"
        )
    for clip in clips:
        if video is not None:
            times, info = _clock(Path(video), options)
            fps, size, filmed = info.fps, info.size, camera_of(info)
            _check_size(clip, size, path, video)
            clip = _timed(clip, fps, path, monitor)
            frames = _frames_in(clip, np.asarray(times), fps)
        else:
            times, fps, size = array("d", clip.timestamps.tolist()), clip.fps, clip.frame_size
            frames, filmed = [look.frame for look in clip.looks], None
        source = path if video is None else Path(video)
        first, stop = _span(np.asarray(times), options, source)
        placed = _placed(clip.looks, frames, range(first, stop), times)
        if clip.looks and not placed:
            raise Vid3dError(
                f"{path} has no look between {times[first]:.2f} and {times[stop - 1]:.2f} s: "
                "give the video that it was made from, and other --start and --end"
            )
        stride = options.stride if isinstance(options.stride, int) else default_stride(fps)
        looks = _thinned(placed, stride)
        identified = has_identities(looks)
        if identified:
            looks = _new_after_cuts(looks, path, monitor)
        yield Clip(
            name=Path(video).stem if video is not None else clip.name,
            looks=_given(looks),
            times=times[first:stop],
            fps=fps,
            frame_size=size,
            keypoint_set=clip.joint_set,
            camera=clip.camera or filmed,
            source=source,
            seen_by=f"file {path.name}",
            identified=identified,
        )


def _check_size(clip: KeypointClip, size: tuple[int, int], path: Path, video: str | Path) -> None:
    """Refuse keypoints of pictures of another size."""
    if clip.size is not None and clip.size != size:
        raise Vid3dError(
            f"{path} is of pictures of {clip.size[0]} x {clip.size[1]} pixels, {video} has "
            f"{size[0]} x {size[1]}: give the video that it was made from"
        )


def _timed(clip: KeypointClip, fps: float, path: Path, monitor: Monitor) -> KeypointClip:
    """A clip of a file without times: those that its rate makes, where the video's is another."""
    if clip.timed or clip.rate is None or abs(clip.rate / fps - 1) <= SAME_RATE:
        return clip
    monitor.warn(
        f"{path} says {clip.rate:.4g} frames/s, the video has {fps:.4g}: its frames count by their "
        "times, not by their numbers"
    )
    return replace(clip, timed=True)


def _frames_in(clip: KeypointClip, times: NDArray[np.float64], fps: float) -> list[int]:
    """The frame of a video that each look of a file shows; -1 for one at a time without a frame.

    By the looks' own times, which count from the video's first frame whatever part of it was
    looked at; by their frames where the file says no times. Of several looks at one frame the
    nearest counts.

    Args:
        clip: out of the file.
        times: (F,) seconds of the video's frames, from its first on.
        fps: its mean frame rate.
    """
    if not clip.timed:
        return [look.frame for look in clip.looks]
    at = np.array([look.time for look in clip.looks])
    middles = (times[1:] + times[:-1]) / 2
    frames = np.searchsorted(middles, at)
    apart = np.abs(times[frames] - at)
    order = np.lexsort([apart, frames])
    nearest = order[np.unique(frames[order], return_index=True)[1]]  # of the looks at each frame
    shown = nearest[apart[nearest] <= 0.5 / fps + SAME_TIME]
    placed = np.full(len(at), -1)
    placed[shown] = frames[shown]
    return placed.tolist()


def _placed(
    looks: Sequence[Look], frames: Sequence[int], wanted: range, times: array
) -> list[Look]:
    """Looks at those frames that are wanted, of which the first is number 0.

    Args:
        looks: out of a file.
        frames: of the clip, that each shows; negative for none.
        wanted: frames of the clip.
        times: (F,) seconds of the clip's frames.
    """
    inside = [frame in wanted for frame in frames]
    return [
        replace(look, frame=frame - wanted.start, time=times[frame])
        for look, frame in zip(_kept(looks, inside), compress(frames, inside), strict=True)
    ]


def _kept(looks: Sequence[Look], stay: Sequence[bool]) -> list[Look]:
    """Those of the looks that stay.

    Nothing moved since the look before if nothing did since any that is left out; the film was cut
    if it was before any of these.
    """
    kept: list[Look] = []
    still, cut = True, False
    for look, stays in zip(looks, stay, strict=True):
        still, cut = still and look.still, cut or look.cut
        if stays:
            kept.append(replace(look, still=still, cut=cut and bool(kept)))
            still, cut = True, False
    return kept


def _span(times: NDArray[np.float64], options: LiftOptions, path: Path) -> tuple[int, int]:
    """The first frame that `start` and `end` leave, and the one after the last.

    Raises:
        Vid3dError: they leave none.
    """
    start = options.start or 0.0
    end = np.inf if options.end is None else options.end
    inside = np.flatnonzero((times >= start - SAME_TIME) & (times <= end + SAME_TIME))
    if not len(inside):
        raise Vid3dError(
            f"{path} has no frame between {start:g} and {end:g} s: its last is at {times[-1]:.2f} s"
        )
    return int(inside[0]), int(inside[-1]) + 1


def _given(looks: list[Look]) -> Callable[[Journal | None], Generator[Look, None, None]]:
    return lambda journal: (look for look in looks)


def _thinned(seen: list[Look], stride: int) -> list[Look]:
    """Looks as near to `stride` frames apart as they come; each shot's first and last stay."""
    stay: list[bool] = []
    last = 0  # frame of those that stay
    for look, after in zip(seen, [*seen[1:], None], strict=True):
        at_a_cut = look.cut or (after is not None and after.cut)
        stay.append(not stay or at_a_cut or _is_nearer(look, after, last + stride))
        last = look.frame if stay[-1] else last
    return _kept(seen, stay)


def _new_after_cuts(looks: list[Look], path: Path, monitor: Monitor) -> list[Look]:
    """Looks with identities, none of which is on both sides of a cut: cameras differ there.

    Who has one of before gets a new one, as everybody does whom the tracker follows.
    """
    first = unused = 1 + max((one for look in looks for one in _ids(look)), default=0)
    before: set[int] = set()
    now: dict[int, int] = {}
    renamed = []
    for look in looks:
        if look.cut:
            before, now = before | set(now), {}
        for one in _ids(look):
            if one not in now:
                now[one] = unused if one in before else one
                unused += one in before
        ids = np.array([now[one] for one in _ids(look)], np.int64)
        renamed.append(replace(look, people=replace(look.people, ids=ids)))
    if unused > first:
        new = f"id {first}" if unused == first + 1 else f"ids {first} to {unused - 1}"
        monitor.warn(
            f"{path}: people whose ids go on after a cut of the film are new there, as {new}"
        )
    return renamed


def _ids(look: Look) -> list[int]:
    """Identities of the people of a look, all of whom have one."""
    return [] if look.people.ids is None else look.people.ids.tolist()


def _is_nearer(look: Look, after: Look | None, frame: int) -> bool:
    """Whether a look is at least as near to a frame as the one after it, if there is one."""
    return after is None or abs(look.frame - frame) <= abs(after.frame - frame)


def camera_of(info: VideoInfo) -> Camera | None:
    """What a video says of its camera."""
    return None if info.focal_35mm is None else Camera.from_35mm(info.focal_35mm, info.size)


def _clock(path: Path, options: LiftOptions) -> tuple[array, VideoInfo]:
    """Timestamps of a video whose pictures are not needed, up to the end of what is wanted."""
    with VideoReader(path, end=options.end) as reader:
        return array("d", (frame.time for frame in reader.frames(_NEVER))), reader.info
