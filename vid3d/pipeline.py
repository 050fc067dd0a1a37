"""The way of the data, from a video or a file of keypoints to a `Motion`.

    video -> frames -> keyframes -> people -> tracks -> lifter -> placed -> settled -> Motion

`Pipeline.observe` walks the first half frame by frame (memory holds 2D joints, never pictures);
`Pipeline.lift` the second. `lift` does both for one clip.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vid3d import __version__
from vid3d.camera import ASSUMED_FOV, Camera
from vid3d.errors import Vid3dError
from vid3d.files import sha256_of
from vid3d.lifter import Lifter
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.pose2d.estimator import TopDown, load_estimator
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import read_keypoints, write_keypoints
from vid3d.pose2d.people import KeypointClip, Look
from vid3d.pose2d.watching import watch
from vid3d.stature import scaled_to_height
from vid3d.tracking import (
    Segment,
    Track,
    clean,
    continuations,
    has_identities,
    joined,
    people_at,
    segments,
    select_people,
    track_people,
)
from vid3d.video import Frame, VideoReader, default_stride
from vid3d.video.keyframes import AutoStride
from vid3d.video.prefetch import prefetch
from vid3d.weights import find_model
from vid3d.world import settle
from vid3d.world.smoothing import DEFAULT as SMOOTH


@dataclass(frozen=True)
class LiftOptions:
    """Everything a lift can be told; the defaults are what `vid3d lift VIDEO` uses.

    Attributes:
        stride: frames from one look to the next; None: about five looks a second; "auto": more
            looks where people move, fewer where they rest.
        detect_every: looks from one detection to the next; in between boxes follow the poses.
        backend: "auto", "onnx" or "mmpose".
        detector: person detector, by name or path.
        pose: 2D pose network, by name or path.
        keypoints: file of 2D keypoints to use instead of the networks.
        model: lifter, by name or path.
        hypotheses: how many 3D hypotheses are drawn; None: the model's own default.
        steps: sampling steps of each; None: the model's own default.
        aggregate: how hypotheses become one result; None: the model's own default.
        camera: the camera, or a JSON file of it.
        intrinsics: fx, fy, cx, cy in pixels of the video, instead of a camera.
        fov: degrees across the longer side, instead of a camera; without any of the three, what
            the keypoint file says, else `ASSUMED_FOV`.
        height: metres a person is tall, by track id; None as the key means everybody.
        max_people: keep at most so many people, those seen most.
        person: keep one: "largest", "longest" or a track id.
        smooth: 0 (as lifted) to 1 (calmest); never shifts timing.
        floor: whether people are put on the floor found under them and standing feet stand still.
        start: seconds to begin at.
        end: seconds to stop at.
        device: "auto", "cpu", "cuda" or "cuda:N".
        seed: of the hypotheses; the same seed gives the same file.
    """

    stride: int | Literal["auto"] | None = None
    detect_every: int = 1
    backend: str = "auto"
    detector: str = "vid3d-person"
    pose: str = "vid3d-pose"
    keypoints: Path | None = None
    model: str = "vid3d-base"
    hypotheses: int | None = None
    steps: int | None = None
    aggregate: str | None = None
    camera: Camera | Path | None = None
    intrinsics: tuple[float, float, float, float] | None = None
    fov: float | None = None
    height: Mapping[int | None, float] = field(default_factory=dict)
    max_people: int | None = None
    person: str | None = None
    smooth: float = SMOOTH
    floor: bool = True
    start: float | None = None
    end: float | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("stride", "detect_every", "hypotheses", "steps", "max_people"):
            value = getattr(self, name)
            if value is None or (name == "stride" and value == "auto"):
                continue
            if not isinstance(value, int) or value < 1:
                raise Vid3dError(f"{name} is {value!r}, expected a whole number from 1 up")
        if not 0 <= self.smooth <= 1:
            raise Vid3dError(f"smooth is {self.smooth}, expected 0 to 1")
        if sum(given is not None for given in (self.camera, self.intrinsics, self.fov)) > 1:
            raise Vid3dError("camera, intrinsics and fov exclude each other: give one of them")
        for metres in self.height.values():
            if not 0.3 <= metres <= 3:
                raise Vid3dError(f"height is {metres}, expected metres between 0.3 and 3")


@dataclass(frozen=True)
class Clip:
    """What was seen of one clip: 2D people at the looks, and the time of every frame.

    Attributes:
        name: of the video or the sequence.
        looks: in time order.
        timestamps: (F,) seconds of every frame.
        fps: mean frame rate.
        frame_size: width and height as displayed.
        keypoint_set: joint set of the looks' keypoints.
        camera: where the file that the clip came from knew it.
        source: the file it came from.
        seen_by: the 2D networks, or the kind of file.
    """

    name: str
    looks: list[Look]
    timestamps: NDArray[np.float64]
    fps: float
    frame_size: tuple[int, int]
    keypoint_set: str
    camera: Camera | None
    source: Path
    seen_by: str


def lift(video: str | Path | None = None, monitor: Monitor | None = None, **options: Any) -> Motion:
    """Lift one clip: the whole chain.

    Args:
        video: a video file, or None where `keypoints` names a file of one sequence.
        monitor: told of progress, times and warnings.
        options: fields of `LiftOptions`.

    Raises:
        Vid3dError: unreadable input, unknown model, or an option that does not fit.
    """
    pipeline = Pipeline(LiftOptions(**options), monitor)
    clips = list(islice(pipeline.observe(video), 2))
    if len(clips) != 1:
        raise Vid3dError(
            f"{pipeline.options.keypoints} holds several sequences; use Pipeline.observe or the CLI"
        )
    return pipeline.lift(clips[0])


class Pipeline:
    """The stages with their networks loaded once, for any number of clips."""

    def __init__(self, options: LiftOptions, monitor: Monitor | None = None) -> None:
        find_model(options.model)  # an unknown name fails before anything long begins
        self.options = options
        self.monitor = monitor or Monitor()

    @cached_property
    def estimator(self) -> TopDown:
        """The 2D networks."""
        options = self.options
        return load_estimator(options.backend, options.detector, options.pose, options.device)

    @cached_property
    def lifter(self) -> Lifter:
        """The lifter."""
        return Lifter.load(self.options.model, device=self.options.device)

    def observe(self, video: str | Path | None = None) -> Iterator[Clip]:
        """The 2D half: one clip of a video, or one for every sequence of a keypoint file."""
        if self.options.keypoints is not None:
            yield from self._read_keypoints(self.options.keypoints, video)
        elif video is not None:
            yield self._watch(Path(video))
        else:
            raise Vid3dError("nothing to lift: give a video or a file of keypoints")

    def lift(self, clip: Clip) -> Motion:
        """The 3D half: identities, 3D at every frame, placed in the camera's space."""
        options, tracks = self.options, self._track(clip)
        motion, whole = self._lift_tracks(clip, tracks), tracks
        if not has_identities(clip.looks):
            whole = joined(tracks, continuations(motion))
        chosen = select_people(whole, options.person, options.max_people)
        if len(chosen) < len(tracks):  # once more: what was joined becomes one motion
            motion = self._lift_tracks(clip, chosen)
        motion = scaled_to_height(motion, options.height)
        ids = motion.track_ids.tolist()
        sized = ids if None in options.height else [i for i in ids if i in options.height]
        return settle(motion, options.smooth, options.floor, sized)

    def _lift_tracks(self, clip: Clip, tracks: list[Track]) -> Motion:
        camera = self._camera(clip)
        motion = _empty_motion(clip, tracks, camera, self._meta(clip))
        runs = [(i, run) for i, track in enumerate(tracks) for run in segments(track, clip.looks)]
        total = sum(run.frames.stop - run.frames.start for _, run in runs)
        with self.monitor.stage("lifting to 3D", total, "person-frames") as advance:
            for person, run in runs:
                self._lift_run(motion, clip, camera, person, tracks[person], run)
                advance(run.frames.stop - run.frames.start)
        return motion

    def detect(self, video: str | Path, output: str | Path) -> int:
        """Write the 2D people of a video with identities; returns how many there are.

        COCO-style JSON, which `LiftOptions.keypoints` reads, or MOTChallenge text where the name
        ends in `.txt`. While it runs, answers of the networks are kept in `OUTPUT.partial`: after
        an interruption the same call goes on where that one stopped.
        """
        networks = self.estimator
        journal = Journal(Path(f"{output}.partial"), self._networks_key(Path(video)))
        self.estimator = journal.recorded(networks)
        try:
            (clip,) = self.observe(video)
        finally:
            self.estimator = networks
            journal.close()
        tracks = select_people(self._track(clip), self.options.person, self.options.max_people)
        looks = [replace(look, people=people_at(tracks, i)) for i, look in enumerate(clip.looks)]
        seen = KeypointClip(
            name=clip.name,
            looks=looks,
            joint_set=clip.keypoint_set,
            frames=len(clip.timestamps),
            rate=clip.fps,
            size=clip.frame_size,
        )
        write_keypoints(output, seen)
        journal.remove()
        return len(tracks)

    def _networks_key(self, video: Path) -> dict[str, Any]:
        """What the answers of the networks depend on."""
        names = ("stride", "detect_every", "start", "end", "backend", "device")
        return {
            "video": _digest(video),
            "networks": self.estimator.name,
            "options": {name: getattr(self.options, name) for name in names},
            "vid3d": __version__,
        }

    def _watch(self, path: Path) -> Clip:
        """Decode a video once, looking for people on keyframes only."""
        options, timestamps = self.options, []
        with VideoReader(path, options.start, options.end) as reader:
            info, estimator = reader.info, self.estimator
            stride = AutoStride(info.size) if options.stride == "auto" else options.stride
            with self.monitor.stage("2D on keyframes", reader.expected_frames) as advance:

                def frames() -> Iterator[Frame]:
                    for frame in prefetch(reader):
                        timestamps.append(frame.time)
                        advance(1)
                        yield frame

                stride = stride or default_stride(info.fps)
                seen = list(watch(frames(), estimator, stride, options.detect_every))
            if reader.truncated:
                self.monitor.warn(reader.truncated)
        return Clip(
            name=path.stem,
            looks=seen,
            timestamps=np.array(timestamps, np.float64),
            fps=info.fps,
            frame_size=(info.width, info.height),
            keypoint_set=estimator.joint_set,
            camera=None,
            source=path,
            seen_by=estimator.name,
        )

    def _read_keypoints(self, path: Path, video: str | Path | None) -> Iterator[Clip]:
        """Clips of a keypoint file; a video beside it gives true timestamps and frame size."""
        clips = read_keypoints(path)
        if video is not None and len(clips) != 1:
            raise Vid3dError(
                f"{path} holds {len(clips)} sequences, one video is given: leave the video out"
            )
        for clip in clips:
            if video is not None:
                timestamps, fps, size = _clock(Path(video), self.options)
            else:
                timestamps, fps, size = clip.timestamps, clip.fps, clip.frame_size
            given = self.options.stride
            stride = given if isinstance(given, int) else default_stride(fps)
            kept = [
                replace(look, time=float(timestamps[look.frame]))
                for look in _thinned(clip.looks, stride)
                if look.frame < len(timestamps)
            ]
            yield Clip(
                name=Path(video).stem if video is not None else clip.name,
                looks=kept,
                timestamps=timestamps,
                fps=fps,
                frame_size=size,
                keypoint_set=clip.joint_set,
                camera=clip.camera,
                source=Path(video) if video is not None else path,
                seen_by=f"file {path.name}",
            )

    def _track(self, clip: Clip) -> list[Track]:
        with self.monitor.stage("tracking", len(clip.looks), unit="looks") as advance:
            tracks = track_people(clip.looks, clip.frame_size, clip.keypoint_set)
            tracks = [clean(track, clip.looks, clip.keypoint_set) for track in tracks]
            advance(len(clip.looks))
        return [track for track in tracks if (track.confidence > 0).any()]

    def _camera(self, clip: Clip) -> Camera:
        options = self.options
        if isinstance(options.camera, Path):
            return Camera.from_json(options.camera, clip.frame_size)
        if options.camera is not None:
            return options.camera.resized(clip.frame_size)
        if options.intrinsics is not None:
            return Camera.from_focal(*options.intrinsics, frame_size=clip.frame_size)
        if options.fov is None and clip.camera is not None:
            return clip.camera
        return Camera.from_fov(options.fov or ASSUMED_FOV, clip.frame_size)

    def _lift_run(
        self,
        motion: Motion,
        clip: Clip,
        camera: Camera,
        person: int,
        track: Track,
        run: Segment,
    ) -> None:
        """Lift one unbroken run of frames of one person into the motion's arrays."""
        options, frames, seen = self.options, run.frames, run.sightings
        lifted = self.lifter(
            track.keypoints[seen],
            track.confidence[seen],
            times=[clip.looks[look].time for look in track.looks[seen]],
            out_times=clip.timestamps[frames],
            camera=camera,
            joint_set=clip.keypoint_set,
            hypotheses=options.hypotheses,
            steps=options.steps,
            aggregate=options.aggregate,
            seed=options.seed,
            track=track.id,
        )
        motion.present[person, frames] = True
        motion.joints3d[person, frames] = lifted.joints3d
        motion.spread[person, frames] = lifted.spread
        motion.root_spread[person, frames] = lifted.root_spread
        motion.contacts[person, frames] = lifted.contacts

    def _meta(self, clip: Clip) -> dict[str, Any]:
        options = {
            item.name: _plain(getattr(self.options, item.name))
            for item in fields(self.options)
            if getattr(self.options, item.name) is not None
        }
        return {
            "fps": clip.fps,
            "source": {"name": clip.source.name, "sha256": _digest(clip.source)},
            "options": options,
            "pose2d": clip.seen_by,
            "model": {"name": self.lifter.name, "sha256": self.lifter.sha256},
            "vid3d": __version__,
        }


def _empty_motion(clip: Clip, tracks: list[Track], camera: Camera, meta: dict[str, Any]) -> Motion:
    """A motion with the looks filled in and nobody present yet."""
    people, frames, count = len(tracks), len(clip.timestamps), len(clip.looks)
    keypoints = np.full((people, count, 17, 3), np.nan, np.float32)
    for person, track in enumerate(tracks):
        seen = track.confidence > 0
        xyc = np.concatenate([track.keypoints, track.confidence[..., None]], -1)
        keypoints[person, track.looks] = np.where(seen[..., None], xyc, np.nan)
    if camera.dist is not None:
        meta = {**meta, "dist": list(camera.dist)}
    return Motion(
        joints3d=np.full((people, frames, 17, 3), np.nan, np.float32),
        present=np.zeros((people, frames), bool),
        spread=np.full((people, frames, 17), np.nan, np.float32),
        root_spread=np.full((people, frames), np.nan, np.float32),
        contacts=np.full((people, frames, 2), np.nan, np.float32),
        keyframes=np.array([look.frame for look in clip.looks], np.int64),
        keypoints2d=keypoints,
        track_ids=np.array([track.id for track in tracks], np.int64),
        timestamps=clip.timestamps,
        intrinsics=camera.intrinsics.astype(np.float32),
        frame_size=np.array(clip.frame_size, np.int64),
        keypoint_set=clip.keypoint_set,
        meta=meta,
    )


def _thinned(seen: list[Look], stride: int) -> list[Look]:
    """Looks at least `stride` frames apart; the first and the last always stay."""
    kept: list[Look] = []
    for look in seen:
        if not kept or look.frame - kept[-1].frame >= stride:
            kept.append(look)
    if seen and kept[-1] is not seen[-1]:
        kept.append(seen[-1])
    return kept


def _clock(path: Path, options: LiftOptions) -> tuple[NDArray[np.float64], float, tuple[int, int]]:
    """Timestamps, frame rate and frame size of a video whose pictures are not needed."""
    with VideoReader(path, options.start, options.end) as reader:
        timestamps = np.array([frame.time for frame in reader], np.float64)
        return timestamps, reader.info.fps, (reader.info.width, reader.info.height)


def _plain(value: Any) -> Any:
    """An option as JSON holds it; of paths only the name, so that no home folder leaks."""
    if isinstance(value, Camera):
        return {"intrinsics": value.intrinsics.tolist(), "dist": value.dist}
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    return value


def _digest(path: Path) -> str | None:
    """Checksum of an input file; None for a folder (OpenPose writes one file a frame)."""
    return sha256_of(path) if path.is_file() else None
