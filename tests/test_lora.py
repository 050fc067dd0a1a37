from dataclasses import replace

import pytest
import torch

from vid3d.errors import Vid3dError
from vid3d.lifter import lora
from vid3d.lifter.adapters import Adapter, read_adapter, write_adapter
from vid3d.lifter.checkpoint import LifterConfig, build_networks, load_networks, save_networks
from vid3d.lifter.diffusion import DiffusionConfig
from vid3d.lifter.encoder import EncoderConfig
from vid3d.weights import find_model, split_adapters


@pytest.fixture
def networks():
    torch.manual_seed(0)
    encoder = EncoderConfig(joint_width=8, spatial_blocks=1, width=16, blocks=2, heads=2)
    return build_networks(LifterConfig("toy", encoder, DiffusionConfig(16, 1, 2)))


def learnt(root, seed=1, **options):
    """An adapter that changes something."""
    generator = torch.Generator().manual_seed(seed)
    state = lora.fresh(root, generator, **options)
    return {key: torch.randn(value.shape, generator=generator) for key, value in state.items()}


def test_all_projections_of_encoder_and_head_are_adapted(networks):
    names = set(lora.projections(networks.as_module()))
    blocks = ["encoder.spatial.0", "encoder.temporal.0", "encoder.temporal.1", "diffusion.blocks.0"]
    assert names == {f"{b}.attention.{part}" for b in blocks for part in ("qkv", "proj")}


def test_an_adapted_layer_computes_w_plus_ba(networks):
    root = networks.as_module()
    layer = networks.encoder.temporal[1].attention.qkv
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    state = learnt(root)
    lora.attach(root, state)
    x = torch.randn(5, 16)
    name = "encoder.temporal.1.attention.qkv"
    by_hand = x @ weight.T + (x @ state[f"{name}.down"].T) @ state[f"{name}.up"].T + bias
    torch.testing.assert_close(layer(x), by_hand)


def test_the_offset_moves_the_joints_alone(networks):
    root, head = networks.as_module(), networks.encoder.head
    features = torch.randn(3, 16)
    before = head(features)
    offset = torch.randn(17, 3)
    lora.attach(root, {"encoder.head.joints": offset})
    change = head(features) - before
    torch.testing.assert_close(change[:, :51], offset.flatten().expand(3, -1))
    assert (change[:, 51:] == 0).all()


def test_a_fresh_adapter_changes_nothing_and_alone_learns(networks):
    root = networks.as_module()
    before = {key: value.clone() for key, value in root.state_dict().items()}
    state = lora.fresh(root, torch.Generator().manual_seed(0))
    lora.attach(root, state)
    learning = {name for name, p in root.named_parameters() if p.requires_grad}
    assert len(learning) == len(state)
    assert all("parametrizations" in name for name in learning)
    lora.merge(root)
    assert all(torch.equal(value, before[key]) for key, value in root.state_dict().items())


def test_merged_is_the_same_to_the_bit_and_unmerged_the_weights_of_before(networks):
    root = networks.as_module()
    before = {key: value.clone() for key, value in root.state_dict().items()}
    state = learnt(root)
    layers = lora.projections(root)
    for remove in (lora.merge, lora.unmerge):
        lora.attach(root, state)
        adapted = {name: layer.weight.detach().clone() for name, layer in layers.items()}
        assert all(torch.equal(v, state[k]) for k, v in lora.state_of(root).items())
        remove(root)
        after = root.state_dict()
        assert set(after) == set(before)
        if remove is lora.merge:
            assert all(torch.equal(after[f"{n}.weight"], w) for n, w in adapted.items())
            root.load_state_dict(before)
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_rank_and_bias_are_chosen(networks):
    root, generator = networks.as_module(), torch.Generator().manual_seed(0)
    assert set(lora.fresh(root, generator, rank=0)) == {"encoder.head.joints"}
    state = lora.fresh(root, generator, rank=2, bias=False)
    assert all(v.shape[0 if k.endswith("down") else 1] == 2 for k, v in state.items())
    with pytest.raises(Vid3dError, match="nothing to adapt"):
        lora.fresh(root, generator, rank=0, bias=False)


def test_without_an_output_layer_there_is_no_bias(networks):
    root = networks.as_module()
    root.encoder.head = torch.nn.Sequential(root.encoder.head)
    with pytest.raises(Vid3dError, match=r"no layer encoder\.head for a bias: use"):
        lora.fresh(root, torch.Generator())
    assert lora.fresh(root, torch.Generator(), bias=False)


def test_what_does_not_fit_is_refused(networks):
    root = networks.as_module()
    with pytest.raises(Vid3dError, match="no layer"):
        lora.attach(root, {"encoder.nothing.down": torch.zeros(4, 4)})
    with pytest.raises(Vid3dError, match="does not fit layer"):
        name = "encoder.temporal.0.attention.qkv"
        lora.attach(root, {f"{name}.down": torch.zeros(4, 5), f"{name}.up": torch.zeros(9, 4)})


@pytest.fixture
def shelf(tmp_path, networks):
    """A lifter and two adapters in files."""
    base = tmp_path / "toy.safetensors"
    save_networks(base, networks)
    loaded = load_networks(base)
    for seed, name in enumerate(("one", "two")):
        state = learnt(loaded.as_module(), seed)
        about = {"inputs": ["clip.mp4"]}
        write_adapter(
            tmp_path / f"{name}.safetensors", Adapter(name, "toy", loaded.sha256, state, about)
        )
    return tmp_path


def test_adapters_come_back_as_written(shelf):
    adapter = read_adapter(shelf / "one.safetensors")
    assert (adapter.name, adapter.base, adapter.rank) == ("one", "toy", 4)
    assert adapter.about == {"inputs": ["clip.mp4"]}
    assert len(adapter.sha256) == 64
    state = learnt(load_networks(shelf / "toy.safetensors").as_module(), 0)
    assert all(torch.equal(adapter.state[key], value) for key, value in state.items())


def test_adapters_stack_on_their_base(shelf):
    base = load_networks(shelf / "toy.safetensors")
    paths = [shelf / f"{name}.safetensors" for name in ("toy", "one", "two")]
    both = load_networks("+".join(map(str, paths)))
    assert both.config.name == "toy+one+two"
    assert both.sha256 not in (base.sha256, load_networks(f"{paths[0]}+{paths[1]}").sha256)
    name = "encoder.temporal.0.attention.proj"
    expected = base.encoder.temporal[0].attention.proj.weight.clone()
    for path in paths[1:]:
        state = read_adapter(path).state
        expected += state[f"{name}.up"] @ state[f"{name}.down"]
    torch.testing.assert_close(both.encoder.temporal[0].attention.proj.weight, expected)


def test_an_adapter_of_another_base_is_refused(shelf, networks):
    other = shelf / "other.safetensors"
    save_networks(other, replace(networks, config=replace(networks.config, name="other")))
    with pytest.raises(Vid3dError, match=r"belongs to toy .* not to other"):
        load_networks(f"{other}+{shelf / 'one.safetensors'}")


def test_files_that_are_no_adapters_are_refused(shelf):
    base = shelf / "toy.safetensors"
    with pytest.raises(Vid3dError, match="is no adapter"):
        load_networks(f"{base}+{base}")
    with pytest.raises(Vid3dError, match="no such adapter: missing"):
        load_networks(f"{base}+missing.safetensors")
    (shelf / "text.safetensors").write_text("text")
    with pytest.raises(Vid3dError, match="cannot read adapter"):
        load_networks(f"{base}+{shelf / 'text.safetensors'}")


def test_names_with_a_plus_that_exist_are_names(tmp_path):
    plain, plus = tmp_path / "a", tmp_path / "a+b.safetensors"
    for path in (plain, plus):
        path.write_text("")
    assert split_adapters(str(plus)) == (str(plus), [])
    assert split_adapters(f"{plus}+{plain}+x") == (str(plus), [str(plain), "x"])
    assert split_adapters("vid3d-base+x") == ("vid3d-base", ["x"])
    assert find_model("vid3d-base").name == "vid3d-base"
    assert find_model(f"vid3d-base+{plus}").name == "vid3d-base"
