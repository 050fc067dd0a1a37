import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from lifter_toys import motion, training_options
from mmengine.config import Config
from safetensors.torch import load_file

from vid3d.data import augment, noise
from vid3d.data.batches import BatchOptions, Motions, ankle_speeds, make_batch
from vid3d.data.bending import BendRanges
from vid3d.data.cameras import FASTEST, CameraRanges, travel, view
from vid3d.data.looking import look_frames
from vid3d.data.mocap import DEV_ACTORS, MotionClip
from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import interpolation
from vid3d.lifter.checkpoint import build_networks
from vid3d.skeleton import COCO17, H36M17
from vid3d.training import lifter as training
from vid3d.training.fitting import Stage, fast_precision
from vid3d.weights import configs_dir

torch.set_num_threads(1)  # toy sizes: threads only wait for each other
RECIPES = sorted((configs_dir() / "lifter").glob("*.py"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_builds(recipe):
    cfg = Config.fromfile(recipe)
    networks = build_networks(training.lifter_config(cfg))
    assert sum(p.numel() for p in networks.encoder.parameters()) > 1e5
    training.batch_options(cfg.batches)
    stage = Stage(**cfg.stage)
    assert stage.learning_rate(1.0) == 0
    assert max(map(stage.learning_rate, np.linspace(0, 1, 101))) == stage.lr


@pytest.fixture
def cfg():
    return Config(training_options())


@pytest.fixture
def toy_data(tmp_path, monkeypatch):
    (tmp_path / "toy.npz").touch()
    clips = [motion(seed=0), motion(20, seed=1), motion(actor=DEV_ACTORS[0], seed=2)]
    monkeypatch.setattr(training, "read_mocap", lambda path: clips)
    return [tmp_path]


def test_resume_is_exact(cfg, toy_data, tmp_path):
    whole = training.train(cfg, toy_data, tmp_path / "whole")
    calls = {"left": 3}
    real = training.encoder_losses

    def failing(*args):
        calls["left"] -= 1
        if calls["left"] < 0:
            raise KeyboardInterrupt
        return real(*args)

    training.encoder_losses = failing
    try:
        with pytest.raises(KeyboardInterrupt):
            training.train(cfg, toy_data, tmp_path / "halted")
    finally:
        training.encoder_losses = real
    resumed = training.train(cfg, toy_data, tmp_path / "halted", resume=True)
    first, second = (load_file(path / "model.safetensors") for path in (whole, resumed))
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key
    lines = (tmp_path / "whole/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert any("dev_mpjpe_mm" in row for row in rows)
    assert any("dev_noise" in row for row in rows)


def test_what_cannot_be_gone_on_from_is_said(cfg, toy_data, tmp_path):
    training.train(cfg, toy_data, tmp_path)
    for name in ("main.pth", "checkpoint.pth"):
        kept = tmp_path / name
        kept.write_bytes(kept.read_bytes()[:2000])
        with pytest.raises(Vid3dError, match=f"cannot go on from .*{name}: it is damaged"):
            training.train(cfg, toy_data, tmp_path, resume=True)
        kept.unlink()


def test_dev_windows_do_not_hang_on_what_is_trained(cfg, toy_data):
    _, dev = training.load_motions(cfg, toy_data)
    plain = training.batch_options(cfg.batches)
    other = replace(plain, travelling=1.0, backwards=1.0, occlusions=("leg",))
    for one, two in zip(*(training.dev_batches(dev, each, 8) for each in (plain, other)),
                        strict=True):  # fmt: skip
        torch.testing.assert_close(one.looks.rays, two.looks.rays)
        torch.testing.assert_close(one.joints, two.joints)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler for torch.compile")
def test_compiled_blocks_say_the_same(cfg, toy_data):
    cfg.precision = "float32"
    motions, _ = training.load_motions(cfg, toy_data)
    batch = make_batch(motions, 4, training.batch_options(cfg.batches), generator())
    torch.manual_seed(0)
    networks = training.build(cfg, motions.actions)
    gradients = []
    for compiled in (False, True):
        if compiled:
            networks.compile_blocks()
        networks.zero_grad()
        with fast_precision(cfg.precision):
            torch.stack(list(networks.losses(batch, generator()).values())).sum().backward()
        gradients.append([p.grad.clone() for p in networks.parameters() if p.grad is not None])
    for plain, other in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, other, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage.minuts": 3}, "the recipe's stage got an unexpected .* 'minuts'"),
        ({"encoder.widht": 8}, "the recipe's encoder got .* 'widht'"),
        ({"diffusion.widht": 8}, "the recipe's diffusion got .* 'widht'"),
        ({"lifting.hypothesis": 8}, "the recipe's lifting got .* 'hypothesis'"),
        ({"batches.second": 1}, "the recipe's batches got .* 'second'"),
        ({"batches.noise.limbs": 1}, "the recipe's batches.noise got .* 'limbs'"),
        ({"precision": "float16"}, "precision is 'float16', expected bfloat16 or float32"),
        ({"dev_windows": 0}, "dev_windows is 0, expected a whole number from 1 up"),
        ({"seed": 1.5}, "seed is 1.5, expected a whole number from"),
        ({"seed": 10**17}, "seed is 1000"),
        ({"batches.camera": 5}, "the recipe's batches.camera argument after .*mapping"),
        ({"batches.blind": "often"}, "blind is 'often', expected a number"),
        ({"batches.strides": []}, r"strides is \(\), expected frames between looks"),
        ({"batches.grid": -0.1}, "grid is -0.1, expected seconds"),
        ({"batches.short": 1.5}, "short is 1.5, expected a share from 0 to 1"),
        ({"batches.noise.swap": [1]}, r"recipe's batches.noise.swap is \[1\], expected a number"),
        ({"encoder.blocks": 1.5}, "the recipe's encoder.blocks is 1.5, expected a whole number"),
        ({"encoder.heads": 5}, "no model is like that: heads are 5, which do not divide the width"),
        ({"encoder.width": 0}, "no model is like that: width is 0"),
        ({"lifting.hypotheses": 0}, "no model is like that: hypotheses is 0"),
        ({"lifting.aggregate": "foo"}, "aggregate is 'foo', expected one of soft, jpma"),
        ({"lifting.grid": 0}, "grid is 0, expected seconds, more than 0"),
        ({"encoder.heads": 16}, "heads are 16, which do not divide the width into even parts"),
        ({"encoder.joint_width": 6}, "joint_width is 6, expected a multiple of 4"),
        ({"diffusion.heads": 16}, "heads are 16, which do not divide the width into even parts"),
        ({"batches.grid": 0.01}, r"grid is 0.01, expected a multiple of 0.02 s"),
        ({"batches.grid": 0.05}, r"grid is 0.05, expected a multiple of 0.02 s"),
        ({"batches.speed": 1}, "batches.speed is 1, expected two numbers"),
        ({"batches.camera": {"fov": [60]}}, r"batches.camera.fov is \[60\], expected two numbers"),
        ({"batches.aligned": True}, r"strides is \(5, 10\), expected multiples of the grid's 4"),
        ({"batches.seconds": 0.72}, "seconds is 0.72, expected 0.64, so that the head's"),
        ({"diffusion.every": 3}, "seconds is 0.64, expected 0.72, .* 0.24 s apart"),
    ],
)
def test_fields_that_there_are_not(cfg, toy_data, tmp_path, change, message):
    cfg.merge_from_dict(change)
    with pytest.raises(Vid3dError, match=message):
        training.train(cfg, toy_data, tmp_path / "work")


def test_a_frozen_encoder_comes_from_somewhere(cfg, toy_data, tmp_path):
    start = training.train(cfg, toy_data, tmp_path / "start")
    cfg.frozen = True
    for resume in (False, True):  # killed before its first checkpoint, a run leaves no weights
        with pytest.raises(Vid3dError, match="name it with --init-from"):
            training.train(cfg, toy_data, tmp_path / "wrapper", resume=resume)
    training.train(cfg, toy_data, tmp_path / "wrapper", start=str(start))
    (tmp_path / "wrapper" / "checkpoint.pth").unlink()
    training.train(cfg, toy_data, tmp_path / "wrapper", resume=True)  # by main.pth


def test_missing_motion_file(cfg, tmp_path):
    with pytest.raises(Vid3dError, match=r"no motion file toy\.npz"):
        training.train(cfg, [tmp_path], tmp_path / "work")


@pytest.mark.parametrize("stride", [1, 10, 25])
def test_batches_are_whole(stride):
    motions = Motions([motion(200), motion(3, seed=1)])
    options = BatchOptions(strides=(stride,))
    batch = make_batch(motions, 16, options, generator())
    again = make_batch(motions, 16, options, generator())
    torch.testing.assert_close(batch.looks.rays, again.looks.rays)
    assert batch.joints.shape == (16, 33, 17, 3)
    for value in (batch.looks.rays, batch.looks.confidence, batch.joints, batch.coco):
        assert torch.isfinite(value).all()
    seen, valid = batch.looks.confidence > 0, batch.looks.valid
    assert not seen[~valid].any()
    assert seen[valid].any(-1).all()
    times = torch.where(valid, batch.looks.times, torch.nan)
    for row in times:
        row = row[torch.isfinite(row)]
        assert (row.diff() > 0).all()


@pytest.mark.parametrize("stride", [1, 3, 10, 20, 25])
def test_both_ends_of_a_clip_are_looked_at_alike(stride):
    valid = torch.ones(2000, 129, dtype=torch.bool)
    valid[1000:, 77:] = False
    index, chosen = look_frames(valid, (stride,), 0.0, 1, generator())
    last = valid.sum(1, keepdim=True) - 1
    shares = [((index == end) & chosen).any(1).float().mean() for end in (0, last)]
    # Four in ten always, of the others those whose looks fall there.
    for share in shares:
        assert share == pytest.approx(0.4 + 0.6 / stride, abs=0.05)
    assert not (chosen & (index > last)).any()


def test_cameras_that_are_carried():
    """Half follow who goes to the right at 1.2 m/s, the others go their way at most so fast."""
    seconds = torch.arange(0, 2.4, 0.08).expand(400, -1)
    roots = torch.stack([1.2 * seconds, torch.zeros_like(seconds), torch.ones_like(seconds)], -1)
    order = torch.randperm(30, generator=generator())  # moments come in any order
    ways = travel(roots[:, order], seconds[:, order], generator())
    ways = torch.empty_like(ways).index_copy(1, order, ways)
    torch.testing.assert_close(ways[:, 0], torch.zeros(400, 3))
    mean = (ways[:, -1] - ways[:, 0]) / 2.32
    follow = (mean[:, 0] - 1.2).abs() < 0.5  # and sways
    assert 0.45 < follow.float().mean() < 0.65
    assert mean[:, :2].norm(dim=-1).max() < FASTEST + 0.8
    assert mean[:, 2].abs().max() < 0.2


def test_feet_that_stand_move_before_a_camera_that_travels():
    """The same windows with and without: poses and contacts are the same, roots are not."""
    motions = Motions([motion(200), motion(200, seed=1)])
    options = BatchOptions(strides=(5,), focal=0, short=0)
    stays = make_batch(motions, 32, options, generator())
    goes = make_batch(motions, 32, replace(options, travelling=1.0), generator())
    torch.testing.assert_close(goes.contacts, stays.contacts)

    def apart(joints):
        return (joints[..., None, :, :] - joints[..., None, :]).norm(dim=-1)

    torch.testing.assert_close(apart(goes.joints), apart(stays.joints), atol=1e-4, rtol=1e-4)
    moves = [
        (batch.joints[:, 10, 0] - batch.joints[:, 0, 0]).norm(dim=-1) for batch in (stays, goes)
    ]
    assert ((moves[0] - moves[1]).abs() > 0.05).float().mean() > 0.8


def test_rays_and_joints_agree_without_noise():
    quiet = noise.NoiseLevels(0, 0, 0, 0, 0, 0, 0, 0)
    options = BatchOptions(strides=(4,), noise=quiet, irregular=0, short=0, bend=BendRanges(0.5),
                           camera=CameraRanges(truncated=0))  # fmt: skip
    motions = Motions([motion(200)])
    batch = make_batch(motions, 8, options, generator(1))
    weights, _ = interpolation(batch.looks.times, batch.looks.valid, batch.times)
    at_look = weights.max(-1).values > 0.999
    whole = (batch.looks.confidence > 0).all(-1) | ~batch.looks.valid
    rows = (batch.looks.joint_set == 0) & whole.all(-1)
    rows = rows[:, None] & at_look & (weights.sum(-1) > 0.99)
    looked = torch.einsum("bgk,bkjc->bgjc", weights, batch.looks.rays)
    projected = batch.joints[..., :2] / batch.joints[..., 2:]
    # A wrongly assumed focal length bends the rays of joints off the root's depth: look at roots.
    difference = (looked - projected)[..., 0, :][rows].abs()
    assert difference.numel() > 0
    assert difference.max() < 0.02


def test_mirror_twice_is_nothing():
    joints = torch.randn(2, 3, 17, 3)
    chosen = torch.tensor([True, False])
    ankles = torch.rand(2, 3, 2)
    mirrored, exchanged = augment.mirror(joints, ankles, chosen)
    again, back = augment.mirror(mirrored, exchanged, chosen)
    torch.testing.assert_close(again, joints)
    torch.testing.assert_close(back, ankles)
    torch.testing.assert_close(mirrored[0, :, 1, 0], -joints[0, :, 4, 0])
    torch.testing.assert_close(exchanged, torch.stack([ankles[0].flip(-1), ankles[1]]))


def test_the_foot_that_rests_is_said_to_rest():
    joints = motion(200).joints[:1].repeat(200, 0)
    joints[:, H36M17.index("left_ankle"), 0] += 0.02 * np.arange(200)  # 1 m/s; the right one rests
    options = BatchOptions(short=0, body=augment.BodyRanges(0, 0, 0, 0))
    clip = MotionClip("limp", "somebody", "drags a foot", joints)
    batch = make_batch(Motions([clip]), 16, options, generator())
    ankles = batch.joints[:, :, H36M17.indices(["left_ankle", "right_ankle"])]
    resting = ankles.diff(dim=1).norm(dim=-1).mean(1) < 0.01
    assert 0 < resting[:, 0].sum() < 16  # windows are mirrored, some of them
    torch.testing.assert_close(batch.contacts, resting[:, None].expand(-1, 33, -1).float())


def test_bones_are_scaled_one_by_one():
    joints = torch.from_numpy(motion(4).joints)[None]
    factors = torch.ones(1, 16)
    thigh = H36M17.bones.index((H36M17.index("left_hip"), H36M17.index("left_knee")))
    factors[0, thigh] = 2
    resized = augment.resize_bones(joints, factors)

    def lengths(x):
        return torch.stack([(x[..., c, :] - x[..., p, :]).norm(dim=-1) for p, c in H36M17.bones])

    ratio = (lengths(resized) / lengths(joints))[:, 0]
    torch.testing.assert_close(ratio, factors[0, :, None].expand(-1, 4), atol=1e-4, rtol=1e-4)


def test_cameras_see_people_upright():
    joints = torch.from_numpy(motion(30).joints)[None].repeat(32, 1, 1, 1)
    joints[:, :, 0] = 0
    joints[:, :, 10] = torch.tensor([0, 0, 1.7])
    views = view(joints, CameraRanges(truncated=0.0), generator())
    up = views.joints[:, :, 0, 1] - views.joints[:, :, 10, 1]
    assert (up > 0.8).all()  # y is down: the head has the smaller y
    assert (views.joints[..., 2] > 0).float().mean() > 0.99
    assert views.inside().float().mean() > 0.9


@pytest.mark.parametrize("joints", [H36M17, COCO17])
def test_noise_follows_its_levels(joints):
    truth = torch.rand(8, 12, 17, 2, generator=generator())
    inside = torch.ones(8, 12, 17, dtype=torch.bool)
    inside[:, :, 3] = False
    noisy, confidence = noise.detect(truth, inside, joints, noise.NoiseLevels(), generator(1))
    assert (confidence[:, :, 3] == 0).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()
    seen = confidence > 0
    error = (noisy - truth).norm(dim=-1)
    assert 0.003 < error[seen].median() < 0.03
    sure = confidence > confidence[seen].median()
    assert error[sure].mean() < error[seen & ~sure].mean()
    quiet = replace(noise.NoiseLevels(), drift=0, jitter=0, outlier=0, swap=0)
    exact, confidence = noise.detect(truth, inside, joints, quiet, generator(1))
    torch.testing.assert_close(exact[confidence > 0], truth[confidence > 0])


def test_exchanged_limbs_and_both_sides_on_one():
    truth = torch.rand(40, 12, 17, 2, generator=generator())
    only = noise.NoiseLevels(0, 0, 0, 0, swap=1.0, missing=0, limb=0, look=0)
    inside = torch.ones(40, 12, 17, dtype=torch.bool)
    seen, _ = noise.detect(truth, inside, COCO17, only, generator(2))
    moved = (seen - truth).norm(dim=-1) > 0
    torch.testing.assert_close(seen[moved], truth[:, :, COCO17.flip][moved])
    arms, legs = ([COCO17.index(f"{side}_{name}") for side in ("left", "right")]
                  for name in ("wrist", "ankle"))  # fmt: skip
    assert not moved[..., [COCO17.index("nose"), COCO17.index("left_ear")]].any()
    assert moved[..., arms + legs].any(-1).all()
    both = moved[..., arms].all(-1) | moved[..., legs].all(-1)
    assert float(both.float().mean()) == pytest.approx(0.5, abs=0.08)
    left = moved[..., arms[0]] | moved[..., legs[0]]
    assert float(left.float().mean()) == pytest.approx(0.75, abs=0.08)


def test_standing_feet_rest():
    joints = torch.zeros(10, 17, 3)
    joints[:, H36M17.index("right_ankle"), 0] = 0.01 * torch.arange(10)  # metres at 50 Hz
    speeds = ankle_speeds(joints)
    torch.testing.assert_close(speeds, torch.tensor([[0.0, 0.5]]).expand(10, 2))


def test_limbs_of_another():
    clips = [torch.from_numpy(motion(5, seed=seed).joints) for seed in range(40)]
    joints = torch.stack(clips)
    mixed = augment.recombine(joints, 1.0, generator())

    def lengths(x):
        return torch.stack([(x[..., c, :] - x[..., p, :]).norm(dim=-1) for p, c in H36M17.bones], 2)

    # Legs stay; the other's bones keep their lengths, so every length is somebody's.
    legs = H36M17.indices(["pelvis", "left_ankle", "right_ankle"])
    torch.testing.assert_close(mixed[:, :, legs], joints[:, :, legs])
    elbow = H36M17.bones.index((H36M17.index("left_shoulder"), H36M17.index("left_elbow")))
    own, now = lengths(joints)[:, 0, elbow], lengths(mixed)[:, 0, elbow]
    assert (now[:, None] - own).abs().min(1).values.max() < 1e-4
    assert ((now - own).abs() > 1e-3).float().mean() > 0.5
    torch.testing.assert_close(augment.recombine(joints, 0.0, generator()), joints)


def test_hidden_looks_only_place_the_window():
    torch.manual_seed(0)
    cfg = Config.fromfile(RECIPES[0])
    encoder = build_networks(training.lifter_config(cfg)).encoder
    motions = Motions([motion(200)])
    batch = make_batch(motions, 4, BatchOptions(blind=1.0, short=0), generator())
    noisier = replace(batch, looks=replace(batch.looks, confidence=0.5 * batch.looks.confidence))
    (one, targets), (other, _) = (training.encode(encoder, each) for each in (batch, noisier))
    torch.testing.assert_close(one.joints, other.joints)
    assert targets.valid.all()
    assert (targets.weight < 0.5).all()


def test_windows_played_backwards():
    body = augment.BodyRanges(0, 0, 0, 0)
    options = BatchOptions(strides=(4,), irregular=0, short=0.5, speed=(1.0, 1.0), body=body)
    motions = Motions([motion(129)])
    forth, back = (make_batch(motions, 6, replace(options, backwards=share), generator(3))
                   for share in (0.0, 1.0))  # fmt: skip
    torch.testing.assert_close(forth.valid, back.valid)
    whole = forth.valid.all(1)
    assert 0 < whole.sum() < 6

    def shape(joints):  # what does not depend on the camera
        return (joints[:, :, 13] - joints[:, :, 3]).norm(dim=-1)

    torch.testing.assert_close(shape(back.joints)[whole], shape(forth.joints)[whole].flip(1),
                               atol=1e-4, rtol=1e-4)  # fmt: skip


def test_zoomed_windows_are_as_large_and_flatter():
    joints = torch.rand(64, 9, 17, 3, generator=torch.Generator().manual_seed(0)) * 0.8
    joints[..., 2] += 0.5
    seen = {}
    for zoomed in (0.0, 1.0):
        ranges = CameraRanges(zoomed=zoomed, zoom=20.0, truncated=0, distance=(3.0, 5.0))
        views = view(joints, ranges, torch.Generator().manual_seed(1))
        depth = views.joints[..., 2]
        size = (views.joints[..., :2] / depth[..., None] / views.half[:, None, None]).std((1, 2))
        relief = depth.amax((1, 2)) / depth.amin((1, 2)) - 1
        seen[zoomed] = depth.mean(), size.mean(), relief.mean()
        assert views.inside().float().mean() > 0.95
    near, far = seen[0.0], seen[1.0]
    assert far[0] > 4 * near[0]
    assert far[1] == pytest.approx(float(near[1]), rel=0.2)
    assert far[2] < 0.7 * near[2]
