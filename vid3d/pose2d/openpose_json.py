"""A folder of OpenPose JSON: one file a frame, BODY_25 or COCO-18 joints."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.files import read_json
from vid3d.pose2d.people import KeypointClip, Look, People, boxes_around

# Index in OpenPose's order of each coco17 joint; all three sets use the person's own left.
_COCO17_OF = {
    25: (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11),
    18: (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10),
}
_SUFFIX = "_keypoints.json"


def clip_from_openpose(folder: Path) -> KeypointClip:
    """The clip of a folder as OpenPose writes it with `--write_json`.

    Frames are the numbers in the file names, from the first on; hidden files are none. OpenPose
    says neither the frame rate nor the size of the images.

    Raises:
        Vid3dError: no such files in the folder, or one that OpenPose did not write.
    """
    files = sorted(folder.glob(f"[!.]*{_SUFFIX}"), key=_number)
    if not files:
        raise Vid3dError(f"no files *{_SUFFIX}, as OpenPose writes them, in this folder")
    looks = []
    for file in files:
        frame = _number(file) - _number(files[0])
        looks.append(Look(frame, frame / 25, _people(file)))
    return KeypointClip(
        name=folder.name, looks=looks, joint_set="coco17", frames=looks[-1].frame + 1
    )


def _number(file: Path) -> int:
    digits = re.findall(r"\d{1,15}", file.name.removesuffix(_SUFFIX))
    if not digits:
        raise Vid3dError(f"{file.name} has no frame number in its name")
    return int(digits[-1])


def _people(file: Path) -> People:
    try:
        document = read_json(file)
        entries = document["people"]
        xyc = [_joints(entry["pose_keypoints_2d"]) for entry in entries]
    except OSError as error:
        raise Vid3dError(f"{file.name} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise Vid3dError(f"{file.name} is not OpenPose JSON ({reason})") from error
    if not xyc:
        return People.none()
    stacked = np.stack(xyc)
    keypoints = stacked[..., :2].astype(np.float32)
    confidence = stacked[..., 2].clip(0, 1).astype(np.float32)
    boxes = boxes_around(keypoints, confidence)
    return People(boxes, confidence.mean(1), keypoints, confidence, _ids(entries))


def _joints(values: Any) -> Any:
    """(17, 3) in coco17's order of one person's flat list."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or array.size // 3 not in _COCO17_OF or array.size % 3:
        raise ValueError(
            f"pose_keypoints_2d has shape {array.shape}, expected 75 numbers (BODY_25) or 54 (COCO)"
        )
    if not (np.isfinite(array) & (np.abs(array) < 1e9)).all():
        raise ValueError("pose_keypoints_2d holds a value that is not a finite number")
    return array.reshape(-1, 3)[list(_COCO17_OF[array.size // 3])]


def _ids(entries: Any) -> Any:
    """Identities where OpenPose tracked (`person_id` is [-1] where it did not)."""
    ids = [entry.get("person_id") for entry in entries]
    ids = [i[0] if isinstance(i, list) and len(i) == 1 else i for i in ids]
    whole = all(type(i) is int and 0 <= i < 2**62 for i in ids)
    return np.array(ids, np.int64) if whole and len(set(ids)) == len(ids) else None
