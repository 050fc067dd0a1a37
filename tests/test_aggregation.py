import tracemalloc

import numpy as np

from vid3d.camera import Camera
from vid3d.lifter import aggregation, placement
from vid3d.skeleton import COCO17, H36M17

TIMES = np.arange(5) * 0.1
LOOKS = np.array([0.0, 0.4])


def test_soft_weights_are_the_kalman_update():
    """Hypotheses at -1, 0, 1 noises, seen at 0.5: the variance of both is 1, so the mean is 0.25.

    Only the left wrist varies; the rest of its arm follows, other limbs do not.
    """
    noise = 0.02
    places = noise * np.array([-1.0, 0.0, 1.0])
    residuals = np.zeros((3, 1, 17, 2))
    wrist = H36M17.index("left_wrist")
    residuals[:, 0, wrist, 0] = 0.5 * noise - places
    confidence = np.zeros((1, 17))
    confidence[0, wrist] = 1
    weights = aggregation.soft_weights(residuals, confidence, H36M17, LOOKS[:1], TIMES, noise=noise)
    np.testing.assert_allclose(weights.sum(0), 1)
    drawn = aggregation.combine(
        np.broadcast_to(places[:, None, None, None], (3, 5, 17, 3)), weights
    )
    kept = 1 / (1 + 0.1**2)  # half a noise off is a tenth of the way to an outlier
    expected = 0.5 * noise * kept**2 / (1 + kept**2)
    np.testing.assert_allclose(drawn[:, H36M17.index("left_elbow")], expected, rtol=1e-6)
    np.testing.assert_allclose(drawn[:, H36M17.index("right_elbow")], 0, atol=1e-12)


def test_soft_weights_follow_the_look_that_is_near():
    residuals = np.zeros((2, 2, 17, 2))
    knee = H36M17.index("left_knee")
    residuals[0, 0, knee] = 0.04  # at the first look the second hypothesis is right
    residuals[1, 1, knee] = 0.04  # at the second one the first
    weights = aggregation.soft_weights(residuals, np.ones((2, 17)), H36M17, LOOKS, TIMES)
    # Both looks say the same with opposite signs, and the far one's kernel is exp(-0.5 / 1.2^2).
    near = 1 / (1 + np.exp(-0.5 / 1.2**2))
    alone = aggregation.soft_weights(residuals[:, :1], np.ones((1, 17)), H36M17, LOOKS[:1], TIMES)
    expected = 0.5 + (2 * near - 1) * (alone[1, 0, knee] - 0.5)
    assert alone[1, 0, knee] > 0.6
    np.testing.assert_allclose(weights[1, 0, knee], expected, rtol=1e-6)
    np.testing.assert_allclose(weights[0, -1, knee], expected, rtol=1e-6)
    np.testing.assert_allclose(weights[:, 2, knee], 0.5, atol=0.01)
    assert np.isfinite(weights).all()


def test_jpma_takes_the_nearest_look_of_a_long_track():
    """Looks each 0.4 s, whose best hypothesis is in turn the first and the second."""
    looks, times = 0.4 * np.arange(1000), 0.1 * np.arange(4000)
    errors = np.ones((2, 1000, 17))
    errors[0, ::2] = errors[1, 1::2] = 0
    tracemalloc.start()
    weights = aggregation.jpma_weights(errors, H36M17, looks, times)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 0.2 s is as near to the look before as to the one behind it: the one before counts.
    expected = [0, 0, 0, 1, 1, 1, 1, 0]
    np.testing.assert_array_equal(weights[1, :8, 0], expected)
    np.testing.assert_array_equal(weights[:, 3992:, 0].argmax(0), [0, 0, 0, 1, 1, 1, 1, 1])
    assert peak < 8_000_000  # every moment beside every look took 32 MB


def test_groups_without_evidence_follow_the_body():
    errors = np.full((1, 1, 17), np.nan)
    errors[0, 0, COCO17.index("nose")] = 0.03
    np.testing.assert_allclose(aggregation.group_errors(errors, COCO17), 0.03)
    errors[:] = np.nan
    np.testing.assert_allclose(aggregation.group_errors(errors, COCO17), 0)


def test_jpma_best_and_mean_by_hand():
    errors = np.full((2, 2, 17), 0.01)
    knee = H36M17.index("left_knee")
    errors[0, 0, knee] = 0.5
    jpma = aggregation.jpma_weights(errors, H36M17, LOOKS, TIMES)
    assert jpma[1, 0, knee] == 1
    assert jpma[0, 4, knee] == 1  # the second look has no preference: the first wins
    # A joint has its own choice, whatever suits the rest of its limb.
    ankle = H36M17.index("left_ankle")
    errors[:, 1, knee], errors[:, 1, ankle] = (0.01, 0.02), (0.5, 0.02)
    jpma = aggregation.jpma_weights(errors, H36M17, LOOKS, TIMES)
    assert (jpma[0, 4, knee], jpma[1, 4, ankle]) == (1, 1)
    best = aggregation.best_weights(errors, 5)
    assert (best[0].max(), best[1].min()) == (0, 1)
    hypotheses = np.stack([np.zeros((5, 17, 3)), np.ones((5, 17, 3))])
    mean = aggregation.combine(hypotheses, aggregation.mean_weights(2, 5))
    np.testing.assert_allclose(mean, 0.5)


def test_constant_bones_keep_directions_and_the_root():
    joints = np.random.default_rng(0).normal(size=(6, 17, 3))
    steady = aggregation.constant_bones(joints)
    np.testing.assert_allclose(steady[:, 0], joints[:, 0])
    for parent, child in H36M17.bones:
        vectors = steady[:, child] - steady[:, parent]
        lengths = np.linalg.norm(vectors, axis=-1)
        np.testing.assert_allclose(lengths, lengths[0])
        before = joints[:, child] - joints[:, parent]
        np.testing.assert_allclose(np.cross(vectors, before), 0, atol=1e-9)


def test_reprojection_is_a_share_of_the_persons_size():
    # Two metres tall and one wide, four metres away: half a slope. Off the root's middle, since
    # what reaches to one side of it only is no smaller.
    joints = np.array([[0.2, 0.1, 0], [1.2, 0.1, 0], [0.2, 2.1, 0]])
    root = np.array([0.3, -0.5, 4.0])
    rays = (joints + root)[:, :2] / 4 + [0.03, -0.04]
    residuals = placement.reprojection_residuals(joints, root, rays)
    np.testing.assert_allclose(residuals, np.tile([0.06, -0.08], (3, 1)))
    errors = placement.reprojection_errors(joints, root, rays, np.array([1.0, 0.0, 0.5]))
    np.testing.assert_allclose(errors, [0.1, np.nan, 0.1])


def test_root_solve_resists_an_outlier():
    camera = Camera.from_fov(60, (1000, 800))
    joints = np.random.default_rng(1).normal(size=(17, 3)) * [0.3, 0.6, 0.2]
    root = np.array([0.4, -0.2, 5.0])
    rays = camera.rays(camera.project(joints + root))[..., :2]
    rays[3] += 0.3
    solved = placement.solve_roots(joints, rays, np.ones(17))
    np.testing.assert_allclose(solved, root, atol=0.03)


def test_placement_corrects_the_track_and_survives_nothing():
    times = np.linspace(0, 1, 11)
    truth = np.stack([times, 0 * times, 4 + times], -1)
    predicted = placement.to_track(truth + [0.1, 0, 0.4])
    looks = np.array([0, 5, 10])
    placed = placement.place_roots(predicted, truth[looks], np.ones(3), times[looks], times)
    slopes = (placement.to_track(points)[:, :2] for points in (placed, truth))
    np.testing.assert_allclose(*slopes, atol=0.01)
    before = np.abs(placement.from_track(predicted) - truth)[:, 2].mean()
    assert np.abs(placed - truth)[:, 2].mean() < 0.9 * before
    unsolved = np.full((3, 3), np.nan)
    free = placement.place_roots(predicted, unsolved, np.ones(3), times[looks], times)
    np.testing.assert_allclose(placement.to_track(free), predicted, atol=0.05)


def test_corrections_are_as_wide_as_looks_are_apart():
    # Straight ahead by the network; of two looks a second apart the later one is a tenth aside.
    times = np.array([0.0, 0.25, 0.5, 1.0])
    predicted = np.tile([0.0, 0, np.log(4)], (4, 1))
    solved = np.array([[0.0, 0, 4], [0.4, 0, 4]])
    root = placement.place_roots(predicted, solved, np.ones(2), np.array([0.0, 1.0]), times)
    # At a quarter one look is half a second farther than the other, in deviations of 0.4 s.
    share = np.exp(-0.5 * (0.5 / 0.4) ** 2)
    np.testing.assert_allclose(root[1:3, 0], [0.4 * share / (1 + share), 0.2], atol=1e-6)
    np.testing.assert_allclose(root[:, 2], 4, atol=1e-6)


def test_who_walks_towards_the_camera_does_not_slow_down_at_the_ends():
    """Depth falls by a tenth in 0.8 s: a mean of what is there stays 2 % (16 cm) behind."""
    times = np.arange(51) * 0.08
    depth = 8.0 * np.exp(-0.13 * times)
    truth = np.stack([0 * times, 0 * times, depth], -1)
    looks = np.arange(0, 51, 3)
    placed = placement.place_roots(
        placement.to_track(truth), truth[looks], np.ones(len(looks)), times[looks], times
    )
    np.testing.assert_allclose(placed, truth, atol=1e-3)


def test_smoothing_by_lines_is_a_mean_inside_and_with_one_value():
    times = np.arange(101) * 0.08
    values = np.random.default_rng(0).normal(size=(101, 1))
    mean, lines = (
        placement.kernel_smooth(values, np.ones(101), times, times, 0.2, sloped=sloped)
        for sloped in (False, True)
    )
    np.testing.assert_allclose(lines[20:-20], mean[20:-20], atol=1e-5)
    np.testing.assert_allclose(
        placement.kernel_smooth(values[:1], np.ones(1), times[:1], times[:5], 0.2, sloped=True),
        np.repeat(values[:1], 5, 0),
    )
