"""COCO-style JSON of 2D keypoints: images and annotations, or a plain list of results."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise, zip_longest
from statistics import mode
from typing import Any

import numpy as np

from vid3d.camera import Camera
from vid3d.errors import Vid3dError
from vid3d.motion_checks import MOST_FRAMES
from vid3d.pose2d.people import JOINTS, KeypointClip, Look, People, boxes_around
from vid3d.skeleton import COCO17, H36M17, JointSet, joint_set

_WIDER = (26, 133)
"""Joints of Halpe-26 and COCO-WholeBody: their first 17 are COCO's."""
_CALLED = {
    spelled: joint
    for joint in COCO17.joints + H36M17.joints
    for side, _, part in [joint.rpartition("_")]
    for spelled in (side + part, side[:1] + part, part + side, part + side[:1])
}
"""Joints by what files call them, in small letters alone: LeftHip, l_hip, hip.left, Hip_L."""

DEFAULT_RATE = 25.0
"""Only to give looks a place in time where a file says nothing; never reported as its rate."""


def clip_from_coco(document: Any, name: str) -> KeypointClip:
    """The clip of a parsed COCO-style document.

    Understood beside COCO's own fields: `info.fps`, `info.frames`, `info.fov`; of an image `frame`
    (or `frame_id`), `time`, `still`, `shift`, `cut`, `width`, `height`; of an annotation `score`,
    `track_id` (or `idx`). The third number of a keypoint is a confidence in 0..1, or COCO's
    visibility 0, 1, 2.

    Raises:
        Vid3dError: a field is missing or has the wrong type or length.
    """
    if isinstance(document, list):
        document = _from_results(document)
    if not isinstance(document, dict):
        raise Vid3dError("expected an object with images and annotations, or a list of results")
    images = _objects(document, "images")
    annotations = _objects(document, "annotations")
    info = document.get("info") or {}
    if not isinstance(info, dict):
        raise Vid3dError("info is not an object")
    frames = _frames(images)
    by_image = _grouped(annotations, {image["id"] for image in images})
    scale = _confidence_scale(annotations)
    joints, columns = _joints(document)
    rate = _optional_number(info.get("fps", document.get("fps")), "fps")
    timed = all(image.get("time") is not None for image in images)
    size, looks = _size(images), []
    for image, frame in sorted(zip(images, frames, strict=True), key=lambda pair: pair[1]):
        time = _optional_number(image.get("time"), "time of an image")
        people = _people(by_image[image["id"]], scale, columns)
        time = frame / (rate or DEFAULT_RATE) if time is None else time
        still, cut = (image.get(name) is True for name in ("still", "cut"))
        looks.append(Look(frame, time, people, still, _shift(image.get("shift")), cut))
    return KeypointClip(
        name=name,
        looks=looks,
        joint_set=joints.name,
        frames=max(int(_optional_number(info.get("frames"), "frames") or 0), max(frames) + 1),
        rate=rate if rate is not None or not timed else _rate_of(looks),
        size=size,
        camera=_camera(info.get("fov"), size),
        timed=timed,
    )


def coco_from_clip(clip: KeypointClip) -> dict[str, Any]:
    """A COCO-style document of a clip; see `keypoint_files.write_keypoints`."""
    joints = joint_set(clip.joint_set)
    size = {} if clip.size is None else {"width": clip.size[0], "height": clip.size[1]}
    images = [
        {
            "id": i,
            "frame": look.frame,
            "time": round(look.time, 6),
            **({"still": True} if look.still else {}),
            **({"cut": True} if look.cut else {}),
            **({} if look.shift is None else {"shift": _rounded(look.shift)}),
            **size,
        }
        for i, look in enumerate(clip.looks)
    ]
    annotations: list[dict[str, Any]] = []
    for i, look in enumerate(clip.looks):
        for person in range(len(look.people)):
            annotation = _annotation(look.people, person)
            annotations.append({"id": len(annotations), "image_id": i, **annotation})
    rate = {} if clip.rate is None else {"fps": clip.rate}
    lens = {} if clip.camera is None else {"fov": round(clip.camera.fov, 6)}
    category = {"id": 1, "name": "person", "keypoints": list(joints.joints)}
    return {
        "info": {
            "description": f"2D keypoints of {clip.name}",
            "frames": clip.frames,
            **rate,
            **lens,
        },
        "images": images,
        "annotations": annotations,
        "categories": [category],
    }


def _annotation(people: People, person: int) -> dict[str, Any]:
    confidence = people.confidence[person].astype(float)
    points = np.where(confidence[:, None] > 0, people.keypoints[person], 0).astype(float)
    flat = np.concatenate([points.round(2), confidence[:, None].round(4)], 1)
    left, top, right, bottom = people.boxes[person].astype(float).round(2)
    annotation: dict[str, Any] = {
        "category_id": 1,
        "keypoints": flat.ravel().tolist(),
        "num_keypoints": int((confidence > 0).sum()),
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
        "score": round(float(people.scores[person]), 4),
    }
    if people.ids is not None:
        annotation["track_id"] = int(people.ids[person])
    return annotation


def _from_results(results: Sequence[Any]) -> dict[str, Any]:
    """A list of {image_id, keypoints, score}, as detectors write it; image ids are frames.

    They count from 0 or from 1. Images without people are not in such a list: those that its usual
    step would have brought are put back, or nobody could be told to have been away.
    """
    if not results or not all(isinstance(r, dict) and "image_id" in r for r in results):
        raise Vid3dError("expected a list of results with image_id and keypoints")
    numbers = _with_empty(sorted({_number_in(result["image_id"]) for result in results}))
    frames = _from_first(numbers)
    images = [{"id": n, "frame": frame} for n, frame in zip(numbers, frames, strict=True)]
    annotations = [{**result, "image_id": _number_in(result["image_id"])} for result in results]
    return {"images": images, "annotations": annotations}


def _with_empty(numbers: Sequence[int]) -> list[int]:
    """Rising numbers, and those that are missing between them at their most frequent step."""
    step = mode(np.diff(numbers).tolist() or [1])
    if numbers[-1] - numbers[0] > step * MOST_FRAMES:
        raise Vid3dError(f"image_ids lie more than {MOST_FRAMES} frames apart: cut the clip")
    gaps = (range(before, after, step) for before, after in pairwise(numbers))
    return [*chain.from_iterable(gaps), numbers[-1]]


def _number_in(image_id: Any) -> int:
    """A frame number: itself, or the last number in a file name."""
    if isinstance(image_id, int) and not isinstance(image_id, bool):
        return image_id
    digits = re.findall(r"\d{1,15}", image_id) if isinstance(image_id, str) else []
    if not digits:
        raise Vid3dError(f"image_id {image_id!r} holds no frame number")
    return int(digits[-1])


def _from_first(numbers: Sequence[int]) -> list[int]:
    """Frames of numbers that count from 0 or from 1."""
    first = min(*numbers, 1)
    return [number - first for number in numbers]


def _objects(document: Mapping[str, Any], field: str) -> list[Any]:
    entries = document.get(field)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Vid3dError(f"{field} is missing or not a list of objects")
    return entries


def _frames(images: Sequence[Mapping[str, Any]]) -> list[int]:
    """Frame index of each image: as given, else by the number of its file, else its id's rank."""
    if not images:
        raise Vid3dError("images is empty")
    ids = [image.get("id") for image in images]
    if not all(type(i) in (int, str) for i in ids) or len(set(ids)) < len(ids):
        raise Vid3dError("images need ids, each its own")
    given = [image.get("frame", image.get("frame_id")) for image in images]
    if all(frame is None for frame in given):
        if numbers := _file_numbers(images):
            return _from_first(numbers)
        rank = {i: n for n, i in enumerate(sorted(ids, key=_natural))}
        return [rank[i] for i in ids]
    if not all(type(frame) is int and 0 <= frame < 1e9 for frame in given):
        raise Vid3dError("frame of an image is missing or not a whole number below 1e9")
    return given


def _file_numbers(images: Sequence[Mapping[str, Any]]) -> list[int]:
    """Numbers of frames in which alone the images' file names differ; [] where they do otherwise.

    Numbers beyond the longest clip are times, or of a data set.
    """
    names = [str(image.get("file_name")) for image in images]
    parts = [re.fullmatch(r"(.*?)(\d{1,15})(\.\w+)", name) for name in names]
    numbers = [int(part[2]) for part in parts if part]
    alike = len({part and (part[1], part[3]) for part in parts}) == 1 < len(images)
    distinct = len(set(numbers)) == len(images)
    return numbers if alike and distinct and max(numbers) < MOST_FRAMES else []


def _natural(image_id: Any) -> tuple[Any, ...]:
    """A key by which `img_10.jpg` comes after `img_9.jpg`, and text after numbers.

    Digits are compared by how many there are and then as text: they may be more than `int` reads.
    """
    if isinstance(image_id, int):
        return False, image_id
    parts = re.split(r"(\d+)", image_id)
    words = [(0, part) for part in parts[::2]]
    numbers = [(len(part), part) for part in (part.lstrip("0") for part in parts[1::2])]
    return True, *chain.from_iterable(zip_longest(words, numbers, fillvalue=(0, ""))), image_id


def _grouped(
    annotations: Sequence[Mapping[str, Any]], image_ids: set[Any]
) -> dict[Any, list[Mapping[str, Any]]]:
    groups: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        image_id = annotation.get("image_id")
        if type(image_id) not in (int, str) or image_id not in image_ids:
            raise Vid3dError(f"an annotation has image_id {image_id!r}, which no image has")
        groups[image_id].append(annotation)
    return groups


def _people(
    annotations: Sequence[Mapping[str, Any]], scale: float, columns: Sequence[int]
) -> People:
    if not annotations:
        return People.none()
    xyc = np.stack([_keypoints(annotation)[columns] for annotation in annotations])
    confidence = (xyc[..., 2] * scale).clip(0, 1).astype(np.float32)
    keypoints = xyc[..., :2].astype(np.float32)
    boxes = boxes_around(keypoints, confidence)
    for box, annotation in zip(boxes, annotations, strict=True):
        if annotation.get("bbox") is not None:
            x, y, w, h = _numbers(annotation["bbox"], "bbox", (4,))
            box[:] = x, y, x + w, y + h
    # a person's score falls back on the mean of its joints
    scores = [_optional_number(a.get("score"), "score") for a in annotations]
    means = confidence.mean(1)
    return People(
        boxes,
        np.array([m if s is None else s for s, m in zip(scores, means, strict=True)], np.float32),
        keypoints,
        confidence,
        _ids(annotations),
    )


def _keypoints(annotation: Mapping[str, Any]) -> Any:
    """(17, 3) of an annotation's flat or nested list."""
    values = _numbers(annotation.get("keypoints"), "keypoints")
    count, rest = divmod(values.size, 3)
    if rest or count not in (JOINTS, *_WIDER):
        raise Vid3dError(
            f"keypoints has {values.size} numbers, expected {3 * JOINTS} (x, y, confidence of "
            f"{JOINTS} joints)"
        )
    return values.reshape(count, 3)[:JOINTS]


def _ids(annotations: Sequence[Mapping[str, Any]]) -> Any:
    """Identities where all have a whole number and no two the same, else None."""
    ids = [annotation.get("track_id", annotation.get("idx")) for annotation in annotations]
    whole = all(type(i) is int and abs(i) < 2**62 for i in ids)
    return np.array(ids, np.int64) if whole and len(set(ids)) == len(ids) else None


def _confidence_scale(annotations: Sequence[Mapping[str, Any]]) -> float:
    """1 for confidences; one half where the third numbers are COCO's visibility 0, 1, 2."""
    if not annotations:
        return 1.0
    third = np.concatenate([_keypoints(annotation)[:, 2] for annotation in annotations])
    return 0.5 if np.isin(third, (0, 1, 2)).all() and (third == 2).any() else 1.0


def _joints(document: Mapping[str, Any]) -> tuple[JointSet, list[int]]:
    """The joint set that a document names, and the place of each of its joints there.

    Without names, or where they say nothing ("1", "2"), joints are in COCO's order.

    Raises:
        Vid3dError: some names are those of joints, but they make up no set.
    """
    names = _joint_names(document)
    known = [_CALLED.get(re.sub(r"[\W_]", "", name).lower()) for name in names]
    for joints in (COCO17, H36M17):
        if set(known) == set(joints.joints):
            return joints, [known.index(joint) for joint in joints.joints]
    if any(known):
        others = [name for name, joint in zip(names, known, strict=True) if joint is None]
        raise Vid3dError(
            f"categories name joints ({', '.join(map(repr, others or names))[:80]}) that make up "
            "neither coco17 nor h36m17: give all joints of one of these, in any order"
        )
    return COCO17, list(range(JOINTS))


def _joint_names(document: Mapping[str, Any]) -> list[str]:
    """Names of the first joints in the first category that has any."""
    categories = document.get("categories")
    for category in categories if isinstance(categories, list) else []:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if isinstance(names, list) and names:
            return [str(name) for name in names[:JOINTS]]
    return []


def _camera(fov: Any, size: tuple[int, int] | None) -> Camera | None:
    """The camera of images of a size, where a file says how wide it sees."""
    degrees = _optional_number(fov, "fov")
    return None if degrees is None or size is None else Camera.from_fov(degrees, size)


def _shift(rows: Any) -> Any:
    """Homography (3, 3) of an image that a camera took which had turned, else None."""
    if rows is None:
        return None
    shift = _numbers(rows, "shift of an image", (3, 3))
    if not (shift[2, 2] > 0 and np.linalg.cond(shift) < 1e12):
        raise Vid3dError("shift of an image is no homography that can be undone")
    return shift


def _rounded(shift: Any) -> Any:
    """A homography, scaled to end in 1, to a thousandth of a pixel."""
    return (shift / shift[2, 2]).round(9).tolist()


def _size(images: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    width, height = (images[0].get(side) for side in ("width", "height"))
    if width is None or height is None:
        return None
    if not all(type(side) is int and 0 < side < 1e6 for side in (width, height)):
        raise Vid3dError(f"image size is {width!r} x {height!r}, expected whole numbers")
    return width, height


def _rate_of(looks: Sequence[Look]) -> float | None:
    """Mean rate by the looks' own times."""
    span = looks[-1].time - looks[0].time
    if len(looks) < 2 or span <= 0:
        return None
    return (looks[-1].frame - looks[0].frame) / span


def _numbers(values: Any, what: str, shape: tuple[int, ...] | None = None) -> Any:
    try:
        array = np.asarray(values, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise Vid3dError(f"{what} is not a list of numbers") from error
    if not array.ndim or (shape is not None and array.shape != shape):
        raise Vid3dError(f"{what} is missing or of the wrong length")
    if not (np.isfinite(array) & (np.abs(array) < 1e9)).all():
        raise Vid3dError(f"{what} holds a value that is not a finite number")
    return array


def _optional_number(value: Any, what: str) -> float | None:
    if value is None:
        return None
    return float(_numbers([value], what, (1,))[0])
