"""The way of the data, from a video or a file of keypoints to a `Motion`.

    video -> frames -> keyframes -> people -> tracks -> lifter -> placed -> settled -> Motion

`Pipeline.observe` opens the first half, which runs while the second (`Pipeline.reel`) reads it:
decoding is some frames ahead, people are followed look by look, and what is complete of a track is
lifted at once. What was computed lies in files (`streaming`), so that memory does not grow with
the clip and a run that broke off goes on. `lift` does it all for one clip, in memory at its end.
"""

import hashlib
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d import __version__
from vid3d.clips import Clip, clips_of_keypoints
from vid3d.errors import Vid3dError
from vid3d.files import safe_stem
from vid3d.lift_options import LiftOptions
from vid3d.lifter import Lifter
from vid3d.monitor import Monitor
from vid3d.motion import Motion, Stretch
from vid3d.pose2d.estimator import TopDown, load_estimator
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import write_keypoints
from vid3d.pose2d.people import KeypointClip, Look
from vid3d.pose2d.watching import watch
from vid3d.stature import height_factors, stature
from vid3d.streaming import (
    Follower,
    Reel,
    Stored,
    Trace,
    Workplace,
    get_piece,
    joined_traces,
    settled_people,
)
from vid3d.tracking import clean, people_at, select_people, track_people, tracker_of
from vid3d.tracking.continuation import End, Tracklet, continued
from vid3d.video import Frame, VideoReader, default_stride
from vid3d.video.keyframes import AutoStride
from vid3d.video.prefetch import prefetch
from vid3d.weights import find_model
from vid3d.world.settle import Settling

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
            yield from clips_of_keypoints(self.options.keypoints, video, self.options)
        elif video is not None:
            yield self._open(Path(video))
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
            yield _Work(self, clip, place).reel()

    def detect(self, video: str | Path, output: str | Path) -> int:
        """Write the 2D people of a video with identities; returns how many there are.

        COCO-style JSON, which `LiftOptions.keypoints` reads, or MOTChallenge text where the name
        ends in `.txt`. While it runs, answers of the networks are kept in `OUTPUT.partial`: after
        an interruption the same call goes on where that one stopped.
        """
        (clip,) = self.observe(video)
        with self.journal(clip, Path(f"{output}.partial")) as journal:
            seen = list(clip.looks(journal))
        with self.monitor.stage("tracking", len(seen), unit="looks") as advance:
            tracks = track_people(seen, clip.frame_size, clip.keypoint_set)
            tracks = [clean(track, seen, clip.keypoint_set) for track in tracks]
            advance(len(seen))
        tracks = [track for track in tracks if (track.confidence > 0).any()]
        tracks = select_people(tracks, self.options.person, self.options.max_people)
        looks = [replace(look, people=people_at(tracks, i)) for i, look in enumerate(seen)]
        found = KeypointClip(
            name=clip.name,
            looks=looks,
            joint_set=clip.keypoint_set,
            frames=len(clip.times),
            rate=clip.fps,
            size=clip.frame_size,
        )
        write_keypoints(output, found)
        journal.remove()
        return len(tracks)

    @contextmanager
    def journal(self, clip: Clip, path: Path) -> Iterator[Journal]:
        """What the networks answer about a clip, kept in a file, which stays."""
        names = ("stride", "detect_every", "start", "end", "backend", "device")
        journal = Journal(
            path,
            {
                "video": clip.digest,
                "networks": clip.seen_by,
                "options": {name: getattr(self.options, name) for name in names},
                "vid3d": __version__,
            },
        )
        try:
            yield journal
        finally:
            journal.close()

    def _open(self, path: Path) -> Clip:
        """A video as a clip; looks are found while they are read."""
        times = array("d")
        reader = VideoReader(path, self.options.start, self.options.end)
        return Clip(
            name=path.stem,
            looks=partial(self._watch, reader, times),
            times=times,
            fps=reader.info.fps,
            frame_size=reader.info.size,
            keypoint_set=self.estimator.joint_set,
            camera=None,
            source=path,
            seen_by=self.estimator.name,
        )

    def _watch(
        self, reader: VideoReader, times: array, journal: Journal | None
    ) -> Generator[Look, None, None]:
        """Decode a video once, some frames ahead, looking for people on keyframes only."""
        wanted, info = self.options.stride, reader.info
        networks = self.estimator if journal is None else journal.recorded(self.estimator)
        stride = AutoStride(info.size) if wanted == "auto" else wanted or default_stride(info.fps)
        decoded = reader.frames(stride) if isinstance(stride, int) else iter(reader)
        with reader, self.monitor.stage("2D on keyframes", reader.expected_frames) as advance:

            def frames() -> Iterator[Frame]:
                for frame in prefetch(decoded):
                    times.append(frame.time)
                    advance(1)
                    yield frame

            yield from watch(frames(), networks, stride, self.options.detect_every)
        if reader.truncated:
            self.monitor.warn(reader.truncated)


@dataclass(frozen=True)
class _Seen:
    """What came of the first half.

    Attributes:
        traces: everybody who was followed.
        frames, times: (K,) frame and seconds of the looks.
        timestamps: (F,) seconds of the frames.
        partial: whether it ended before the clip did.
    """

    traces: list[Trace]
    frames: array
    times: array
    timestamps: NDArray[np.float64]
    partial: bool

    def to_meta(self) -> dict[str, Any]:
        """What a result says of itself that ends before the clip does."""
        return {"partial": {"until": round(self.times[-1], 3)}} if self.partial else {}


class _Work:
    """The work on one clip.

    Args:
        pipeline: its networks and options.
        clip: not read yet.
        place: where everything is kept.
    """

    def __init__(self, pipeline: Pipeline, clip: Clip, place: Workplace) -> None:
        self.options, self.monitor, self.lifter = (
            pipeline.options,
            pipeline.monitor,
            pipeline.lifter,
        )
        self.pipeline, self.clip, self.place = pipeline, clip, place
        self.camera = self.options.camera_of(clip.camera, clip.frame_size)
        self._done: set[str] = set()
        self._statures: dict[str, float] = {}

    def reel(self) -> Reel:
        """The second half, which reads the first."""
        seen = self._follow()
        return self._settle(seen, self._choose(seen))

    def _follow(self) -> _Seen:
        """2D people into tracks, tracks into pieces; what is complete is lifted at once."""
        clip, partial = self.clip, False
        tracker = tracker_of(clip.identified, clip.keypoint_set)
        follower = Follower(
            tracker, clip.keypoint_set, self.place, lambda trace: self._lift(trace.pieces)
        )
        with (
            self.pipeline.journal(clip, self.place.journal) as journal,
            closing(clip.looks(None if self.place.temporary else journal)) as looks,
            self.monitor.stoppable(),
        ):
            for look in looks:
                with self.monitor.stage("tracking", unit="looks") as advance:
                    follower.see(look)
                    advance(1)
                if partial := self.monitor.stopping:
                    break
        if partial and not len(follower.times):
            raise KeyboardInterrupt
        frames = follower.frames[-1] + 1 if partial else len(clip.times)
        times = np.array(clip.times[:frames])
        return _Seen(follower.finish(), follower.frames, follower.times, times, partial)

    def _choose(self, seen: _Seen) -> list[Trace]:
        """Everybody lifted, broken tracks joined by where people went, and who is wanted."""
        traces, clip = seen.traces, self.clip
        self._lift([stored for trace in traces for stored in trace.pieces])
        if not clip.identified:
            pairs = continued([self._tracklet(trace) for trace in traces])
            traces = joined_traces(traces, pairs, clip.keypoint_set, seen.times, self.place)
        chosen = select_people(traces, self.options.person, self.options.max_people)
        self._lift([stored for trace in chosen for stored in trace.pieces])  # what was joined
        return chosen

    def _settle(self, seen: _Seen, traces: list[Trace]) -> Reel:
        """Known heights, smoothing, floor and feet; as a motion in files."""
        options, ids = self.options, [trace.id for trace in traces]
        statures = [self._stature(trace) if options.height else 1.0 for trace in traces]
        factors = height_factors(ids, statures, options.height)
        sized = ids if None in options.height else [i for i in ids if i in options.height]
        settling = Settling(ids, seen.timestamps, options.smooth, options.floor, sized)
        frames = sum(stored.stop - stored.start for trace in traces for stored in trace.pieces)
        with self.monitor.stage("settling", frames, "person-frames") as advance:
            cast = settled_people(
                traces, self._lifted, factors, settling, seen.timestamps, self.place, advance
            )
        self.place.keep = seen.partial
        return Reel(
            cast=cast,
            keyframes=np.array(seen.frames, np.int64),
            timestamps=seen.timestamps,
            intrinsics=self.camera.intrinsics.astype(np.float32),
            frame_size=np.array(self.clip.frame_size, np.int64),
            keypoint_set=self.clip.keypoint_set,
            meta={**self._meta(), **settling.meta(), **seen.to_meta()},
            place=self.place,
        )

    def _lift(self, pieces: Sequence[Stored]) -> None:
        """Lift those pieces that have not been lifted yet."""
        waiting = [stored for stored in pieces if stored.name not in self._done]
        total = sum(stored.stop - stored.start for stored in waiting)
        if waiting:
            with self.monitor.stage("lifting to 3D", total, "person-frames") as advance:
                for stored in waiting:
                    self._lifted(stored)
                    advance(stored.stop - stored.start)

    def _lifted(self, stored: Stored) -> Stretch:
        """A piece as the lifter gives it, now or at an earlier run."""
        times = np.array(self.clip.times[stored.start : stored.stop])
        name = f"lifted/{stored.name}-{self._recipe}"
        arrays = self.place.kept(name, 4, lambda: self._computed(stored, times))
        self._done.add(stored.name)
        return Stretch(stored.start, times, *arrays)

    def _computed(self, stored: Stored, times: NDArray[np.float64]) -> list[NDArray[np.float32]]:
        options, piece = self.options, get_piece(self.place, stored)
        lifted = self.lifter(
            piece.keypoints,
            piece.confidence,
            times=piece.times,
            out_times=times,
            camera=self.camera,
            joint_set=self.clip.keypoint_set,
            hypotheses=options.hypotheses,
            steps=options.steps,
            aggregate=options.aggregate,
            seed=options.seed,
            track=piece.number,
        )
        return [lifted.joints3d, lifted.spread, lifted.root_spread, lifted.contacts]

    @cached_property
    def _recipe(self) -> str:
        """Names what a lifted piece depends on beside its looks."""
        options, camera = self.options, self.camera
        given = (options.hypotheses, options.steps, options.aggregate, options.seed, camera.dist)
        what = (__version__, self.lifter.sha256, self.clip.digest, self.clip.keypoint_set, given)
        text = repr((*what, camera.intrinsics.tolist()))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _stature(self, trace: Trace) -> float:
        """Metres, the median over the pieces."""
        for stored in trace.pieces:
            if stored.name not in self._statures:
                self._statures[stored.name] = stature(self._lifted(stored).joints3d)
        return float(np.median([self._statures[stored.name] for stored in trace.pieces]))

    def _tracklet(self, trace: Trace) -> Tracklet:
        """What joining asks of a trace."""
        ends = []
        for last in (False, True):
            end = self._lifted(trace.pieces[-1 if last else 0])
            ends.append(End.of(end.joints3d[:, 0], end.root_spread, end.times, last))
        return Tracklet(ends[0], ends[1], self._stature(trace))

    def _meta(self) -> dict[str, Any]:
        dist = {} if self.camera.dist is None else {"dist": list(self.camera.dist)}
        return {
            "fps": self.clip.fps,
            "source": {"name": self.clip.source.name, "sha256": self.clip.digest},
            "options": self.options.to_meta(),
            "pose2d": self.clip.seen_by,
            "model": {"name": self.lifter.name, "sha256": self.lifter.sha256},
            "vid3d": __version__,
            **dist,
        }
