"""How pose networks err: features, what is drawn, the table that ships."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.data.cameras import Views
from vid3d.data.detector import STAY, errors, features, fit, load_detector, read_errors
from vid3d.data.looking import look
from vid3d.data.noise import NoiseLevels
from vid3d.skeleton import COCO17

MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def people(count=64, seed=0):
    """Random people some metres before the camera: (count, 17, 3)."""
    generator = torch.Generator().manual_seed(seed)
    joints = 0.4 * torch.randn(count, 17, 3, generator=generator) * torch.tensor([1.0, 2.0, 0.5])
    return joints + torch.tensor([0.3, 0.1, 5.0])


def said_of(truth, error, confidence):
    """What two networks say that miss by (..., 17, 2) sizes: (N, 2, 17, 3)."""
    _, size = features(truth)
    spots = truth[..., :2] / truth[..., 2:] + size * error
    said = torch.cat([spots, confidence[..., None]], -1)
    return torch.stack([said, said], 1)


@settings(deadline=None)
@given(st.floats(0.5, 3), st.integers(0, 99))
def test_features_do_not_know_how_large_the_scene_is(scale, seed):
    joints = people(4, seed)
    places, size = features(joints)
    larger, same = features(joints * scale)
    torch.testing.assert_close(larger, places, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(same, size)
    assert places.shape == (4, 51)
    in_box = places.unflatten(-1, (17, 3))[..., :2]
    assert float(in_box.abs().max()) == pytest.approx(0.5, abs=1e-5)


def test_a_person_by_hand():
    joints = torch.zeros(17, 3) + torch.tensor([0.0, 0.0, 4.0])
    joints[0] = torch.tensor([1.0, -2.0, 4.0])  # 0.25 wide and 0.5 high as slopes
    places, size = features(joints)
    assert float(size) == pytest.approx(0.5)
    assert places[:3].tolist() == pytest.approx([0.25, -0.5, 0])
    assert places[3:6].tolist() == pytest.approx([-0.25, 0.5, 0])


def test_it_learns_where_a_network_errs():
    wrists, ankles, others = [9, 10], [15, 16], list(range(9))
    truth = people(3000)

    def bias(places):
        """Wrists follow the nose up and down."""
        return 0.1 * places.unflatten(-1, (17, 3))[:, :1, 1]

    error = 0.01 * torch.randn(3000, 17, 2, generator=torch.Generator().manual_seed(1))
    error[:, ankles] *= 5
    error[:, wrists, 1] += bias(features(truth)[0])
    confidence = torch.full((3000, 17), 0.9)
    confidence[:, ankles] = 0.4
    detector = fit(truth, said_of(truth, error, confidence), steps=600)
    places, _ = features(people(500, seed=2))
    mean, spread, sure, twin = detector.expect(places, torch.zeros(500, dtype=torch.long))
    assert float(twin.max()) < 0.05
    assert float((mean[:, wrists, 1] - bias(places)).abs().median()) < 0.005
    assert float(mean[:, others].abs().mean()) < 0.005
    assert float(spread[:, ankles].mean()) > 3 * float(spread[:, others].mean())
    assert float(sure[:, ankles].mean()) == pytest.approx(0.4, abs=0.05)
    assert float(sure[:, others].mean()) == pytest.approx(0.9, abs=0.05)


def test_it_learns_which_joints_are_taken_for_their_twins():
    """Both legs at once, in 60 % of people whose nose is high and in no others."""
    legs = COCO17.indices(["left_knee", "right_knee", "left_ankle", "right_ankle"])
    generator = torch.Generator().manual_seed(4)

    def is_high(truth):
        return features(truth)[0][:, 1] < 0

    def taken(truth):
        return is_high(truth) & (torch.rand(len(truth), generator=generator) < 0.6)

    truth = people(3000)
    _, size = features(truth)
    rays = truth[..., :2] / truth[..., 2:]
    error = 0.01 * torch.randn(3000, 17, 2, generator=generator)
    moved = taken(truth)[:, None, None] & torch.isin(torch.arange(17), torch.tensor(legs))[:, None]
    error = torch.where(moved, (rays[:, COCO17.flip] - rays) / size + error, error)
    said = said_of(truth, error, torch.full((3000, 17), 0.8))
    off, twin = errors(truth, said)
    apart = (rays[:, COCO17.flip] - rays).norm(dim=-1) / size[..., 0] > 0.2
    assert (twin[:, 0] == moved[..., 0])[apart].float().mean() > 0.99
    assert off.abs().mean() < 0.02

    detector = fit(truth, said, steps=600)
    new = people(1000, seed=7)
    chances = detector.expect(features(new)[0], torch.zeros(1000, dtype=torch.long)).twin[:, legs]
    assert float(chances[is_high(new)].mean()) == pytest.approx(0.55, abs=0.1)
    assert float(chances[~is_high(new)].mean()) < 0.1
    seen, sure = detector.see(new[:, None], torch.zeros(1000, 1), torch.ones(1000), generator)
    drawn = errors(new, torch.cat([seen, sure[..., None]], -1).view(1000, 1, 17, 3))[1][:, 0, legs]
    assert float(drawn[is_high(new)].float().mean()) == pytest.approx(0.55, abs=0.1)
    assert float(drawn.all(-1).float().mean()) > 0.5 * float(drawn.float().mean())


def test_what_is_seen_of_a_window():
    detector = deepcopy(load_detector())
    detector.rest[..., 3] = 1  # nothing is taken for its twin
    joints = people(200).view(20, 10, 17, 3)
    times = torch.arange(10).expand(20, -1) * 0.2
    generator = torch.Generator().manual_seed(3)
    seen, sure = detector.see(joints, times, torch.ones(20), generator)
    rays = joints[..., :2] / joints[..., 2:]
    assert seen.shape == rays.shape
    assert sure.shape == (20, 10, 17)
    assert 0.05 <= float(sure.min()) <= float(sure.max()) <= 1
    again = detector.see(joints, times, torch.ones(20), generator.manual_seed(3))[0]
    torch.testing.assert_close(again, seen)
    double = detector.see(joints, times, torch.full((20,), 2.0), generator.manual_seed(3))[0]
    torch.testing.assert_close(double - rays, 2 * (seen - rays), atol=1e-5, rtol=1e-4)


def test_rests_stay_for_a_while():
    detector = load_detector()
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(200).expand(50, -1) * 0.2
    drawn = detector._draw(times, generator)
    stays = (drawn[:, 1:] == drawn[:, :-1]).float().mean()
    assert float(stays) == pytest.approx(np.exp(-0.2 / STAY), abs=0.02)
    assert len(drawn[:, 0].unique()) > 40


def test_the_table_errs_as_networks_do():
    """Median errors of 1 to 4 % of a person's size; wrists by more than eyes; sure ones by less."""
    detector = load_detector()
    clip = torch.from_numpy(standing())
    joints = clip.expand(300, 1, 17, 3) + torch.tensor([0.0, 0.0, 4.0])
    seen, sure = detector.see(
        joints, torch.zeros(300, 1), torch.ones(300), torch.Generator().manual_seed(1)
    )
    rays = joints[..., :2] / joints[..., 2:]
    _, size = features(joints)
    missed = ((seen - rays).norm(dim=-1) / size[..., 0])[:, 0]
    assert 0.01 < float(missed.median()) < 0.04
    wrists, eyes = COCO17.indices(["left_wrist", "right_wrist"]), [1, 2]
    assert missed[:, wrists].mean() > missed[:, eyes].mean()
    unsure = sure[:, 0] < sure[:, 0].quantile(0.1)
    assert missed[unsure].mean() > 1.5 * missed[~unsure].mean()


def standing():
    """A standing person's coco17 keypoints (17, 3), metres, y down, facing the camera."""
    places = {
        "nose": (0, -0.7), "eye": (0.03, -0.74), "ear": (0.07, -0.72), "shoulder": (0.18, -0.5),
        "elbow": (0.25, -0.22), "wrist": (0.28, 0.02), "hip": (0.1, 0.0), "knee": (0.11, 0.42),
        "ankle": (0.12, 0.84),
    }  # fmt: skip
    rows = []
    for name in COCO17.joints:
        x, y = places[name.split("_")[-1]]
        rows.append((-x if name.startswith("right") else x, y, 0.0))
    return np.array(rows, np.float32)


def test_errors_in_files_are_read_and_joined(tmp_path):
    for name in ("a", "b"):
        truth = np.zeros((3, 17, 3), np.float32)
        np.savez(tmp_path / f"{name}.npz", truth=truth, said=np.zeros((3, 2, 17, 3), np.float32))
    truth, said = read_errors([tmp_path / "a.npz", tmp_path / "b.npz"])
    assert truth.shape == (6, 17, 3)
    assert said.shape == (6, 2, 17, 3)


def test_only_coco_keypoints_change_and_what_is_missing_stays_so():
    views = Views(people(12 * 5 * 2).view(12, 5, 34, 3), torch.ones(12, 2))
    frames = torch.arange(5).expand(12, -1) * 10
    chosen = torch.ones(12, 5, dtype=torch.bool)
    plain, learned = (
        look(views, frames, chosen, NoiseLevels(learned=share), torch.Generator().manual_seed(5))
        for share in (0.0, 1.0)
    )
    torch.testing.assert_close(plain.rays[::2], learned.rays[::2])
    torch.testing.assert_close(plain.confidence > 0, learned.confidence > 0)
    seen = learned.confidence > 0
    assert 0.5 < float(seen.float().mean()) < 1
    moved = (plain.rays - learned.rays).norm(dim=-1) > 0
    assert moved[1::2][seen[1::2]].all()
    assert not moved[~seen].any()
