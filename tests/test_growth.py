"""Larger encoders that begin with the weights of smaller ones."""

import pytest
import torch
from lifter_toys import looks, motion, training_options
from mmengine.config import Config

from vid3d.data.batches import Motions, make_batch
from vid3d.errors import Vid3dError
from vid3d.lifter.canonical import canonicalise
from vid3d.lifter.checkpoint import Networks
from vid3d.training import lifter as training


def built(**sizes):
    """Networks of the toy recipe with other sizes, none of their weights zero."""
    cfg = Config(training_options())
    cfg.encoder.update(sizes)
    config = training.lifter_config(cfg)
    networks = training.Networks(config)
    for weight in networks.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return networks


def started(networks, other):
    networks.start_from(Networks(other.config, other.encoder, other.diffusion))
    return networks.eval()


@pytest.mark.parametrize("sizes", [{"blocks": 4}, {"ratio": 3}, {"blocks": 3, "ratio": 4}])
def test_a_grown_encoder_answers_as_before(sizes):
    small, large = built().eval(), built(**sizes)
    seen = looks()
    at, valid = torch.linspace(0, 0.6, 8).expand(4, -1), torch.ones(4, 8, dtype=torch.bool)
    asked = (canonicalise(seen), seen, at, valid)
    before = small.encoder(*asked)
    assert not torch.allclose(large.encoder(*asked).joints, before.joints, atol=1e-3)
    after = started(large, small).encoder(*asked)
    for name in ("joints", "coco", "root", "contacts", "deviation", "features"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name))


def test_what_is_new_learns():
    torch.manual_seed(0)
    large = started(built(blocks=3, ratio=4), built())
    options = training.batch_options(training_options()["batches"])
    generator = torch.Generator().manual_seed(0)
    batch = make_batch(Motions([motion()]), 4, options, generator)
    torch.stack(list(large.losses(batch, generator).values())).sum().backward()
    added = large.encoder.temporal[-1]
    assert added.attention.proj.weight.grad.abs().max() > 0
    assert added.mlp[2].weight.grad.abs().max() > 0
    widened = large.encoder.temporal[0].mlp[2].weight.grad
    assert widened.shape == (16, 64)
    assert widened[:, 32:].abs().max() > 0


@pytest.mark.parametrize("sizes", [{"blocks": 1}, {"width": 32}, {"ratio": 1}])
def test_a_smaller_or_wider_one_does_not_fit(sizes):
    with pytest.raises(Vid3dError, match="cannot start from toy"):
        started(built(**sizes), built())
