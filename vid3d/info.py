"""A short card of any file that vid3d reads or writes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.files import as_argument, expanded, open_npz
from vid3d.weights import check_model, find_model, read_manifest, shipped_models

if TYPE_CHECKING:
    from vid3d.motion import Motion
    from vid3d.world import Ground

Card = list[tuple[str, str]]


def describe(target: str) -> Card:
    """What is in a video, a motion, a pair file, a file of keypoints, or weights.

    Args:
        target: a path, or the name of a shipped model.

    Returns:
        (label, text) lines.

    Raises:
        Vid3dError: no such file, or nothing that vid3d knows.
    """
    path = expanded(target)
    if not path.exists():
        if target in shipped_models():
            return describe_model(find_model(target))
        raise Vid3dError(f"no such file: {target}, nor a shipped model of that name")
    if path.is_dir():
        is_openpose = any(path.glob("*_keypoints.json"))
        return describe_keypoints(path) if is_openpose else describe_model(path)
    if not path.is_file():
        raise Vid3dError(f"{path} is a pipe or a device; give a file")
    if path.suffix == ".safetensors":
        return describe_lifter(path)
    if path.suffix == ".npz":
        return describe_pairs(path) if _is_pairs(path) else describe_motion(path)
    if path.name.endswith(".vid3d.json"):
        return describe_motion(path)  # which says what to give in its place
    if path.name == "manifest.json" or path.suffix in (".onnx", ".pth"):
        return describe_model_of(path)
    if path.suffix == ".txt":
        raise Vid3dError(f"{path} is text; give a video, a motion, keypoints or weights")
    if path.suffix == ".json":
        return describe_keypoints(path)
    return describe_video(path)


def describe_video(path: Path) -> Card:
    """Size, rate, length and codec of a video."""
    from vid3d.clips import camera_of
    from vid3d.video import default_stride, probe

    info = probe(path)
    camera = camera_of(info)
    return [
        ("video", str(path)),
        ("size", f"{info.width} x {info.height} as displayed, rotation {info.rotation}"),
        ("rate", f"{info.fps:.4g} frames/s on average"),
        ("frames", "unknown" if info.frames is None else f"about {info.frames}"),
        ("duration", "unknown" if info.duration is None else f"{info.duration:.2f} s"),
        ("codec", info.codec),
        (
            "field of view",
            "unknown" if camera is None else f"{camera.fov:.1f} degrees, by its lens",
        ),
        ("stride", f"{default_stride(info.fps)} by default"),
    ]


def describe_motion(path: Path) -> Card:
    """People, floor, feet, jitter and origin of a motion."""
    from vid3d.motion import Motion
    from vid3d.motion_schema import AXES, UNITS
    from vid3d.world import find_stances, foot_slides, ground_of, jitters

    motion = Motion.load(path)
    width, height = motion.frame_size
    seconds = motion.timestamps[-1] - motion.timestamps[0] if motion.frames else 0.0
    ground = ground_of(motion)
    slides = foot_slides(motion, find_stances(motion), ground.normal)
    meta = motion.meta
    return [
        ("motion", str(path)),
        ("people", f"{motion.people} (tracks {', '.join(map(str, motion.track_ids))})"),
        ("frames", f"{motion.frames} at {motion.fps:.4g} frames/s, {seconds:.2f} s"),
        ("looks", f"{len(motion.keyframes)} keyframes, {motion.keypoint_set}"),
        *([("partial", "interrupted before the end of the video")] if meta.get("partial") else []),
        *([("cuts", _cut_text(meta["cuts"]))] if meta.get("cuts") else []),
        ("camera", f"{width} x {height}, {_lens_text(motion)}{_moves_text(motion)}"),
        ("axes", f"{meta.get('axes', AXES)}; {meta.get('units', UNITS)}"),
        ("floor", _floor_text(ground, "ground" in meta)),
        ("feet", _feet_text(meta.get("feet"))),
        ("smoothing", _smoothing_text(meta.get("smooth"))),
        *_people_lines(motion, slides, jitters(motion)),
        ("source", str((meta.get("source") or {}).get("name", "unknown"))),
        ("model", f"{_model_text(meta.get('model'))}, 2D: {meta.get('pose2d', 'unknown')}"),
    ]


def _model_text(model: dict[str, Any] | None) -> str:
    """What lifted the people; other programs may not say."""
    return str((model or {}).get("name") or "unknown")


def _cut_text(cuts: list[float]) -> str:
    """Where the film was cut, in words."""
    shown = ", ".join(f"{seconds:.2f}" for seconds in cuts[:8])
    return f"before {shown}{' and more' if len(cuts) > 8 else ''} s; people are new after each"


def _lens_text(motion: "Motion") -> str:
    """What the camera sees, and whether its pictures told that."""
    told = f", {motion.meta['lens']} by how it moves" if "lens" in motion.meta else ""
    return f"{motion.camera.fov:.1f} degrees{told}"


def _moves_text(motion: "Motion") -> str:
    """What the camera did, in words."""
    from vid3d.motion_schema import moves_of

    moves = moves_of(motion)
    taken = "" if motion.meta.get("cuts") else ", which is taken out"
    return f"; {moves}{taken}" if moves else ""


def _floor_text(ground: "Ground", stored: bool) -> str:
    """Where the floor is, in words."""
    pitch = np.degrees(np.arcsin(np.clip(-ground.normal[2], -1, 1)))
    roll = np.degrees(np.arcsin(np.clip(ground.normal[0], -1, 1)))
    side = "above" if ground.height >= 0 else "below"
    looks = f"camera {abs(ground.height):.2f} m {side}, looks {abs(round(pitch))} degrees "
    looks += f"{'down' if pitch >= 0 else 'up'}, rolled {round(roll)}"
    found = "" if stored else "; not in the file, estimated now"
    if ground.confidence == 0:
        return looks + f" (assumed: too little to go by{found})"
    return looks + f" (confidence {ground.confidence:.2f}{found})"


def _feet_text(feet: dict[str, float] | None) -> str:
    """What locking the feet did."""
    if not feet:
        return "as lifted, not locked"
    before, after = (100 * feet[f"slide_{when}"] for when in ("before", "after"))
    return f"locked: standing feet slide {after:.1f} cm/s, before {before:.1f}"


def _smoothing_text(smooth: dict[str, float] | None) -> str:
    """What smoothing did, and what it cost."""
    if not smooth:
        return "none"
    before, after = (1000 * smooth[f"jitter_{when}"] for when in ("before", "after"))
    return (
        f"{smooth['dial']:g}: jitter above 5 Hz {after:.2f} mm, before {before:.2f}; "
        f"lag {abs(1000 * smooth['lag']):.1f} ms"
    )


def _people_lines(
    motion: "Motion", slides: NDArray[np.float64], jitter: NDArray[np.float64]
) -> Card:
    """One line a person: spans of presence, distance, stature, spread, slide, jitter."""
    from vid3d.motion_schema import from_camera, runs
    from vid3d.stature import stature

    lines = []
    for person, track in enumerate(motion.track_ids):
        here = motion.present[person]
        if not here.any():
            continue
        times = motion.timestamps
        spans = [f"{times[a]:.2f}-{times[b - 1]:.2f}" for a, b in runs(here)]
        more = f" and {len(spans) - 3} more" if len(spans) > 3 else ""
        joints, spread = motion.joints3d[person, here], motion.spread[person, here]
        parts = [
            f"{', '.join(spans[:3])}{more} s ({here.sum()} frames)",
            f"{np.median(from_camera(motion, motion.joints3d[person])[here, 0, 2]):.1f} m away",
            f"{stature(joints):.2f} m tall",
        ]
        if np.isfinite(spread).any():
            parts.append(f"spread {1000 * np.nanmedian(spread):.0f} mm")
        parts.append(f"jitter {1000 * jitter[person]:.2f} mm")
        if np.isfinite(slides[person]):
            parts.append(f"slide {100 * slides[person]:.1f} cm/s")
        lines.append((f"person {track}", ", ".join(parts)))
    return lines


def describe_pairs(path: Path) -> Card:
    """Sequences of a pair file."""
    from vid3d.data.pairs import read_pairs

    sequences = read_pairs(path)
    card = [("pairs", str(path)), ("sequences", str(len(sequences)))]
    for sequence in sequences[:10]:
        truth = "2D only" if sequence.joints3d is None else "2D and 3D"
        text = f"{len(sequence)} frames at {sequence.fps:.4g}/s, {sequence.joint_set}, {truth}"
        card.append((sequence.name, text))
    if len(sequences) > 10:
        card.append(("", f"and {len(sequences) - 10} more"))
    return card


def describe_keypoints(path: Path) -> Card:
    """Clips of a JSON file of keypoints, or of an OpenPose folder."""
    from vid3d.pose2d.keypoint_files import read_keypoints

    clips = read_keypoints(path)
    return [("keypoints", str(path))] + [
        (clip.name, f"{len(clip.looks)} looks of {clip.frames} frames, {clip.joint_set}")
        for clip in clips
    ]


def describe_model(folder: Path) -> Card:
    """Manifest of a model's folder, whose files must be whole."""
    manifest = read_manifest(folder)
    card = [("model", str(manifest.get("name", folder.name))), ("task", str(manifest.get("task")))]
    for path in check_model(folder):
        card.append((path.suffix[1:], f"{path.name}, {path.stat().st_size / 1e6:.2f} MB, whole"))
    for key in ("licence", "about"):
        if key in manifest:
            card.append((key, str(manifest[key])))
    return card


def describe_model_of(path: Path) -> Card:
    """Manifest beside a file of a 2D model."""
    if not (path.parent / "manifest.json").is_file():
        raise Vid3dError(
            f"{path} has no manifest.json beside it that says what it is; "
            "--detector or --pose may take it all the same (docs/models.md)"
        )
    return describe_model(path.parent)


def describe_lifter(path: Path) -> Card:
    """Configuration inside a lifter's weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            meta, names = file.metadata() or {}, list(file.keys())
            count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in names)
    except (OSError, SafetensorError) as error:
        raise Vid3dError(f"{path} is not a safetensors file ({error})") from error
    if '"format": "vid3d-adapter"' in meta.get("vid3d", ""):
        return describe_adapter(path)
    card = [("weights", str(path)), ("parameters", f"{count:,} in {len(names)} tensors")]
    return card + [(key, value[:300]) for key, value in sorted(meta.items())]


def describe_adapter(path: Path) -> Card:
    """What an adapter belongs to, what it was made from, and what it does on held-out looks."""
    from vid3d.lifter.adapters import read_adapter

    adapter = read_adapter(path)
    count = sum(value.numel() for value in adapter.state.values())
    card = [
        ("adapter", adapter.name),
        ("base", f"{adapter.base}, sha256 {adapter.base_sha256[:16]}"),
        ("parameters", f"{count:,}, rank {adapter.rank}"),
        ("use", f"vid3d lift VIDEO --model {as_argument(f'{adapter.base}+{path}')}"),
    ]
    return card + [
        (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value))
        for key, value in adapter.about.items()
    ]


def _is_pairs(path: Path) -> bool:
    try:
        with open_npz(path) as arrays:
            return any(name.endswith("/keypoints2d") for name in arrays.files)
    except (OSError, ValueError) as error:
        raise Vid3dError(f"{path} is not an npz file ({error})") from error
