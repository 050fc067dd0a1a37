from contextlib import closing

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.pipeline import LiftOptions, Pipeline
from vid3d.pose2d.estimator import TopDown
from vid3d.pose2d.journal import Journal
from vid3d.pose2d.keypoint_files import read_keypoints
from vid3d.streaming import Workplace

KEY = {"video": "abc"}


class Counting:
    """A detector and pose network in one that counts, and gives up where told to."""

    name, joint_set = "counting", "coco17"

    def __init__(self, last=10**9):
        self.calls, self.last = 0, last

    def __call__(self, images, boxes=None):
        if self.calls >= self.last:
            raise KeyboardInterrupt
        self.calls += 1
        if boxes is None:
            return [
                (np.array([[10, 10, 40, 90]], np.float32), np.array([0.9], np.float32))
                for _ in images
            ]
        rng = np.random.default_rng(self.calls)
        return [
            (
                rng.uniform(0, 90, (len(rows), 17, 2)).astype(np.float32),
                rng.uniform(0.5, 1, (len(rows), 17)).astype(np.float32),
            )
            for rows in boxes
        ]


def answers(journal, count, source):
    return [journal.answer(source) for _ in range(count)]


def test_answers_come_from_the_file_first(tmp_path):
    path = tmp_path / "a.partial"
    rng = np.random.default_rng(0)

    def ask():
        found = rng.normal(size=(2, 17, 2)).astype(np.float32)
        return [(found, np.ones((2, 17), np.float32)), (found[:0], np.ones((0, 17), np.float32))]

    journal = Journal(path, KEY)
    assert not path.exists()  # nothing was answered yet
    first = answers(journal, 3, ask)
    journal.close()
    journal = Journal(path, KEY)
    assert len(journal) == 3
    again = answers(journal, 4, ask)
    for a, b in zip(first, again, strict=False):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x[0], y[0])
            assert (x[0].shape, x[1].shape) == (y[0].shape, y[1].shape)
    journal.close()
    assert len(Journal(path, KEY)) == 4


def test_another_key_begins_anew(tmp_path):
    path = tmp_path / "a.partial"
    journal = Journal(path, KEY)
    journal.answer(list)
    journal.close()
    other = Journal(path, {"video": "xyz"})
    assert len(other) == 0
    other.answer(list)
    other.close()
    assert len(Journal(path, {"video": "xyz"})) == 1
    assert len(Journal(path, KEY)) == 0


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 400))
def test_a_file_cut_anywhere_goes_on(tmp_path, length):
    path = tmp_path / "cut.partial"
    path.unlink(missing_ok=True)
    count = iter(range(100))

    def ask():
        return [(np.full((1, 4), next(count), np.float32), np.ones(1, np.float32))]

    journal = Journal(path, KEY)
    whole = answers(journal, 5, ask)
    journal.close()
    path.write_bytes(path.read_bytes()[:length])
    journal = Journal(path, KEY)
    kept = len(journal)
    count = iter(range(kept, 100))
    again = answers(journal, 5, ask)
    journal.close()
    assert [a[0][0][0, 0] for a in again] == [a[0][0][0, 0] for a in whole]
    assert len(Journal(path, KEY)) == 5


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "a.partial", KEY)
    with pytest.raises(Vid3dError, match="cannot write"):
        journal.answer(list)


@pytest.mark.parametrize(("stride", "every"), [(5, 1), (3, 4), ("auto", 1)])
def test_interrupted_detection_goes_on(repo, tmp_path, stride, every):
    video, output = repo / "tests/data/tiny.mp4", tmp_path / "seen.json"
    options = LiftOptions(stride=stride, detect_every=every)

    def run(output, last=10**9):
        pipeline, network = Pipeline(options), Counting(last)
        pipeline.estimator = TopDown(network, network)
        try:
            pipeline.detect(video, output)
        finally:
            assert isinstance(pipeline.estimator.detect, Counting)
        return network.calls

    total = run(tmp_path / "whole.json")
    with pytest.raises(KeyboardInterrupt):
        run(output, total - 2)
    assert not output.exists()
    partial = tmp_path / "seen.json.partial"
    assert partial.exists()
    # The toy's poses depend on how often it was asked, so only the number of calls is compared.
    assert run(output) == 2
    assert not partial.exists()
    whole, resumed = (read_keypoints(tmp_path / f"{name}.json") for name in ("whole", "seen"))
    assert [look.frame for look in resumed[0].looks] == [look.frame for look in whole[0].looks]


def test_the_same_file_is_detected_once_at_a_time(repo, tmp_path):
    pipeline, network = Pipeline(LiftOptions(stride=15)), Counting()
    pipeline.estimator = TopDown(network, network)
    output = tmp_path / "seen.json"
    with (
        Workplace(tmp_path / "seen.json.partial"),
        pytest.raises(Vid3dError, match="another run is making the same files"),
    ):
        pipeline.detect(repo / "tests/data/tiny.mp4", output)
    assert network.calls == 0
    assert not output.exists()


def test_detect_writes_mot_text(repo, tmp_path):
    pipeline, network = Pipeline(LiftOptions(stride=15)), Counting()
    pipeline.estimator = TopDown(network, network)
    output = tmp_path / "seen.txt"
    pipeline.detect(repo / "tests/data/tiny.mp4", output)
    rows = [line.split(",") for line in output.read_text().splitlines()]
    assert [int(row[0]) for row in rows] == [1, 16, 31, 45]
    assert all(row[2:6] == ["11.00", "11.00", "30.00", "80.00"] for row in rows)
    assert all(row[7:] == ["-1", "-1", "-1"] for row in rows)
    assert {row[1] for row in rows} == {"1"}
    with pytest.raises(Vid3dError, match="boxes without joints"):
        read_keypoints(output)
    assert list(tmp_path.glob("*.partial")) == []


def test_detect_says_what_lift_will_not_read(repo, tmp_path, monkeypatch):
    pipeline, network = Pipeline(LiftOptions(stride=15)), Counting()
    pipeline.estimator = TopDown(network, network)
    monkeypatch.setattr("vid3d.pipeline.MOST_JSON", 10)
    for name in ("seen.txt", "seen.json"):
        assert pipeline.monitor.warnings == []
        pipeline.detect(repo / "tests/data/tiny.mp4", tmp_path / name)
    (warning,) = pipeline.monitor.warnings
    assert "detect parts of the video, with --start and --end" in warning
    monkeypatch.setattr("vid3d.files.MOST_JSON", 10)
    with pytest.raises(Vid3dError, match=r"not read as JSON \(larger than"):
        read_keypoints(tmp_path / "seen.json")


def test_another_field_of_view_asks_anew(repo, tmp_path):
    """It tells turns and cuts, on which hangs what the networks are asked."""
    usual, narrow, unknown = LiftOptions(fov=55), LiftOptions(fov=40), LiftOptions()
    (clip,) = Pipeline(usual).observe(repo / "tests/data/tiny.mp4")
    with closing(clip.journal(tmp_path / "j", usual)) as journal:
        journal.answer(list)
    for options, held in ((usual, 1), (narrow, 0), (unknown, 0)):
        with closing(clip.journal(tmp_path / "j", options)) as journal:
            assert len(journal) == held
