"""A short card of any file that vid3d reads or writes."""

from pathlib import Path

import numpy as np

from vid3d.errors import Vid3dError
from vid3d.weights import check_model, find_model, read_manifest, shipped_models

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
    path = Path(target).expanduser()
    if not path.exists():
        if target in shipped_models():
            return describe_model(find_model(target))
        raise Vid3dError(f"no such file: {target}, nor a shipped model of that name")
    if path.is_dir():
        return describe_model(path)
    if path.suffix == ".safetensors":
        return describe_lifter(path)
    if path.suffix == ".npz":
        return describe_pairs(path) if _is_pairs(path) else describe_motion(path)
    if path.suffix == ".json":
        return describe_keypoints(path)
    return describe_video(path)


def describe_video(path: Path) -> Card:
    """Size, rate, length and codec of a video."""
    from vid3d.video import default_stride, probe

    info = probe(path)
    return [
        ("video", str(path)),
        ("size", f"{info.width} x {info.height} as displayed, rotation {info.rotation}"),
        ("rate", f"{info.fps:.4g} frames/s on average"),
        ("frames", "unknown" if info.frames is None else f"about {info.frames}"),
        ("duration", "unknown" if info.duration is None else f"{info.duration:.2f} s"),
        ("codec", info.codec),
        ("stride", f"{default_stride(info.fps)} by default"),
    ]


def describe_motion(path: Path) -> Card:
    """People, frames and origin of a motion."""
    from vid3d.motion import Motion

    motion = Motion.load(path)
    width, height = motion.frame_size
    card = [
        ("motion", str(path)),
        ("people", f"{motion.people} (tracks {', '.join(map(str, motion.track_ids))})"),
        ("frames", f"{motion.frames} at {motion.fps:.4g} frames/s"),
        ("looks", f"{len(motion.keyframes)} keyframes, {motion.keypoint_set}"),
        ("camera", f"{width} x {height}, {motion.camera.fov:.1f} degrees"),
        ("axes", f"{motion.meta['axes']}; {motion.meta['units']}"),
    ]
    for person, track in enumerate(motion.track_ids):
        here = motion.present[person]
        if not here.any():
            continue
        depth = np.median(motion.joints3d[person, here, 0, 2])
        spread = motion.spread[person, here]
        text = f"{here.sum()} frames, median distance {depth:.1f} m"
        if np.isfinite(spread).any():
            text += f", spread {1000 * np.nanmedian(spread):.0f} mm"
        card.append((f"person {track}", text))
    meta = motion.meta
    card.append(("source", str(meta.get("source", {}).get("name", "unknown"))))
    card.append(("model", f"{meta.get('model', {}).get('name')}, 2D: {meta.get('pose2d')}"))
    return card


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
    """Clips of a JSON file of keypoints."""
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


def describe_lifter(path: Path) -> Card:
    """Configuration inside a lifter's weights."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            meta, names = file.metadata() or {}, list(file.keys())
            count = sum(int(np.prod(file.get_slice(name).get_shape())) for name in names)
    except (OSError, SafetensorError) as error:
        raise Vid3dError(f"{path} is not a safetensors file ({error})") from error
    card = [("weights", str(path)), ("parameters", f"{count:,} in {len(names)} tensors")]
    return card + [(key, value[:300]) for key, value in sorted(meta.items())]


def _is_pairs(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return any(name.endswith("/keypoints2d") for name in arrays.files)
    except (OSError, ValueError, AttributeError) as error:
        raise Vid3dError(f"{path} is not an npz file ({error})") from error
