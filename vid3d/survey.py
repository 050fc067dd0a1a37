"""What is to be known of a clip's camera before anybody is lifted: its lens and its way."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.clips import Clip
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor
from vid3d.pose2d.people import Look, camera_seen_by
from vid3d.video import VideoReader
from vid3d.video.mapping import Picture, Placed, place_cameras

MOST_LOOKS = 2000
"""Within which a camera that nobody knows has to turn, for its lens to be found; and of a clip
whose camera's way is found: minutes of work, and a gigabyte of pictures meanwhile."""


@dataclass(frozen=True)
class Survey:
    """The camera of a clip.

    Attributes:
        camera: known, found or assumed.
        lens_found: whether its turns or its way told how wide it sees.
        placed: where it was at the looks, in a unit of its own; None: it is held to stand.
    """

    camera: Camera
    lens_found: bool = False
    placed: Placed | None = None


def surveyed(
    looks: Iterator[Look], clip: Clip, options: LiftOptions, monitor: Monitor
) -> tuple[Survey, Iterator[Look]]:
    """The camera of a clip, and the clip's looks, the first of which may be needed for it.

    Raises:
        Vid3dError: the way of the camera is wanted, and pycolmap is not installed.
    """
    camera = options.known_camera(clip.camera, clip.frame_size)
    if camera and not options.travelling:
        return Survey(camera), looks
    first = list(islice(looks, MOST_LOOKS + 1))
    found = None if camera else camera_seen_by(first, clip.frame_size)
    placed = None
    if options.travelling:
        begin = camera or found or Camera.from_fov(ASSUMED_FOV, clip.frame_size)
        placed = _placed(first, clip, options, monitor, begin, camera is not None)
        if placed and placed.fov:
            found = Camera.from_fov(placed.fov, clip.frame_size)
    seen_through = camera or found or Camera.from_fov(ASSUMED_FOV, clip.frame_size)
    return Survey(seen_through, found is not None, placed), chain(first, looks)


def _placed(
    looks: list[Look],
    clip: Clip,
    options: LiftOptions,
    monitor: Monitor,
    camera: Camera,
    lens_known: bool,
) -> Placed | None:
    """Where a camera was at the looks; None where nothing was found."""
    cut = any(look.cut for look in looks)
    if cut or len(looks) > MOST_LOOKS:
        why = "the film was cut" if cut else f"more than {MOST_LOOKS} looks are too many"
        monitor.warn(
            f"{why}: the way of the camera is not looked for; lift parts by themselves with "
            "--start and --end"
        )
        return None
    with monitor.stage("camera's way", unit="looks") as advance:
        placed = place_cameras(_pictures(looks, clip, options), camera, options.seed, lens_known)
        advance(len(looks))
    if placed is None:
        monitor.warn(
            "the way of the camera was not found: too little of the background is seen well "
            "from several places; it is held to stand"
        )
    return placed


def _pictures(looks: list[Look], clip: Clip, options: LiftOptions) -> Iterator[Picture]:
    """The pictures of the looks, decoded once more."""
    at = {look.frame: index for index, look in enumerate(looks)}
    # Of frames off the stride the video's last one alone has a picture.
    frames, last = list(at), len(clip.times) - 1
    stride = math.gcd(*(frame for frame in frames if frame != last)) or 1
    with VideoReader(clip.source, options.start, options.end) as reader:
        for frame in reader.frames(stride):
            index = at.get(frame.index)
            if index is not None:
                yield Picture(index, frame.image, looks[index].people.boxes)
            if frame.index >= frames[-1]:
                break
