"""Recordings for the rerun viewer (rerun.io): people, camera, video, curves; needs rerun-sdk."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d.errors import Vid3dError
from vid3d.export.space import Space, export_space
from vid3d.files import atomic_path, check_output
from vid3d.floor import floor_of
from vid3d.kinematics import ANGLES, joint_angles, velocity
from vid3d.motion import Motion
from vid3d.motion_schema import largest_zoom, moved
from vid3d.render.style import person_color
from vid3d.skeleton import H36M17

JOINT_RADIUS = 0.025
GRID = 0.5
"""Metres between floor lines."""


def write_rrd(
    motion: Motion,
    path: str | os.PathLike[str],
    video: str | os.PathLike[str] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Write a motion as a rerun recording; `rerun FILE.rrd` shows it.

    World frame: y up, metres, the origin on the floor below the camera (`export_space`). Time
    lines: `time`, the motion's own seconds, and `frame`. Entities: `world/people/ID/joints`
    (skeletons), `world/people/ID/spread` (68 % of errors, as ellipsoids), `world/camera` (pinhole,
    with the video in it), `world/floor`, `speed/ID` and `angles/NAME/ID` (curves).

    Args:
        motion: what to write.
        path: the `.rrd` file.
        video: the video it was made from, which goes into the recording: MP4 or MOV, of H.264 for
            all viewers.
        warn: told in one line where rerun cannot read the video, and the recording is written
            without it; without `warn` that is an error.

    Returns:
        The path written.

    Raises:
        Vid3dError: rerun-sdk is missing, the video cannot be read by it, or the file not written.
    """
    rr = rerun_package()
    target = Path(path)
    check_output(target, None if video is None else Path(video))
    footage = None if video is None else _footage(rr, Path(video), warn)
    with atomic_path(target) as temporary:
        recording = rr.RecordingStream("vid3d", recording_id=target.stem)
        recording.save(temporary)
        space = export_space(motion)
        recording.log("world", rr.ViewCoordinates.RIGHT_HAND_Y_UP, static=True)
        recording.log("world/people", rr.AnnotationContext([_skeleton(rr)]), static=True)
        recording.log("world/floor", _floor(rr, motion, space), static=True)
        _log_camera(rr, recording, motion, space)
        if footage is not None:
            _log_video(rr, recording, motion, *footage)
        for index in range(motion.people):
            _log_person(rr, recording, motion, index, space)
        _log_curves(rr, recording, motion)
        recording.flush()
        recording.disconnect()
    return target


def rerun_package() -> Any:
    """The package rerun; raises Vid3dError where it is missing."""
    try:
        import rerun
    except ImportError as error:
        raise Vid3dError(
            "rerun recordings need the package rerun-sdk: pip install 'vid3d[rerun]'"
        ) from error
    return rerun


def _skeleton(rr: Any) -> Any:
    names = [(index, name) for index, name in enumerate(H36M17.joints)]
    return rr.ClassDescription(
        info=0, keypoint_annotations=names, keypoint_connections=list(H36M17.edges)
    )


def _floor(rr: Any, motion: Motion, space: Space) -> Any:
    """Lines on y = 0 under everybody."""
    roots = space.place(motion.joints3d[:, :, 0][motion.present])[:, [0, 2]]
    roots = roots if len(roots) else np.zeros((1, 2))
    low, high = np.floor(roots.min(0)) - 1, np.ceil(roots.max(0)) + 1
    xs, zs = (np.arange(low[i], high[i] + GRID / 2, GRID) for i in (0, 1))
    lines = [[[x, 0, low[1]], [x, 0, high[1]]] for x in xs]
    lines += [[[low[0], 0, z], [high[0], 0, z]] for z in zs]
    return rr.LineStrips3D(np.array(lines), colors=[[128, 128, 128, 90]], radii=0.002)


def _log_camera(rr: Any, recording: Any, motion: Motion, space: Space) -> None:
    turns = space.orientations(motion.camera_rotation)
    places = space.place(motion.camera_position)
    lens = rr.Pinhole(
        image_from_camera=motion.intrinsics,
        resolution=motion.frame_size,
        camera_xyz=rr.ViewCoordinates.RDF,
        image_plane_distance=0.5,
    )
    recording.log("world/camera", lens, static=True)
    zoomed = largest_zoom(motion) != 1
    if moved(motion) or zoomed:
        columns = rr.Transform3D.columns(translation=places, mat3x3=turns)
        lenses = motion.intrinsics * np.ones((motion.frames, 1, 1))
        lenses[:, :2, :2] *= motion.camera_zoom[:, None, None]
        zooms = rr.Pinhole.columns(image_from_camera=lenses) if zoomed else []
        times = _times(rr, motion, np.arange(motion.frames))
        rr.send_columns("world/camera", times, [*columns, *zooms], recording=recording)
    else:
        place = rr.Transform3D(translation=places[0], mat3x3=turns[0])
        recording.log("world/camera", place, static=True)


def _footage(
    rr: Any, video: Path, warn: Callable[[str], None] | None
) -> tuple[Any, NDArray[np.int64]] | None:
    """A video as recordings hold it, and when its pictures are shown in nanoseconds; or a warning.

    Raises:
        Vid3dError: rerun cannot read it, and there is nobody to warn.
    """
    try:
        # Named MP4 whatever its suffix, by which rerun would judge it: a phone's .mov is one too.
        asset = rr.AssetVideo(contents=video.read_bytes(), media_type="video/mp4")
        stamps = np.asarray(asset.read_frame_timestamps_nanos(), np.int64)
        if not len(stamps):
            raise ValueError("no pictures")
    except (RuntimeError, ValueError, OSError) as error:
        why = f"rerun cannot read {video} ({error})"
        if warn is None:
            raise Vid3dError(f"{why}; convert it to H.264 MP4") from error
        warn(f"{why}: the recording is without the video; for one with it, convert it to H.264 MP4")
        return None
    return asset, stamps


def _log_video(
    rr: Any, recording: Any, motion: Motion, asset: Any, stamps: NDArray[np.int64]
) -> None:
    """The video inside the camera, each frame of the motion with the picture shown at its time."""
    times = np.round(motion.timestamps * 1e9).astype(np.int64) + stamps[0]
    shown = stamps[np.clip(np.searchsorted(stamps, times + 500_000, "right") - 1, 0, None)]
    recording.log("world/camera/video", asset, static=True)
    everything = np.arange(motion.frames)
    columns = rr.VideoFrameReference.columns_nanos(shown)
    rr.send_columns(
        "world/camera/video", _times(rr, motion, everything), columns, recording=recording
    )


def _log_person(rr: Any, recording: Any, motion: Motion, index: int, space: Space) -> None:
    entity = f"world/people/{motion.track_ids[index]}"
    frames = np.flatnonzero(motion.present[index])
    joints = space.place(motion.joints3d[index, frames]).reshape(-1, 3)
    color = person_color(index)[::-1]
    style = rr.Points3D.from_fields(
        colors=[color],
        radii=[JOINT_RADIUS],
        class_ids=[0],
        keypoint_ids=range(len(H36M17)),
        show_labels=False,
    )
    recording.log(f"{entity}/joints", style, static=True)
    places = rr.Points3D.columns(positions=joints).partition([len(H36M17)] * len(frames))
    times = _times(rr, motion, frames)
    rr.send_columns(f"{entity}/joints", times, places, recording=recording)
    radii = np.nan_to_num(motion.spread[index, frames]).reshape(-1, 1).repeat(3, 1)
    haze = rr.Ellipsoids3D.from_fields(colors=[(*color, 60)], fill_mode="solid")
    recording.log(f"{entity}/spread", haze, static=True)
    blobs = rr.Ellipsoids3D.columns(half_sizes=radii, centers=joints)
    blobs = blobs.partition([len(H36M17)] * len(frames))
    rr.send_columns(f"{entity}/spread", times, blobs, recording=recording)
    gone = np.flatnonzero(~motion.present[index, 1:] & motion.present[index, :-1]) + 1
    cleared = rr.Clear.columns(is_recursive=[True] * len(gone))
    rr.send_columns(entity, _times(rr, motion, gone), cleared, recording=recording)


def _log_curves(rr: Any, recording: Any, motion: Motion) -> None:
    """Speed and joint angles of each person where they are in sight."""
    up = floor_of(motion).up
    for index, person in enumerate(motion.track_ids.tolist()):
        joints, there = motion.joints3d[index], np.flatnonzero(motion.present[index])
        moves = velocity(joints[:, 0], motion.timestamps)[there]
        angles = joint_angles(joints[there], up)
        curves = {"speed": np.linalg.norm(moves, axis=-1)}
        curves |= {f"angles/{name}": angles[:, i] for i, name in enumerate(ANGLES)}
        for name, values in curves.items():
            known = np.isfinite(values)
            columns = rr.Scalars.columns(scalars=values[known])
            times = _times(rr, motion, there[known])
            rr.send_columns(f"{name}/{person}", times, columns, recording=recording)


def _times(rr: Any, motion: Motion, frames: NDArray[np.intp]) -> list[Any]:
    return [
        rr.TimeColumn("time", duration=motion.timestamps[frames]),
        rr.TimeColumn("frame", sequence=frames),
    ]
