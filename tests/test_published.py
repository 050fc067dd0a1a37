"""Every recipe of a published system, at toy size, from its first step to a lifted person."""

import numpy as np
import pytest
import torch
from lifter_toys import motion
from safetensors.torch import load_file

from vid3d.camera import Camera
from vid3d.data.mocap import DEV_ACTORS
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import build_networks
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
        backbone.merge_from_dict({"frozen": False, "lifting": {"hypotheses": 1}})
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
