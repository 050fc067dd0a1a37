"""The 2D trainings at toy size, resuming, exports, and that every recipe builds."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("mmpose", reason="the 2D trainings need OpenMMLab")

from mmengine.config import Config
from test_people2d import _toy_set

from vid3d.errors import Vid3dError
from vid3d.pose2d.manifest import load_manifest
from vid3d.training import detect2d, export2d, feeding, fitting, networks2d, pose2d
from vid3d.training.feeding import Feed
from vid3d.training.fitting import Stage, average, fit
from vid3d.training.networks2d import ImageStage, random_steps
from vid3d.weights import weights_dir

CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "pose2d"


def _config(name: str, **stage: object) -> Config:
    config = Config.fromfile(CONFIGS / f"{name}.py")
    toy = {"name": "toy", "samples": 4, "batch": 2, "lr": 1e-4, **stage}
    config.training.stages = [toy]
    return config


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda p: p.stem)
def test_every_recipe_builds(path: Path) -> None:
    config = Config.fromfile(path)
    stages = [ImageStage.of(s) for s in config.training.stages]
    assert stages
    if config.task == "detect2d":
        networks2d.build_detector(config.model)
        return
    for stage in stages:
        model = networks2d.build_pose_model(pose2d.model_at(config.model, stage.size))
        assert tuple(model.head.decoder.input_size) == stage.size


def test_schedule() -> None:
    stage = Stage("s", samples=1000, batch=1, lr=1.0, minutes=1, decay=0.5)
    assert stage.progress(500, 6) == 0.5
    assert stage.progress(500, 54) == pytest.approx(0.9)
    assert stage.learning_rate(0.015) == pytest.approx(0.501)
    assert stage.learning_rate(0.4) == 1.0
    assert stage.learning_rate(0.75) == pytest.approx(0.5)
    assert stage.learning_rate(1.0) == 0


def test_a_rate_that_never_falls() -> None:
    stage = Stage("s", samples=1000, batch=1, lr=1.0, decay=0.0)
    assert stage.learning_rate(0.999) == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"samples": -5},  # would never end
        {"samples": 0},
        {"batch": 0},
        {"batch": 2.5},
        {"dev_every": -1},
        {"lr": float("nan")},
        {"minutes": -1},
        {"decay": 1.5},
        {"ema": 2},
        {"name": "a/b"},
        {"name": "checkpoint"},
    ],
)
def test_numbers_that_no_stage_can_have(change: dict[str, Any]) -> None:
    name = next(iter(change))
    with pytest.raises(Vid3dError, match=f"^stage.{name} is .*, expected "):
        Stage(**({"name": "s", "samples": 8, "batch": 1, "lr": 0.1} | change))


def test_average_copies_counters() -> None:
    target = {"w": torch.zeros(2), "n": torch.tensor(1)}
    average(target, {"w": torch.ones(2), "n": torch.tensor(5)}, 0.75)
    assert target["w"].tolist() == [0.25, 0.25]
    assert int(target["n"]) == 5


def test_carry_over_keeps_a_flat_map() -> None:
    state = {pose2d.FLATTENED: torch.ones(2, 12), "other": torch.ones(1)}
    grown = pose2d.carry_over(state, (96, 128), (192, 256))
    assert grown[pose2d.FLATTENED].shape == (2, 48)
    assert float(grown[pose2d.FLATTENED].sum()) == pytest.approx(24)  # the same answer
    assert pose2d.carry_over({"other": torch.ones(1)}, (96, 128), (192, 256)).keys() == {"other"}


def test_a_stage_resumes_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the fourth step and resumed: the same weights as in one go."""
    monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0)
    stage = Stage("s", samples=24, batch=4, lr=0.1)

    def train(folder: Path, killed_at: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        model = torch.nn.Linear(32, 2)  # a matrix for Muon, a bias for AdamW

        def loss_of(step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            if step == killed_at:
                raise KeyboardInterrupt
            inputs = torch.from_numpy(np.random.default_rng(step).normal(size=(4, 32))).float()
            return model(inputs).square().mean(), {}

        fit(model, stage, loss_of, folder, resume=True)
        return model.weight.detach()

    whole = train(tmp_path / "whole", None)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "halves", 3)
    assert torch.equal(train(tmp_path / "halves", None), whole)
    assert torch.equal(train(tmp_path / "halves", 0), whole)  # finished: read back


def test_no_clip_lets_every_gradient_pass(tmp_path: Path) -> None:
    """AdamW's steps are the learning rate, however large a gradient; without one there is none."""
    stage = Stage("s", samples=4, batch=4, lr=0.1, warm_up=0, decay=0, optimizer="adamw", clip=0)
    model = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(model.weight)
    fit(model, stage, lambda *_: (100 * model.weight.sum(), {}), tmp_path)
    averaged = 1 - min(stage.ema, 2 / 11)
    assert model.weight.item() == pytest.approx(-0.1 * averaged, rel=1e-3)


@pytest.mark.parametrize("saved", [True, False])
def test_a_course_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    """Killed after a checkpoint, or before the first: nothing is told twice, nothing lost."""
    monkeypatch.setattr(fitting, "LOG_EVERY", 0.0)
    stage = Stage("s", samples=24, batch=4, lr=0.1)
    earlier = {"stage": "r", "samples": 40, "loss": 1.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(earlier) + "\n")
    model = torch.nn.Linear(2, 2)

    def train(killed_at: int | None) -> None:
        def loss_of(step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
            if step == killed_at:
                raise KeyboardInterrupt
            monkeypatch.setattr(fitting, "SAVE_EVERY", 0.0 if saved and step < 2 else 60.0)
            return model(torch.ones(1, 2)).square().mean(), {}

        fit(model, stage, loss_of, tmp_path, resume=True)

    with pytest.raises(KeyboardInterrupt):
        train(4)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"stage": "s", "sam')  # the kill cut a line off
    train(None)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[0] == earlier
    assert [row["samples"] for row in rows[1:]] == [4, 8, 12, 16, 20, 24]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_feed_gives_the_batch_of_the_step(workers: int) -> None:
    feed = Feed(lambda step: torch.full((2,), float(step)), workers)
    assert [int(feed(step)[0]) for step in (0, 1, 2, 7, 8)] == [0, 1, 2, 7, 8]


def test_a_feed_where_processes_usually_begin_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)  # as on macOS, or in Python 3.14
    try:
        assert int(Feed(lambda step: torch.tensor(step), 1)(3)) == 3
        monkeypatch.setattr(feeding, "FORKS", False)  # as on Windows
        assert int(Feed(lambda step: torch.tensor(step), 1)(4)) == 4
    finally:
        multiprocessing.set_start_method(usual, force=True)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 1)
    stage = Stage("s", samples=4, batch=4, lr=0.1)
    with pytest.raises(Vid3dError, match="not finite at step 0"):
        fit(model, stage, lambda *_: (model.weight.sum() / 0, {}), tmp_path)


@pytest.mark.parametrize("name", ["vid3d-pose", "rtmpose-t"])
def test_pose_training_and_export(tmp_path: Path, name: str) -> None:
    """What ends at another size than the recipe's takes crops of that size, SimCC heads too."""
    _toy_set(tmp_path / "data" / "toy")
    config = _config(name, size=(64, 96))
    config.training.workers = 0
    pose2d.train(config, [tmp_path / "data"], tmp_path / "work")
    folder = tmp_path / "work" / "model"
    manifest = load_manifest(folder)
    assert manifest.task == "pose"
    assert manifest.input is not None
    assert manifest.input.size == (64, 96)
    written = Config.fromfile(folder / "config.py")
    assert written.test_dataloader.dataset.pipeline[2].input_size == (64, 96)
    written.task = config.task
    _assert_parity(written, folder, manifest.input.size)


@pytest.mark.parametrize("neck", ["joined", "joined, corners", "joined, relu", "none"])
def test_maps_are_those_of_mmpose(neck: str) -> None:
    config = _config("vid3d-pose")
    config.model.neck.align_corners, config.model.neck.apply_relu = "corn" in neck, "relu" in neck
    if neck == "none":
        config.model.backbone.out_indices, config.model.neck = (4,), None
        config.model.head.in_channels = 384
    model = networks2d.build_pose_model(config.model).eval()
    for layer in model.modules():  # not those that leave everything as it is
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, 0, 0.1)
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            networks2d.heatmaps(model, images), model.head(model.extract_feat(images))
        )


def test_detector_training_and_export(tmp_path: Path) -> None:
    _toy_set(tmp_path / "data" / "toy")
    config = _config("vid3d-person", size=(96, 96))
    config.training.backbone = ""
    detect2d.train(config, [tmp_path / "data"], tmp_path / "work")
    folder = tmp_path / "work" / "model"
    assert load_manifest(folder).task == "detection"
    _assert_parity(config, folder, export2d.input_size(config))


def _assert_parity(config: Config, folder: Path, size: tuple[int, int]) -> None:
    """The .onnx answers as the .pth, for batches of any size."""
    import onnxruntime

    model = export2d.RawNetwork(export2d.load_network(config, folder / "model.pth"))
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for batch in (1, 2):
        images = torch.randn(batch, 3, size[1], size[0])
        with torch.no_grad():
            expected = model(images)
        got = session.run(None, {"images": images.numpy()})
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b.numpy(), atol=2e-3, rtol=2e-3)


def test_norms_that_only_gpus_can_synchronise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes train detectors on CPUs too: torch refuses such norms there."""
    monkeypatch.setattr("mmdet.models.detectors.rtmdet.get_world_size", lambda: 2)
    config = _config("vid3d-person")
    model = networks2d.build_detector(config.model)
    kinds = [type(module) for module in model.modules()]
    assert torch.nn.SyncBatchNorm in kinds
    on_cpu = networks2d.placed(model)
    assert torch.nn.SyncBatchNorm not in [type(module) for module in on_cpu.modules()]
    assert on_cpu.state_dict().keys() == model.state_dict().keys()


def test_no_data_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Vid3dError, match="no image set"):
        pose2d.open_sets([tmp_path])


def test_a_detector_begins_with_the_backbone_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # nothing depends on where training is started
    config = _config("vid3d-person", size=(96, 96))
    torch.manual_seed(0)
    model = networks2d.build_detector(config.model)
    networks2d.start_from(model, config.training.backbone, "backbone")
    pth = weights_dir() / "vid3d-pose" / "model.pth"
    state = torch.load(pth, weights_only=True)["state_dict"]
    name = "backbone.stem.0.conv.weight"
    torch.testing.assert_close(model.state_dict()[name], state[name].float())
    with pytest.raises(Vid3dError, match="unknown model"):
        networks2d.start_from(model, tmp_path / "none.pth", "backbone")
    (tmp_path / "text.pth").write_text("none")
    for wrong in ("vid3d-base", tmp_path / "text.pth"):
        with pytest.raises(Vid3dError, match="cannot start backbone from"):
            networks2d.start_from(model, wrong, "backbone")


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("vid3d-pose", {"stages": [{"name": "a", "sise": [9, 9]}]}, "training.stages .*'sise'"),
        ("vid3d-pose", {"augmentation": {"scle": 1}}, "training.augmentation .*'scle'"),
        ("vid3d-person", {"tiling": {"zom": 1}}, "training.tiling .*'zom'"),
    ],
)
def test_fields_that_there_are_not(tmp_path: Path, name: str, change: dict, words: str) -> None:
    config = _config(name, size=(96, 96))
    config.training.update(change)
    task = {"vid3d-pose": pose2d, "vid3d-person": detect2d}[name]
    with pytest.raises(Vid3dError, match=words):
        task.train(config, [], tmp_path)


def test_a_detector_that_goes_on_needs_no_other_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_stage_loss", "fit", "export"):
        monkeypatch.setattr(detect2d, name, lambda *_: None)
    config = _config("vid3d-person", size=(96, 96))
    config.training.backbone = "nobody"
    detect2d.train(config, [], tmp_path, start="vid3d-person")
    with pytest.raises(Vid3dError, match="unknown model 'nobody'"):
        detect2d.train(config, [], tmp_path)


def test_a_detector_that_goes_on_may_exchange_its_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []
    monkeypatch.setattr(detect2d, "_stage_loss", lambda *_: None)
    monkeypatch.setattr(detect2d, "export", lambda *_: None)
    monkeypatch.setattr(detect2d, "fit", lambda model, *_: trained.append(model.state_dict()))
    config = _config("vid3d-person", size=(96, 96))
    config.training.exchange_backbone = True
    detect2d.train(config, [], tmp_path, start="vid3d-person")
    pose, person = (
        torch.load(weights_dir() / name / "model.pth", weights_only=True)["state_dict"]
        for name in ("vid3d-pose", "vid3d-person")
    )
    for name, values in trained[0].items():
        origin = pose if name.startswith("backbone.") else person
        torch.testing.assert_close(values, origin[name].to(values.dtype))


def test_stages_of_one_size_draw_other_pictures():
    entries = [{"name": name, "size": (size, size)} for name, size in
               (("a", 32), ("b", 32), ("c", 64), ("d", 32))]  # fmt: skip
    stages = [ImageStage(samples=1, batch=1, lr=1e-3, **entry) for entry in entries]
    training = {"seed": 3, "stages": entries}
    drawn = [tuple(random_steps(training, stage)(5).random(4)) for stage in stages]
    assert len(set(drawn)) == 4
    assert drawn[0] == tuple(np.random.default_rng((3, 32, 5)).random(4))
    with pytest.raises(Vid3dError, match=r"training\.seed is -1"):
        random_steps({**training, "seed": -1}, stages[0])
