import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vid3d.errors import Vid3dError
from vid3d.pose2d import openmmlab

pytestmark = pytest.mark.skipif(not openmmlab.is_installed(), reason="OpenMMLab is not installed")


def iou(a, b, offset=0):
    w = min(a[2], b[2]) - max(a[0], b[0]) + offset
    h = min(a[3], b[3]) - max(a[1], b[1]) + offset
    area = [max(c[2] - c[0] + offset, 0) * max(c[3] - c[1] + offset, 0) for c in (a, b)]
    shared = max(w, 0) * max(h, 0)
    return shared / max(sum(area) - shared, 1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.floats(0.1, 0.9), st.integers(0, 2**31))
def test_nms_keeps_the_best_of_every_cluster(count, threshold, seed):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 30, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(1, 20, (count, 2))], 1).astype("f4")
    scores = rng.random(count).astype("f4")
    kept = openmmlab.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)
    for i in range(count):
        better = [k for k in kept if scores[k] > scores[i]]
        covered = any(iou(boxes[i], boxes[k]) > threshold + 1e-6 for k in better)
        free = all(iou(boxes[i], boxes[k]) <= threshold - 1e-6 for k in better)
        assert not (i in kept and covered)
        assert not (i not in kept and free)


def test_nms_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]])
    assert openmmlab.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.5).tolist() == [1, 2]
    assert openmmlab.nms(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.95).tolist() == [1, 0, 2]
    assert openmmlab.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_prepare_is_idempotent_and_leaves_no_stub_behind():
    openmmlab.prepare()
    openmmlab.prepare()
    import mmcv.ops
    import mmdet.apis  # noqa: F401
    import mmpose.apis  # noqa: F401

    finders = [type(finder).__name__ for finder in sys.meta_path]
    assert finders.count("_ExtensionFinder") == 1
    ordinary = next(i for i, f in enumerate(sys.meta_path) if "PathFinder" in str(f))
    assert ordinary < finders.index("_ExtensionFinder"), "a compiled mmcv must be found first"
    assert getattr(sys.modules.get("torchvision"), "__file__", "real") is not None
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    _, kept = mmcv.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5)
    assert kept.tolist() == [1]


def test_other_operators_say_what_they_need():
    openmmlab.prepare()
    import mmcv._ext

    if mmcv._ext.__spec__.origin != "vid3d stand-in":
        pytest.skip("a compiled mmcv is installed")
    with pytest.raises(NotImplementedError, match="compiled mmcv"):
        mmcv._ext.roi_align_forward()


@pytest.mark.slow
def test_pycocotools_stands_in_for_a_missing_xtcocotools():
    program = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "xtcocotools":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "xtcocotools" else find_spec(name, *a)
from vid3d.pose2d.openmmlab import prepare
prepare()
from mmpose.datasets.datasets.base.base_coco_style_dataset import COCO
print(COCO.__module__)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True)
    assert done.stdout.decode().strip() == "pycocotools.coco", done.stderr.decode()


def test_missing_package_names_the_install_line(monkeypatch):
    monkeypatch.setattr(openmmlab.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Vid3dError, match="pip install --no-deps mmengine"):
        openmmlab.prepare.__wrapped__()


def test_checkpoint_with_what_openmmlab_saves(tmp_path):
    pytest.importorskip("mmengine")
    from mmengine.logging import HistoryBuffer

    content = {
        "state_dict": {"w": torch.ones(2)},
        "meta": {"sigmas": np.arange(3.0), "one": np.float32(2), "name": "coco"},
        "message_hub": {"loss": HistoryBuffer([1.0], [1])},
    }
    torch.save(content, tmp_path / "a.pth")
    loaded = openmmlab.load_checkpoint(tmp_path / "a.pth")
    assert loaded["state_dict"]["w"].tolist() == [1, 1]
    assert loaded["meta"]["sigmas"].tolist() == [0, 1, 2]


class Malicious:
    def __reduce__(self):
        return eval, ("__import__('builtins').exit(9)",)


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", pickle.dumps(Malicious()), pickle.dumps([1, 2])[:3]]
)
def test_checkpoint_that_is_none(tmp_path, content):
    (tmp_path / "b.pth").write_bytes(content)
    with pytest.raises(Vid3dError, match="not a checkpoint that can be loaded safely"):
        openmmlab.load_checkpoint(tmp_path / "b.pth")


def test_checkpoint_that_would_run_code(tmp_path):
    torch.save({"state_dict": {}, "evil": Malicious()}, tmp_path / "c.pth")
    with pytest.raises(Vid3dError, match="safely"):
        openmmlab.load_checkpoint(tmp_path / "c.pth")
    with pytest.raises(Vid3dError, match="no such checkpoint"):
        openmmlab.load_checkpoint(tmp_path / "d.pth")
