"""Muon against its definition by singular values, and what it is given to train."""

import pytest
import torch

pytest.importorskip("torch")

from vid3d.errors import Vid3dError
from vid3d.training.muon import ADAMW_RMS, Muon, optimizers, orthogonalised


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (64, 64)])
def test_orthogonalised_keeps_directions_and_evens_singular_values(shape):
    """G = U S V^T becomes about U V^T, whatever S."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    got = orthogonalised(matrix).float()
    values = torch.linalg.svdvals(got)
    assert float(values.max()) < 1.35
    assert float(values.median()) > 0.65
    assert float((values > 0.6).float().mean()) > 0.9  # a square one has some next to nothing
    alike = (got * (u @ v)).sum() / got.norm() / (u @ v).norm()
    assert float(alike) > 0.95


def test_a_step_has_adamws_size_and_decays():
    weight = torch.nn.Parameter(torch.ones(32, 8, 2, 2))
    before = weight.detach().clone()
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    moved = weight.detach() - before * (1 - 0.1 * 0.5)
    rms = float(moved.square().mean().sqrt())
    assert rms == pytest.approx(0.1 * ADAMW_RMS, rel=0.25)


def test_matrices_go_to_muon_the_rest_to_adamw():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(8, 16, 3), torch.nn.Conv2d(16, 16, 5, groups=16), torch.nn.BatchNorm2d(16)
    )
    model[1].bias.requires_grad_(False)
    adamw, muon = optimizers(model, "muon", 1e-3, 0.05)
    assert [p.shape for p in muon.param_groups[0]["params"]] == [(16, 8, 3, 3)]
    decaying, free = (group["params"] for group in adamw.param_groups)
    assert [p.shape for p in decaying] == [(16, 1, 5, 5)]
    assert len(free) == 3  # one bias, and the norm's two vectors
    (only,) = optimizers(model, "adamw", 1e-3, 0.05)
    assert sum(len(group["params"]) for group in only.param_groups) == 5
    with pytest.raises(Vid3dError, match="'sgd', expected muon or adamw"):
        optimizers(model, "sgd", 1e-3, 0.05)


def test_it_learns_a_linear_map():
    torch.manual_seed(0)
    truth, model = torch.randn(8, 40), torch.nn.Linear(40, 8)
    rows = optimizers(model, "muon", 0.02, 0.0)
    losses = []
    for _ in range(200):
        inputs = torch.randn(64, 40)
        loss = (model(inputs) - inputs @ truth.T).square().mean()
        model.zero_grad()
        loss.backward()
        for optimizer in rows:
            optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
