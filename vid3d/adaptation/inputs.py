"""What a lifter is adapted to: videos, folders and keypoint files, as tracks of people."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vid3d.adaptation.target import Piece
from vid3d.batch.inputs import find_sources
from vid3d.camera import Camera
from vid3d.clips import Clip, camera_of
from vid3d.errors import Vid3dError
from vid3d.files import safe_stem, sha256_of
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor
from vid3d.pipeline import Pipeline
from vid3d.steadying import Steadying
from vid3d.tracking import clean, segments, track_people
from vid3d.video import probe

KEYPOINT_SUFFIXES = (".npz", ".json")
_OTHER_JSON = (".vid3d.json", ".export.json")  # results


def read_target(
    inputs: Sequence[Path], cache: Path, options: LiftOptions, monitor: Monitor
) -> list[Piece]:
    """Tracks of all people of the inputs, cut where they are absent.

    Args:
        inputs: videos, files of 2D keypoints, folders of either, folders of OpenPose JSON.
        cache: folder that keeps what was detected in videos: each is looked at once.
        options: how to look; the lifter and its own options play no part.
        monitor: told of progress.

    Raises:
        Vid3dError: an input is missing or cannot be read, there is none, or the options have the
            camera travel.
    """
    if options.travelling:
        raise Vid3dError("adaptation does not follow cameras that travel: leave travelling out")
    files = [
        _looked_at(file, video, cache, options, monitor)
        for path in inputs
        for file, video in _expanded(path, cache, options).items()
    ]
    pieces: list[Piece] = []
    number = 0
    for path, camera in files:
        # Of files all looks count: the denser, the better the teacher.
        reading = replace(options, keypoints=path, stride=1)
        for clip in Pipeline(reading, monitor).observe():
            # Numbered: people of one clip share a floor, and clips of two folders may share a name.
            name = f"{path.name}:{clip.name}#{number}"
            pieces += _tracks(replace(clip, camera=clip.camera or camera), name, reading)
            number += 1
    return pieces


def digest_of(pieces: Sequence[Piece]) -> str:
    """What the target is, in short."""
    found = hashlib.sha256()
    for piece in pieces:
        found.update(f"{piece.clip}{piece.joint_set}{piece.camera}".encode())
        for array in (piece.keypoints, piece.confidence, piece.times):
            found.update(np.ascontiguousarray(array, np.float64).tobytes())
    return found.hexdigest()


def _expanded(path: Path, cache: Path, options: LiftOptions) -> dict[Path, Path | None]:
    """The files that an input stands for, each with the video that it is or is of, if any."""
    if path.is_file():
        return {path: None if path.suffix.lower() in KEYPOINT_SUFFIXES else path}
    if any(path.glob("[!.]*_keypoints.json")):  # as OpenPose writes it
        return {path: None}
    files = [*path.glob("[!.]*.pairs.npz"), *path.glob("[!.]*.json")]
    found: dict[Path, Path | None] = dict.fromkeys(
        file
        for file in sorted(files)
        if not file.name.endswith(_OTHER_JSON) and file != options.camera
    )
    of_name = {file.name.removesuffix(".json").removesuffix(".pairs.npz"): file for file in found}
    try:
        for one in find_sources([path], cache)[1]:
            found[of_name.get(one.key.rpartition(".")[0], one.path)] = one.path
    except Vid3dError:
        if not found:
            raise
    return found


def _looked_at(
    file: Path, video: Path | None, cache: Path, options: LiftOptions, monitor: Monitor
) -> tuple[Path, Camera | None]:
    """A file of 2D people, detected now or at an earlier run; the camera that its video states."""
    if video is None:
        return file, None
    info = probe(video)
    stated = camera_of(info)
    if file != video:
        return file, stated
    known = options.known_camera(stated, info.size)
    names = ("stride", "detect_every", "flip_test", "start", "end")
    watching = [getattr(options, name) for name in names]
    watching.append(known and known.fov)  # turns and cuts hang on it
    pipeline = Pipeline(options, monitor)
    what = json.dumps([watching, pipeline.networks, sha256_of(video)], sort_keys=True)
    key = hashlib.sha256(what.encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{safe_stem(video.stem)}-{key}.json"
    if not path.is_file():
        pipeline.detect(video, path)
    return path, stated


def _tracks(clip: Clip, name: str, options: LiftOptions) -> list[Piece]:
    """Everybody in a clip, a piece an unbroken presence."""
    camera = options.camera_of(clip.camera, clip.frame_size)
    steadying = Steadying(camera)
    looks = [steadying.steadied(look) for look in clip.looks(None)]
    pieces = []
    for track in track_people(looks, clip.frame_size, clip.keypoint_set):
        cleaned = clean(track, looks, clip.keypoint_set)
        times = np.array([looks[int(index)].time for index in track.looks])
        for segment in segments(track, looks):
            part = segment.sightings
            confidence = cleaned.confidence[part]
            if not ((confidence > 0).sum(1) >= 2).any():
                continue
            shot = sum(look.cut for look in looks[: int(track.looks[part][0]) + 1])
            piece = Piece(
                clip=f"{name} {shot}" if shot else name,  # another floor
                keypoints=cleaned.keypoints[part],
                confidence=confidence,
                times=times[part],
                frames=segment.frames.stop - segment.frames.start,
                joint_set=clip.keypoint_set,
                camera=camera,
            )
            pieces.append(piece)
    return pieces
