import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from vid3d.camera import Camera
from vid3d.cli import eval as command
from vid3d.data.occlusion import OCCLUSIONS, STRETCH, occlude, occlusion_mask
from vid3d.data.pairs import PairSequence, write_pairs
from vid3d.errors import Vid3dError
from vid3d.evaluation.calibration import calibrate, fit_factor
from vid3d.evaluation.lifting import action_of, evaluate_lifter, looked_frames, screen_camera
from vid3d.evaluation.metrics import segment_length_std, symmetry_gap
from vid3d.evaluation.protocols import PROTOCOLS, find_protocol
from vid3d.evaluation.scores import FIGURES, score
from vid3d.evaluation.tables import format_report
from vid3d.lifter.lifter import Lifted, Lifter, factor_at
from vid3d.skeleton import COCO17, H36M17

CAMERA = Camera.from_fov(60, (1280, 720))


class Oracle:
    """Knows the truth at all times, and adds a bias at will."""

    name = "oracle"

    def __init__(self, truth, bias=0.0):
        self.truth, self.bias = truth, bias
        self.cameras, self.looks = [], []

    def __call__(self, keypoints2d, confidence, *, times, out_times, camera, **options):
        self.cameras.append(camera)
        self.looks.append(len(times))
        joints = self.truth.astype(np.float32)
        joints[:, 1:] += np.float32([self.bias, 0, 0])
        spread = np.full((len(joints), 17), 0.01, np.float32)
        return Lifted(joints, spread, spread[:, 0], np.zeros((len(joints), 2), np.float32))


def pair(with_3d=True, name="toy"):
    rng = np.random.default_rng(0)
    time = np.arange(21)[:, None, None] / 50
    joints = rng.normal(size=(1, 17, 3)) * 0.3 + [0, 0, 4] + 0.5 * np.sin(9 * time) * [1, 0, 0]
    joints[:, 1:] += 0.2 * time**2
    return PairSequence(name, CAMERA.project(joints), np.ones((21, 17)), "h36m17",
                        joints if with_3d else None, CAMERA, 50)  # fmt: skip


def test_truth_has_no_error_and_linear_interpolation_has():
    sequence = pair()
    report = evaluate_lifter(Oracle(sequence.joints3d), [sequence], (1, 20))
    assert report.row(20).scores.mpjpe == pytest.approx(0, abs=1e-3)
    assert report.row(20).scores.inside1 == 100
    assert report.row(20).scores.reprojection == pytest.approx(0, abs=1e-3)
    assert report.row(1, "linear").scores.mpjpe == pytest.approx(0, abs=1e-3)
    assert report.row(20, "linear").scores.mpjpe > 1
    assert report.row(20, "linear").scores.mrpe > 100
    assert np.isnan(report.row(20, "linear").scores.inside1)
    root = report.row(20, "linear root").scores  # the lifter's poses, the baseline's roots
    assert root.mpjpe == pytest.approx(0, abs=1e-3)
    assert root.mrpe == report.row(20, "linear").scores.mrpe
    assert root.reprojection > 1
    assert root.root_reprojection > 1
    assert report.row(20).scores.root_velocity == pytest.approx(0, abs=1e-2)
    assert root.root_velocity > 100


def test_moments_at_looks_and_between():
    sequence = pair()
    report = evaluate_lifter(Oracle(sequence.joints3d), [sequence], (1, 20))
    assert [row.part for row in report.rows if row.stride == 1] == ["all"] * 3
    whole, looks, between = (
        report.row(20, "linear", part) for part in ("all", "at looks", "between")
    )
    assert (whole.frames, looks.frames, between.frames) == (21, 2, 19)
    assert looks.scores.mrpe == pytest.approx(0, abs=1e-3)
    assert between.scores.mrpe == pytest.approx(whole.scores.mrpe * 21 / 19)


def test_joints_actions_and_protocols():
    sequences = [pair(name="a/walk 1@0"), pair(name="a/walk 2"), pair(name="a/run_07.60")]
    report = evaluate_lifter(Oracle(sequences[0].joints3d, 0.1), sequences, (10,))
    frames = {row.part: row.frames for row in report.actions}
    assert frames == {"walk": 42, "run": 21, "mean of actions": 63}
    row = report.row(10)
    assert row.joints["pelvis"] == 0
    assert row.joints["nose"] == pytest.approx(100, abs=1e-3)
    assert row.scores.mpjpe == pytest.approx(100 * 14 / 15, abs=1e-3)
    assert row.scores.inside1 == 0
    h36m = evaluate_lifter(Oracle(sequences[0].joints3d, 0.1), sequences, (10,), "h36m-p1")
    assert h36m.row(10).scores.mpjpe == pytest.approx(100 * 16 / 17, abs=1e-3)
    assert action_of("cmu_35_01@0") == "cmu_35"
    assert action_of("12") == "12"
    assert action_of("S9/Walking 1.60457274@300") == "Walking"
    assert [action_of(name) for name in ("TS1", "TS2#0", "S1/Seq2.0")] == ["TS1", "TS2", "Seq2"]


def test_mean_of_actions_is_plain():
    sequences = [pair(name="walk 1"), pair(name="walk 2"), pair(name="run")]
    sequences[2].joints3d[:, 1:] += [0, 0, 0.1]  # the oracle does not know
    report = evaluate_lifter(Oracle(pair().joints3d), sequences, (10,))
    walk_and_run = (0 + 100 * 14 / 15) / 2
    assert report.actions[-1].scores.mpjpe == pytest.approx(walk_and_run, abs=1e-2)
    assert report.row(10).scores.mpjpe == pytest.approx(walk_and_run * 2 / 3, abs=1e-2)


def test_every_protocol_has_a_table():
    for name, protocol in PROTOCOLS.items():
        assert set(protocol.figures) <= set(FIGURES)
        report = evaluate_lifter(Oracle(pair().joints3d), [pair()], (20,), name)
        assert protocol.title in format_report(report)
    assert len(find_protocol("3dpw").joints) == 14
    with pytest.raises(Vid3dError, match="expected one of vid3d"):
        find_protocol("h37m")


def test_report_as_text_and_json():
    report = evaluate_lifter(Oracle(pair().joints3d), [pair()], (1, 20))
    lines = format_report(report).splitlines()
    assert "MPJPE" in lines[0]
    assert len(lines) == 1 + 2 * 3 + 2
    everything = format_report(report, ["moment", "action", "joint"])
    for words in ("linear root, between", "toy", "left_wrist"):
        assert words in everything
    stored = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert stored["rows"][1]["scores"]["inside1"] is None
    assert len(stored["joints"]) == 15


def test_lifter_may_be_told_another_camera():
    oracle = Oracle(pair().joints3d)
    report = evaluate_lifter(oracle, [pair()], (10,), fov=40)
    assert oracle.cameras[0].fov == pytest.approx(40)
    assert report.row(10).scores.reprojection > 5  # the same joints through another lens


def test_screen_coordinates_are_those_of_the_literature():
    camera = screen_camera((1000, 800))
    pixels = np.array([[0.0, 0.0], [500, 400], [1000, 800]])
    rays = camera.rays(pixels)
    u, v = 2 * pixels[:, 0] / 1000 - 1, 2 * pixels[:, 1] / 1000 - 800 / 1000
    np.testing.assert_allclose(rays[:, :2], np.stack([u, v], -1), atol=1e-9)
    oracle = Oracle(pair().joints3d)
    evaluate_lifter(oracle, [pair()], (10,), screen=True)
    assert oracle.cameras[0].fov == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize(
    ("strides", "fov", "message"),
    [
        ((0,), None, "stride is 0, expected a whole number from 1 up"),
        (("5",), None, "stride is '5'"),
        ((20,), 0, "field of view is 0"),  # counted as the true camera
    ],
)
def test_strides_and_angles_that_are_none(strides, fov, message):
    sequence = pair()
    with pytest.raises(Vid3dError, match=message):
        evaluate_lifter(Oracle(sequence.joints3d), [sequence], strides, fov=fov)


def test_needs_truth():
    with pytest.raises(Vid3dError, match="no 3D joints"):
        evaluate_lifter(Oracle(None), [pair(with_3d=False)])


def test_unknown_truth_does_not_count():
    sequence = pair()
    joints = sequence.joints3d
    truth = joints.copy()
    truth[5] = np.nan
    scores = score(joints + [[[0.0, 0, 0.1]]], truth, 50, np.full((21, 17), 0.1))
    assert scores.mrpe == pytest.approx(100)
    assert scores.mpjpe == pytest.approx(0, abs=1e-9)


def test_frames_of_unknown_truth_are_not_counted_nor_their_bones():
    sequence = pair()
    truth, guess = sequence.joints3d.copy(), sequence.joints3d.copy()
    truth[5:9] = np.nan
    guess[5:9, 3] += 9.0  # a shin of metres, where nobody can tell
    sequence = replace(sequence, joints3d=truth)
    report = evaluate_lifter(Oracle(guess), [sequence], (10,))
    assert [report.row(10, part=part).frames for part in ("all", "at looks", "between")] == [
        17, 3, 14,
    ]  # fmt: skip
    assert [row.frames for row in report.actions] == [17, 17]
    known = np.r_[:5, 9:21]
    gaps = 1000 * symmetry_gap(guess[known], H36M17)
    deviation = 1000 * segment_length_std(guess[known], H36M17)
    scores = report.row(10).scores
    assert scores.symmetry_gap == pytest.approx(gaps.mean(), rel=1e-3)
    assert scores.bone_std == pytest.approx(deviation, rel=1e-3)
    nobody = replace(sequence, joints3d=np.full_like(truth, np.nan))
    report = evaluate_lifter(Oracle(guess), [nobody], (10,))
    assert report.row(10).frames == 0
    assert not report.actions
    format_report(report, ("moment", "action", "joint"))


@pytest.mark.parametrize("joints", [H36M17, COCO17])
def test_occlusion_patterns_have_the_papers_shares(joints):
    frames = 400 * STRETCH
    masks = {name: occlusion_mask(name, frames, joints) for name in OCCLUSIONS}
    assert masks["random"].mean() == pytest.approx(0.2, abs=0.01)
    limbs = joints.indices(["left_elbow", "right_knee"])
    assert masks["leg-arm"][:, limbs].mean() == pytest.approx(0.4, abs=0.02)
    assert (masks["leg-arm"].sum(1) % 6 == 0).all()
    leg = masks["leg"].reshape(400, STRETCH, 17)
    assert (leg.sum(1) == 10 * np.isin(joints.joints, ["right_hip", "right_knee", "right_ankle"])
            ).all()  # fmt: skip
    assert (np.abs(np.diff(leg[:, :, joints.index("right_knee")], axis=1)).sum(1) <= 2).all()
    assert (masks["frames"].reshape(400, STRETCH, 17).sum((1, 2)) == 5 * 17).all()


def test_occlusion_is_the_same_each_time_and_for_all_strides():
    sequence = pair()
    first, again = occlude(sequence, "frames"), occlude(sequence, "frames")
    assert (first.confidence == again.confidence).all()
    gone = np.flatnonzero((first.confidence == 0).all(1))
    assert 0 < len(gone) <= 5
    assert set(looked_frames(first, 1)) == set(range(21)) - set(gone)
    with pytest.raises(Vid3dError, match="leg-arm"):
        occlude(sequence, "everything")


def test_occlusion_leaves_looks_out():
    oracle = Oracle(pair().joints3d)
    report = evaluate_lifter(oracle, [pair()], (1,), occlusion="frames")
    assert oracle.looks == [19]
    assert report.row(1, part="between").frames == 2
    assert "occlusion: frames" in format_report(report)


def test_command_writes_json(tmp_path, monkeypatch):
    oracle = Oracle(pair().joints3d)
    monkeypatch.setattr(Lifter, "load", lambda name: oracle)
    write_pairs(tmp_path / "toy.pairs.npz", [pair()])
    arguments = ["oracle", "--data", str(tmp_path / "toy.pairs.npz"), "--strides", "10",
                 "--strides", "20,10", "--by", "joint,action", "--by", "moment",
                 "--protocol", "h36m-p2", "--json", str(tmp_path / "out.json")]  # fmt: skip
    result = CliRunner().invoke(command.command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    stored = json.loads((tmp_path / "out.json").read_text())
    assert (stored["model"], stored["protocol"]) == ("oracle", "h36m-p2")
    assert list(dict.fromkeys(row["stride"] for row in stored["rows"])) == [10, 20]
    unknown = CliRunner().invoke(command.command, [*arguments, "--by", "colour"])
    assert unknown.exit_code == 2


def test_factor_holds_the_share():
    errors = np.random.default_rng(0).exponential(size=4000)
    factor = fit_factor(errors, np.full(4000, 0.5))
    assert (errors <= 0.5 * factor).mean() == pytest.approx(0.68, abs=0.01)
    unknown = np.append(errors, np.nan)  # the truth of a frame may be
    assert fit_factor(unknown, np.full(4001, 0.5)) == factor


def test_each_joint_set_has_factors_of_its_own():
    factors = {"1": 1.0, "coco17:2": 3.0, "coco17:5": 2.0, "h36m17:5": 1.5}
    assert factor_at(factors, "coco17", 1) == factor_at(factors, "coco17", 4) == 3.0
    assert factor_at(factors, "coco17", 7) == 2.0
    assert factor_at(factors, "h36m17", 3) == 1.5
    assert factor_at({"2": 1.2, "4": 1.1}, "h36m17", 3) == 1.2


def test_calibration_fits_joint_sets_apart():
    lifter = Lifter.load("vid3d-base")
    sequences = [replace(pair(), joint_set=name) for name in ("h36m17", "coco17")]
    config = calibrate(lifter, sequences, strides=(5,), steps=(2,))
    assert set(config.spread) == set(config.root_spread) == {"h36m17:2", "coco17:2"}
    alone = calibrate(lifter, sequences[:1], strides=(5,), steps=(2,))
    assert alone.spread["h36m17:2"] == config.spread["h36m17:2"]
