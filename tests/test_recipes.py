"""Recipes: every one loads and names a task that exists; changes and mistakes."""

from importlib import import_module

import pytest

from vid3d.errors import Vid3dError
from vid3d.files import held
from vid3d.pose2d.openmmlab import is_installed
from vid3d.training.recipes import TASKS, load_recipe, recipes, train

pytestmark = pytest.mark.skipif(not is_installed(), reason="OpenMMLab is not installed")


def test_there_is_a_recipe_of_every_task():
    tasks = {load_recipe(name).task for name in recipes()}
    assert tasks == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_train_function(task):
    assert callable(import_module(f"vid3d.training.{task}").train)


def test_changes_are_read_as_yaml():
    changes = ["stage.samples=7", "data.skipped=[train_hdm05]", "stage.lr=2e-3", "seed=-1"]
    recipe = load_recipe("lifter/base", changes)
    assert recipe.stage.samples == 7
    assert recipe.data.skipped == ["train_hdm05"]
    assert recipe.stage.lr == 0.002
    assert recipe.seed == -1


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lifter/none", [], "no recipe lifter/none; give a path or one of lifter/base"),
        ("lifter/base", ["steps"], "not key=value"),
        ("lifter/base", ["task=fly"], "task is 'fly'"),
        ("lifter/base", ["stage.lr=fast"], "stage.lr is 0.002, so 'fast' must be a number"),
        ("lifter/base", ["data.skipped=train_cmu2"], r"data.skipped is a list.*\[train_cmu2\]"),
        ("lifter/base", ["data.dev=cmu_s35"], r"data.dev is a list, .*: data.dev=\[cmu_s35\]"),
        ("lifter/base", ["data.skipped=["], "is no YAML behind the ="),
        ("lifter/base", ["precison=float32"], "no precison to set; choose of batches, compiled,"),
        ("lifter/base", ["data.fils=[a]"], "no data.fils to set; .*data.dev, data.files"),
        ("lifter/base", ["training.seed=1"], "no training.seed to set"),
        ("lifter/base", ["stage.lr.peak=1"], "the recipe cannot be changed so"),
        ("pose2d/vid3d-pose", ["seed=1"], "no seed to set"),
        ("pose2d/vid3d-pose", ["training.teacher=a"], "no training.teacher to set"),
    ],
)
def test_mistakes(name, changes, message):
    with pytest.raises(Vid3dError, match=message):
        load_recipe(name, changes)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("lifter/base", ["lifting.steps=3", "frozen=true", "velocity=0", "compiled=true"]),
        ("lifter/base", ["data.dev=[somebody]", "stage.minutes=3", "batches.screen=true"]),
        ("pose2d/vid3d-person", ["training.teacher=a", "training.backbone=b", "training.seed=1"]),
        ("pose2d/rtmpose-t", ["training.nobody=0.1", "training.stages.0.minutes=3"]),
    ],
)
def test_what_a_task_may_read_can_be_set(name, changes):
    load_recipe(name, changes)


def test_a_recipe_that_is_no_python(tmp_path):
    (tmp_path / "bad.py").write_text("model = (")
    with pytest.raises(Vid3dError, match="cannot be read"):
        load_recipe(str(tmp_path / "bad.py"))


def test_missing_data_and_another_run_are_refused(tmp_path):
    recipe = load_recipe("lifter/base")
    with pytest.raises(Vid3dError, match="no such data"):
        train(recipe, [tmp_path / "none"], tmp_path / "run", resume=False)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pth").write_bytes(b"")
    with pytest.raises(Vid3dError, match="--resume"):
        train(recipe, [tmp_path], tmp_path / "run", resume=False)


def test_a_finished_run_is_not_overwritten(tmp_path):
    (tmp_path / "main.pth").touch()  # too short for a checkpoint
    with pytest.raises(Vid3dError, match="holds a run: go on with --resume or give another"):
        train(load_recipe("lifter/base"), [tmp_path], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["main.pth"]


@pytest.fixture
def trained(monkeypatch):
    """Trainings of the lifter that leave a checkpoint at once."""
    from vid3d.training import lifter

    def train_at_once(config, data, work_dir, resume, start):
        (work_dir / "checkpoint.pth").touch()

    monkeypatch.setattr(lifter, "train", train_at_once)
    monkeypatch.setattr("vid3d.training.curves.draw_curves", lambda *paths: None)


def test_a_run_goes_on_with_its_own_networks(tmp_path, trained):
    run = tmp_path / "run"
    train(load_recipe("lifter/base", ["encoder.width=96"]), [], run)
    noted = (run / "config.py").read_text()
    with pytest.raises(Vid3dError, match=r"trained with another encoder: .*config.py"):
        train(load_recipe("lifter/base"), [], run, resume=True)
    assert (run / "config.py").read_text() == noted
    train(load_recipe(str(run / "config.py"), ["stage.lr=1e-4"]), [], run, resume=True)
    assert load_recipe(str(run / "config.py")).stage.lr == 1e-4


def test_a_run_killed_before_its_first_checkpoint_begins_as_it_began(
    tmp_path, trained, monkeypatch
):
    from vid3d.training import lifter

    begun, go_on, run = [], lifter.train, tmp_path / "run"

    def killed(config, data, work_dir, resume, start):
        begun.append(start)
        raise KeyboardInterrupt

    def train_on(config, data, work_dir, resume, start):
        begun.append(start)
        go_on(config, data, work_dir, resume, start)

    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lifter, "train", killed)
    for start in ("model", None):  # twice
        with pytest.raises(KeyboardInterrupt):
            train(load_recipe("lifter/seen"), [], run, resume=not start, start=start)
    monkeypatch.chdir(tmp_path / "model")
    monkeypatch.setattr(lifter, "train", train_on)
    for _ in range(3):  # from the start, from a checkpoint, ended
        train(load_recipe("lifter/seen"), [], run, resume=True)
        (run / "main.pth").touch()
    assert begun == ["model", *2 * [str(tmp_path / "model")], None, None]
    noted = load_recipe(str(run / "config.py"))
    train(noted, [], run, resume=True)
    train(noted, [], tmp_path / "again")
    assert begun[-2:] == [None, str(tmp_path / "model")]


@pytest.mark.parametrize("change", ["stage.samples=9", "stage.name=more", "batches.blind=0.1"])
def test_what_has_ended_is_not_changed(tmp_path, trained, change):
    recipe, run = load_recipe("lifter/base"), tmp_path / "run"
    train(recipe, [], run)
    (run / "main.pth").touch()
    noted = (run / "config.py").read_text()
    train(recipe, [], run, resume=True)
    with pytest.raises(Vid3dError, match=r"another (stage|batches): go on .* with --init-from"):
        train(load_recipe("lifter/base", [change]), [], run, resume=True)
    assert (run / "config.py").read_text() == noted


def test_a_stage_of_another_name_is_no_going_on(tmp_path, trained):
    train(load_recipe("lifter/base"), [], tmp_path)
    with pytest.raises(Vid3dError, match="another stage: go on"):
        train(load_recipe("lifter/base", ["stage.name=more"]), [], tmp_path, resume=True)


def test_stages_may_follow_those_that_have_ended(tmp_path, trained, monkeypatch):
    from vid3d.training import lifter, pose2d

    monkeypatch.setattr(pose2d, "train", lifter.train)
    longer = load_recipe("pose2d/rtmpose-t")
    shorter = load_recipe("pose2d/rtmpose-t")
    shorter.training.stages = shorter.training.stages[:1]
    train(shorter, [], tmp_path)
    (tmp_path / "half.pth").touch()
    train(longer, [], tmp_path, resume=True)
    with pytest.raises(Vid3dError, match="another training, stage"):
        train(shorter, [], tmp_path, resume=True)


def test_one_training_at_a_time_in_a_folder(tmp_path, trained):
    busy = pytest.raises(Vid3dError, match="another training is at work in")
    with held(tmp_path, "somebody"), busy:
        train(load_recipe("lifter/base"), [], tmp_path)
    train(load_recipe("lifter/base"), [], tmp_path)
