import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event, Thread, get_ident

import numpy as np
import pytest
import torch

from vid3d.camera import Camera
from vid3d.data.pairs import read_pairs
from vid3d.errors import Vid3dError
from vid3d.evaluation.lifting import lift_sequence
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import (
    LifterConfig,
    build_networks,
    load_networks,
    save_networks,
    write_model,
)
from vid3d.lifter.diffusion import DiffusionConfig
from vid3d.lifter.encoder import EncoderConfig
from vid3d.lifter.inference import encode_track, one_thread, sample_offsets
from vid3d.lifter.observation import observe
from vid3d.lifter.outliers import without_outliers
from vid3d.lifter.process import SCHEDULES, ddim, hypothesis_noise
from vid3d.lifter.resample import cubic
from vid3d.lifter.sides import LEGS, with_sides
from vid3d.lifter.windows import looks_of_windows, plan_windows
from vid3d.skeleton import COCO17, H36M17
from vid3d.weights import weights_dir

torch.set_num_threads(1)  # toy sizes: threads only wait for each other
EVERY = DiffusionConfig().every
CAMERA = Camera.from_fov(55, (1280, 720))
SAMPLES = Path(__file__).resolve().parents[1] / "samples"


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    toy = LifterConfig(
        name="toy",
        encoder=EncoderConfig(joint_width=8, spatial_blocks=1, width=32, blocks=2, heads=4),
        diffusion=DiffusionConfig(width=32, blocks=1, heads=2),
        seconds=0.8,
    )
    built = build_networks(toy)
    for parameter in built.diffusion.parameters():  # a head that does something
        torch.nn.init.normal_(parameter, std=0.1)
    return built


@pytest.fixture(scope="module")
def lifter(networks):
    return Lifter(networks)


def looks(count=6, gap=0.2, seed=0):
    """A stick person walking sideways: pixels, confidence, times."""
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(17, 3)) * [0.2, 0.5, 0.1]
    times = np.arange(count) * gap
    points = body + np.stack([0.4 * times - 0.5, 0 * times, 4 + 0 * times], -1)[:, None]
    return CAMERA.project(points), np.full((count, 17), 0.9), times


def lift(lifter, keypoints, confidence, times, fps=25, **options):
    count = max(1, round((times[-1] - times[0]) * fps) + 1)
    wanted = np.linspace(times[0], times[-1], count)
    return lifter(keypoints, confidence, times=times, out_times=wanted, camera=CAMERA, **options)


@pytest.mark.parametrize("gap", [0.02, 0.04, 0.2, 0.5])
@pytest.mark.parametrize("joint_set", ["h36m17", "coco17"])
def test_shapes_do_not_depend_on_the_stride(lifter, gap, joint_set):
    keypoints, confidence, times = looks(round(2 / gap) + 1, gap)
    lifted = lift(lifter, keypoints, confidence, times, joint_set=joint_set, hypotheses=1)
    assert lifted.joints3d.shape == (51, 17, 3)
    assert lifted.spread.shape == (51, 17)
    assert lifted.contacts.shape == (51, 2)
    assert lifted.joints3d.dtype == np.float32
    assert np.isfinite(lifted.joints3d).all()
    assert np.isnan(lifted.spread).all()
    assert (lifted.joints3d[:, 0, 2] > 0.5).all()  # before the camera


@pytest.mark.parametrize("aggregate", ["soft", "jpma", "mean", "best"])
def test_hypotheses(lifter, aggregate):
    keypoints, confidence, times = looks()
    options = {"hypotheses": 4, "steps": 2, "aggregate": aggregate}
    first = lift(lifter, keypoints, confidence, times, seed=3, **options)
    again = lift(lifter, keypoints, confidence, times, seed=3, **options)
    other = lift(lifter, keypoints, confidence, times, seed=4, **options)
    np.testing.assert_array_equal(first.joints3d, again.joints3d)
    np.testing.assert_array_equal(first.spread, again.spread)
    assert not np.array_equal(first.spread, other.spread)
    assert np.isfinite(first.joints3d).all()
    assert (first.spread[:, 1:] > 0).all()
    assert np.isfinite(first.root_spread).all()


@pytest.mark.parametrize("joints", [H36M17, COCO17], ids=lambda joints: joints.name)
def test_a_mirrored_person_is_lifted_to_the_mirror_image(lifter, joints):
    keypoints, confidence, times = looks()
    confidence[2:4, 5] = 0
    options = {"joint_set": joints.name, "hypotheses": 1}
    lifted = lift(lifter, keypoints, confidence, times, **options)
    mirrored = np.stack([1279 - keypoints[..., 0], keypoints[..., 1]], -1)
    order = joints.flip
    other = lift(lifter, mirrored[:, order], confidence[:, order], times, **options)
    expected = lifted.joints3d[:, H36M17.flip] * [-1, 1, 1]
    np.testing.assert_allclose(other.joints3d, expected, atol=1e-3)
    np.testing.assert_allclose(other.contacts, lifted.contacts[:, ::-1], atol=1e-4)


def test_one_look(lifter):
    keypoints, confidence, times = looks(1)
    for count in (1, 3):
        lifted = lift(lifter, keypoints, confidence, times, hypotheses=count)
        assert lifted.joints3d.shape == (1, 17, 3)
        assert np.isfinite(lifted.joints3d).all()


def test_missing_joints_limbs_and_looks(lifter):
    keypoints, confidence, times = looks(16, 0.2)
    confidence[:, 11:14] = 0  # a left arm that is never seen
    confidence[5:8] = 0  # half a second of nothing
    keypoints[confidence == 0] = np.nan
    lifted = lift(lifter, keypoints, confidence, times, hypotheses=3)
    assert np.isfinite(lifted.joints3d).all()
    assert np.isfinite(lifted.spread).all()
    assert np.abs(lifted.joints3d).max() < 30
    keypoints[confidence == 0] = 1e7
    again = lift(lifter, keypoints, confidence, times, hypotheses=3)
    np.testing.assert_array_equal(lifted.joints3d, again.joints3d)


def test_a_long_gap_has_no_nan(lifter):
    keypoints, confidence, times = looks(6, 0.2)
    times[3:] += 5
    lifted = lift(lifter, keypoints, confidence, times, hypotheses=1)
    assert np.isfinite(lifted.joints3d).all()


def test_no_jump_at_window_seams(lifter):
    keypoints, confidence, times = looks(31, 0.2)
    lifted = lift(lifter, keypoints, confidence, times, fps=50, hypotheses=2, seed=1)
    steps = np.linalg.norm(np.diff(lifted.joints3d, axis=0), axis=-1).max(-1)
    assert steps.max() < 8 * np.median(steps) + 0.02


def test_every_hypothesis_is_one_motion(networks):
    """Where windows meet, a hypothesis moves no more than elsewhere."""
    keypoints, confidence, times = looks(51, 0.2)
    seen = observe(keypoints, confidence, times, CAMERA, "h36m17")
    windows = plan_windows(times[0], times[-1], 0.08, 11, 6, EVERY)
    dense = encode_track(networks, seen, windows, torch.device("cpu"))
    offsets = sample_offsets(networks, dense, windows, 5, 3, (0, 0))
    steps = np.linalg.norm(np.diff(offsets, axis=1), axis=-1).mean(-1)  # (H, G - 1)
    seams = np.unique(np.concatenate([windows.starts, windows.starts + windows.length - 1]))
    seams = seams[(seams > 0) & (seams < steps.shape[1])]
    at_seams = np.concatenate([steps[:, seams - 1], steps[:, seams]], 1)
    assert len(windows.starts) > 10
    assert (at_seams.mean(1) < 1.25 * steps.mean(1)).all()
    cut = plan_windows(times[0], times[-1], 0.08, 11, 10, EVERY)  # without any overlap but a moment
    torn = sample_offsets(networks, encode_track(networks, seen, cut, torch.device("cpu")), cut, 5,
                          3, (0, 0))  # fmt: skip
    assert np.corrcoef(torn.ravel(), offsets.ravel())[0, 1] > 0.5  # the same identity


def test_arguments_are_checked(lifter):
    keypoints, confidence, times = looks()
    options = {"times": times, "out_times": times, "camera": CAMERA}
    with pytest.raises(Vid3dError, match="keypoints2d is"):
        lifter(keypoints[:, :16], confidence, **options)
    with pytest.raises(Vid3dError, match="confidence is"):
        lifter(keypoints, confidence[:3], **options)
    with pytest.raises(Vid3dError, match="rise"):
        lifter(keypoints, confidence, **{**options, "times": times[::-1]})
    with pytest.raises(Vid3dError, match="unknown joint set"):
        lifter(keypoints, confidence, **options, joint_set="body25")
    with pytest.raises(Vid3dError, match="aggregate"):
        lifter(keypoints, confidence, **options, aggregate="median")
    with pytest.raises(Vid3dError, match="from 1 up"):
        lifter(keypoints, confidence, **options, hypotheses=0)
    with pytest.raises(Vid3dError, match="nothing to lift"):
        lifter(keypoints, confidence * 0, **options)
    with pytest.raises(Vid3dError, match="out_times"):
        lifter(keypoints, confidence, **{**options, "out_times": []})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hypotheses": "3"}, "hypotheses is '3', expected a whole number from 1 up"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"seed": None}, "seed is None"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"track": "1"}, "track is '1'"),
        ({"camera": CAMERA.intrinsics}, "camera is .* expected a vid3d.Camera"),
        ({"joint_set": ["h36m17"]}, "joint_set is"),
        ({"times": ["a", "b"]}, "times is .* expected an array of numbers"),
        ({"out_times": [np.nan]}, "out_times is .* finite"),  # came back as NaN
        ({"out_times": [0, np.inf]}, "out_times is .* finite"),
    ],
)
def test_options_of_a_wrong_kind(lifter, changes, message):
    keypoints, confidence, times = looks()
    options = {"times": times, "out_times": times, "camera": CAMERA, "hypotheses": 2, **changes}
    with pytest.raises(Vid3dError, match=message):
        lifter(keypoints, confidence, **options)


def test_what_is_no_number_was_not_seen():
    keypoints = np.full((4, 17, 2), (640 - 0.5, 360 - 0.5))
    confidence = np.full((4, 17), 1.5)
    keypoints[0, 3] = 700, np.nan
    keypoints[1, 1:] = np.nan  # a single joint is no look
    seen = observe(keypoints, confidence, np.array([0.0, 0.1, 0.2, 0.229]), CAMERA, "h36m17")
    assert seen.times.tolist() == [0.0, 0.2]  # the last one is too near to the one before
    assert seen.confidence[:, 3].tolist() == [0, 1]
    assert seen.confidence[0].sum() == 16
    np.testing.assert_allclose(seen.rays, 0, atol=1e-12)


LEGS_OF = [i for i, name in enumerate(COCO17.joints) if name.split("_")[-1] in LEGS]
TWINS_OF = np.array(COCO17.flip)[LEGS_OF]


def strides_of(exchanged, apart=0.5, count=8):
    """Looks at a body four metres off whose feet are apart, and an encoder that knows it."""
    body = np.random.default_rng(0).normal(size=(17, 3)) * [0.1, 0.4, 0.1]
    for joint, share in (("knee", 0.5), ("ankle", 1.0)):
        for side, sign in (("left", 1), ("right", -1)):
            body[COCO17.index(f"{side}_{joint}")] = [sign * share * apart, 0.4 + 0.4 * share, 0]
    spots = np.tile(CAMERA.project(body + [0, 0, 4]), (count, 1, 1))
    confidence = np.tile(np.linspace(0.5, 0.9, 17), (count, 1))
    for look in exchanged:
        spots[look, LEGS_OF], confidence[look, LEGS_OF] = (
            spots[look, TWINS_OF], confidence[look, TWINS_OF]
        )  # fmt: skip
    seen = observe(spots, confidence, 0.2 * np.arange(count), CAMERA, "coco17")
    asked = []

    def poses(looks):
        asked.append(looks.confidence[:, LEGS_OF].any(1))
        return np.tile(body, (count, 1, 1))

    return seen, poses, asked


@pytest.mark.parametrize("exchanged", [[], [0], [3], [2, 5, 7]])
def test_legs_of_each_others_names_are_put_right(exchanged):
    seen, poses, asked = strides_of(exchanged)
    right, _, _ = strides_of([])
    found = with_sides(seen, poses)
    np.testing.assert_allclose(found.rays, right.rays)
    np.testing.assert_allclose(found.confidence, right.confidence)
    # Every look's legs are hidden once, while both beside it are seen.
    assert (~np.array(asked)).sum(0).tolist() == [1] * 8
    assert all(a or b for row in asked for a, b in zip(row[1:], row[:-1], strict=True))


def test_legs_that_tell_nothing_keep_their_names():
    close, poses, _ = strides_of([3], apart=0.02)  # 4 cm apart: either may be either
    assert with_sides(close, poses) is not close
    np.testing.assert_array_equal(with_sides(close, poses).rays, close.rays)
    seen, poses, _ = strides_of([3])
    seen.confidence[3, COCO17.index("left_ankle")] = 0.0  # a leg that is not seen
    np.testing.assert_array_equal(with_sides(seen, poses).rays, seen.rays)
    sure, poses, _ = strides_of([3])
    sure.confidence[:] = 1.0
    np.testing.assert_array_equal(with_sides(sure, poses).rays, sure.rays)
    both, poses, _ = strides_of([3, 4])  # of two in a row one at most is put right
    changed = (with_sides(both, poses).rays != both.rays).any((1, 2))
    assert changed.sum() <= 1
    one, poses, _ = strides_of([0], count=1)
    right, _, _ = strides_of([], count=1)
    np.testing.assert_allclose(with_sides(one, poses).rays, right.rays)


def test_legs_of_each_others_names_do_not_show_in_a_walk():
    sequence = read_pairs(SAMPLES / "two_people.pairs.npz")[1]
    at = np.arange(0, len(sequence.keypoints2d), 6)
    spots, trust = sequence.keypoints2d[at].copy(), 0.9 * sequence.confidence[at]
    times = at / sequence.fps
    options = dict(times=times, out_times=times, camera=sequence.camera, joint_set="coco17")
    lifter = Lifter.load("vid3d-base")
    right = lifter(spots, trust, hypotheses=1, **options).joints3d
    for look in (3, 8, 21, 25, 28):  # not put right, they move joints by up to 45 cm
        spots[look, LEGS_OF], trust[look, LEGS_OF] = spots[look, TWINS_OF], trust[look, TWINS_OF]
    np.testing.assert_array_equal(lifter(spots, trust, hypotheses=1, **options).joints3d, right)


@pytest.mark.parametrize("joint_set", [COCO17, H36M17])
def test_keypoints_that_miss_the_body_lose_confidence(joint_set):
    rng = np.random.default_rng(1)
    body = rng.normal(size=(17, 3)) * [0.2, 0.5, 0.1]
    spots = np.tile(CAMERA.project(body + [0, 0, 4]), (3, 1, 1))
    confidence = rng.uniform(0.5, 1, (3, 17))
    extent = np.ptp(body[:, :2], axis=0).max()  # of the person, at four metres
    tenth = 0.1 * extent / 4 * CAMERA.intrinsics[0, 0]
    half, far, firm = (joint_set.index(n) for n in ("left_ankle", "right_wrist", "left_shoulder"))
    spots[0, half] += [tenth, 0]
    spots[1, far] += [0, 3 * tenth]
    spots[2, firm] += [tenth, 0]  # only limbs are doubted
    confidence[2, far] = 0.0
    seen = observe(spots, confidence, 0.2 * np.arange(3), CAMERA, joint_set.name)
    found = without_outliers(seen, np.tile(body, (3, 1, 1)))
    expected = confidence.copy()
    expected[0, half] /= 2
    expected[1, far] /= 1 + 3**6
    np.testing.assert_allclose(found.confidence, expected, rtol=0.15)
    np.testing.assert_array_equal(found.rays, seen.rays)


def test_the_encoder_without_the_mirror_says_nearly_the_same():
    sequence = read_pairs(SAMPLES / "two_people.pairs.npz")[0]
    at = np.arange(0, len(sequence.keypoints2d), 10)
    seen = observe(
        sequence.keypoints2d[at], sequence.confidence[at], at / sequence.fps, sequence.camera,
        sequence.joint_set,
    )  # fmt: skip
    lifter = Lifter.load("vid3d-base")
    windows = lifter._plan(seen, seen.times)
    both, one = (lifter._poses(seen, windows, mirror) for mirror in (True, False))
    off = np.linalg.norm(both - one, axis=-1)
    assert 0 < off.mean() < 0.02


def test_windows_cover_and_blend():
    for end in (0.0, 0.05, 1.0, 7.7):
        windows = plan_windows(0.03, 0.03 + end, 0.08, 11, 7)
        assert windows.times[0] <= 0.03
        assert windows.times[-1] >= 0.03 + end - 1e-6
        ones = torch.ones(len(windows.starts), windows.length, 1, dtype=torch.float64)
        torch.testing.assert_close(windows.blend(ones), torch.ones_like(windows.blend(ones)))
        values = torch.randn(2, windows.count, 3, dtype=torch.float64)
        torch.testing.assert_close(windows.blend(windows.cut(values)), values)


def test_windows_fit_whatever_the_length_of_the_track():
    for count in range(1, 40):
        windows = plan_windows(0.0, 0.04 * (count - 1), 0.04, 9, 4)
        assert windows.count == count
        assert windows.starts[-1] + windows.length == count
        total = np.zeros(count)
        for start, weights in zip(windows.starts, windows.weights, strict=True):
            total[start : start + windows.length] += weights
        np.testing.assert_allclose(total, 1)


def test_looks_of_windows_by_hand():
    # Moments 0.0 to 1.2 s in windows of five tenths from 0.0, 0.4 and 0.8 s on.
    windows = plan_windows(0.0, 1.2, 0.1, 5, 4)
    times = np.array([0.1, 0.2, 0.95, 1.1])
    rays = np.broadcast_to(times[:, None, None], (4, 17, 2))
    looks, moments = looks_of_windows(windows, rays, np.ones((4, 17)), times, "coco17")
    np.testing.assert_allclose(moments, np.tile(np.arange(5) / 10, (3, 1)), atol=1e-6)
    # The one in the middle has no look: it takes the nearest on both sides.
    np.testing.assert_allclose(looks.rays[:, :, 0, 0], [[0.1, 0.2], [0.2, 0.95], [0.95, 1.1]])
    np.testing.assert_allclose(looks.times, [[0.1, 0.2], [-0.2, 0.55], [0.15, 0.3]], atol=1e-6)
    assert looks.valid.all()
    # Where there is no other side there is one look, and an empty slot.
    looks, _ = looks_of_windows(windows, rays[:2], np.ones((2, 17)), times[:2], "coco17")
    assert looks.valid.tolist() == [[True, True], [True, False], [True, False]]
    np.testing.assert_allclose(looks.times, [[0.1, 0.2], [-0.2, 0], [-0.6, 0]], atol=1e-6)
    assert looks.confidence[:, :, 0].tolist() == [[1, 1], [1, 0], [1, 0]]


def test_curves_between_moments_are_cubic():
    times, at = np.arange(4.0), np.array([-1.0, 0.5, 2.5, 9.0])
    np.testing.assert_allclose(cubic(times**3, times, at), [0, 0.5**3, 2.5**3, 27])
    # Three moments are too few for one.
    np.testing.assert_allclose(cubic(times[:3] ** 3, times[:3], at), [0, 0.5, 8, 8])
    np.testing.assert_allclose(cubic(np.array([[5.0]]), times[:1], at), np.full((4, 1), 5))


def test_noise_does_not_depend_on_the_cut():
    whole = hypothesis_noise(7, 2, 3, -10, 200)
    torch.testing.assert_close(hypothesis_noise(7, 2, 3, 50, 30), whole[:, 60:90])
    torch.testing.assert_close(hypothesis_noise(7, 2, 1, -10, 200)[0], whole[0])
    assert not torch.equal(hypothesis_noise(7, 1, 1, 0, 5), hypothesis_noise(7, 2, 1, 0, 5))
    torch.testing.assert_close(
        hypothesis_noise(7, 2**61 + 2, 1, 0, 5), hypothesis_noise(7, 2, 1, 0, 5)
    )
    assert abs(float(whole.std()) - 1) < 0.05


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_ddim_reaches_what_the_model_says(schedule):
    target = torch.full((2, 3), 0.7)
    noise = torch.randn(2, 3)
    for steps in (1, 4):
        torch.testing.assert_close(ddim(noise, steps, schedule, lambda y, level: target), target)


def test_flow_matching_is_eulers_method():
    """Of a Gaussian with deviation 0.5 the clean value is known; two steps by hand."""
    noise = torch.tensor([1.0])

    def clean(y, level):
        a, s = 1 - level, level
        return y * a * 0.25 / (a * a * 0.25 + s * s)

    half = noise + (clean(noise, 1.0) - noise) / 1.0 * 0.5  # dy/dlevel = (y - x0) / level
    expected = half + (clean(half, 0.5) - half) / 0.5 * 0.5
    torch.testing.assert_close(ddim(noise, 2, SCHEDULES["linear"], clean), expected)


def test_checkpoint_round_trip(networks, tmp_path):
    path = tmp_path / "model.safetensors"
    save_networks(path, networks)
    loaded = load_networks(path)
    assert loaded.config == networks.config
    assert len(loaded.sha256) == 64
    for key, value in networks.encoder.state_dict().items():
        torch.testing.assert_close(loaded.encoder.state_dict()[key], value.half().float())
    keypoints, confidence, times = looks()
    lift(Lifter(loaded), keypoints, confidence, times, hypotheses=2)
    write_model(tmp_path / "folder", networks)
    assert Lifter.load(tmp_path / "folder").sha256 == loaded.sha256


def test_loading_leaves_torchs_random_numbers_alone(networks, tmp_path):
    path = tmp_path / "toy.safetensors"
    save_networks(path, networks)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_networks(path)
    assert torch.equal(torch.rand(3), expected)


def test_lifts_at_once_leave_torchs_threads_alone(monkeypatch):
    """As torch counts: a number set holds for its thread, and for all that begin later."""
    numbers, latest = {}, [4]

    def set_number(number):
        numbers[get_ident()] = latest[0] = number

    monkeypatch.setattr(torch, "get_num_threads", lambda: numbers.get(get_ident(), latest[0]))
    monkeypatch.setattr(torch, "set_num_threads", set_number)
    both, first_left, left = Barrier(2), Event(), []

    def lift(last):
        with one_thread():
            both.wait(5)
            assert torch.get_num_threads() == 1
            if last:
                first_left.wait(5)
        first_left.set()
        left.append(torch.get_num_threads())

    threads = [Thread(target=lift, args=(last,)) for last in (False, True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert left == [4, 4]
    assert latest == [4]


_FORKED = """
import os, signal, torch
from vid3d.lifter import Lifter
torch.set_num_threads(2)
Lifter.load()
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal.alarm(30)
Lifter.load()
"""


def test_a_load_begins_no_threads_of_torch(monkeypatch):
    seen = []

    def build(config):
        seen.append(torch.get_num_threads())
        raise ValueError("seen")

    monkeypatch.setattr("vid3d.lifter.checkpoint.build_networks", build)
    torch.set_num_threads(2)
    try:
        with pytest.raises(Vid3dError, match="seen"):
            Lifter.load()
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks of POSIX")
def test_processes_forked_after_a_load_can_load_too():
    subprocess.run([sys.executable, "-c", _FORKED], check=True)


def test_bad_checkpoints(networks, tmp_path):
    with pytest.raises(Vid3dError, match="unknown model"):
        Lifter.load("no-such-model")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(Vid3dError, match="cannot read"):
        Lifter.load(tmp_path / "text.safetensors")
    other = replace(networks, config=replace(networks.config, diffusion=None))
    save_networks(tmp_path / "bad.safetensors", other)
    with pytest.raises(Vid3dError, match="do not fit"):
        Lifter.load(tmp_path / "bad.safetensors")


SHIPPED = pytest.mark.skipif(
    not (weights_dir() / "vid3d-base/manifest.json").is_file(), reason="vid3d-base is not shipped"
)


@SHIPPED
def test_spread_is_larger_where_evidence_is_missing():
    truth = read_pairs(SAMPLES / "two_people.pairs.npz")[0]
    looked = np.arange(0, len(truth.keypoints2d), 6)
    keypoints, times = truth.keypoints2d[looked], looked / truth.fps
    left = [COCO17.index(f"left_{joint}") for joint in ("elbow", "wrist")]
    wrists = [H36M17.index(f"{side}_wrist") for side in ("left", "right")]
    gap = (times > 3) & (times < 3.6)

    def spread(*hidden):
        confidence = np.full((len(looked), 17), 0.9)
        for rows, columns in hidden:
            confidence[np.ix_(rows, columns)] = 0
        model = Lifter.load("vid3d-base")
        return model(keypoints, confidence, times=times, out_times=times, camera=truth.camera,
                     joint_set="coco17").spread  # fmt: skip

    everywhere, everything = np.ones(len(times), bool), range(17)
    plain = spread()
    no_arm = spread((everywhere, left))
    assert no_arm[:, wrists[0]].mean() > 1.3 * plain[:, wrists[0]].mean()
    assert no_arm[:, wrists[1]].mean() < 1.3 * plain[:, wrists[1]].mean()
    nothing = spread((gap, everything))
    assert nothing[gap].mean() > 1.1 * plain[gap].mean()
    elsewhere = (times < 2) | (times > 4.6)
    np.testing.assert_allclose(nothing[elsewhere].mean(), plain[elsewhere].mean(), rtol=0.1)


@SHIPPED
@pytest.mark.parametrize("place", [(0, 0, 4), (-1.5, 0.3, 5), (0.5, -0.2, 9)])
def test_shipped_lifter_stands_people_up(place):
    """A person who stands still, facing the camera, arms a little away from the body."""
    half = {"hip": (0.14, 0), "knee": (0.15, 0.42), "ankle": (0.15, 0.83), "shoulder": (0.18, -0.5),
            "elbow": (0.27, -0.24), "wrist": (0.33, 0)}  # fmt: skip
    middle = {"pelvis": 0, "spine": -0.28, "thorax": -0.5, "nose": -0.65, "head": -0.78}
    body = np.zeros((17, 3))
    for index, name in enumerate(H36M17.joints):
        side, _, kind = name.partition("_")
        # The person faces us: their left is on the right of the picture.
        x, y = half[kind] if kind else (0, middle[name])
        body[index, :2] = (x if side == "left" else -x, y)
    times = np.arange(8) * 0.2
    keypoints = CAMERA.project(np.tile(body + np.array(place), (8, 1, 1)))
    lifted = lift(Lifter.load("vid3d-base"), keypoints, np.full((8, 17), 0.9), times)
    relative = lifted.joints3d - lifted.joints3d[:, :1]
    assert np.linalg.norm(relative - body, axis=-1).mean() < 0.2
    assert (relative[:, H36M17.index("head"), 1] < -0.5).all()  # y is down
    assert (relative[:, H36M17.index("left_shoulder"), 0] > 0.05).all()  # not mirrored
    np.testing.assert_allclose(CAMERA.project(lifted.joints3d[10]), keypoints[0], atol=40)
    np.testing.assert_allclose(lifted.joints3d[10, 0], place, rtol=0.25, atol=0.15)


def test_shipped_lifter_knows_which_foot_stands():
    """Of the walker of the sample, seen five times a second without noise."""
    walker = read_pairs(SAMPLES / "two_people.pairs.npz")[1]
    lifted, _ = lift_sequence(Lifter.load("vid3d-base"), walker, 6)
    ankles = walker.joints3d[:, H36M17.indices(["left_ankle", "right_ankle"])]
    speeds = np.linalg.norm(np.gradient(ankles, 1 / walker.fps, axis=0), axis=-1)
    stands = speeds < 0.25
    assert ((lifted.contacts > 0.5) == stands).mean() > 0.9
