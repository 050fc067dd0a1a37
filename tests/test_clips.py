"""Keypoints out of files beside videos: which frame a look belongs to."""

import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from video_toys import make

from vid3d.clips import clips_of_keypoints
from vid3d.errors import Vid3dError
from vid3d.lift_options import LiftOptions
from vid3d.monitor import Monitor
from vid3d.pipeline import Pipeline
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.keypoint_files import read_keypoints, write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, People, boxes_around
from vid3d.video import VideoReader

RATE, SIZE = 25, (160, 120)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return make(tmp_path_factory.mktemp("video") / "a.mp4", frames=50)


def look(frame, time, still=False):
    """Somebody whose first joint is at the second of the look, times ten."""
    keypoints = np.random.default_rng(0).uniform(20, 100, (1, 17, 2)).astype(np.float32)
    keypoints[0, 0, 0] = 10 * time
    confidence = np.ones((1, 17), np.float32)
    boxes = boxes_around(keypoints, confidence)
    return Look(frame, time, People(boxes, np.ones(1), keypoints, confidence), still)


def written(path, looks, size=SIZE, timed=True, rate=RATE):
    write_keypoints(path, KeypointClip("a", looks, "coco17", looks[-1].frame + 1, rate, size))
    if not timed:
        document = json.loads(path.read_text())
        for image in document["images"]:
            del image["time"]
        path.write_text(json.dumps(document))
    return path


def placed(path, video, **options):
    """Frame, time and what was seen at that time, of every look; and the clip."""
    (clip,) = clips_of_keypoints(path, video, LiftOptions(stride=1, **options))
    looks = list(clip.looks(None))
    for each in looks:
        assert each.time == clip.times[each.frame]
    seen = [round(float(each.people.keypoints[0, 0, 0]) / 10, 3) for each in looks]
    return [each.frame for each in looks], seen, clip


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.4, None), (0.4, 1.2), (None, 0.8)])
@pytest.mark.parametrize("begun", [0.0, 0.4])
def test_looks_stay_at_their_times_whatever_part_is_wanted(tmp_path, video, start, end, begun):
    # As `vid3d detect --start BEGUN` writes them: frames count from there, times from the video's.
    looks = [look(5 * i, begun + 0.2 * i) for i in range(6)]
    frames, seen, clip = placed(written(tmp_path / "k.json", looks), video, start=start, end=end)
    low, high = start or 0.0, end or 1.96
    assert clip.times[0] == pytest.approx(low)
    assert clip.times[-1] == pytest.approx(high)
    inside = [begun + 0.2 * i for i in range(6) if low - 1e-6 <= begun + 0.2 * i <= high + 1e-6]
    np.testing.assert_allclose(seen, inside, atol=1e-3)
    np.testing.assert_allclose([clip.times[frame] for frame in frames], inside, atol=1e-3)


def test_frames_count_from_the_beginning_of_the_video(tmp_path, video):
    path = written(tmp_path / "k.json", [look(5 * i, 0.2 * i) for i in range(6)], timed=False)
    frames, seen, _ = placed(path, video, start=0.4)
    assert frames == [0, 5, 10, 15]
    assert seen == [0.4, 0.6, 0.8, 1.0]


@pytest.mark.parametrize(
    ("rate", "wanted", "warned"),
    [
        (50, [0, 10, 20], ["50 frames/s, the video has 25"]),  # at 0, 0.4 and 0.8 s
        (12.5, [0, 40], ["12.5 frames/s, the video has 25"]),  # at 0, 1.6 and 3.2 s
        (24, [0, 20, 40], []),  # a film, faster on television
    ],
)
def test_frames_of_another_rate_count_by_their_times(tmp_path, video, rate, wanted, warned):
    looks = [look(20 * i, 20 * i / rate) for i in range(3)]
    path = written(tmp_path / "k.json", looks, timed=False, rate=rate)
    monitor = Monitor()
    (clip,) = clips_of_keypoints(path, video, LiftOptions(stride=1), monitor)
    assert [each.frame for each in clip.looks(None)] == wanted
    assert len(monitor.warnings) == len(warned)
    assert all(words in text for words, text in zip(warned, monitor.warnings, strict=True))


def test_start_and_end_hold_without_a_video(tmp_path):
    path = written(tmp_path / "k.json", [look(5 * i, 0.2 * i) for i in range(6)])
    frames, seen, clip = placed(path, None, start=0.4, end=0.85)
    assert frames == [0, 5, 10]
    assert seen == [0.4, 0.6, 0.8]
    assert clip.times[-1] == pytest.approx(0.84)


def test_looks_beyond_the_video_or_twice_at_a_frame_are_left_out(tmp_path, video):
    looks = [look(0, 0.0), look(1, 0.01), look(2, 0.2), look(3, 1.97), look(4, 2.5)]
    frames, seen, _ = placed(written(tmp_path / "k.json", looks), video)
    assert frames == [0, 5, 49]
    assert seen == [0.0, 0.2, 1.97]


def test_of_looks_at_one_frame_the_nearest_counts(tmp_path, video):
    looks = [look(0, 0.0), look(1, 0.021), look(2, 0.04), look(3, 0.051)]
    frames, seen, _ = placed(written(tmp_path / "k.json", looks), video)
    assert frames == [0, 1]
    assert seen == [0.0, 0.04]


@pytest.mark.parametrize(("at", "wanted"), [(3, 2), (4, 2), (5, 3)])
def test_a_cut_at_a_look_that_is_left_out_is_before_the_next(tmp_path, video, at, wanted):
    # Twice as many looks as frames: of two at one frame the first is the nearer one.
    looks = [look(i, 0.02 * i, still=i != at) for i in range(8)]
    looks[at] = replace(looks[at], cut=True)
    (clip,) = clips_of_keypoints(
        written(tmp_path / "k.json", looks, rate=50), video, LiftOptions(stride=1)
    )
    kept = list(clip.looks(None))
    assert [each.frame for each in kept if each.cut] == [wanted]
    assert [each.frame for each in kept if not each.still] == [wanted]


def test_looks_that_a_video_has_no_frame_of_take_none_from_others(tmp_path):
    # Keypoints of a copy at an even rate, of a recording in which three frames were dropped.
    stamps = [0, 40, 80, 240, 280, 320]
    video = make(tmp_path / "dropped.mkv", stamps=stamps)
    looks = [look(i, 0.04 * i) for i in range(9)]
    frames, seen, _ = placed(written(tmp_path / "k.json", looks), video)
    assert frames == [0, 1, 2, 3, 4, 5]
    assert seen == [0.0, 0.04, 0.08, 0.24, 0.28, 0.32]


@pytest.mark.parametrize(
    ("looks", "size", "options", "words"),
    [
        ([look(0, 0.0)], (320, 240), {}, "pictures of 320 x 240 pixels.* has 160 x 120"),
        ([look(0, 7.0)], SIZE, {}, "no look between 0.00 and 1.96 s"),
        ([look(0, 0.2)], SIZE, {"start": 1.0}, "no look between 1.00 and 1.96 s"),
        (
            [look(0, 0.2)],
            SIZE,
            {"start": 7.0},
            "a.mp4 has no frame between 7 and inf s: its last",
        ),
    ],
)
def test_what_does_not_belong_together_is_said(tmp_path, video, looks, size, options, words):
    with pytest.raises(Vid3dError, match=words):
        placed(written(tmp_path / "k.json", looks, size), video, **options)


def test_rest_between_looks_is_believed_if_it_lasted(tmp_path):
    looks = [look(0, 0.0), look(6, 0.24), look(12, 0.48, still=True), look(18, 0.72, still=True),
             look(24, 0.96, still=True)]  # fmt: skip
    path = written(tmp_path / "k.json", looks)
    (clip,) = clips_of_keypoints(path, None, LiftOptions(stride=12))
    kept = [(each.frame, each.still) for each in clip.looks(None)]
    assert kept == [(0, False), (12, False), (24, True)]  # it moved until 6


@pytest.mark.parametrize(
    ("apart", "stride", "wanted"),
    [
        (1, 6, [0, 6, 12, 18, 24, 30, 35]),
        (5, 6, [0, 5, 10, 15, 20, 25, 30, 35]),  # not every second one: 10 frames apart
        (4, 6, [0, 4, 8, 12, 16, 20, 24, 28, 32]),
        (2, 5, [0, 4, 8, 12, 16, 20, 24, 28, 32, 34]),
        (6, 6, [0, 6, 12, 18, 24, 30]),
        (6, 10, [0, 12, 24, 30]),
    ],
)
def test_looks_of_a_file_are_thinned_to_what_is_nearest(tmp_path, apart, stride, wanted):
    looks = [look(frame, frame / 30) for frame in range(0, 36, apart)]
    path = written(tmp_path / "k.json", looks)
    (clip,) = clips_of_keypoints(path, None, LiftOptions(stride=stride))
    assert [each.frame for each in clip.looks(None)] == wanted


def test_the_first_and_last_look_of_each_shot_stay(tmp_path):
    looks = [replace(look(frame, frame / 30), cut=frame == 9) for frame in range(24)]
    (clip,) = clips_of_keypoints(written(tmp_path / "k.json", looks), None, LiftOptions(stride=6))
    kept = [(each.frame, each.cut) for each in clip.looks(None)]
    assert [frame for frame, _ in kept] == [0, 6, 8, 9, 15, 21, 23]
    assert [frame for frame, cut in kept if cut] == [9]


class Nobody:
    """Networks that see nobody."""

    name, joint_set = "nobody", "coco17"

    def __call__(self, images):
        return [People.none() for _ in images]

    def pose(self, images, boxes):
        return [(np.zeros((0, 17, 2)), np.zeros((0, 17))) for _ in images]


class NoBoxes:
    """A detector and a pose network that see nobody."""

    name, joint_set = "nothing", "coco17"

    def __call__(self, images, boxes=None):
        shapes = ((0, 4), (0,)) if boxes is None else ((0, 17, 2), (0, 17))
        return [tuple(np.zeros(shape, np.float32) for shape in shapes) for _ in images]


@pytest.mark.parametrize("stride", [1, 7, "auto"])
def test_a_video_is_closed_when_nobody_decodes_it_any_more(tmp_path, monkeypatch, stride):
    """A file that is closed while a thread decodes takes the process with it."""
    video = make(tmp_path / "long.mp4", frames=200)
    decoding = []
    close = VideoReader.close

    def watched(self):
        decoding.append([one.name for one in threading.enumerate() if one.name == "prefetch"])
        close(self)

    pipeline = Pipeline(LiftOptions(stride=stride))
    pipeline.estimator = Nobody()
    (clip,) = pipeline.observe(video)
    monkeypatch.setattr(VideoReader, "close", watched)
    looks = clip.looks(None)
    next(looks)
    assert any(one.name == "prefetch" for one in threading.enumerate())
    looks.close()
    assert decoding
    assert decoding[-1] == []


def test_the_lens_that_a_video_notes_goes_into_its_keypoints(tmp_path):
    tags = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"}
    video = make(tmp_path / "a.mov", container={"movflags": "use_metadata_tags"}, tags=tags)
    nothing = NoBoxes()
    for options, wanted in (({}, 67.31), ({"fov": 40}, 40)):  # 2 atan(0.4 * 43.27 / 26)
        pipeline = Pipeline(LiftOptions(**options))
        pipeline.estimator = TopDown(nothing, nothing)
        pipeline.detect(video, tmp_path / "k.json")
        (clip,) = read_keypoints(tmp_path / "k.json")
        assert clip.camera.fov == pytest.approx(wanted, abs=0.01)


def test_kept_answers_are_those_of_the_same_networks(repo, tmp_path):
    """The names of networks are not enough: models are trained again under theirs."""
    shutil.copytree(repo / "weights/vid3d-pose", tmp_path / "vid3d-pose")
    manifest = json.loads((tmp_path / "vid3d-pose/manifest.json").read_text())
    manifest["calibration"] = {"score": [0, 1], "probability": [0, 0.5]}
    (tmp_path / "vid3d-pose/manifest.json").write_text(json.dumps(manifest))
    keys = []
    for options in (
        LiftOptions(),
        LiftOptions(pose=str(repo / "weights/vid3d-pose")),
        LiftOptions(pose=str(tmp_path / "vid3d-pose")),
        LiftOptions(flip_test=True),
    ):
        (clip,) = Pipeline(options).observe(repo / "tests/data/tiny.mp4")
        keys.append(clip.journal(tmp_path / "journal", options)._key)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


def test_nothing_else_changes_a_look(tmp_path, video):
    first = look(0, 0.2)
    (clip,) = clips_of_keypoints(written(tmp_path / "k.json", [first]), video, LiftOptions())
    (found,) = clip.looks(None)
    assert replace(found, people=first.people) == replace(first, frame=5, time=clip.times[5])
    np.testing.assert_allclose(found.people.keypoints, first.people.keypoints, atol=0.01)
