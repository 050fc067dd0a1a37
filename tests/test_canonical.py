import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.lifter.canonical import Looks, canonicalise, interpolation, rotations

angles = st.floats(-1.2, 1.2)


@given(angles, angles)
@settings(max_examples=25, deadline=None)
def test_rotation_brings_its_ray_to_the_axis_without_roll(yaw, pitch):
    R = rotations(torch.tensor([yaw, pitch], dtype=torch.float64))
    torch.testing.assert_close(R @ R.T, torch.eye(3, dtype=torch.float64))
    assert torch.det(R) > 0
    ray = torch.tensor([np.tan(yaw), np.tan(pitch) / np.cos(yaw), 1.0], dtype=torch.float64)
    turned = R @ ray
    torch.testing.assert_close(turned[:2], torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    assert turned[2] > 0
    # The virtual camera's x axis stays level: yaw then pitch, never the shortest arc.
    assert abs(float(R[0, 1])) < 1e-12


def make_looks(rays, confidence=None, joint_set=0):
    rays = torch.as_tensor(rays, dtype=torch.float32)[None]
    confidence = torch.ones(rays.shape[:3]) if confidence is None else confidence[None]
    times = torch.arange(rays.shape[1])[None] * 0.2
    valid = torch.ones(rays.shape[:2], dtype=torch.bool)
    return Looks(rays, confidence, times, valid, torch.tensor([joint_set]))


def person(place=(0.0, 0.0, 4.0), seed=0):
    joints = np.random.default_rng(seed).normal(size=(3, 17, 3)) * [0.3, 0.5, 0.3]
    joints[:, [1, 4]] = [[0.1, 0, 0], [-0.1, 0, 0]]  # hips side by side around the root
    return joints + np.array(place)


def rays_of(points):
    return points[..., :2] / points[..., 2:]


def test_features_of_looks_by_hand():
    # Four joints to each side of the hips' middle, 0.1 off: size 0.1, in the picture's middle.
    base = np.zeros((17, 2))
    base[[2, 3, 5, 6]], base[[7, 8, 9, 10]] = [0.1, 0], [-0.1, 0]
    rays = np.stack([base, 2 * base, 3 * base, base, 50 * base])
    confidence = torch.zeros(5, 17)
    confidence[:, [1, 4, 2, 3, 5, 6, 7, 8, 9, 10]] = 0.8
    confidence[3, [2, 3, 5, 6, 7, 8, 9, 10]] = 0  # only the hips are seen
    confidence[2, 1] = 0  # one of them is not
    looks = make_looks(rays, confidence)
    looks.valid[0, 4] = False
    canonical = canonicalise(looks)
    size = 0.1 * np.sqrt(8 / np.array([10, 10, 9]))  # the hips lie in the middle
    scale = 2 * size[0]  # that of looks with four joints or more
    np.testing.assert_allclose(canonical.scale, [scale], rtol=1e-6)
    expected = np.zeros((5, 6))
    expected[:4, 0] = np.log(scale) + 2
    expected[:4, 1] = np.log(0.5), 0, np.log(3 * size[2] / scale), -1  # not below a factor of e
    expected[:4, 4] = 1, 1, 0, 1
    expected[:4, 5] = np.array([10, 10, 9, 2]) / 17
    np.testing.assert_allclose(canonical.looks[0], expected, atol=1e-6)
    assert not canonical.looks[0, 4].any()
    np.testing.assert_allclose(canonical.joints[0, 1, 2], [0.2 / scale, 0, 0.8, 0], rtol=1e-6)
    # A look alone has not moved, wherever it is; of two, each is half of the way off.
    aside = rays[:1] + [0.3, 0]
    assert not canonicalise(make_looks(aside, confidence[:1])).looks[0, :, 2:4].any()
    pair = canonicalise(make_looks(np.concatenate([rays[:1], aside]), confidence[:2]))
    half = np.arctan(0.3) / 2 / float(pair.scale) / 3
    np.testing.assert_allclose(pair.looks[0, :, 2], [-half, half], rtol=1e-5)


@given(angles.map(lambda a: a * 0.6), angles.map(lambda a: a * 0.5))
@settings(max_examples=10, deadline=None)
def test_input_does_not_depend_on_the_place_in_the_picture(yaw, pitch):
    R = rotations(torch.tensor([yaw, pitch], dtype=torch.float64)).numpy()
    points = person()
    middle = canonicalise(make_looks(rays_of(points)))
    corner = canonicalise(make_looks(rays_of(points @ R)))  # R^T x: the ray at those angles
    np.testing.assert_allclose(corner.joints.numpy(), middle.joints.numpy(), atol=3e-2)


def test_scale_removes_distance_but_not_approach():
    far, near = (canonicalise(make_looks(rays_of(person((0, 0, z))))) for z in (80.0, 40.0))
    np.testing.assert_allclose(far.joints, near.joints, atol=0.03)
    assert near.scale / far.scale > 1.9
    approaching = person()
    approaching[..., 2] += np.array([4.0, 0, 0])[:, None]
    size = canonicalise(make_looks(rays_of(approaching))).joints[0, :, :, :2].norm(dim=-1).mean(-1)
    assert size[0] < 0.75 * size[1]


def test_missing_joints_are_never_read():
    rays = rays_of(person())
    confidence = torch.ones(3, 17)
    confidence[1, 13] = 0
    first = canonicalise(make_looks(rays, confidence))
    rays[1, 13] = 1e6
    second = canonicalise(make_looks(rays, confidence))
    assert torch.equal(first.joints, second.joints)
    assert torch.equal(first.looks, second.looks)
    assert first.joints[0, 1, 13].tolist() == [0, 0, 0, 1]


def test_interpolation_by_hand():
    times, valid = torch.tensor([[0.0, 1.0, 9.0]]), torch.tensor([[True, True, False]])
    weights, gaps = interpolation(times, valid, torch.tensor([[-0.5, 0.0, 0.25, 3.0]]))
    expected = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 1, 0]]
    torch.testing.assert_close(weights[0], torch.tensor(expected, dtype=torch.float32))
    torch.testing.assert_close(gaps[0, 2], torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(gaps[0, 3], torch.tensor([2.0, 2.0]))
    nothing, _ = interpolation(times, torch.zeros_like(valid), torch.tensor([[0.5]]))
    assert nothing.sum() == 0


def test_not_centred_people_stay_where_they_are():
    rays = rays_of(person((2.0, 0.5, 8.0)))
    raw = canonicalise(make_looks(rays), centred=False)
    np.testing.assert_allclose(raw.joints[0, ..., :2].numpy(), rays / 0.1, rtol=1e-5)
    assert not raw.angles.any()
    assert (raw.scale == 0.1).all()
