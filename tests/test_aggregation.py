import numpy as np

from vid3d.camera import Camera
from vid3d.lifter import aggregation, placement
from vid3d.skeleton import COCO17, H36M17

TIMES = np.arange(5) * 0.1
LOOKS = np.array([0.0, 0.4])


def test_soft_weights_prefer_what_reprojects_limb_by_limb():
    errors = np.full((2, 2, 17), 0.001)
    left_arm = H36M17.indices(["left_shoulder", "left_elbow", "left_wrist"])
    errors[1, :, left_arm] = 0.2
    weights = aggregation.soft_weights(errors, H36M17, LOOKS, TIMES)
    np.testing.assert_allclose(weights.sum(0), 1)
    assert (weights[1][:, left_arm] < 1e-3).all()
    np.testing.assert_allclose(weights[1][:, H36M17.index("right_knee")], 0.5, atol=0.01)


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
    assert aggregation.best_weights(errors, 5)[1].min() == 1
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
