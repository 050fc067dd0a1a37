import numpy as np
import pytest
import torch
from lifter_toys import looks
from mmengine.config import Config

from vid3d.camera import Camera
from vid3d.data.mocap import DEV_ACTORS, MotionClip
from vid3d.errors import Vid3dError
from vid3d.lifter import Lifter
from vid3d.lifter.baselines import (
    MixSTEConfig,
    PerSet,
    SingleFrameConfig,
    TemporalCNNConfig,
    interpolate_looks,
)
from vid3d.lifter.canonical import Looks, canonicalise
from vid3d.lifter.encoder import Encoder, EncoderConfig
from vid3d.lifter.encoders import build_encoder, encoder_config
from vid3d.training import lifter as training
from vid3d.weights import configs_dir

torch.set_num_threads(1)  # toy sizes: threads only wait for each other

CONFIGS = [
    SingleFrameConfig(width=16),
    TemporalCNNConfig(width=16, blocks=2),
    MixSTEConfig(width=16, blocks=2, heads=2),
]
BASELINES = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
AT = torch.arange(9)[None].expand(4, -1) * 0.08


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def built(config):
    torch.manual_seed(0)
    return build_encoder(config).eval()


def answer(encoder, seen, at=AT):
    return encoder(canonicalise(seen), seen, at, torch.ones(at.shape, dtype=torch.bool))


@BASELINES
def test_says_what_the_encoder_says(config):
    ours = answer(built(EncoderConfig(joint_width=8, width=16, heads=2, blocks=1)), looks())
    theirs = answer(built(config), looks())
    for field in ("joints", "coco", "root", "contacts"):
        assert getattr(theirs, field).shape == getattr(ours, field).shape
        assert torch.isfinite(getattr(theirs, field)).all()
    assert theirs.features.shape[:2] == AT.shape
    assert (theirs.joints[:, :, 0] == 0).all()


@BASELINES
def test_padding_and_missing_joints_are_not_read(config):
    encoder, seen = built(config), looks()
    seen.confidence[1, :, 9] = 0
    before = answer(encoder, seen).joints
    seen.rays[0, 4] += 1  # padding
    seen.rays[1, :, 9] += 1  # missing
    torch.testing.assert_close(answer(encoder, seen).joints, before)


@BASELINES
def test_learns_with_all_its_weights(config):
    encoder, seen = built(config).train(), looks()
    truth = torch.rand(17, 3, generator=generator(1))
    optimizer = torch.optim.Adam(encoder.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        encoded = answer(encoder, seen)
        rest = encoded.coco.mean() ** 2 + encoded.root.mean() ** 2 + encoded.contacts.mean() ** 2
        loss = (encoded.joints - (truth - truth[:1])).square().mean() + rest
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@BASELINES
def test_windows_do_not_mix(config):
    encoder, seen = built(config), looks()
    alone = answer(encoder, seen.rows(torch.tensor([2]), torch.device("cpu")), AT[2:3]).joints
    torch.testing.assert_close(alone, answer(encoder, seen).joints[2:3], atol=1e-5, rtol=1e-4)


def test_single_frame_interpolates_poses():
    encoder, seen = built(CONFIGS[0]), looks()
    joints = answer(encoder, seen).joints
    # Moments 2 and 4 are looks, 3 lies in the middle.
    torch.testing.assert_close(joints[:, 3], (joints[:, 2] + joints[:, 4]) / 2)


def test_cnn_sees_its_receptive_field():
    config = TemporalCNNConfig(width=8, blocks=1, refine=1)  # 9 moments: 4 to either side
    encoder = built(config)
    at = torch.arange(13)[None] * 0.16
    seen = looks().rows(torch.tensor([1]), torch.device("cpu"))
    rays = seen.rays.repeat(1, 3, 1, 1)[:, :13]
    ones = torch.ones(1, 13, dtype=torch.bool)
    changed = rays.clone()
    changed[0, 6, 3] += 0.01  # a face point: neither root nor median size change
    before, after = (
        answer(encoder, Looks(r, torch.full((1, 13, 17), 0.9), at, ones, seen.joint_set), at)
        for r in (rays, changed)
    )
    moved = (after.joints - before.joints).abs().amax((0, 2, 3)) > 1e-7
    assert moved.tolist() == [False] * 2 + [True] * 9 + [False] * 2


def test_looks_on_moments_by_hand():
    seen = looks()
    seen.confidence[2, 1, 5] = 0
    canonical = canonicalise(seen)
    sequence = interpolate_looks(canonical, seen, AT)
    torch.testing.assert_close(sequence.joints[:, 4], canonical.joints[:, 2])  # a look
    middle = (canonical.joints[1, 1] + canonical.joints[1, 2]) / 2
    torch.testing.assert_close(sequence.joints[1, 3], middle)
    # One neighbour lacks the joint: it is where the other has it, and half missing.
    torch.testing.assert_close(sequence.joints[2, 3, 5, :2], canonical.joints[2, 2, 5, :2])
    assert sequence.joints[2, 3, 5, 3] == pytest.approx(0.5)
    assert sequence.joints[2, 2, 5].tolist() == pytest.approx([0, 0, 0, 1])
    assert sequence.moments[1, 3, -4:].tolist() == pytest.approx([0.08, 0.08] + [0.726149] * 2)


def test_joint_sets_have_their_own_weights():
    made = iter([torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)])
    layer = PerSet(lambda: next(made))
    x = torch.rand(2, 3, 2, generator=generator())
    y = layer(x, torch.tensor([1, 0]))
    torch.testing.assert_close(y[0], layer.layers[1](x[0]))
    torch.testing.assert_close(y[1], layer.layers[0](x[1]))


def test_kinds():
    for config in CONFIGS:
        again = encoder_config(vars(config))
        assert again == config
    assert isinstance(build_encoder(encoder_config({"width": 16, "heads": 2})), Encoder)
    assert encoder_config({"kind": "vid3d"}) == EncoderConfig()
    with pytest.raises(Vid3dError, match="expected one of vid3d, single_frame"):
        encoder_config({"kind": "lstm"})


RECIPES = sorted((configs_dir() / "lifter" / "baselines").glob("*.py"))


def clip(actor, seed):
    rng = np.random.default_rng(seed)
    pose = rng.normal(size=(17, 3)) * [0.2, 0.2, 0.4] + [0, 0, 1]
    path = np.linspace(0, 1, 60)[:, None, None] * [1, 0, 0]
    return MotionClip(f"{actor}-{seed}", actor, "slides", (pose + path).astype(np.float32))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_trains_and_lifts(recipe, tmp_path, monkeypatch):
    (tmp_path / "toy.npz").touch()
    clips = [clip("somebody", 0), clip(DEV_ACTORS[0], 1)]
    monkeypatch.setattr(training, "read_mocap", lambda path: clips)
    cfg = Config.fromfile(recipe)
    assert cfg.diffusion is None
    cfg.encoder.update(width=16, blocks=1)
    cfg.stage.update(samples=12, batch=4, dev_every=8)
    cfg.batches.update(seconds=0.64)
    cfg.merge_from_dict({"dev_windows": 4, "data.files": ["toy"]})
    lifter = Lifter.load(training.train(cfg, [tmp_path], tmp_path / "work"))
    assert lifter.config.encoder.kind == recipe.stem
    camera = Camera.from_fov(60, (640, 480))
    points = camera.project(np.random.default_rng(0).normal(size=(5, 17, 3)) * 0.4 + [0, 0, 4])
    times = np.arange(5) * 0.2
    lifted = lifter(points, np.ones((5, 17)), times=times, out_times=np.linspace(0, 0.8, 21),
                    camera=camera, hypotheses=1)  # fmt: skip
    assert np.isfinite(lifted.joints3d).all()
