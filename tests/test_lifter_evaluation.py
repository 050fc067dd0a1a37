import numpy as np
import pytest

from vid3d.camera import Camera
from vid3d.data.pairs import PairSequence
from vid3d.errors import Vid3dError
from vid3d.evaluation.calibration import fit_factor
from vid3d.evaluation.lifting import evaluate_lifter, format_table
from vid3d.lifter.lifter import Lifted

CAMERA = Camera.from_fov(60, (1280, 720))


class Oracle:
    """Knows the truth at all times, and adds a bias that grows away from the looks."""

    def __init__(self, truth):
        self.truth = truth

    def __call__(self, keypoints2d, confidence, *, times, out_times, camera, joint_set):
        joints = self.truth.astype(np.float32)
        spread = np.full((len(joints), 17), 0.01, np.float32)
        return Lifted(joints, spread, spread[:, 0], np.zeros((len(joints), 2), np.float32))


def pair(with_3d=True):
    rng = np.random.default_rng(0)
    time = np.arange(21)[:, None, None] / 50
    joints = rng.normal(size=(1, 17, 3)) * 0.3 + [0, 0, 4] + 0.5 * np.sin(9 * time) * [1, 0, 0]
    joints[:, 1:] += 0.2 * time**2
    return PairSequence("toy", CAMERA.project(joints), np.ones((21, 17)), "h36m17",
                        joints if with_3d else None, CAMERA, 50)  # fmt: skip


def test_truth_has_no_error_and_linear_interpolation_has():
    sequence = pair()
    rows = evaluate_lifter(Oracle(sequence.joints3d), [sequence], (1, 20))
    table = {(row.stride, row.system): row.scores for row in rows}
    assert table[20, "vid3d"].mpjpe == pytest.approx(0, abs=1e-3)
    assert table[20, "vid3d"].inside1 == 100
    assert table[1, "linear"].mpjpe == pytest.approx(0, abs=1e-3)
    assert table[20, "linear"].mpjpe > 1
    assert table[20, "linear"].mrpe > 100
    assert np.isnan(table[20, "linear"].inside1)
    lines = format_table(rows).splitlines()
    assert len(lines) == 5
    assert "mpjpe" in lines[0]


def test_needs_truth():
    with pytest.raises(Vid3dError, match="no 3D joints"):
        evaluate_lifter(Oracle(None), [pair(with_3d=False)])


def test_factor_holds_the_share():
    errors = np.random.default_rng(0).exponential(size=4000)
    factor = fit_factor(errors, np.full(4000, 0.5))
    assert (errors <= 0.5 * factor).mean() == pytest.approx(0.68, abs=0.01)
