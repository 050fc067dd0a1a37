"""Long clips: pieces, files of work, the same bytes however often a lift was broken off."""

import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streaming_toys import (
    AS_COCO,
    FPS,
    ToyLifter,
    ToyNetworks,
    lift_toy,
    toy_clip,
    toy_pipeline,
)

from vid3d.errors import Vid3dError
from vid3d.floor import sampled_bodies
from vid3d.info import describe_motion
from vid3d.motion import Motion
from vid3d.motion_schema import Stretch
from vid3d.pose2d.people import Look, People, areas
from vid3d.streaming import Workplace, pieces
from vid3d.streaming.pieces import Cutter, Sighting, faded


def stretch(start, stop, value, times=None):
    count = stop - start
    times = np.arange(start, stop) / FPS if times is None else times
    fill = lambda *shape: np.full((count, *shape), value, np.float32)  # noqa: E731
    return Stretch(start, times, fill(17, 3), fill(17), fill(), fill(2))


def sightings_at(times):
    box, keypoints = np.array([0, 0, 50, 100], np.float32), np.zeros((17, 2), np.float32)
    return [
        Sighting(i, i * 3, time, box, keypoints, np.full(17, 0.9, np.float32), 5000.0)
        for i, time in enumerate(times)
    ]


def cut(times):
    cutter = Cutter(1, "coco17")
    found = [piece for one in sightings_at(times) if (piece := cutter.add(one)) is not None]
    return [*found, cutter.end()]


def small_pieces(monkeypatch, longest=6.0, overlap=3.0):
    monkeypatch.setattr(pieces, "LONGEST", longest)
    monkeypatch.setattr(pieces, "OVERLAP", overlap)


# Pieces


def test_pieces_are_named_by_all_that_is_lifted():
    (piece,) = cut(np.arange(4) / 5)
    changes = [
        {"number": 2},
        {"own": (0, 11)},
        {"looks": piece.looks + 1},
        {"frames": piece.frames + 1},
        {"times": piece.times + 1},
        {"keypoints": piece.keypoints + 1},
        {"confidence": piece.confidence / 2},
        {"still": ~piece.still},
    ]
    names = {replace(piece, **change).digest for change in changes}
    assert len(names - {piece.digest}) == len(changes)
    assert replace(piece).digest == piece.digest


def test_a_short_presence_is_one_piece():
    (piece,) = cut(np.arange(300) * 0.2)
    assert (piece.own, piece.span) == ((0, 898), slice(0, 898))
    assert len(list(piece.sightings())) == 300


@given(st.lists(st.floats(0.02, 30), min_size=1, max_size=400))
@settings(max_examples=60, deadline=None)
def test_pieces_cover_every_look_once_and_overlap(gaps):
    found = cut(np.cumsum(gaps))
    owned = [one.look for piece in found for one in piece.sightings()]
    assert owned == list(range(len(gaps)))
    for before, after in pairwise(found):
        assert len(np.intersect1d(before.looks, after.looks)) >= pieces.SHARED
        assert before.own[1] == after.own[0]
        assert before.span.start < after.span.start
    for first, third in zip(found, found[2:], strict=False):
        assert first.span.stop <= third.span.start  # never three at once
    for piece in found:
        assert piece.times[-2 if len(piece.times) > 1 else 0] - piece.times[0] <= max(
            pieces.LONGEST, np.ptp(piece.times[: pieces.LEAST + 1])
        )


def test_a_digest_tells_pieces_apart():
    first, second = cut(np.arange(30) * 0.2)[0], cut(np.arange(31) * 0.2)[0]
    assert first.digest == cut(np.arange(30) * 0.2)[0].digest != second.digest


def test_fading_by_hand():
    parts = list(faded([stretch(0, 10, 0.0), stretch(4, 20, 1.0), stretch(25, 30, 5.0)]))
    assert [(part.start, part.stop) for part in parts] == [(0, 4), (4, 20), (25, 30)]
    # Six frames are shared; over their middle third the second takes over.
    np.testing.assert_allclose(parts[1].root_spread[:7], [0, 0, 0.25, 0.75, 1, 1, 1])
    np.testing.assert_array_equal(parts[1].joints3d[2], np.full((17, 3), 0.25))
    assert (parts[0].joints3d == 0).all()
    assert (parts[2].contacts == 5).all()


# The workplace


def test_work_stays_only_where_it_broke_off(tmp_path):
    folder = tmp_path / "a.partial"
    with pytest.raises(RuntimeError), Workplace(folder) as place:
        place.put("pieces/one", [np.arange(3)])
        place.put("settled/one", [np.arange(3)])
        raise RuntimeError
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "pieces"]
    with Workplace(folder) as place:
        assert place.get("pieces/one", 1)[0].tolist() == [0, 1, 2]
        assert place.get("pieces/two", 1) is None
    assert not folder.exists()
    with pytest.raises(RuntimeError), Workplace(folder):
        raise RuntimeError  # before anything was done
    assert not folder.exists()
    with Workplace(None) as place:
        place.put("a", [np.arange(3)])
    assert not place.folder.exists()


@pytest.mark.parametrize("length", [0, 5, 100, 135])
def test_a_file_that_is_not_whole_is_made_again(tmp_path, length):
    with Workplace(tmp_path / "a.partial") as place:
        place.put("one", [np.arange(3)])
        path = place.folder / "one"
        path.write_bytes(path.read_bytes()[:length])
        assert place.get("one", 1) is None
        assert place.kept("one", 1, lambda: [np.arange(4)])[0].tolist() == [0, 1, 2, 3]
        assert place.get("one", 1)[0].tolist() == [0, 1, 2, 3]


def test_two_lifts_of_one_clip_into_one_folder(tmp_path):
    with (
        Workplace(tmp_path / "a.partial"),
        pytest.raises(Vid3dError, match="is in use"),
        Workplace(tmp_path / "a.partial"),
    ):
        pass


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Vid3dError, match="cannot write"), Workplace(tmp_path / "file" / "a"):
        pass


# A whole lift


def crowd(seconds):
    """Two who stay; a third who comes and goes, and is hidden for a moment."""
    third = 5 <= seconds < 12 or 12.7 <= seconds < 18 or 22 <= seconds < 27
    return (0, 1, 2) if third else (0, 1)


def test_a_reel_is_written_as_its_motion_would_be(monkeypatch, tmp_path):
    small_pieces(monkeypatch)
    pipeline = toy_pipeline(monkeypatch, crowd)
    (clip,) = pipeline.observe(toy_clip(tmp_path, 30))
    with pipeline.reel(clip) as reel:
        motion = reel.motion()
        for save in ("save", "save_json"):
            files = [getattr(one, save)(tmp_path / f"{i}") for i, one in enumerate((reel, motion))]
            assert files[0].read_bytes() == files[1].read_bytes()
        assert (reel.people, reel.frames, reel.fps) == (motion.people, motion.frames, motion.fps)
        for frame in range(motion.frames):
            there, expected = reel.at(frame), motion.at(frame)
            for name in ("people", "joints3d", "spread", "keypoints2d"):
                np.testing.assert_array_equal(getattr(there, name), getattr(expected, name))
        for span in ((0, 40), (55, 140), (290, 300)):
            np.testing.assert_array_equal(reel.path(2, *span), motion.path(2, *span))
        assert reel._parts.most == 3
        np.testing.assert_array_equal(sampled_bodies(reel), sampled_bodies(motion))
        assert reel.camera.fov == motion.camera.fov
    with np.load(motion.save(tmp_path / "a.npz")) as stored:
        assert set(stored.files) > {"joints3d", "meta", "joint_names"}
    loaded = Motion.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(loaded.joints3d, motion.joints3d)
    np.testing.assert_array_equal(loaded.keypoints2d, motion.keypoints2d)
    assert motion.keyframes.tolist() == [*range(0, 300, 2), 299]
    assert motion.present[:2].all()


def test_cutting_into_pieces_hardly_changes_a_result(monkeypatch, tmp_path):
    video = toy_clip(tmp_path, 40)
    motions = []
    for longest, overlap in ((60.0, 9.0), (12.0, 6.0)):
        small_pieces(monkeypatch, longest, overlap)
        pipeline = toy_pipeline(monkeypatch)
        motions.append(pipeline.lift(*pipeline.observe(video)))
        assert pipeline.lifter.calls == (2 if longest == 60 else 12)
    whole, cut_up = motions
    np.testing.assert_array_equal(whole.present, cut_up.present)
    np.testing.assert_array_equal(whole.keypoints2d, cut_up.keypoints2d)
    far = np.linalg.norm(whole.joints3d - cut_up.joints3d, axis=-1)
    assert far.max() < 0.02
    step = np.linalg.norm(np.diff(cut_up.joints3d[..., 0, :], axis=1), axis=-1)
    assert (
        step.max() < 1.2 * np.linalg.norm(np.diff(whole.joints3d[..., 0, :], axis=1), axis=-1).max()
    )


def test_tracks_that_broke_are_lifted_as_one(monkeypatch, tmp_path):
    """Two tracks of one person that follow within half a second become one presence."""
    from vid3d.streaming import following, get_piece, joined_traces
    from vid3d.streaming.following import Trace, Tracing

    times = np.arange(40) * 0.2
    whole = sightings_at(times)
    with Workplace(None) as place:
        traces = []
        for number, part in enumerate((whole[:20], whole[21:]), 1):
            tracing = Tracing(Trace(number, number), "coco17", times, place)
            for one in part:
                tracing.add(one)
            traces.append(tracing.end())
        (joined,) = joined_traces(traces, [(0, 1)], "coco17", times, place)
        assert (joined.id, joined.seen, len(joined.runs)) == (1, 39, 1)
        piece = get_piece(place, joined.pieces[0])
        assert piece.looks.tolist() == [*range(20), *range(21, 40)]
        assert joined.evidence == pytest.approx(sum(trace.evidence for trace in traces))
        assert joined_traces(traces, [], "coco17", times, place) == traces
    assert following.MAX_GAP == 0.5


def test_pieces_count_what_the_pictures_show(monkeypatch):
    """Boxes of 5000 square pixels, moved to where they cover more; looks spared at rest."""
    from vid3d.streaming.following import Trace, Tracing

    small_pieces(monkeypatch)
    times = np.arange(30) * 1.2
    sightings = [replace(one, still=one.look > 9) for one in sightings_at(times)]
    with Workplace(None) as place:
        tracing = Tracing(Trace(1), "coco17", times, place)
        for one in sightings:
            tracing.add(replace(one, box=2 * one.box))
        trace = tracing.end()
    assert len(trace.pieces) > 1
    assert trace.seen == 10 + 20 * 6
    assert trace.evidence == pytest.approx(0.9 * 130)
    assert trace.coverage == 5000 * 130


def test_only_who_has_a_new_piece_is_judged(monkeypatch):
    from vid3d.streaming import Follower
    from vid3d.tracking import Tracker
    from vid3d.tracking.tracker import _Trail

    small_pieces(monkeypatch)
    judged, believed = [], _Trail.believed
    monkeypatch.setattr(
        _Trail, "believed", lambda one, looks: judged.append(one.number) or believed(one, looks)
    )
    poses = AS_COCO[None, :, :2] * 100 + [[[150, 200]], [[450, 200]]]
    boxes = np.concatenate([poses.min(1) - 10, poses.max(1) + 10], -1)
    with Workplace(None) as place:
        follower = Follower(Tracker(), "coco17", place, lambda trace: None)
        for look in range(36):
            who = slice(0, 1 if look < 8 else 2)  # the second comes later
            count = who.stop
            them = People(boxes[who], np.ones(count), poses[who], np.full((count, 17), 0.9))
            follower.see(Look(2 * look, look / 5, them), areas(them.boxes))
        assert judged == [1]  # ended a piece; the other did not yet
        assert [len(trace.pieces) for trace in follower.finish()] == [2, 1]


class Cut(BaseException):
    """What nothing catches, as a kill."""


def counted(monkeypatch, last):
    """Break off before the `last`-th file of work or answer of a network."""
    state = {"done": 0}

    def counting(function):
        def call(*given, **named):
            state["done"] += 1
            if state["done"] > last:
                raise Cut
            return function(*given, **named)

        return call

    monkeypatch.setattr(Workplace, "put", counting(Workplace.put))
    monkeypatch.setattr(ToyNetworks, "__call__", counting(ToyNetworks.__call__))
    return state


def test_broken_off_anywhere_it_ends_with_the_same_bytes(monkeypatch, tmp_path):
    small_pieces(monkeypatch)
    video = toy_clip(tmp_path, 30)
    with pytest.MonkeyPatch.context() as patch:
        total = counted(patch, 10**9)
        unbroken = lift_toy(toy_pipeline(patch, crowd), video, tmp_path / "whole")
    count = total["done"]
    assert count > 80
    for last in range(3, count, count // 4):
        folder = tmp_path / f"cut{last}"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Cut):
            counted(patch, last)
            lift_toy(toy_pipeline(patch, crowd), video, folder)
        assert (folder / "toy.vid3d.partial").exists()
        assert not (folder / "toy.vid3d.npz").exists()
        with pytest.MonkeyPatch.context() as patch:
            rest = counted(patch, 10**9)
            assert lift_toy(toy_pipeline(patch, crowd), video, folder) == unbroken
        assert rest["done"] < total["done"]
        assert not (folder / "toy.vid3d.partial").exists()


def test_networks_are_not_asked_again(monkeypatch, tmp_path):
    video = toy_clip(tmp_path, 20)
    pipeline = toy_pipeline(monkeypatch, person="99")
    with pytest.raises(Vid3dError, match="99"):
        lift_toy(pipeline, video, tmp_path)
    again = toy_pipeline(monkeypatch, person="largest", smooth=0.8)
    lift_toy(again, video, tmp_path)
    assert (again.estimator.detect.calls, again.lifter.calls) == (0, 0)
    other = toy_pipeline(monkeypatch, seed=1)
    lift_toy(other, video, tmp_path)
    assert other.estimator.detect.calls > 0


def test_stopped_it_leaves_a_part_and_goes_on_to_the_same_bytes(monkeypatch, tmp_path):
    small_pieces(monkeypatch)
    video = toy_clip(tmp_path, 30)
    unbroken = lift_toy(toy_pipeline(monkeypatch, crowd), video, tmp_path / "whole")
    pipeline = toy_pipeline(monkeypatch, crowd)
    ask = pipeline.estimator.detect.people

    def people(seconds):
        pipeline.monitor.stopping |= seconds >= 16
        return ask(seconds)

    pipeline.estimator.detect.people = people
    lift_toy(pipeline, video, tmp_path)
    part = Motion.load(tmp_path / "toy.vid3d.npz")
    assert "interrupted" in dict(describe_motion(tmp_path / "toy.vid3d.npz"))["partial"]
    assert part.frames == part.keyframes[-1] + 1 < 200
    assert part.meta["partial"]["until"] == pytest.approx(part.timestamps[-1])
    assert part.present[:2].all()
    whole = Motion.load(tmp_path / "whole/toy.vid3d.npz")
    apart = np.linalg.norm(part.joints3d[:2, :100] - whole.joints3d[:2, :100], axis=-1)
    assert apart.mean() < 0.1  # the floor is fitted to less
    assert lift_toy(toy_pipeline(monkeypatch, crowd), video, tmp_path) == unbroken
    assert "partial" not in Motion.load(tmp_path / "toy.vid3d.npz").meta
    assert "partial" not in dict(describe_motion(tmp_path / "toy.vid3d.npz"))


def test_what_is_whole_when_somebody_asks_to_stop_is_no_part(monkeypatch, tmp_path):
    small_pieces(monkeypatch)
    video = toy_clip(tmp_path, 30)
    unbroken = lift_toy(toy_pipeline(monkeypatch), video, tmp_path / "whole")
    pipeline = toy_pipeline(monkeypatch)  # nobody knows the lens: all is read before it is lifted
    lifted = ToyLifter.__call__

    def asking(self, *given, **options):
        pipeline.monitor.stopping = True
        return lifted(self, *given, **options)

    monkeypatch.setattr(ToyLifter, "__call__", asking)
    assert lift_toy(pipeline, video, tmp_path) == unbroken
    assert not (tmp_path / "toy.vid3d.partial").exists()


def test_stopped_before_the_first_look(monkeypatch, tmp_path):
    pipeline = toy_pipeline(monkeypatch)
    pipeline.monitor.stopping = True
    lift_toy(pipeline, toy_clip(tmp_path, 5), tmp_path)
    assert Motion.load(tmp_path / "toy.vid3d.npz").frames == 1


def test_nobody_and_known_height(monkeypatch, tmp_path):
    video = toy_clip(tmp_path, 5)
    empty = toy_pipeline(monkeypatch, lambda seconds: ())
    motion = empty.lift(*empty.observe(video))
    assert (motion.people, motion.frames) == (0, 50)
    tall = toy_pipeline(monkeypatch, height={2: 2.0})
    with pytest.raises(Vid3dError, match="person 7"):
        pipeline = toy_pipeline(monkeypatch, height={7: 2.0})
        pipeline.lift(*pipeline.observe(video))
    motion = tall.lift(*tall.observe(video))
    from vid3d.stature import stature

    assert stature(motion.joints3d[1]) == pytest.approx(2.0, rel=0.01)


def test_memory_does_not_grow_with_the_clip(monkeypatch, tmp_path):
    small_pieces(monkeypatch, 10.0, 3.0)
    peaks = []
    for seconds in (15, 25, 75):  # the first fills caches
        pipeline = toy_pipeline(monkeypatch, stride=10)
        (clip,) = pipeline.observe(toy_clip(tmp_path, seconds))
        tracemalloc.start()
        with pipeline.reel(clip, tmp_path) as reel:
            reel.save(tmp_path / "toy.vid3d.npz")
            reel.save_json(tmp_path / "toy.vid3d.json")
            peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1], peaks


def script(*given):
    code = [sys.executable, "tests/streaming_toys.py", *map(str, given)]
    return subprocess.Popen(code, env={**os.environ, "PYTHONPATH": "."})


@pytest.mark.slow
def test_killed_at_random_it_ends_with_the_same_bytes(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(repo)
    rng = np.random.default_rng(0)
    assert script(tmp_path / "whole", 120).wait() == 0
    work = tmp_path / "killed" / "toy.vid3d.partial"

    def looked(size):
        return lambda: (work / "looks").exists() and (work / "looks").stat().st_size > size

    moments = [looked(2e5), looked(6e5), looked(6e5), (work / "settled").exists]
    for begun in moments:
        process = script(tmp_path / "killed", 120, 0.01)
        while process.poll() is None and not begun():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "killed/toy.vid3d.npz").exists()
    assert script(tmp_path / "killed", 120).wait() == 0
    for name in ("toy.vid3d.npz", "toy.vid3d.json"):
        whole, killed = (tmp_path / folder / name for folder in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()


def test_ctrl_c_leaves_a_part_and_says_how_to_go_on(repo, tmp_path, monkeypatch):
    monkeypatch.chdir(repo)
    run = [sys.executable, "-m", "vid3d", "lift", "samples/two_people.mp4", "--stride", "1",
           "--start", "0", "--end", "3", "-o", str(tmp_path)]  # fmt: skip
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True)
    journal = tmp_path / "two_people.vid3d.partial" / "looks"
    deadline = time.time() + 120
    while not (journal.exists() and journal.stat().st_size > 3000) and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in errors.splitlines()[-1]
    part = Motion.load(tmp_path / "two_people.vid3d.npz")
    assert 0 < part.frames < 91
    assert part.meta["partial"]["until"] == pytest.approx(part.timestamps[-1], abs=1e-3)
    assert journal.exists()
    assert not list(tmp_path.glob("*.mp4"))


def test_who_comes_as_a_workplace_is_cleared_keeps_theirs(tmp_path, monkeypatch):
    folder, real, met = tmp_path / "a.partial", shutil.rmtree, []
    other = Workplace(folder)

    def come_in(path, **options):
        with pytest.raises(Vid3dError, match="is in use"):
            other.__enter__()
        met.append(path)
        real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", come_in)
    with Workplace(folder) as place:
        place.put("pieces/a", [np.zeros(3)])
    assert met
    assert not folder.exists()
    with other as place:
        place.put("b", [np.ones(3)])
        assert place.get("b", 1) is not None
    assert not folder.exists()
