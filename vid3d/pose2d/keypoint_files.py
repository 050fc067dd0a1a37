"""2D keypoints in files: pair files, COCO-style JSON and OpenPose folders in, JSON and MOT out."""

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.data.pairs import PairSequence, read_pairs
from vid3d.errors import Vid3dError
from vid3d.files import atomic_path, read_json, safe_stem
from vid3d.pose2d.coco_json import clip_from_coco, coco_from_clip
from vid3d.pose2d.mot_text import mot_from_clip
from vid3d.pose2d.openpose_json import clip_from_openpose
from vid3d.pose2d.people import KeypointClip, Look, People, boxes_around

__all__ = ["KeypointClip", "read_keypoints", "write_keypoints"]


def read_keypoints(path: str | Path) -> list[KeypointClip]:
    """The clips of a file of 2D keypoints.

    Args:
        path: a pair file (`.npz`: each sequence is a clip of one person), COCO-style JSON
            (images and annotations, or a plain list of results), or a folder of OpenPose JSON.
            The two JSON kinds hold one clip; identities are kept where the file has them.

    Raises:
        Vid3dError: no such file, or one that is none of these; the message says what is wrong.
    """
    path = Path(path)
    try:
        if path.is_dir():
            clips = [clip_from_openpose(path)]
        elif not path.exists():
            raise Vid3dError("no such file or folder of keypoints")
        elif not path.is_file():
            raise Vid3dError("a pipe or a device, expected a file or a folder of keypoints")
        elif path.suffix.lower() == ".txt":
            raise Vid3dError(
                "text (as of MOTChallenge) holds boxes without joints; give .pairs.npz, COCO-style "
                "JSON (vid3d detect VIDEO -o FILE.json) or an OpenPose folder"
            )
        elif path.suffix == ".npz" or zipfile.is_zipfile(path):
            clips = [_clip_from_pairs(sequence) for sequence in read_pairs(path)]
            _check_names(clips)
        else:
            clips = [clip_from_coco(_read_json(path), path.stem)]
        return [_checked(clip) for clip in clips]
    except Vid3dError as error:
        text = str(error)
        raise (error if str(path) in text else Vid3dError(f"{path}: {text}")) from error


def write_keypoints(path: str | Path, clip: KeypointClip) -> Path:
    """Write a clip as COCO-style JSON, or as MOTChallenge text where the name ends in `.txt`.

    `read_keypoints` reads the JSON back: `images` has an entry a look (`id`, `frame`, `time`,
    `width`, `height`), `annotations` one a person there (`keypoints` as x, y, confidence; `bbox`;
    `score`; `track_id` where known). The text holds boxes and identities only.
    """
    is_text = Path(path).suffix.lower() == ".txt"
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        if is_text:
            file.write(mot_from_clip(clip))
        else:
            json.dump(coco_from_clip(clip), file, allow_nan=False, separators=(",", ":"))
    return Path(path)


def _read_json(path: Path) -> Any:
    try:
        return read_json(path)
    except OSError as error:
        raise Vid3dError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Vid3dError(
            f"not read as JSON ({error}); "
            "expected a .pairs.npz file, COCO-style JSON or an OpenPose folder"
        ) from error


def _check_names(clips: Sequence[KeypointClip]) -> None:
    """Refuse sequences whose results would overwrite each other."""
    counts = Counter(safe_stem(clip.name).casefold() for clip in clips)
    name, count = counts.most_common(1)[0]
    if count > 1:
        raise Vid3dError(f"{count} sequences are called {name}: give each a name of its own")


def _clip_from_pairs(sequence: PairSequence) -> KeypointClip:
    """One person, looked at on every frame."""
    looks = []
    for frame in range(len(sequence)):
        keypoints, confidence = sequence.keypoints2d[None, frame], sequence.confidence[None, frame]
        people = People.none()
        if (confidence != 0).any():
            boxes = boxes_around(keypoints, confidence)
            people = People(boxes, confidence.mean(1), keypoints, confidence, np.zeros(1, int))
        looks.append(Look(frame, frame / sequence.fps, people))
    return KeypointClip(
        name=sequence.name,
        looks=looks,
        joint_set=sequence.joint_set,
        frames=len(sequence),
        rate=sequence.fps,
        size=sequence.camera.frame_size,
        camera=sequence.camera,
    )


def _checked(clip: KeypointClip) -> KeypointClip:
    """Refuse what no lifter could use, and order ids.

    Raises:
        Vid3dError: coordinates are shares of the image instead of pixels.
    """
    seen = [look.people.keypoints[look.people.confidence > 0] for look in clip.looks]
    points = np.concatenate([*seen, np.zeros((0, 2), np.float32)])
    if len(points) > 20 and np.abs(points).max() <= 2:
        raise Vid3dError("keypoints lie between 0 and 1, expected pixels")
    if all(look.people.ids is not None for look in clip.looks if len(look.people)):
        return clip
    looks = [replace(look, people=replace(look.people, ids=None)) for look in clip.looks]
    return replace(clip, looks=looks)
