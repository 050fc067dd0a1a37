"""What a teacher says at every point of a detector's grid, and how far a student is from it."""

from math import log
from pathlib import Path

import numpy as np
import pose2d_toys
import pytest
import torch

pytest.importorskip("mmdet", reason="training detectors needs OpenMMLab")

from mmengine.config import Config
from test_people2d import _toy_set

from vid3d.errors import Vid3dError
from vid3d.pose2d.openmmlab import prepare
from vid3d.training import detect2d
from vid3d.training.distillation2d import (
    BOX_WEIGHT,
    Teacher,
    dense_predictions,
    distillation_losses,
)

SIDE = pose2d_toys.DETECTOR_SIZE
STRIDES = (8, 16, 32)


@pytest.fixture(scope="module", autouse=True)
def _openmmlab() -> None:
    prepare()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pose2d_toys.rtmdet(tmp_path_factory.mktemp("teacher") / "toy")


def test_losses_worked_by_hand() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)  # the student says 0.5 everywhere
    scores = torch.tensor([[1.0, 0.5, 0.05]])
    boxes = torch.tensor([[[0.0, 0, 2, 2], [0, 0, 2, 2], [7, 7, 8, 8]]])
    targets = torch.tensor([[[0.0, 0, 2, 4], [0, 0, 2, 2], [0, 0, 1, 1]]])
    losses = distillation_losses(logits, boxes, scores, targets)
    # the teacher is 0.5, 0 and 0.45 away; the cross entropy of 0.5 with anything is ln 2
    wanted = (0.25 + 0 + 0.45**2) * log(2) / 1.55
    assert losses["loss_score"].item() == pytest.approx(wanted, rel=1e-5)
    # GIoU 0.5 and 1; the third point is background, whose box says nothing
    assert losses["loss_box"].item() == pytest.approx(BOX_WEIGHT * 0.5 / 1.5, rel=1e-4)
    losses["loss_score"].backward()
    assert (torch.sign(logits.grad) == torch.tensor([[-1.0, 0, 1]])).all()


def test_an_image_without_people_divides_by_no_less_than_one() -> None:
    box = torch.tensor([[[0.0, 0, 1, 1]]])
    losses = distillation_losses(torch.zeros(1, 1), box, torch.zeros(1, 1), box)
    assert losses["loss_score"].item() == pytest.approx(0.25 * log(2), rel=1e-5)
    assert losses["loss_box"].item() == 0


@pytest.mark.filterwarnings("ignore")
def test_a_student_with_the_teachers_weights_says_what_the_teacher_says(toy: Path) -> None:
    """Grid, order of points, channels and normalisation are the same on both sides."""
    from mmengine.registry import MODELS, DefaultScope

    config = Config.fromfile(toy / "config.py")
    with DefaultScope.overwrite_default_scope("mmdet"):
        student = MODELS.build(config.model).eval()
    student.load_state_dict(torch.load(toy / "model.pth", weights_only=True)["state_dict"])
    images = torch.from_numpy(
        np.random.default_rng(1).integers(0, 256, (2, 3, SIDE, SIDE), dtype=np.uint8)
    )
    scores, targets = Teacher(str(toy), STRIDES, SIDE)(images)
    mean, std = (getattr(student.data_preprocessor, k).view(1, 3, 1, 1) for k in ("mean", "std"))
    with torch.no_grad():
        heads = student.bbox_head(student.extract_feat((images.float() - mean) / std))
        logits, boxes = dense_predictions(student.bbox_head, *heads)
    assert scores.shape == logits.shape == (2, 16 * 16 + 8 * 8 + 4 * 4)
    torch.testing.assert_close(logits.sigmoid(), scores, atol=2e-3, rtol=0)
    torch.testing.assert_close(boxes[..., :2], targets[..., :2], atol=0.1, rtol=1e-3)
    outside = targets[..., 2:] < targets[..., :2] + 1
    assert (boxes[..., 2:] >= boxes[..., :2] + 1 - 1e-3).all()  # always with an inside
    torch.testing.assert_close(
        boxes[..., 2:][~outside], targets[..., 2:][~outside], atol=0.1, rtol=1e-3
    )


def test_a_detector_trains_beside_a_teacher(toy: Path, tmp_path: Path) -> None:
    _toy_set(tmp_path / "data" / "toy")
    config = Config.fromfile(Path(__file__).resolve().parents[1] / "configs/pose2d/vid3d-person.py")
    config.training.stages = [
        {"name": "toy", "size": (SIDE, SIDE), "samples": 4, "batch": 2, "lr": 1e-4}
    ]
    config.training.update(backbone="", teacher=str(toy))
    detect2d.train(config, [tmp_path / "data"], tmp_path / "work")
    metrics = (tmp_path / "work" / "metrics.jsonl").read_text()
    assert '"loss_score"' in metrics
    assert '"loss_cls"' in metrics


def test_a_teacher_that_does_not_fit_is_a_clear_error(toy: Path) -> None:
    with pytest.raises(Vid3dError, match="unknown model 'nobody'"):
        Teacher("nobody", STRIDES, SIDE)
    with pytest.raises(Vid3dError, match=r"no RTMDet with raw heads of strides \[8, 16\]"):
        Teacher(str(toy), (8, 16), SIDE)
    with pytest.raises(Vid3dError, match=f"takes images of {SIDE} x {SIDE} pixels.*160 x 160"):
        Teacher(str(toy), STRIDES, 160)
