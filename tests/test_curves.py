import json

import cv2
import numpy as np

from vid3d.training.curves import draw_curves, read_metrics


def test_curves_of_two_stages(tmp_path):
    rows = [
        {"stage": "a", "samples": 10, "minutes": 0.1, "lr": 0.1, "loss": 2.0, "joints": 0.4},
        {"stage": "a", "samples": 20, "minutes": 0.2, "lr": 0.1, "loss": 1.0, "joints": 0.2},
        {"stage": "a", "samples": 20, "dev_mpjpe_mm": 80.0},
        {"stage": "b", "samples": 10, "minutes": 0.1, "lr": 0.1, "loss": 0.5, "joints": 0.1},
    ]
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text("\n".join(map(json.dumps, rows)) + '\n{"stage": "b", "sam')
    assert read_metrics(metrics) == rows
    draw_curves(metrics, tmp_path / "metrics.png")
    picture = cv2.imread(str(tmp_path / "metrics.png"))
    assert picture.shape[:2] == (480, 1200)
    assert np.ptp(picture[:, :600]) > 100  # a line is drawn on either side
    assert np.ptp(picture[:, 600:]) > 100


def test_no_rows_no_picture(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "metrics.png")
    assert not (tmp_path / "metrics.png").exists()
