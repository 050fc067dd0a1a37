"""What a GPU would meet: every tensor on its device, and half precision. Needs no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils import backend_registration

from vid3d.data.pairs import read_pairs
from vid3d.lifter import inference
from vid3d.lifter.lifter import Lifter

HERE = Path(__file__).parent


def run(*what: str) -> dict:
    """What `accelerator.py` says; a process of its own, because torch is told of devices once."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        pytest.skip(f"torch {torch.__version__} cannot be told of devices in Python")
    done = subprocess.run(
        [sys.executable, str(HERE / "accelerator.py"), *what],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert not done.returncode, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def said():
    pytest.importorskip("mmengine", reason="the lifter's training needs mmengine")
    return run("mixing", "lifting", "lifter_training")


def test_tensors_of_two_devices_do_not_mix(said):
    assert "tensors on two devices" in said["mixing"]["error"]
    assert said["mixing"]["sum"] == 6


def test_lifting_elsewhere_says_the_same(said):
    assert max(said["lifting"].values()) < 2e-4  # metres; sums in another order


def test_a_lifter_trains_elsewhere(said):
    there = said["lifter_training"]
    assert len(there["cpu"]) == 4
    assert there["elsewhere"] == pytest.approx(there["cpu"], rel=1e-3)


@pytest.mark.slow
def test_people_are_seen_elsewhere():
    pytest.importorskip("mmpose", reason="the mmpose backend needs OpenMMLab")
    assert max(run("people")["people"].values()) < 1e-3


@pytest.mark.slow
def test_2d_networks_train_elsewhere():
    pytest.importorskip("mmpose", reason="the 2D trainings need OpenMMLab")
    there = run("2d_training")["2d_training"]
    assert there["cpu"].keys() == {"vid3d-pose", "rtmpose-t", "vid3d-person"}
    for name, losses in there["cpu"].items():  # bfloat16 on the CPU, float32 there
        assert there["elsewhere"][name] == pytest.approx(losses, rel=0.01, abs=2e-3)


def test_half_precision_moves_joints_by_less_than_half_a_centimetre(monkeypatch):
    walk = read_pairs(HERE.parent / "samples" / "two_people.pairs.npz")[0]
    seconds = np.arange(len(walk.keypoints2d)) / walk.fps
    lifter = Lifter.load("vid3d-base")

    def lift():
        return lifter(
            walk.keypoints2d[::5], walk.confidence[::5], times=seconds[::5], out_times=seconds,
            camera=walk.camera, joint_set=walk.joint_set, hypotheses=3,
        ).joints3d  # fmt: skip

    full = lift()
    monkeypatch.setattr(inference, "_fast", lambda _: torch.autocast("cpu", torch.bfloat16))
    half = lift()
    assert 0 < np.linalg.norm(half - full, axis=-1).mean() < 5e-3
