"""The 3D half of the way: looks are read, followed, lifted, joined, chosen and settled."""

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vid3d import __version__
from vid3d.clips import Clip
from vid3d.lift_options import LiftOptions
from vid3d.lifter import Lifter
from vid3d.monitor import Monitor
from vid3d.motion_schema import ORIGIN, Stretch, mean_rate
from vid3d.pose2d.people import Look, areas
from vid3d.stature import height_factors, stature
from vid3d.steadying import Steadying
from vid3d.streaming import (
    Follower,
    Person,
    Reel,
    Stored,
    Trace,
    Workplace,
    get_piece,
    joined_traces,
    settled_people,
)
from vid3d.survey import Survey, surveyed
from vid3d.tracking import select_people, tracker_of
from vid3d.tracking.continuation import End, Tracklet, continued
from vid3d.tracking.rest import with_rests
from vid3d.travelling import Way, pace
from vid3d.world.settle import Settling


@dataclass(frozen=True)
class _Seen:
    """What came of the first half.

    Attributes:
        traces: everybody who was followed.
        frames, times: (K,) frame and seconds of the looks.
        timestamps: (F,) seconds of the frames.
        steadying: that the looks went through.
        cuts: frames of the looks since whose last one the film was cut.
        partial: whether it ended before the clip did.
    """

    traces: list[Trace]
    frames: array
    times: array
    timestamps: NDArray[np.float64]
    steadying: Steadying
    cuts: list[int]
    partial: bool

    def shot(self, trace: Trace) -> int:
        """In which part between cuts a trace lies; none lies in two."""
        return bisect_right(self.cuts, trace.pieces[0].start)

    @property
    def shots(self) -> NDArray[np.int64]:
        """(F,) in which part between cuts each frame lies."""
        frames = np.arange(len(self.timestamps))
        return np.searchsorted(np.array(self.cuts, np.int64), frames, side="right")

    def to_meta(self) -> dict[str, Any]:
        """What a result says of a clip that was cut, or that did not come to its end."""
        meta: dict[str, Any] = {}
        if self.cuts:
            meta["cuts"] = [round(float(self.timestamps[frame]), 3) for frame in self.cuts]
        if self.partial:
            meta["partial"] = {"until": round(self.times[-1], 3)}
        return meta


class Work:
    """The work on one clip.

    Args:
        options: what is wanted.
        lifter: of its `model`.
        monitor: told of progress.
        clip: not read yet.
        place: where everything is kept.
    """

    def __init__(
        self, options: LiftOptions, lifter: Lifter, monitor: Monitor, clip: Clip, place: Workplace
    ) -> None:
        self.options, self.lifter, self.monitor = options, lifter, monitor
        self.clip, self.place = clip, place
        self.survey = Survey(self.options.camera_of(clip.camera, clip.frame_size))
        self._broken_off = False
        self._done: set[str] = set()
        self._statures: dict[str, float] = {}

    def reel(self) -> Reel:
        """The second half, which reads the first."""
        seen = self._follow()
        return self._settle(seen, self._choose(seen))

    def _follow(self) -> _Seen:
        """2D people into tracks, tracks into pieces; what is complete is lifted at once."""
        clip = self.clip
        cuts: list[int] = []
        tracker = tracker_of(clip.identified, clip.keypoint_set)
        follower = Follower(
            tracker, clip.keypoint_set, self.place, lambda trace: self._lift(trace.pieces)
        )
        with (
            closing(clip.journal(self.place.journal, self.options)) as journal,
            closing(clip.looks(None if self.place.temporary else journal)) as looks,
            self.monitor.stoppable(),
        ):
            reading = self._until_stopped(looks)
            self.survey, reading = surveyed(reading, clip, self.options, self.monitor)
            steadying = Steadying(self.survey.camera, zooms=not self.options.travelling)
            for look in reading:
                with self.monitor.stage("tracking", unit="looks") as advance:
                    follower.see(steadying.steadied(look), areas(look.people.boxes))
                    cuts += [look.frame] if look.cut else []
                    advance(1)
        partial = self._broken_off
        frames = follower.frames[-1] + 1 if partial else len(clip.times)
        times = np.array(clip.times[:frames])
        found = follower.finish()
        if cuts:
            count = f"{len(cuts)} cut{'s' * (len(cuts) > 1)}"
            floors = "; every shot's floor is laid onto that of one" if self.options.floor else ""
            self.monitor.warn(f"the film has {count}: people are new after each{floors}")
        return _Seen(found, follower.frames, follower.times, times, steadying, cuts, partial)

    def _until_stopped(self, looks: Iterable[Look]) -> Iterator[Look]:
        """Looks, until somebody asks to stop before all are read."""
        for look in looks:
            yield look
            if self.monitor.stopping:
                self._broken_off = True
                return

    def _choose(self, seen: _Seen) -> list[Trace]:
        """Everybody lifted, broken tracks joined by where people went, and who is wanted."""
        traces, clip = seen.traces, self.clip
        self._lift([stored for trace in traces for stored in trace.pieces])
        if not clip.identified:
            pairs = continued([self._tracklet(trace, seen.shot(trace)) for trace in traces])
            traces = joined_traces(traces, pairs, clip.keypoint_set, seen.times, self.place)
        chosen = select_people(traces, self.options.person, self.options.max_people)
        self._lift([stored for trace in chosen for stored in trace.pieces])  # what was joined
        return chosen

    def _way(self, seen: _Seen, people: Iterable[Stretch]) -> Way | None:
        """The camera's way, in metres by people of their right size.

        None where the camera is held to stand: nobody asked, or nothing was found.
        """
        if self.survey.placed is None:
            return None
        turns = [setting.turn for setting in seen.steadying.settings]
        way = Way.of(self.survey.placed, turns, np.array(seen.times), seen.timestamps)
        factor = pace(way, people)
        if not factor:
            self.monitor.warn(
                "how far the camera went was not found: nobody is seen for long enough while it "
                "travels; only its turns are taken out"
            )
        return way.scaled(factor)

    def _settle(self, seen: _Seen, traces: list[Trace]) -> Reel:
        """Known heights, smoothing, floor and feet; as a motion in files."""
        options, ids = self.options, [trace.id for trace in traces]
        statures = [self._stature(trace) if options.height else 1.0 for trace in traces]
        factors = height_factors(ids, statures, options.height)
        sized = ids if None in options.height else [i for i in ids if i in options.height]

        def sized_one(person: int, stored: Stored) -> Stretch:
            return self._lifted(stored).scaled(factors[person])

        way = self._way(
            seen, (sized_one(i, one) for i, trace in enumerate(traces) for one in trace.pieces)
        )

        def placed(person: int, stored: Stored) -> Stretch:
            stretch = sized_one(person, stored)
            return stretch if way is None else way.along(stretch)

        shots = [seen.shot(trace) for trace in traces]
        eyes = ORIGIN if way is None else way.position
        settling = Settling(ids, seen.timestamps, options.smooth, options.floor, sized, shots, eyes)
        frames = sum(stored.stop - stored.start for trace in traces for stored in trace.pieces)
        with self.monitor.stage("settling", frames, "person-frames") as advance:
            cast = settled_people(
                traces,
                placed,
                settling,
                seen.timestamps,
                seen.steadying.pictured,
                self.place,
                advance,
            )
        if seen.cuts:
            way = Way(*settling.cameras(seen.shots))
        self.place.keep = seen.partial
        return self._result(seen, cast, settling.meta(), way)

    def _result(
        self, seen: _Seen, cast: list[Person], settled: dict[str, Any], way: Way | None
    ) -> Reel:
        """A motion in files, of people and of a camera that went a way."""
        rotation = seen.steadying.rotations(seen.times, seen.timestamps)
        position = np.float32(ORIGIN if way is None else way.position)
        return Reel(
            cast=cast,
            keyframes=np.array(seen.frames, np.int64),
            timestamps=seen.timestamps,
            intrinsics=self.survey.camera.intrinsics.astype(np.float32),
            frame_size=np.array(self.clip.frame_size, np.int64),
            keypoint_set=self.clip.keypoint_set,
            meta={**self._meta(seen.timestamps), **settled, **seen.to_meta()},
            camera_rotation=rotation if way is None else way.rotation(rotation),
            camera_position=np.broadcast_to(position, (len(rotation), 3)),
            camera_zoom=seen.steadying.zooms(seen.times, seen.timestamps),
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
        keypoints, confidence, looked = with_rests(
            piece.keypoints, piece.confidence, piece.times, piece.rested
        )
        lifted = self.lifter(
            keypoints,
            confidence,
            times=looked,
            out_times=times,
            camera=self.survey.camera,
            joint_set=self.clip.keypoint_set,
            hypotheses=options.hypotheses,
            steps=options.steps,
            aggregate=options.aggregate,
            seed=options.seed,
            track=piece.number,
            action=options.action,
        )
        return [lifted.joints3d, lifted.spread, lifted.root_spread, lifted.contacts]

    @cached_property
    def _recipe(self) -> str:
        """Names what a lifted piece depends on beside its looks."""
        options, camera = self.options, self.survey.camera
        given = (
            options.hypotheses, options.steps, options.aggregate, options.action, options.seed,
            camera.dist,
        )  # fmt: skip
        what = (__version__, self.lifter.sha256, self.clip.digest, self.clip.keypoint_set, given)
        text = repr((*what, camera.intrinsics.tolist()))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _stature(self, trace: Trace) -> float:
        """Metres, the median over the pieces."""
        for stored in trace.pieces:
            if stored.name not in self._statures:
                self._statures[stored.name] = stature(self._lifted(stored).joints3d)
        return float(np.median([self._statures[stored.name] for stored in trace.pieces]))

    def _tracklet(self, trace: Trace, shot: int) -> Tracklet:
        """What joining asks of a trace."""
        ends = []
        for last in (False, True):
            end = self._lifted(trace.pieces[-1 if last else 0])
            ends.append(End.of(end.joints3d[:, 0], end.root_spread, end.times, last))
        return Tracklet(ends[0], ends[1], self._stature(trace), shot)

    def _meta(self, timestamps: NDArray[np.float64]) -> dict[str, Any]:
        dist = {} if self.survey.camera.dist is None else {"dist": list(self.survey.camera.dist)}
        return {
            "fps": mean_rate(timestamps, self.clip.fps),
            "source": {"name": self.clip.source.name, "sha256": self.clip.digest},
            "options": self.options.to_meta(),
            "pose2d": self.clip.seen_by,
            "model": {"name": self.lifter.name, "sha256": self.lifter.sha256},
            "vid3d": __version__,
            **dist,
            **({"lens": "found"} if self.survey.lens_found else {}),
        }
