import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.evaluation import metrics
from vid3d.skeleton import H36M17


@pytest.fixture
def pose():
    return np.random.default_rng(0).normal(size=(4, 17, 3))


def test_mpjpe_by_hand():
    truth = np.zeros((2, 2, 3))
    predicted = truth.copy()
    predicted[0, 0] = [3, 4, 0]  # 5 m on one of the two joints of the first frame
    assert metrics.mpjpe(predicted, truth) == pytest.approx([5 / 2, 0])


def test_pck_and_auc_by_hand():
    truth = np.zeros((1, 2, 3))
    predicted = np.array([[[0.0, 0, 0], [0.075, 0, 0]]])
    assert metrics.pck(predicted, truth) == 1.0
    assert metrics.pck(predicted, truth, 0.05) == 0.5
    # The second joint counts at thresholds 75 to 150 mm: 16 of 31.
    assert metrics.auc(predicted, truth) == pytest.approx((1 + 16 / 31) / 2)


def test_aligned_metrics_ignore_what_they_align(pose):
    assert metrics.n_mpjpe(1.7 * pose, pose) == pytest.approx(0, abs=1e-9)
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    assert metrics.p_mpjpe(0.3 * pose @ turn + 2, pose) == pytest.approx(0, abs=1e-9)


def test_p_mpjpe_does_not_mirror(pose):
    assert (metrics.p_mpjpe(pose * [-1, 1, 1], pose) > 0.1).all()


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_alignment_reduces_the_squared_error(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.normal(size=(2, 3, 17, 3))
    aligned = metrics.procrustes(predicted, truth)
    assert ((aligned - truth) ** 2).sum() <= ((predicted - truth) ** 2).sum() + 1e-9


def test_motion_errors_by_hand():
    time = np.arange(5.0)[:, None, None]
    truth = np.zeros((5, 2, 3))
    drifting = truth + time * [0.1, 0, 0]
    velocity = metrics.velocity_error(drifting, truth, 10)
    assert np.isnan(velocity[0])
    assert velocity[1:] == pytest.approx(1.0)
    acceleration = metrics.acceleration_error(drifting, truth, 10)
    assert np.isnan(acceleration[:2]).all()
    assert acceleration[2:] == pytest.approx(0.0)
    falling = truth + time**2 * [0, 0.005, 0]
    assert metrics.acceleration_error(falling, truth, 10)[2:] == pytest.approx(1.0)
    assert np.isnan(metrics.acceleration_error(truth[:1], truth[:1], 10)).all()


def test_reprojection_is_a_share_of_the_size():
    truth = np.array([[[0.0, 0], [10, 40]], [[5, 0], [10, 20]], [[5, 0], [10, 30]]])
    moved = truth + [[[3, 4]], [[0, 0]], [[0, 0]]]
    errors = metrics.reprojection_errors(moved, truth, [0, 1])
    assert errors == pytest.approx(np.array([[5, 5], [0, 0], [0, 0]]) / 30)


def test_inside_by_hand():
    errors = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, np.nan]])
    spread = np.full((2, 3), 0.15)
    shares = metrics.inside(errors, spread, 1)
    assert shares[0] == pytest.approx(1 / 3)
    assert np.isnan(shares[1])
    assert metrics.inside(errors, spread, 2)[0] == pytest.approx(1)
    assert np.isnan(metrics.inside(errors, np.full((2, 3), np.nan), 1)).all()


def test_unknown_frames_stay_unknown(pose):
    truth = pose.copy()
    truth[1, 3] = np.nan
    for metric in (metrics.mpjpe, metrics.p_mpjpe, metrics.n_mpjpe, metrics.pck, metrics.auc):
        assert np.isnan(metric(pose, truth)).tolist() == [False, True, False, False]
    velocity = metrics.velocity_error(pose, truth, 50)
    assert np.isnan(velocity).tolist() == [True, True, True, False]


def test_mrpe_by_hand():
    assert metrics.mrpe(np.array([[0.0, 0, 4]]), np.array([[0.0, 0, 3.5]])) == pytest.approx([0.5])


def test_bones_by_hand():
    joints = np.zeros((2, 17, 3))
    joints[:, H36M17.index("left_knee")] = [0, 1.0, 0]
    joints[:, H36M17.index("left_ankle")] = [0, 1.0, 0]
    # Only the left thigh has a length: 1 m against 0 m, one of six pairs.
    assert metrics.symmetry_gap(joints, H36M17) == pytest.approx(1 / len(H36M17.bone_pairs))
    joints[1, H36M17.index("left_knee")] = joints[1, H36M17.index("left_ankle")] = [0, 2.0, 0]
    expected = np.std([1, 2], ddof=1) / len(H36M17.bones)
    assert metrics.segment_length_std(joints, H36M17) == pytest.approx(expected)
    unknown = np.concatenate([joints, np.full((1, 17, 3), np.nan)])
    assert metrics.segment_length_std(unknown, H36M17) == pytest.approx(expected)
    assert np.isnan(metrics.segment_length_std(unknown[1:], H36M17))  # one frame has no deviation
