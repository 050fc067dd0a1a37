"""Adaptation at toy size: the parts by hand, then the whole with kill and resume."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from video_toys import make

from vid3d.adaptation import AdaptOptions, adapt, inputs, judge, noise, proxy, pseudo, scene, target
from vid3d.adaptation.adapt import _about
from vid3d.adaptation.outcome import Round
from vid3d.adaptation.source import (
    _TRAINED,
    NEAREST,
    Detector,
    Source,
    as_confident,
    closed_form_depth,
    confidence_quantiles,
    mocap_files,
    place_like,
    world_to_camera,
)
from vid3d.adaptation.student import missed, placed_joints
from vid3d.camera import Camera
from vid3d.cli import cli
from vid3d.data.augment import BodyRanges
from vid3d.data.mocap import MotionClip, write_mocap
from vid3d.data.noise import NoiseLevels
from vid3d.data.pairs import write_pairs
from vid3d.data.virtual_pairs import make_pairs
from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import SCORED, n_mpjpe
from vid3d.files import as_argument, held
from vid3d.info import describe
from vid3d.lift_options import LiftOptions
from vid3d.lifter.adapters import read_adapter
from vid3d.lifter.checkpoint import LifterConfig, build_networks, load_networks, save_networks
from vid3d.lifter.diffusion import DiffusionConfig
from vid3d.lifter.encoder import EncoderConfig
from vid3d.lifter.published.uplift import UpliftConfig
from vid3d.monitor import Monitor
from vid3d.pose2d.keypoint_files import write_keypoints
from vid3d.pose2d.people import KeypointClip, Look, People, boxes_around
from vid3d.skeleton import H36M17
from vid3d.training import fitting
from vid3d.training.lifter import Networks, batch_options, encode
from vid3d.training.recipes import load_recipe

torch.set_num_threads(1)  # toy sizes: threads only wait for each other
CAMERA = Camera.from_fov(60, (1280, 720))
QUIET = NoiseLevels(*[0.0] * 8)


def walker(frames=200, seed=0):
    """A rigid person who walks a circle, z up, 50 Hz."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((17, 3))
    pose[:, 2] = [0.95, 0.95, 0.5, 0.1, 0.95, 0.5, 0.1, 1.2, 1.45, 1.55, 1.7, 1.4, 1.1, 0.9,
                  1.4, 1.1, 0.9]  # fmt: skip
    pose[[4, 5, 6], 0], pose[[1, 2, 3], 0] = 0.12, -0.12
    pose[[11, 12, 13], 0], pose[[14, 15, 16], 0] = 0.2, -0.2
    pose += 0.03 * rng.normal(size=(17, 3))
    angle = np.linspace(0, frames / 60, frames)
    c, s = np.cos(angle), np.sin(angle)
    turn = np.stack([np.stack([c, -s, 0 * c], -1), np.stack([s, c, 0 * c], -1),
                     np.stack([0 * c, 0 * c, 0 * c + 1], -1)], 1)  # fmt: skip
    joints = pose @ turn.transpose(0, 2, 1) + np.stack([c, s, 0 * c], -1)[:, None]
    return MotionClip(f"walk {seed}", "somebody", "walks", joints.astype(np.float32))


def piece(seconds=8.0, rate=5.0, seed=0, **changes):
    """Looks at a walker, five metres away."""
    joints = walker(round(seconds * 50) + 1, seed).joints[:: round(50 / rate)]
    seen = np.stack([joints[..., 0], 1 - joints[..., 2], joints[..., 1] + 5], -1)
    fields = {
        "clip": "clip",
        "keypoints": CAMERA.project(seen),
        "confidence": np.full(seen.shape[:2], 0.8),
        "times": np.arange(len(seen)) / rate,
        "frames": round(seconds * 25),
        "joint_set": "h36m17",
        "camera": CAMERA,
    }
    return target.Piece(**(fields | changes))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def toy():
    torch.manual_seed(0)
    encoder = EncoderConfig(joint_width=8, spatial_blocks=1, width=16, blocks=2, heads=2)
    return build_networks(LifterConfig("toy", encoder, DiffusionConfig(16, 1, 2), hypotheses=3))


# F


def test_depth_by_hand():
    joints = torch.zeros(1, 3, 2, 3)
    joints[:, :, 1] = torch.tensor([0.6, 1.4, 0.3])  # 0.6 m wide and 1.4 m high
    joints[:, 2, 1] *= 0.5  # crouches at one of three moments: the median does not mind
    assert closed_form_depth(joints, torch.tensor([0.2])).item() == pytest.approx(2.0 / 0.4)
    assert closed_form_depth(joints, torch.tensor([0.0])).item() == 200  # nobody: far, not infinite


def test_people_are_placed_where_others_stood():
    joints = torch.randn(2, 4, 17, 3, generator=generator()) * 0.3
    root, depth = torch.tensor([[0.3, -0.1], [0.0, 0.2]]), torch.tensor([4.0, 6.0])
    at = torch.tensor([1, 3])
    moved = place_like(joints, at, root, depth)
    placed = moved[torch.arange(2), at, 0]
    torch.testing.assert_close(placed, torch.cat([root, torch.ones(2, 1)], 1) * depth[:, None])
    torch.testing.assert_close(moved - moved[:, :1, :1], joints - joints[:, :1, :1])


def test_nobody_comes_too_near():
    joints = torch.randn(1, 4, 17, 3, generator=generator())
    moved = place_like(joints, torch.tensor([0]), torch.tensor([[0.5, 0.5]]), torch.tensor([0.5]))
    assert moved[..., 2].min().item() == pytest.approx(NEAREST, abs=1e-5)
    ray = moved[0, 0, 0] / moved[0, 0, 0, 2]
    torch.testing.assert_close(ray, torch.tensor([0.5, 0.5, 1.0]))


@settings(deadline=None, max_examples=30)
@given(*[st.floats(-1, 1)] * 3, st.floats(-3, 3))
def test_worlds_stand_upright_in_cameras(x, y, z, heading):
    up = torch.nn.functional.normalize(torch.tensor([[x, y - 1.01, z]]), dim=-1)
    turn = world_to_camera(up, torch.tensor([heading]))[0]
    torch.testing.assert_close(turn @ torch.tensor([0.0, 0.0, 1.0]), up[0], atol=1e-5, rtol=0)
    if abs(up[0, 2]) < 0.99:
        torch.testing.assert_close(turn @ turn.T, torch.eye(3), atol=1e-4, rtol=0)
        assert torch.linalg.det(turn).item() == pytest.approx(1, abs=1e-4)


def test_confidences_take_the_targets_distribution():
    wanted = torch.linspace(0.2, 0.4, 200)
    confidence = torch.rand(10, 17, generator=generator())
    confidence[0] = 0
    mapped = as_confident(confidence, confidence_quantiles(wanted))
    assert (mapped[0] == 0).all()
    seen = mapped[1:]
    assert (seen.min().item(), seen.max().item()) == pytest.approx((0.2, 0.4), abs=2e-3)
    order = confidence[1:].flatten().argsort()
    assert (seen.flatten()[order].diff() >= 0).all()


def test_source_windows_stand_where_the_targets_do():
    pieces = [piece(seed=0)]
    windows = target.draw_windows(pieces, 16, 2.56, 0.08, generator())
    detector = Detector(QUIET, torch.tensor([0.5, 0.6]))
    source = Source(
        [walker(400, 1)], torch.tensor([[0.0, -1.0, 0.0]]), detector, BodyRanges(0, 0, 0, 0)
    )
    batch = source.draw(windows, generator())
    assert batch.joints.shape == (16, 33, 17, 3)
    assert (batch.joints[..., 2] >= NEAREST - 1e-4).all()
    slopes = batch.joints[:, :, 0, :2] / batch.joints[:, :, 0, 2:]
    away = (slopes.median(1).values - windows.root[:, 0]).norm(dim=-1)
    assert away.median() < 0.3
    depth = batch.joints[:, :, 0, 2].median()
    assert 3.0 < depth < 7.5  # the walker is five metres away
    looked = batch.looks.valid
    assert (batch.looks.confidence[looked].amax(-1) > 0).all()
    again = source.draw(windows, generator())
    assert torch.equal(batch.looks.rays, again.looks.rays)


def test_the_foot_that_rests_is_said_to_rest_in_source_windows():
    joints = walker(400).joints[:1].repeat(400, 0)
    joints[:, H36M17.index("left_ankle"), 0] += 0.02 * np.arange(400)  # 1 m/s; the right one rests
    clip = MotionClip("limp", "somebody", "drags a foot", joints)
    windows = target.draw_windows([piece()], 16, 2.56, 0.08, generator())
    detector = Detector(QUIET, torch.tensor([0.5, 0.6]))
    up = torch.tensor([[0.0, -1.0, 0.0]])
    batch = Source([clip], up, detector, BodyRanges(0, 0, 0, 0)).draw(windows, generator())
    ankles = batch.joints[:, :, H36M17.indices(["left_ankle", "right_ankle"])]
    resting = ankles.diff(dim=1).norm(dim=-1).mean(1) < 0.01
    assert 0 < resting[:, 0].sum() < 16  # windows are mirrored, some of them
    torch.testing.assert_close(batch.contacts, resting[:, None].expand(-1, 33, -1).float())


def test_people_whom_the_camera_turned_after_are_seen_in_source_windows():
    width, height = CAMERA.frame_size
    reach = CAMERA.rays(np.array([[width - 0.5, height - 0.5]]))[0, :2]
    own = piece()
    np.testing.assert_allclose(own.half, reach)
    aside = replace(own, keypoints=own.keypoints + [2 * width, 0])  # as the camera first stood
    np.testing.assert_allclose(aside.half, [aside.seen.rays[..., 0].max(), reach[1]])
    windows = target.draw_windows([aside], 16, 2.56, 0.08, generator())
    up, detector = torch.tensor([[0.0, -1.0, 0.0]]), Detector(QUIET, torch.tensor([0.5, 0.6]))
    batch = Source([walker(400)], up, detector, BodyRanges(0, 0, 0, 0)).draw(windows, generator())
    assert (batch.looks.confidence[batch.looks.valid] > 0).float().mean() > 0.5
    assert batch.looks.valid.any(1).all()


def test_a_share_of_the_source_is_seen_as_in_training():
    windows = target.draw_windows([piece(8)], 12, 2.56, 0.08, generator())
    detector = Detector(QUIET, torch.tensor([0.5, 0.6]))
    ups = torch.tensor([[0.0, -1.0, 0.0]])
    sources = [
        Source([walker(400)], ups, detector, BodyRanges(), share) for share in (0.0, 1 / 3, 1.0)
    ]
    filmed, mixed, trained = (one.draw(windows, generator()) for one in sources)
    assert len(filmed.joints) == len(mixed.joints) == len(trained.joints) == 12
    torch.testing.assert_close(mixed.times, filmed.times)
    assert mixed.looks.valid.shape[1] >= filmed.looks.valid.shape[1]
    assert mixed.looks.valid.any(1).all()
    distance = trained.joints[:, :, 0].norm(dim=-1).mean(1)
    assert distance.std() > filmed.joints[:, :, 0].norm(dim=-1).mean(1).std()
    assert windows.first_of(5).looks.rays.shape[0] == len(windows.first_of(5).half) == 5


# The target


def test_pieces_are_cut_and_a_fifth_is_held_out():
    learnt, held = target.split([piece(60), piece(30)])
    assert 0.1 < len(held) / (len(held) + len(learnt)) < 0.3
    times = np.concatenate([p.times for p in [*learnt, *held]])
    assert len(times) == 60 * 5 + 1 + 30 * 5 + 1  # every look is in one piece


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ([], "no people found"),
        ([piece(confidence=np.full((41, 17), 0.1))], "all of low confidence"),
        ([piece(frames=150)], "people on 150 frames, at least 200 are needed"),
    ],
)
def test_too_little_is_refused_in_one_line(tracks, message):
    with pytest.raises(Vid3dError, match=message) as caught:
        target.split(tracks)
    assert "\n" not in str(caught.value)


def test_windows_hold_the_looks_of_their_pieces():
    pieces = [piece(9, 5), piece(1.0, 25, seed=1)]
    windows = target.draw_windows(pieces, 32, 2.56, 0.08, generator())
    assert set(windows.piece.tolist()) == {0, 1}
    for row in range(32):
        own = pieces[windows.piece[row]]
        valid = windows.looks.valid[row]
        times = windows.looks.times[row, valid].numpy() + windows.first[row].item() * 0.08
        found = np.abs(own.times[:, None] - times).argmin(0)
        np.testing.assert_allclose(own.times[found], times, atol=1e-4)
        rays = windows.looks.rays[row, valid].numpy()
        np.testing.assert_allclose(own.seen.rays[found], rays, atol=1e-5)
        assert windows.valid[row].sum() == (33 if len(own.times) > 40 else 13)
    shown = windows.shown
    assert (shown.valid <= windows.looks.valid).all()
    assert shown.valid.any(1).all()
    assert (shown.confidence <= windows.looks.confidence).all()
    hidden = (windows.looks.confidence > 0) & (shown.confidence == 0)
    assert hidden[:, :, 1:].any()
    assert (shown.confidence.sum((1, 2)) > 0).all()


def test_labels_that_do_not_reproject_are_not_trusted():
    own = piece(4)
    moments = np.arange(0, 51) * 0.08
    truth = walker(201).joints[::4]
    joints = np.stack([truth[..., 0], 1 - truth[..., 2], truth[..., 1] + 5], -1).astype(np.float64)
    assert pseudo.trust(own, joints, moments).min() > 0.9
    joints[:, 13] += [0.3, 0.3, 0.0]
    sure = pseudo.trust(own, joints, moments)
    assert sure[:, 13].max() < 0.1
    assert np.delete(sure, 13, 1).min() > 0.8
    unsure = replace(own, confidence=np.where(np.arange(17) == 16, 0.2, own.confidence))
    assert pseudo.trust(unsure, joints, moments)[:, 16].max() < 0.1


def test_truth_reprojects_and_the_proxy_sees_what_does_not(monkeypatch):
    student = Networks(toy().config)
    windows = target.draw_windows([piece(8)], 8, 2.56, 0.08, generator())
    detector = Detector(QUIET, torch.tensor([0.5, 0.6]))
    ups = torch.tensor([[0.0, -1.0, 0.0]])
    batch = Source([walker(400, 1)], ups, detector, BodyRanges(0, 0, 0, 0)).draw(
        windows, generator()
    )
    batch = replace(batch, looks=replace(batch.looks, joint_set=torch.zeros(8, dtype=torch.long)))
    from vid3d.lifter.canonical import canonicalise

    canonical = canonicalise(batch.looks)
    encoded, targets = encode(student.encoder, batch)
    perfect = replace(encoded, joints=targets.joints, root=targets.root)
    placed = placed_joints(perfect, canonical, batch.looks, batch.times)
    torch.testing.assert_close(placed, batch.joints, atol=1e-3, rtol=1e-3)
    distance = missed(perfect, canonical, batch.looks, batch.looks, batch.times, batch.valid)[
        batch.looks.confidence > 0
    ]
    assert distance.median() < 0.02
    off = replace(perfect, joints=targets.joints + torch.tensor([0.1, 0, 0]))
    worse = missed(off, canonical, batch.looks, batch.looks, batch.times, batch.valid)
    assert worse[batch.looks.confidence > 0].median() > 0.1


def test_ratios_are_geometric_means():
    base = proxy.Proxy(4.0, 2.0, 1.0)
    assert proxy.Proxy(2.0, 2.0, 1.0).ratio(base) == pytest.approx(0.5 ** (1 / 3))
    assert base.ratio(base) == pytest.approx(1)
    assert proxy.Proxy(4.0, 2.0, 0.5).ratio(base) == pytest.approx(1)  # bones alone do not count


def figures(trial, elsewhere, looks=1.0):
    return judge.Figures(proxy.Proxy(looks, looks, looks), trial, elsewhere)


@pytest.mark.parametrize(
    ("own", "objection"),
    [
        (figures(30, 50, 0.9), ""),
        (figures(39.5, 50, 0.9), r"lifted only 1\.25 % better"),
        (figures(42, 50, 0.9), r"lifted 5\.0 % worse"),
        (figures(36, 45, 0.9), r"only 0\.00 % better"),  # as much is gained elsewhere
        (figures(30, 55, 0.9), r"otherwise is lifted 10\.0 % worse"),
        (figures(30, 50, 1.1), "missed by 10 % more"),
    ],
)
def test_what_gains_little_or_forgets_is_objected_to(own, objection):
    found = own.objection(figures(40, 50))
    assert re.search(objection, found)
    assert bool(found) == bool(objection)


def test_rounds_without_objection_come_first():
    base, state = figures(40, 50), {}
    rounds = [
        Round(number, state, figures(trial, elsewhere, 0.9), base)
        for number, (trial, elsewhere) in enumerate([(30, 60), (36, 50), (35, 50)])
    ]
    assert min(rounds, key=lambda one: one.rank).number == 2


def test_scaled_errors_by_hand():
    student = Networks(toy().config)
    windows = target.draw_windows([piece(8)], 4, 2.56, 0.08, generator())
    detector = Detector(QUIET, torch.tensor([0.5, 0.6]))
    ups = torch.tensor([[0.0, -1.0, 0.0]])
    batch = Source([walker(400)], ups, detector, BodyRanges(0, 0, 0, 0)).draw(windows, generator())
    encoded, targets = encode(student.encoder, batch)
    expected = [
        n_mpjpe(said[valid][:, SCORED].numpy(), true[valid][:, SCORED].numpy())
        for said, true, valid in zip(
            encoded.joints.detach(), targets.joints, targets.valid, strict=True
        )
    ]
    mean = 1000 * np.concatenate(expected).mean()
    assert judge.scaled_error(student, [batch]) == pytest.approx(mean, rel=1e-3)
    unseen = replace(batch, valid=torch.zeros_like(batch.valid))
    with pytest.raises(Vid3dError, match="nothing to judge by"):
        judge.scaled_error(student, [unseen])


def test_a_fifth_of_the_source_is_for_judging():
    learnt, held = scene.parted(list(range(11)))
    assert held == [2, 7]
    assert sorted(learnt + held) == list(range(11))
    assert scene.parted([1]) == ([1], [1])


# Inputs


def test_videos_are_looked_at_once_for_each_camera(tmp_path, monkeypatch):
    own = piece(8)
    looks = [
        Look(i, time, People(boxes_around(k[None], c[None]), np.ones(1), k[None], c[None]))
        for i, (time, k, c) in enumerate(zip(own.times, own.keypoints, own.confidence, strict=True))
    ]
    calls = []

    def detect(self, video, output):
        calls.append(video)
        found = KeypointClip(video.stem, looks, "coco17", len(looks), 5.0, (1280, 720))
        write_keypoints(output, found)

    monkeypatch.setattr(inputs.Pipeline, "detect", detect)
    folder = tmp_path / "clips"
    folder.mkdir()
    make(folder / "a.mp4", frames=2)
    make(folder / "b.mov", frames=3)
    for options, looked_at in ((LiftOptions(), 2), (LiftOptions(), 2), (LiftOptions(fov=40), 4)):
        pieces = inputs.read_target([folder], tmp_path / "looks", options, Monitor())
        assert len(calls) == looked_at  # another lens, other turns and cuts
    assert {p.clip.split(":")[1][0] for p in pieces} == {"a", "b"}
    assert pieces[0].camera.fov == pytest.approx(40)
    make(folder / "a.mp4", frames=4)
    inputs.read_target([folder], tmp_path / "looks", LiftOptions(), Monitor())
    assert len(calls) == 5
    assert inputs.digest_of(pieces) != inputs.digest_of(pieces[:1])


def test_clips_of_one_name_are_seen_by_cameras_of_their_own(tmp_path):
    own = piece(8)
    boxes = boxes_around(own.keypoints, own.confidence)
    looks = [
        Look(i, float(own.times[i]), People(boxes[i : i + 1], np.ones(1), k[None], c[None]))
        for i, (k, c) in enumerate(zip(own.keypoints, own.confidence, strict=True))
    ]
    files = [tmp_path / name / "seen.json" for name in ("yard", "hall")]
    for file in files:
        write_keypoints(file, KeypointClip("seen", looks, "h36m17", len(looks), 5.0, (1280, 720)))
    pieces = inputs.read_target(files, tmp_path / "looks", LiftOptions(), Monitor())
    assert len({one.clip for one in pieces}) == 2


def test_the_lens_that_a_video_states_is_believed(tmp_path, monkeypatch):
    own = piece(8)
    boxes = boxes_around(own.keypoints[:1], own.confidence[:1])
    look = Look(0, 0.0, People(boxes, np.ones(1), own.keypoints[:1], own.confidence[:1]))
    found = KeypointClip("a", [look], "coco17", 1, 5.0, (160, 120))
    monkeypatch.setattr(
        inputs.Pipeline, "detect", lambda self, video, output: write_keypoints(output, found)
    )
    tags = {"com.apple.quicktime.camera.focal_length.35mm_equivalent": "26"}
    video = make(
        tmp_path / "a.mp4", frames=2, tags=tags, container={"movflags": "use_metadata_tags"}
    )
    for options, fov in ((LiftOptions(), 67.3), (LiftOptions(fov=40), 40)):
        (seen,) = inputs.read_target([video], tmp_path / "looks", options, Monitor())
        assert seen.camera.fov == pytest.approx(fov, abs=0.1)  # 2 atan(0.4 * 43.27 / 26)


def test_a_folder_stands_for_its_videos_and_keypoints_once_each(tmp_path):
    camera = tmp_path / "camera.json"
    files = ["a.json", "b.pairs.npz", "._a.json", ".b.pairs.npz", "c.vid3d.json", "c.export.json"]
    for path in (camera, *(tmp_path / name for name in files)):
        path.touch()
    (tmp_path / "more").mkdir()
    videos = [tmp_path / name for name in ("a.mp4", "c.mp4", "more/a.mp4")]
    for path in videos:
        path.touch()
    found = inputs._expanded(tmp_path, tmp_path / "looks", LiftOptions(camera=camera))
    first, second, third = videos
    keypoints = {tmp_path / "a.json": first, tmp_path / "b.pairs.npz": None}
    assert found == keypoints | {second: second, third: third}


def test_empty_folders_are_refused(tmp_path):
    with pytest.raises(Vid3dError, match="no video in"):
        inputs.read_target([tmp_path], tmp_path / "looks", LiftOptions(), Monitor())


def test_seeds_that_are_too_large_are_refused_before_the_work():
    with pytest.raises(Vid3dError, match="seed is 20240101123456"):
        AdaptOptions.changed(["seed=20240101123456"])


def test_cameras_that_travel_are_refused_before_anything_is_looked_at(tmp_path):
    with pytest.raises(Vid3dError, match="leave travelling out"):
        inputs.read_target([tmp_path], tmp_path / "looks", LiftOptions(travelling=True), Monitor())


# The whole


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A toy lifter, a target in a pair file, and motion capture."""
    folder = tmp_path_factory.mktemp("shelf")
    save_networks(folder / "toy.safetensors", toy())
    sequences = make_pairs([walker(500, 0), walker(500, 2)], "h36m17", 1)
    thinned = [
        replace(s, keypoints2d=s.keypoints2d[::10], confidence=s.confidence[::10], joints3d=None,
                fps=5.0)
        for s in sequences for _ in (0,)
    ]  # fmt: skip
    many = [replace(s, name=f"{s.name} {i}") for i in range(3) for s in thinned]
    write_pairs(folder / "clips.pairs.npz", many)
    write_pairs(folder / "short.pairs.npz", thinned[:1])
    write_mocap(folder / "source.npz", [walker(400, 5)])
    return folder


OPTIONS = AdaptOptions(rounds=2, samples=32, batch=8, lr=1e-2, taught=True)


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    monkeypatch.setattr(proxy, "WINDOWS", 16)
    monkeypatch.setattr(proxy, "BATCH", 16)
    monkeypatch.setattr(noise, "_WINDOWS", 16)


def test_hidden_files_are_no_motion_capture(tmp_path):
    path = tmp_path / "walk.npz"
    for name in ("walk.npz", "._walk.npz"):  # macOS leaves the second
        (tmp_path / name).touch()
    assert mocap_files(tmp_path) == mocap_files(path) == [path]


def test_an_adapter_names_its_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    about = _about([Path(), Path("a/../clips")], [], "motion capture", OPTIONS)
    assert about["inputs"] == [tmp_path.name, "clips"]


def run(shelf, output, **options):
    given = {"options": OPTIONS, "force": True, "source": [shelf / "source.npz"]} | options
    return adapt([shelf / "clips.pairs.npz"], str(shelf / "toy.safetensors"), output, **given)


def test_one_adaptation_at_a_time_works_for_an_output(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "Pipeline", None)  # nothing is looked at before that is known
    busy = pytest.raises(Vid3dError, match="another adaptation is at work")
    with held(tmp_path / "a.work", "somebody"), busy:
        run(shelf, tmp_path / "a.safetensors")


def test_an_adapter_is_made_and_used(shelf, tmp_path):
    lines = []
    done = run(shelf, tmp_path / "walk.safetensors", report=lines.append)
    assert done.path.stat().st_size < 1e6
    assert len(lines) == done.rounds == 2
    assert "filmed alike" in lines[0]
    base = load_networks(shelf / "toy.safetensors")
    adapted = load_networks(f"{shelf / 'toy.safetensors'}+{done.path}")
    assert adapted.config.name == "toy+walk"
    changed = {
        name.rpartition(".")[0]
        for (name, before), after in zip(
            base.as_module().state_dict().items(),
            adapted.as_module().state_dict().values(),
            strict=True,
        )
        if not torch.equal(before, after)
    }
    assert changed
    assert all(name.endswith(("qkv", "proj", "encoder.head")) for name in changed)
    with safe_open(done.path, "pt") as file:
        header = json.loads(file.metadata()["vid3d"])
    assert header["base"] == {"name": "toy", "sha256": base.sha256}
    assert header["about"]["inputs"] == ["clips.pairs.npz"]
    card = dict(describe(str(done.path)))
    assert card["adapter"] == "walk"
    assert card["base"].startswith("toy")


def test_a_run_that_was_killed_goes_on_to_the_same_adapter(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    whole = run(shelf, tmp_path / "whole" / "a.safetensors")

    class KilledError(Exception):
        pass

    class Killer(Monitor):
        def __init__(self, after):
            super().__init__()
            self.left = after

        def open_bar(self, name, total):
            from contextlib import nullcontext

            return nullcontext(self.count if name == "adapting" else lambda count: None)

        def count(self, count):
            self.left -= count
            if self.left < 0:
                raise KilledError

    output = tmp_path / "cut" / "a.safetensors"
    for after in (18, 44):  # within the first round, and within the second
        with pytest.raises(KilledError):
            run(shelf, output, monitor=Killer(after))
        assert not output.exists()
    assert run(shelf, output).ratio == whole.ratio
    with safe_open(output, "pt") as one, safe_open(whole.path, "pt") as other:
        names = list(other.keys())
        assert all(torch.equal(one.get_tensor(n), other.get_tensor(n)) for n in names)
    assert not list((tmp_path / "cut" / "a.work").glob("*/checkpoint.pth"))


def test_without_gain_nothing_is_written(shelf, tmp_path):
    still = replace(OPTIONS, lr=1e-9, rounds=1)
    with pytest.raises(Vid3dError, match="would not help") as caught:
        run(shelf, tmp_path / "no.safetensors", options=still, force=False)
    assert "--force" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "no.safetensors").exists()


def test_too_little_and_wrong_outputs(shelf, tmp_path):
    model = str(shelf / "toy.safetensors")
    with pytest.raises(Vid3dError, match="at least 200 are"):
        adapt([shelf / "short.pairs.npz"], model, tmp_path / "a.safetensors")
    with pytest.raises(Vid3dError, match="name it like"):
        adapt([shelf / "short.pairs.npz"], model, tmp_path / "a.pth")
    with pytest.raises(Vid3dError, match="is what is read"):
        adapt([shelf / "short.pairs.npz"], model, shelf / "toy.safetensors")
    with pytest.raises(Vid3dError, match="no such file"):
        adapt([shelf / "missing.mp4"], model, tmp_path / "a.safetensors")


@pytest.fixture(scope="module")
def dropping(shelf):
    """A lifter that leaves out paths while it learns, and whose encoder has no `head`."""
    torch.manual_seed(0)
    encoder = UpliftConfig(moments=15, joint_width=8, spatial_blocks=1, width=16, blocks=2,
                           strides=(15,), paddings=(0,), heads=2, drop_path=0.5)  # fmt: skip
    config = LifterConfig("drops", encoder, seconds=1.4, grid=0.1, hypotheses=1, windows="centred")
    save_networks(shelf / "drops.safetensors", build_networks(config))
    return str(shelf / "drops.safetensors")


def test_a_lifter_without_an_output_layer_is_refused_at_once(dropping, tmp_path):
    with pytest.raises(Vid3dError, match="bias=false"):
        adapt([tmp_path / "missing.mp4"], dropping, tmp_path / "a.safetensors")


def test_what_is_dropped_depends_on_the_seed_alone(shelf, dropping, tmp_path):
    options = AdaptOptions(rounds=1, samples=16, batch=8, lr=1e-2, bias=False)
    states = []
    for number in range(2):
        torch.manual_seed(number)
        path, source = tmp_path / f"{number}.safetensors", [shelf / "source.npz"]
        adapt([shelf / "clips.pairs.npz"], dropping, path, source, force=True, options=options)
        states.append(read_adapter(path).state)
    first, second = states
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_merged_from_motion_that_the_lifter_drew(shelf, tmp_path):
    options = replace(OPTIONS, rounds=1, samples=8, taught=False)
    done = run(shelf, tmp_path / "m.safetensors", merge=True, source=[], options=options)
    merged = load_networks(done.path)
    assert merged.config.name == "toy+m"
    assert merged.config.encoder == toy().config.encoder


def test_options_are_changed_by_text():
    changed = AdaptOptions.changed(["rank=2", "lr=1e-4", "taught=true", "aggregate=jpma"])
    assert changed == AdaptOptions(rank=2, lr=1e-4, taught=True, aggregate="jpma")
    typing = ("rank", "rank=x", "speed=1", "rank=1.5", "batch=7", "aggregate=all")
    for wrong in (*typing, "rehearsed=-0.5", "rehearsed=2.0", "ema=1.5"):
        with pytest.raises(Vid3dError):
            AdaptOptions.changed([wrong])


def test_command(shelf, tmp_path):
    output = tmp_path / "my clips" / "c.safetensors"
    changes = [f"--set={text}" for text in ("rounds=1", "samples=8", "batch=8")]
    paths = [str(shelf / name) for name in ("clips.pairs.npz", "toy.safetensors", "source.npz")]
    arguments = ["adapt", paths[0], "--model", paths[1], "--source", paths[2], "-o", str(output)]
    result = CliRunner().invoke(cli, [*arguments, "--force", *changes])
    assert output.is_file(), result.output
    use = f"vid3d lift VIDEO --model {as_argument(f'{paths[1]}+{output}')}"
    assert result.output.endswith(f"use it: {use}\n")
    assert dict(describe(str(output)))["use"].endswith(as_argument(f"+{output}")[1:])


def test_rehearsal_is_the_training_of_the_lifter():
    pytest.importorskip("mmengine")
    trained = batch_options(load_recipe("lifter/base").batches)
    assert replace(trained, blind=0.0, body=_TRAINED.body) == _TRAINED
