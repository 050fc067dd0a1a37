import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from click.testing import CliRunner

from vid3d.camera import Camera
from vid3d.cli import cli
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.errors import Vid3dError
from vid3d.evaluation.lifting import Report
from vid3d.evaluation.oracles import Aggregates, j_agg, j_best, measure_aggregates, p_best, sized
from vid3d.lifter.inference import Dense
from vid3d.lifter.lifter import Hypotheses
from vid3d.lifter.observation import observe
from vid3d.lifter.windows import plan_windows

CAMERA = Camera.from_fov(55, (1280, 720))
ROOT = np.array([0.2, -0.1, 4.0])
FRAMES = 26


def pose():
    body = np.random.default_rng(0).normal(size=(17, 3)) * [0.2, 0.5, 0.1]
    return body - body[0]


class Toy:
    """A lifter whose two hypotheses are right about an arm each, and wrong about the other."""

    def draw(self, keypoints2d, confidence, *, times, out_times, camera, joint_set, **_):
        windows = plan_windows(0.0, 1.0, 0.04, 11, 7)
        dense = Dense(
            joints=np.broadcast_to(pose(), (windows.count, 17, 3)), coco=None, root=None,
            contacts=None, features=None, mirrored=None, deviation=None, rotation=None,
            moments=None,
        )  # fmt: skip
        offsets = np.zeros((2, windows.count, 17, 3))
        offsets[0, :, 11:14, 0] = 0.2
        offsets[1, :, 14:17, 0] = 0.4
        seen = observe(keypoints2d, confidence, times, camera, joint_set)
        return Hypotheses(seen, windows, dense, offsets)


@pytest.fixture
def sequence():
    truth = np.broadcast_to(pose() + ROOT, (FRAMES, 17, 3)).copy()
    return PairSequence(
        name="s", fps=25.0, camera=CAMERA, joint_set="h36m17",
        keypoints2d=CAMERA.project(truth), confidence=np.ones((FRAMES, 17)), joints3d=truth,
    )  # fmt: skip


def test_best_by_hand():
    truth = np.broadcast_to(pose(), (3, 17, 3))
    hypotheses = np.stack([truth, truth]).copy()
    hypotheses[0, :, 11] += [0.3, 0, 0]
    hypotheses[1, :, 12] += [0.2, 0, 0]
    hypotheses[1, 1, 13] += [0.2, 0, 0]
    np.testing.assert_array_equal(p_best(hypotheses, truth), hypotheses[[1, 0, 1], range(3)])
    np.testing.assert_allclose(j_best(hypotheses, truth), truth)


def test_what_chooses_by_the_truth_is_named_so(sequence):
    (row,) = measure_aggregates(Toy(), [sequence], strides=(5,))
    scored = 15
    # One hypothesis moves three joints by 0.2 m, the other three by 0.4 m.
    assert row.oracle_p_best == pytest.approx(1000 * 3 * 0.2 / scored, rel=1e-6)
    assert row.oracle_j_best == pytest.approx(0, abs=1e-6)
    assert row.p_agg == pytest.approx(1000 * (3 * 0.1 + 3 * 0.2) / scored, rel=1e-6)
    assert row.oracle_j_agg == pytest.approx(0, abs=1e-3)
    assert row.oracle_j_agg_size == pytest.approx(row.j_agg, abs=30)
    assert row.j_agg == pytest.approx(0, abs=30)
    by_truth = [item.name for item in fields(row) if "best" in item.name]
    assert by_truth
    assert all(name.startswith("oracle") for name in by_truth)


def test_j_agg_follows_the_root_that_it_is_given(sequence):
    drawn = Toy().draw(sequence.keypoints2d, sequence.confidence, times=np.arange(FRAMES) / 25,
                       out_times=None, camera=CAMERA, joint_set="h36m17")  # fmt: skip
    looks = len(drawn.seen.times)
    right = j_agg(drawn, np.broadcast_to(ROOT, (looks, 3)), np.arange(FRAMES) / 25)
    np.testing.assert_allclose(right, np.broadcast_to(pose(), right.shape), atol=1e-6)
    aside = j_agg(drawn, np.broadcast_to(ROOT - [0.4, 0, 0], (looks, 3)), np.arange(FRAMES) / 25)
    np.testing.assert_allclose(aside[:, 14:, 0] - pose()[14:, 0], 0.4, atol=1e-6)


def test_one_factor_a_track_puts_roots_at_the_true_distance():
    truth = np.array([[0.4, 0, 4.0], [0.5, 0, 5], [0.6, 0, 6]])
    off = 0.9 * truth
    np.testing.assert_allclose(sized(off, truth), truth)
    off[1] = np.nan  # nothing seen
    np.testing.assert_allclose(sized(off, truth)[[0, 2]], truth[[0, 2]])


def test_hypotheses_share_one_root(sequence):
    """Both are wrong in opposite directions: their mean is right, so is its root."""
    drawn = Toy().draw(sequence.keypoints2d, sequence.confidence, times=np.arange(FRAMES) / 25,
                       out_times=None, camera=CAMERA, joint_set="h36m17")  # fmt: skip
    offsets = np.zeros_like(drawn.offsets)
    offsets[0, :, 1:, 0], offsets[1, :, 1:, 0] = 0.02, -0.02
    drawn = Hypotheses(drawn.seen, drawn.windows, drawn.dense, offsets)
    np.testing.assert_allclose(drawn.shared_root, np.tile(ROOT, (FRAMES, 1)), atol=1e-6)
    assert np.abs(drawn.roots_at_looks[:, :, 0] - ROOT[0]).min() > 0.01
    weights = drawn.weights("jpma")
    np.testing.assert_allclose(weights.sum(0), 1)


def test_frames_of_unknown_truth_do_not_count(sequence):
    (whole,) = measure_aggregates(Toy(), [sequence], strides=(5,))
    truth = sequence.joints3d.copy()
    truth[9:12] = np.nan  # a look among them
    truth[20, 4] = np.nan
    (row,) = measure_aggregates(Toy(), [replace(sequence, joints3d=truth)], strides=(5,))
    assert asdict(row) == pytest.approx(asdict(whole), abs=1e-6)
    truth[::5] = truth[-1] = np.nan  # every look: nothing says how tall the person is
    (row,) = measure_aggregates(Toy(), [replace(sequence, joints3d=truth)], strides=(5,))
    assert row.oracle_j_agg_size == pytest.approx(row.j_agg)


def test_strides_at_which_nothing_is_known_or_seen_are_left_out(sequence):
    unknown = replace(sequence, joints3d=np.full_like(sequence.joints3d, np.nan))
    blank = replace(sequence, confidence=np.zeros_like(sequence.confidence))
    assert measure_aggregates(Toy(), [unknown, blank], strides=(5,)) == []
    assert measure_aggregates(Toy(), [blank], strides=(5,)) == []


def test_truth_is_needed(sequence):
    with pytest.raises(Vid3dError, match="no 3D joints"):
        measure_aggregates(Toy(), [replace(sequence, joints3d=None)])


def test_the_command_line_labels_oracles(sequence, tmp_path, monkeypatch):
    rows = [Aggregates(5, 60.0, 70.0, 65.0, 66.0, 40.0, 20.5)]
    told = {}

    def measured(lifter, sequences, strides, **options):
        told.update(options)
        return rows

    report = Report("toy", "vid3d", "leg", [], [])
    monkeypatch.setattr("vid3d.lifter.Lifter.load", lambda model: Toy())
    monkeypatch.setattr("vid3d.evaluation.lifting.evaluate_lifter", lambda *_, **__: report)
    monkeypatch.setattr("vid3d.evaluation.oracles.measure_aggregates", measured)
    write_pairs(tmp_path / "toy.pairs.npz", [sequence])
    arguments = ["eval", "toy", "--data", tmp_path / "toy.pairs.npz", "--occlusion", "leg",
                 "--hypotheses", 4, "--json", tmp_path / "out.json"]  # fmt: skip
    plain = CliRunner().invoke(cli, [*map(str, arguments)])
    assert plain.exit_code == 0, plain.output
    assert "oracle" not in plain.output
    result = CliRunner().invoke(cli, [*map(str, arguments), "--oracles"])
    assert result.exit_code == 0, result.output
    assert "oracle P-Best" in result.output
    assert "bounds, not results" in result.output
    assert told == {"occlusion": "leg", "hypotheses": 4, "steps": None}
    for other in (["--fov", "60"], ["--screen"]):
        refused = CliRunner().invoke(cli, [*map(str, arguments), "--oracles", *other])
        assert refused.exit_code == 2
        assert "leave --fov and --screen out" in refused.output
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["aggregates"] == [asdict(rows[0])]
