"""The way of the data, from a video or a file of keypoints to a `Motion`.

    video -> frames -> keyframes -> people -> tracks -> lifter -> placed -> settled -> Motion

`Pipeline.observe` opens the first half, which runs while the second (`lifting.Work`) reads it:
decoding is some frames ahead, people are followed look by look, and what is complete of a track is
lifted at once. What was computed lies in files (`streaming`), so that memory does not grow with
the clip and a run that broke off goes on. `lift` does it all for one clip, in memory at its end.
"""

from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

from vid3d.clips import Clip, camera_of, clips_of_keypoints
from vid3d.errors import Vid3dError
from vid3d.files import MOST_JSON, check_output, safe_stem
from vid3d.given import file_path
from vid3d.lift_options import LiftOptions
from vid3d.lifter import Lifter
from vid3d.lifting import Work
from vid3d.machine import find_device
from vid3d.monitor import Monitor
from vid3d.motion import Motion
from vid3d.pose2d.estimator import TopDown, find_networks, load_estimator
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, camera_seen_by
from vid3d.pose2d.watching import LOOKS_A_BATCH, watch
from vid3d.streaming import Reel, Workplace
from vid3d.tracking import clean, people_of, select_people, track_people
from vid3d.video import Frame, VideoReader, default_stride
from vid3d.video.keyframes import AutoStride
from vid3d.video.mapping import require_mapping
from vid3d.video.prefetch import prefetch
from vid3d.weights import find_model

__all__ = ["Clip", "LiftOptions", "Pipeline", "lift"]


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
        if options.travelling:
            require_mapping()
        self.options = options
        self.monitor = monitor or Monitor()

    @cached_property
    def estimator(self) -> TopDown:
        """The 2D networks."""
        options = self.options
        return load_estimator(
            options.backend, options.detector, options.pose, options.device, options.flip_test
        )

    @cached_property
    def networks(self) -> list[dict[str, Any]]:
        """All that the answers of the 2D networks depend on."""
        options = self.options
        names = options.backend, options.detector, options.pose, options.device
        return [manifest.identity() for manifest in find_networks(*names)]

    @cached_property
    def lifter(self) -> Lifter:
        """The lifter."""
        return Lifter.load(self.options.model, device=self.options.device)

    def observe(self, video: str | Path | None = None) -> Iterator[Clip]:
        """The 2D half: one clip of a video, or one for every sequence of a keypoint file."""
        if self.options.travelling and video is None:
            raise Vid3dError(
                "the way of a travelling camera is found in its pictures: give the video too"
            )
        if self.options.keypoints is not None:
            yield from clips_of_keypoints(self.options.keypoints, video, self.options, self.monitor)
        elif video is not None:
            yield self._open(file_path("video", video))
        else:
            raise Vid3dError("nothing to lift: give a video or a file of keypoints")

    def lift(self, clip: Clip) -> Motion:
        """The 3D half: identities, 3D at every frame, placed in the camera's space."""
        with self.reel(clip) as reel:
            return reel.motion()

    @contextmanager
    def reel(self, clip: Clip, folder: Path | None = None) -> Iterator[Reel]:
        """The same in files, however long the clip is, for as long as the context lasts.

        Args:
            clip: not read yet.
            folder: work in progress is kept there, in `NAME.vid3d.partial`, until the context ends
                without an error. After an interruption the same call goes on where that one
                stopped. None: in a temporary folder.

        Yields:
            What `lift` gives. Where the monitor asked to stop, of the looks until then: its `meta`
            says so ("partial"), and the work is kept.
        """
        name = f"{safe_stem(clip.name)}.vid3d.partial"
        with Workplace(None if folder is None else folder / name) as place:
            yield Work(self.options, self.lifter, self.monitor, clip, place).reel()

    def detect(self, video: str | Path, output: str | Path) -> int:
        """Write the 2D people of a video with identities; returns how many there are.

        COCO-style JSON, which `LiftOptions.keypoints` reads, or MOTChallenge text where the name
        ends in `.txt`. While it runs, answers of the networks are kept in `OUTPUT.partial`: after
        an interruption the same call goes on where that one stopped.

        Raises:
            Vid3dError: the video cannot be read, or the output is the video, is named as what it
                will not be, cannot be written, or is being written by another call.
        """
        check_output(file_path("output", output), file_path("video", video))
        if Path(output).suffix.lower() == ".npz":
            raise Vid3dError(
                f"{output} would be JSON, which is not read by that name: end in .json"
            )
        (clip,) = self.observe(video)
        with Workplace(Path(f"{output}.partial")) as place:
            found, people = self._people(clip, place)
            path = write_keypoints(output, found)
        if path.suffix.lower() != ".txt" and path.stat().st_size > MOST_JSON:
            self.monitor.warn(
                f"{path} is larger than the {MOST_JSON >> 20} MiB that are read: for vid3d lift, "
                "detect parts of the video, with --start and --end"
            )
        return people

    def _people(self, clip: Clip, place: Workplace) -> tuple[KeypointClip, int]:
        """The 2D people of a clip with identities, and how many there are."""
        with closing(clip.journal(place.journal, self.options)) as journal:
            seen = list(clip.looks(journal))
        told = clip.camera or camera_seen_by(seen, clip.frame_size)
        told = self.options.known_camera(told, clip.frame_size)
        camera = self.options.camera_of(told, clip.frame_size)
        with self.monitor.stage("tracking", len(seen), unit="looks") as advance:
            tracks = track_people(seen, clip.frame_size, clip.keypoint_set, camera)
            tracks = [clean(track, seen, clip.keypoint_set) for track in tracks]
            advance(len(seen))
        tracks = [track for track in tracks if (track.confidence > 0).any()]
        tracks = select_people(tracks, self.options.person, self.options.max_people)
        them = people_of(tracks, len(seen))
        looks = [replace(look, people=one) for look, one in zip(seen, them, strict=True)]
        found = KeypointClip(
            name=clip.name,
            looks=looks,
            joint_set=clip.keypoint_set,
            frames=len(clip.times),
            rate=clip.fps,
            size=clip.frame_size,
            camera=told,
        )
        return found, len(tracks)

    def _open(self, path: Path) -> Clip:
        """A video as a clip; looks are found while they are read."""
        times = array("d")
        options = self.options
        reader = VideoReader(path, options.start, options.end, find_device(options.device))
        return Clip(
            name=path.stem,
            looks=partial(self._watch, reader, times),
            times=times,
            fps=reader.info.fps,
            frame_size=reader.info.size,
            keypoint_set=self.estimator.joint_set,
            camera=camera_of(reader.info),
            source=path,
            seen_by=self.estimator.name,
            networks=self.networks,
        )

    def _watch(
        self, reader: VideoReader, times: array, journal: Journal | None
    ) -> Generator[Look, None, None]:
        """Decode a video once, some frames ahead, looking for people on keyframes only."""
        wanted, info = self.options.stride, reader.info
        if info.filmed_fps is not None:
            self.monitor.warn(
                f"{info.path} was filmed at {info.filmed_fps:.4g} frames/s and plays at "
                f"{info.fps:.4g}: times and speeds are those of its playing"
            )
        networks = self.estimator if journal is None else journal.recorded(self.estimator)
        usual = default_stride(info.fps)
        stride = AutoStride(info.size, usual) if wanted == "auto" else wanted or usual
        if isinstance(stride, int):  # two batches of looks ahead; other frames hold no picture
            decoded = prefetch(reader.frames(stride), 2 * LOOKS_A_BATCH * stride)
        else:
            decoded = prefetch(reader)
        camera = self.options.known_camera(camera_of(info), info.size)
        fov = None if camera is None else camera.fov
        with (
            reader,
            closing(decoded),
            self.monitor.stage("2D on keyframes", reader.expected_frames) as advance,
        ):

            def frames() -> Iterator[Frame]:
                for frame in decoded:
                    times.append(frame.time)
                    advance(1)
                    yield frame

            yield from watch(frames(), networks, stride, self.options.detect_every, fov)
        if reader.truncated:
            self.monitor.warn(reader.truncated)
