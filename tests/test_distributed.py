"""Two processes that train together give what one gives on the batches of both."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vid3d.errors import Vid3dError
from vid3d.training.distributed import agreed, processes, rank, torchrun
from vid3d.training.fitting import Stage, fit

SCRIPT = """
import sys
from pathlib import Path

import torch

sys.path.insert(0, {tests!r})
from test_distributed import STAGE, loss_of, new_model

from vid3d.training.distributed import rank, torchrun
from vid3d.training.fitting import fit

torch.set_num_threads(1)
work = Path({work!r})
with torchrun():
    model = new_model()
    fit(model, STAGE, loss_of(model), work)
    torch.save(model.state_dict(), work / f"rank{{rank()}}.pth")
"""

STAGE = Stage("main", samples=24, batch=2, lr=0.05, optimizer="adamw", dev_every=0)


def new_model():
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def loss_of(model):
    def loss(step, progress):
        generator = torch.Generator().manual_seed(step)
        inputs = torch.randn(2, 3, generator=generator)
        return (model(inputs) - inputs[:, :2]).square().mean(), {"step": float(step)}

    return loss


def test_two_processes_are_one_with_both_batches(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), work=str(tmp_path)))
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, *command], cwd=root, capture_output=True, text=True, timeout=120,
        env={"PYTHONPATH": str(root), "PATH": "", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank{i}.pth") for i in (0, 1))

    model = new_model()
    single = loss_of(model)

    def both(step, progress):
        losses = [single(2 * step + process, progress)[0] for process in (0, 1)]
        return torch.stack(losses).mean(), {}

    alone = Stage("main", samples=24, batch=4, lr=0.05, optimizer="adamw", dev_every=0)
    fit(model, alone, both, tmp_path / "alone")
    for key, value in model.state_dict().items():
        torch.testing.assert_close(first[key], value)
        torch.testing.assert_close(second[key], value)
    assert len(list(tmp_path.glob("main.pth"))) == 1


def test_alone_nothing_is_needed():
    assert (processes(), rank(), agreed(0.25)) == (1, 0, 0.25)


def test_torchrun_did_not_start_this(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(Vid3dError, match="torchrun --nproc-per-node"), torchrun():
        pass
