"""Parts of published systems against hand-worked numbers and small independent references."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from lifter_toys import looks, motion
from torch.nn import functional

from vid3d.data.batches import BatchOptions, Motions, make_batch
from vid3d.data.cameras import CameraRanges
from vid3d.data.noise import NoiseLevels
from vid3d.errors import Vid3dError
from vid3d.lifter.baselines import interpolate_looks
from vid3d.lifter.canonical import canonicalise
from vid3d.lifter.encoder import FeatureLayout, rotary
from vid3d.lifter.encoders import build_encoder
from vid3d.lifter.heads import build_head, head_config
from vid3d.lifter.process import (
    HeadConfig,
    clipped_cosine,
    ddim,
    diffusion_loss,
    hypothesis_noise,
    level_features,
)
from vid3d.lifter.published.denoiser import (
    CrossAttention,
    DenoiserConfig,
    PoseDenoiser,
    Stylisation,
)
from vid3d.lifter.published.gcn import GCNConfig, GraphConvolution, NoisePredictor, adjacency
from vid3d.lifter.published.looks import LooksConfig, as_h36m17, retargeting
from vid3d.lifter.published.mixste import MixSTEBody
from vid3d.lifter.published.prompts import PROMPTS, PromptEncoder
from vid3d.lifter.published.uplift import StridedBlock, UpliftConfig, UpliftUpsample, nearest_looks
from vid3d.lifter.windows import PLANS
from vid3d.skeleton import COCO17, H36M17

torch.set_num_threads(1)  # toy sizes: threads only wait for each other
SILENT = NoiseLevels(drift=0, jitter=0, outlier=0, swap=0, missing=0, limb=0, spread=0, look=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randomise(module, seed=0):
    """Weights that do something, where layers start at zero."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


# The process


def test_schedule_of_d3dp():
    """Cumulative products as D3DP states them: 1,000 steps, beta at most 0.999."""
    schedule = clipped_cosine(1000, 0.999)
    kept = [float(schedule(torch.tensor(step / 1000))[0] ** 2) for step in (0, 1, 500, 1000)]
    assert kept == pytest.approx([1.0, 0.99996, 0.494, 2.4e-9], rel=0.03, abs=1e-9)
    signal, noise = schedule(torch.tensor([0.2, 0.7]))
    torch.testing.assert_close(signal**2 + noise**2, torch.ones(2))


def test_schedule_of_diffhpe():
    """50 steps with betas of at most 0.5, which bites in the last three; a loop as reference."""

    def power(step):
        return math.cos((step / 50 + 0.008) / 1.008 * math.pi / 2) ** 2

    kept, clipped = [1.0], []
    for step in range(50):
        beta = 1 - power(step + 1) / power(step)
        clipped += [step] if beta > 0.5 else []
        kept.append(kept[-1] * (1 - min(beta, 0.5)))
    assert clipped == [47, 48, 49]
    signal, _ = clipped_cosine(50, 0.5)(torch.arange(51) / 50)
    np.testing.assert_allclose(signal**2, kept, atol=1e-6)
    assert kept[-1] == pytest.approx(1.1e-3, rel=0.05)


def test_ddim_with_eta_by_hand():
    """FinePOSE eq. 2 and 3, two steps of three numbers."""
    schedule = clipped_cosine(10, 0.5)
    start, x0 = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.1, 0.2, -0.4])
    extra = torch.tensor([1.0, -0.5, 0.25])
    (alpha, alpha_next) = (float(schedule(torch.tensor(v))[0]) ** 2 for v in (1.0, 0.5))
    sigma = math.sqrt((1 - alpha_next) / (1 - alpha)) * math.sqrt(1 - alpha / alpha_next)
    said = (start - math.sqrt(alpha) * x0) / math.sqrt(1 - alpha)
    expected = math.sqrt(alpha_next) * x0 + said * math.sqrt(1 - alpha_next - sigma**2)
    expected = expected + sigma * extra
    met = []

    def clean(y, level):
        met.append(y)
        return x0

    last = ddim(start, 2, schedule, clean, 1.0, lambda index: extra)
    torch.testing.assert_close(met[1], expected)
    torch.testing.assert_close(last, x0)


def test_eta_one_is_the_ancestral_sampler():
    """DiffHPE's step: mean (x - beta / sqrt(1 - abar) eps) / sqrt(1 - beta), posterior variance."""
    steps, schedule = 5, clipped_cosine(5, 0.5)
    kept = (schedule(torch.arange(6) / 5)[0] ** 2).double()
    noises = torch.randn(steps, 4, generator=generator()).double()

    def eps(x, step):
        return 0.3 * x + 0.1 * step

    config = GCNConfig(levels=5, bounded=False)
    met = []

    def clean(y, level):
        met.append(y)
        step = round(level * steps)
        return config.clean(eps(y, step), y, kept[step].sqrt(), (1 - kept[step]).sqrt())

    x = torch.randn(4, generator=generator(1)).double()
    last = ddim(x, steps, schedule, clean, 1.0, lambda index: noises[index])
    for index, step in enumerate(range(steps, 0, -1)):
        torch.testing.assert_close(met[index], x, atol=1e-5, rtol=1e-5)
        beta = 1 - kept[step] / kept[step - 1]
        mean = (x - beta / (1 - kept[step]).sqrt() * eps(x, step)) / (1 - beta).sqrt()
        variance = (1 - kept[step - 1]) / (1 - kept[step]) * beta
        x = mean + (variance.sqrt() * noises[index] if step > 1 else 0)
    torch.testing.assert_close(last, x, atol=1e-5, rtol=1e-5)


def test_fresh_noise_is_another_draw():
    first, second = (hypothesis_noise(1, 2, 2, 0, 20, draw) for draw in (0, 1))
    assert abs(float((first * second).mean())) < 0.1
    torch.testing.assert_close(hypothesis_noise(1, 2, 2, 5, 3, 1), second[:, 5:8])


class _Oracle(torch.nn.Module):
    """Says what it is told to say, and keeps what it was asked."""

    def __init__(self, config, said):
        super().__init__()
        self.config, self.said, self.schedule = config, said, config.make_schedule()

    def forward(self, noisy, level, condition, times, valid, action=None):
        self.noisy, self.level = noisy, level
        return self.said if isinstance(self.said, torch.Tensor) else self.said(noisy, level)


def test_loss_of_d3dp_is_the_distance():
    config = DenoiserConfig()
    target = torch.zeros(2, 3, 48)
    said = torch.zeros(2, 3, 16, 3)
    said[..., 0], said[..., 1] = 0.3, 0.4
    head = _Oracle(config, said.flatten(2))
    valid = torch.ones(2, 3, dtype=torch.bool)
    loss = diffusion_loss(head, target, target, valid.float(), valid, generator())
    assert float(loss) == pytest.approx(0.5)
    assert head.noisy.abs().max() <= 1.1
    steps = head.level * 1000
    torch.testing.assert_close(steps, steps.round())


def test_noise_is_what_diffhpe_learns():
    config = GCNConfig(levels=50)
    target = torch.full((4, 3, 48), 0.5)

    def noise(noisy, level):
        signal, share = (w[:, None, None] for w in head.schedule(level))
        return (noisy - signal * 0.5) / share

    head = _Oracle(config, noise)
    valid = torch.ones(4, 3, dtype=torch.bool)
    loss = diffusion_loss(head, target, target, valid.float(), valid, generator())
    assert float(loss) < 1e-6


def test_velocity_is_what_takes_noise_to_the_pose():
    """v = a e - s x of y = a x + s e; a network that knows it is without loss, and says x."""
    config = GCNConfig(levels=50, predicts="velocity", bounded=False)
    target = torch.full((4, 3, 48), 0.5)

    def velocity(noisy, level):
        signal, share = (w[:, None, None] for w in head.schedule(level))
        return signal * (noisy - signal * 0.5) / share - share * 0.5

    head = _Oracle(config, velocity)
    valid = torch.ones(4, 3, dtype=torch.bool)
    loss = diffusion_loss(head, target, target, valid.float(), valid, generator())
    assert float(loss) < 1e-6
    clean, noise = torch.randn(2, 7, generator=generator()).unbind()
    signal, share = torch.tensor(0.6), torch.tensor(0.8)
    told = config.clean(
        signal * noise - share * clean, signal * clean + share * noise, signal, share
    )
    torch.testing.assert_close(told, clean)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "sigmoid"}, "schedule is"),
        ({"predicts": "score"}, "predicts is"),
        ({"schedule": "clipped cosine"}, "needs levels"),
        ({"levels": 10}, "needs levels"),
        ({"predicts": "noise"}, "predicts noise"),
        ({"schedule": "linear", "eta": 1.0}, "keeps the variance"),
        ({"schedule": "linear", "predicts": "velocity"}, "keeps the variance"),
        ({"every": 0}, "every is"),
    ],
)
def test_settings_that_exclude_each_other(fields, message):
    with pytest.raises(Vid3dError, match=message):
        HeadConfig(**fields)


def test_kinds_of_heads():
    for kind in ("vid3d", "mixste", "gcn"):
        config = head_config({"kind": kind, "width": 16, "blocks": 1})
        assert head_config(vars(config)) == config
    assert head_config({"width": 16}).residual
    with pytest.raises(Vid3dError, match="expected one of vid3d, mixste, gcn"):
        head_config({"kind": "unet"})
    with pytest.raises(Vid3dError, match="expected one of none, manual"):
        head_config({"kind": "mixste", "prompt": "long"})


# Features


def test_features_by_joint():
    features = torch.arange(17 * 2 + 3.0)[None]
    by_joint = FeatureLayout(2, 3).by_joint(features)
    assert by_joint.shape == (1, 17, 5)
    assert by_joint[0, 4].tolist() == [8, 9, 34, 35, 36]


def test_coco_looks_become_h36m17():
    weights = retargeting()
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 17))
    joints = torch.zeros(1, 1, 17, 4)
    joints[..., :2] = torch.arange(34.0).view(17, 2)
    joints[..., 2] = 0.9
    hips = COCO17.indices(["left_hip", "right_hip"])
    hidden = joints.clone()
    hidden[:, :, hips[0]] = torch.tensor([0, 0, 0, 1.0])
    both, one = (as_h36m17(each, weights[1:])[0, 0] for each in (joints, hidden))
    assert both[0].tolist() == pytest.approx([*joints[0, 0, hips, :2].mean(0).tolist(), 0.9, 0])
    # One hip is hidden: the pelvis is where the other one is, and half missing.
    assert one[0].tolist() == pytest.approx([*joints[0, 0, hips[1], :2].tolist(), 0.45, 0.5])
    assert one[H36M17.index("left_hip")].tolist() == [0, 0, 0, 1]
    torch.testing.assert_close(as_h36m17(joints, weights[:1]), joints)


# MixSTE


def test_mixste_against_a_loop():
    """Every moment and joint on its own, norms that all depths share."""
    body = randomise(MixSTEBody(8, 2, 2, 2))
    times = torch.tensor([[0.0, 0.1, 0.3], [0.0, 0.2, 0.4]])
    x = torch.randn(2, 3, 17, 8, generator=generator())
    expected = x.clone()
    for spatial, temporal in zip(body.spatial, body.temporal, strict=True):
        for b in range(2):
            for g in range(3):
                expected[b, g] = body.spatial_norm(spatial(expected[b, g][None]))[0]
            for j in range(17):
                one = temporal(expected[b, :, j][None], None, rotary(times[b : b + 1], 4))
                expected[b, :, j] = body.temporal_norm(one)[0]
    torch.testing.assert_close(body(x, times), body.norm(expected), atol=1e-5, rtol=1e-4)
    valid = torch.tensor([[True, True, False], [True, True, True]])
    changed = x.clone()
    changed[0, 2] += 1
    torch.testing.assert_close(body(x, times, valid)[0, :2], body(changed, times, valid)[0, :2])


# Uplift and Upsample


@pytest.mark.parametrize(
    ("moments", "strides", "paddings", "lengths"),
    [(71, (3, 10, 3), (0, 0, 0), [71, 23, 3, 1]), (41, (4, 4, 3), (1, 0, 0), [41, 11, 3, 1])],
)
def test_strided_residual_keeps_the_middle(moments, strides, paddings, lengths):
    config = UpliftConfig(moments=moments, strides=strides, paddings=paddings)
    assert config.lengths == lengths
    x = torch.arange(moments).float()[None, :, None].expand(1, -1, 4).clone()
    for length, stride, padding in zip(lengths, strides, paddings, strict=False):
        block = StridedBlock(length, 4, 2, 2, stride, padding)
        for parameter in block.parameters():
            torch.nn.init.zeros_(parameter)  # the residual alone
        x = block(x)
    assert x.flatten().tolist() == [moments // 2] * 4


def test_strides_that_do_not_end_at_one():
    with pytest.raises(Vid3dError, match=r"do not take 60 moments to one: \[60, 20, 2, 0\]"):
        UpliftConfig(moments=60)


def test_strided_block_against_a_loop():
    block = randomise(StridedBlock(8, 4, 2, 2, 3, 1))
    x = torch.randn(1, 8, 4, generator=generator())
    y = x + block.position
    y = y + block.attention(block.norm1(y))
    # 8 tokens, padding 1, stride 3: windows begin at -1 and 2 and 5 (8 + 2 - 3 = 7, 1 over).
    hidden = functional.relu(block.widen(block.norm2(y)))[0]
    rows = []
    for centre in (0, 3, 6):
        value = block.convolve.bias.clone()
        for tap in range(3):
            if 0 <= centre + tap - 1 < 7:  # the last token is what is left over
                value = value + block.convolve.weight[:, :, tap] @ hidden[centre + tap - 1]
        rows.append(y[0, centre] + value)
    torch.testing.assert_close(block(x)[0], torch.stack(rows), atol=1e-5, rtol=1e-4)


def toy_uplift():
    config = UpliftConfig(moments=9, joint_width=8, spatial_blocks=1, width=16, blocks=2,
                          strides=(3, 3), paddings=(0, 0), heads=2)  # fmt: skip
    return randomise(UpliftUpsample(config))


AT = torch.arange(9)[None].expand(4, -1) * 0.08


def test_looks_go_to_their_nearest_moment():
    seen = replace(looks(), times=looks().times.clone())
    seen.times[1] = torch.tensor([0.01, 0.16, 0.19, 0.41, 9.0])
    chosen, real = nearest_looks(seen, AT)
    assert real[1].nonzero().flatten().tolist() == [0, 2, 5]
    assert chosen[1, [0, 2, 5]].tolist() == [0, 1, 3]  # of two looks at 0.16 s the nearer one
    assert real[0].nonzero().flatten().tolist() == [0, 2, 4, 6]  # the last look is padding
    seen.times[1] = 5.0
    assert nearest_looks(seen, AT)[1][1].nonzero().flatten().tolist() == [8]
    seen.valid[1] = False
    assert not nearest_looks(seen, AT)[1][1].any()


def test_deferred_attention_asks_looks_only():
    """The first block with a mask, against the same block whose keys are the looks' tokens."""
    encoder, seen = toy_uplift(), looks()
    kept = {}
    block = encoder.temporal[0].block
    real_forward = block.forward

    def spy(x, mask=None):
        kept["x"], kept["mask"] = x, mask
        kept["y"] = real_forward(x, mask)
        return kept["y"]

    block.forward = spy
    valid = torch.ones(AT.shape, dtype=torch.bool)
    encoder(canonicalise(seen), seen, AT, valid)
    assert kept["mask"][1, 0, 0].tolist() == [True, False] * 4 + [True]
    x, attention = kept["x"], block.attention
    q, k, v = attention.qkv(block.norm1(x)).unflatten(-1, (3, 2, 8)).unbind(2)
    heard = []
    for head in range(2):
        keys, values = k[1, ::2, head], v[1, ::2, head]
        scores = (q[1, :, head] @ keys.T / math.sqrt(8)).softmax(-1)
        heard.append(scores @ values)
    y = x[1] + attention.proj(torch.cat(heard, -1))
    torch.testing.assert_close(kept["y"][1], y + block.mlp(block.norm2(y)), atol=1e-4, rtol=1e-4)


def test_spatial_transformer_runs_on_looks_alone():
    encoder, seen = toy_uplift(), looks()
    rows = []
    encoder.spatial[0].register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    encoder(canonicalise(seen), seen, AT, torch.ones(AT.shape, dtype=torch.bool))
    assert rows == [4 + 5 + 5 + 5]  # of 36 moments


def test_middle_is_refined():
    encoder, seen = toy_uplift(), looks()
    encoded = encoder(canonicalise(seen), seen, AT, torch.ones(AT.shape, dtype=torch.bool))
    refined = encoded.refined()
    torch.testing.assert_close(refined.joints[:, 4:5], encoded.centre.joints)
    torch.testing.assert_close(refined.joints[:, :4], encoded.joints[:, :4])
    assert not torch.allclose(encoded.joints[:, 4:5], encoded.centre.joints)
    with pytest.raises(Vid3dError, match="windows of 5 moments"):
        encoder(canonicalise(seen), seen, AT[:, :5], torch.ones(4, 5, dtype=torch.bool))


@pytest.mark.parametrize("end", [0.0, 0.3, 2.0])
def test_a_window_around_every_moment(end):
    windows = PLANS["centred"](0.0, end, 0.1, 9, 1)
    assert windows.length == 9
    assert windows.times[-1] >= end - 1e-9
    total = np.zeros(windows.count)
    for start, weights in zip(windows.starts, windows.weights, strict=True):
        total[start : start + 9] += weights
    np.testing.assert_array_equal(total, 1)
    if len(windows.starts) > 2:
        assert windows.weights[1].nonzero()[0].tolist() == [4]


def test_windows_are_never_shorter():
    assert PLANS["whole"](0.0, 0.1, 0.02, 27, 1).length == 27
    assert PLANS["blended"](0.0, 0.1, 0.02, 27, 1).length == 6


# Batches


def toy_motions():
    return Motions([motion(300), replace(motion(300, seed=1), description="jumps")])


def test_twins_are_mirror_images():
    batch = make_batch(toy_motions(), 6, BatchOptions(twins=True), generator())
    assert len(batch.joints) == 6
    order = H36M17.flip
    torch.testing.assert_close(
        batch.joints[3:, :, order] * torch.tensor([-1.0, 1, 1]), batch.joints[:3]
    )
    torch.testing.assert_close(batch.contacts[3:].flip(-1), batch.contacts[:3])
    torch.testing.assert_close(batch.looks.mirrored().rays[:3], batch.looks.rays[3:])
    assert batch.action.tolist()[:3] == batch.action.tolist()[3:]


def test_aligned_looks_are_at_moments():
    options = BatchOptions(grid=0.1, seconds=2.0, strides=(5, 10, 20), aligned=True, short=0,
                           irregular=0)  # fmt: skip
    shifts = set()
    for seed in range(6):
        batch = make_batch(toy_motions(), 8, options, generator(seed))
        steps = batch.looks.times[batch.looks.valid] / 0.1
        torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
        first = torch.where(batch.looks.valid, batch.looks.times, torch.inf).amin(1)
        shifts |= set(first.div(0.1).round().int().tolist())
    assert len(shifts) > 1  # shifts of the looks within a stride


def test_occlusions_hide_keypoints():
    plain = make_batch(toy_motions(), 16, BatchOptions(strides=(2,), focal=0), generator())
    options = BatchOptions(strides=(2,), focal=0, occlusions=("leg",))
    hidden = make_batch(toy_motions(), 16, options, generator())
    torch.testing.assert_close(hidden.looks.rays, plain.looks.rays)
    gone = (plain.looks.confidence > 0) & (hidden.looks.confidence == 0)
    rows = plain.looks.joint_set == 0
    legs = H36M17.indices(["right_hip", "right_knee", "right_ankle"])
    assert gone[rows][..., legs].any()
    assert not gone[rows][..., [j for j in range(17) if j not in legs]].any()


def test_screen_normalised_windows():
    """Whatever was the lens: what is seen lies in -1..1, and is where 90 degrees would show it."""
    plain, screen = (
        make_batch(
            toy_motions(), 16,
            BatchOptions(focal=0, screen=screen, noise=SILENT, camera=CameraRanges(truncated=0)),
            generator(),
        )
        for screen in (False, True)
    )  # fmt: skip
    depth = plain.joints[:, :, 0, 2] / screen.joints[:, :, 0, 2]
    half = depth[:, :1].reciprocal()  # width of the picture, as a slope
    torch.testing.assert_close(depth, half.reciprocal().expand_as(depth), rtol=1e-3, atol=0)
    assert 0.1 < half.min() < half.max() < 1
    rays = plain.looks.rays / half[..., None, None]
    torch.testing.assert_close(screen.looks.rays, rays, rtol=1e-3, atol=1e-4)
    seen = screen.looks.confidence > 0
    assert screen.looks.rays[seen][:, 0].abs().max() <= 1.01
    root = screen.joints[:, :, 0, :2] / screen.joints[:, :, 0, 2:]
    before = plain.joints[:, :, 0, :2] / plain.joints[:, :, 0, 2:]
    torch.testing.assert_close(root, before / half[..., None], rtol=1e-3, atol=1e-4)


def test_actions_by_name():
    motions = toy_motions()
    assert motions.actions == ["jumps", "walks"]
    other = Motions([motion(), replace(motion(), description="sings")], motions.actions)
    assert other.action.tolist() == [1, -1]


# Graph convolutions


def test_graph_convolution_against_a_loop():
    layer = randomise(GraphConvolution(3))
    own, told = (matrices.view(17, 3, 3) for matrices in (layer.own, layer.told))
    x = torch.randn(2, 17, 3, generator=generator())
    neighbours = {joint: [joint] for joint in range(17)}
    for parent, child in H36M17.bones:
        neighbours[parent].append(child)
        neighbours[child].append(parent)
    expected = torch.zeros(2, 17, 3)
    for i, around in neighbours.items():
        for j in around:
            weight = own[i] if i == j else told[j]
            expected[:, i] += x[:, j] @ weight / len(around)
    torch.testing.assert_close(layer(x), expected + layer.bias)
    assert adjacency()[0].nonzero().flatten().tolist() == [0, 1, 4, 7]


def toy_gcn():
    config = GCNConfig(width=8, blocks=2, frames=5)
    return randomise(NoisePredictor(config, FeatureLayout(2, 3)))


def test_noise_predictor_blocks_are_gated():
    head = toy_gcn()
    layer = head.layers[0]
    x, level = torch.randn(2, 5, 17, 8, generator=generator()), torch.zeros(2, 16)
    following, skip = layer(x, level)
    torch.nn.init.zeros_(layer.out.weight)
    torch.nn.init.zeros_(layer.out.bias)
    closed, none = layer(x, level)
    torch.testing.assert_close(closed, x / math.sqrt(2))
    assert (none == 0).all()
    assert not torch.allclose(following, closed)
    assert not torch.allclose(skip, none)


def test_time_graph_reaches_all_moments_and_neighbours():
    """Two layers without the non-local block: what one joint of one moment reaches."""
    head = toy_gcn()
    for layer in head.layers:
        torch.nn.init.zeros_(layer.nonlocal_block.out.weight)
        torch.nn.init.zeros_(layer.nonlocal_block.out.bias)
    condition = torch.randn(1, 5, 17 * 2 + 3, generator=generator())
    times = torch.arange(5.0)[None]
    noisy = torch.randn(1, 5, 48, generator=generator(1))
    changed = noisy.clone()
    wrist = H36M17.index("left_wrist") - 1
    changed[0, 2, 3 * wrist : 3 * wrist + 3] += 1
    valid = times > -1
    level = torch.tensor([0.3])
    moved = [head(each, level, condition, times, valid) for each in (noisy, changed)]
    far = (moved[0] - moved[1]).unflatten(-1, (16, 3)).abs().amax((0, 3)) > 0
    assert far[[0, 1, 3, 4], wrist].any()
    assert not far[:, H36M17.index("right_ankle") - 1].any()
    with pytest.raises(Vid3dError, match="windows of 4 moments"):
        head(noisy[:, :4], level, condition[:, :4], times[:, :4], valid[:, :4])


def test_features_of_a_frozen_encoder_are_standardised():
    """What is the same in all poses is taken off, and what is left counts the same."""
    head = NoisePredictor(replace(toy_gcn().config, standardised=True), FeatureLayout(2, 3))
    plain = NoisePredictor(toy_gcn().config, FeatureLayout(2, 3))
    plain.load_state_dict(head.state_dict(), strict=False)
    features = 5 + torch.randn(4, 5, 37, generator=generator()) * torch.linspace(0.1, 3, 37)
    rows = features.flatten(0, 1)
    expected = ((rows - rows.mean(0)) / rows.std(0, unbiased=False)).view_as(features)
    torch.testing.assert_close(
        head.train().condition_in(features), plain.condition_in(expected), rtol=1e-3, atol=1e-3
    )
    for _ in range(200):
        head.condition_in(features)
    torch.testing.assert_close(
        head.eval().condition_in(features), plain.condition_in(expected), rtol=0.05, atol=0.05
    )


def test_levels_are_told_apart():
    features = level_features(torch.tensor([0.0, 0.02, 0.5]), 16)
    assert features[0].tolist() == [0.0] * 8 + [1.0] * 8
    assert features[1, 0].item() == pytest.approx(math.sin(20), abs=1e-4)
    assert features[2, 7].item() == pytest.approx(math.sin(500 / 10_000), abs=1e-5)


# FinePOSE


def test_segments_fill_77_positions():
    assert [s.length for s in PROMPTS["full"]] == [7, 12, 10, 10, 10, 14, 14]
    assert sum(s.length for s in PROMPTS["full"]) == 77
    assert all(s.words == 4 for s in PROMPTS["full"])


def toy_prompts(design="full", dropped=0.0):
    prompts = PromptEncoder(design, ["kick", "walk"], 6, 8, 1, 2, dropped)
    if prompts.reads:
        prompts.learn_texts(lambda texts, count: torch.stack(
            [torch.full((count, 6), float(len(text))) for text in texts]))  # fmt: skip
    return prompts


@pytest.mark.parametrize("design", [name for name in PROMPTS if name != "none"])
def test_prompts_learn_and_keep_their_text(design):
    prompts = toy_prompts(design)
    before = prompts.phrases.clone()
    tokens, summary = prompts(torch.tensor([0, 1, -1, 1]))
    assert tokens.shape == (4, sum(s.length for s in PROMPTS[design]), 8)
    torch.testing.assert_close(tokens[1], tokens[3])
    if design != "learned":
        assert not torch.allclose(tokens[0], tokens[2])
    (tokens.square().sum() + summary.square().sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in prompts.modifiers.values())
    torch.testing.assert_close(prompts.phrases, before)


def test_rows_of_a_prompt():
    """Modifiers before words, in the order of the segments."""
    prompts = toy_prompts()
    row = prompts._rows(torch.tensor([1]))[0]
    torch.testing.assert_close(row[:3], prompts.modifiers["0"])
    assert (row[3:7] == len("person")).all()
    torch.testing.assert_close(row[7:15], prompts.modifiers["1"])
    assert (row[15:19] == len("walk")).all()
    assert (row[73:] == len("legs")).all()
    torch.testing.assert_close(prompts._rows(torch.tensor([-1]))[0, 15:19], prompts.unknown[0])


def test_actions_are_forgotten_in_training_only():
    prompts = toy_prompts(dropped=1.0)
    action, unknown = torch.tensor([0, 1]), torch.tensor([-1, -1])
    torch.testing.assert_close(prompts.train()(action)[0], prompts(unknown)[0])
    assert not torch.allclose(prompts.eval()(action)[0], prompts(unknown)[0])


def test_an_action_that_was_never_met():
    prompts = toy_prompts()
    assert prompts.find_action("walk", lambda: pytest.fail("known")) == 1
    loaded = []

    def load():
        loaded.append(1)
        return lambda texts, count: torch.ones(len(texts), count, 6)

    assert [prompts.find_action("kicking a ball", load) for _ in range(2)] == [2, 2]
    assert loaded == [1]
    torch.testing.assert_close(prompts._rows(torch.tensor([2]))[0, 15:19], torch.ones(4, 6))
    torch.testing.assert_close(prompts._rows(torch.tensor([-1]))[0, 15:19], prompts.unknown[0])


def test_queries_hear_their_own_prompt():
    """Cross-attention sample by sample, token by token."""
    attention = randomise(CrossAttention(4, 2))
    x = torch.randn(3, 5, 4, generator=generator())
    told = torch.randn(3, 7, 4, generator=generator(1))
    k, v = attention.key_value(told).chunk(2, -1)
    expected = torch.zeros(3, 5, 4)
    for b in range(3):
        for t in range(5):
            q = attention.query(x[b, t])
            for head in (slice(0, 2), slice(2, 4)):
                scores = torch.stack([q[head] @ k[b, n, head] for n in range(7)]) / math.sqrt(2)
                expected[b, t, head] = (scores.softmax(0)[:, None] * v[b, :, head]).sum(0)
    torch.testing.assert_close(attention(x, told), attention.proj(expected))


def test_stylisation_by_hand():
    block = Stylisation(2)
    x, style = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[0.5, -1.0]])
    assert (block(x, style) == 0).all()  # nothing at first
    torch.nn.init.eye_(block.out.weight)
    scale, shift = block.style[1](functional.silu(style)).chunk(2, -1)
    normal = torch.tensor([-1.0, 1.0])  # of 1 and 3
    expected = functional.silu(normal * (1 + scale) + shift)
    torch.testing.assert_close(block(x, style)[0], expected, atol=1e-4, rtol=1e-4)


def toy_denoiser(prompt):
    config = DenoiserConfig(width=16, blocks=2, heads=2, prompt=prompt, actions=("kick", "walk"),
                            text_width=6, prompt_blocks=1)  # fmt: skip
    head = randomise(build_head(config, FeatureLayout(4, 11)))
    if head.prompts is not None:
        head.prompts.learn_texts(lambda texts, count: torch.stack(
            [torch.full((count, 6), float(ord(text[0]))) / 100 for text in texts]))  # fmt: skip
    return head


def ask(head, action=None, count=3):
    noisy = torch.randn(count, 6, 48, generator=generator())
    condition = torch.randn(count, 6, 17 * 4 + 11, generator=generator(1))
    times = torch.arange(6).expand(count, -1) * 0.02
    valid = torch.ones(count, 6, dtype=torch.bool)
    return head(noisy, torch.full((count,), 0.4), condition, times, valid, action)


def test_a_batch_of_actions_does_not_mix():
    head = toy_denoiser("full")
    actions = torch.tensor([0, 1, -1])
    together = ask(head, actions)
    assert together.shape == (3, 6, 48)
    for row in range(3):
        one = ask(head, actions[row].expand(3))
        torch.testing.assert_close(one[row], together[row], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(ask(head, torch.tensor([1, 1, -1]))[0], together[0])
    torch.testing.assert_close(ask(head)[2], together[2])


def test_without_a_prompt_finepose_is_d3dp():
    """The same weights; the prompt's output layer and summary switched off."""
    fine, plain = toy_denoiser("full"), toy_denoiser("none")
    for layer in (fine.stylisation.out, fine.prompts.summary):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    fine.load_state_dict(plain.state_dict(), strict=False)
    assert isinstance(plain, PoseDenoiser)
    torch.testing.assert_close(ask(fine, torch.tensor([0, 1, -1])), ask(plain))


def test_features_are_looks_at_moments():
    seen = looks()
    encoder = build_encoder(LooksConfig(width=8))
    encoded = encoder(canonicalise(seen), seen, AT, torch.ones(AT.shape, dtype=torch.bool))
    layout = encoder.config.layout
    assert encoded.features.shape[-1] == layout.width
    by_joint = layout.by_joint(encoded.features)
    sequence = interpolate_looks(canonicalise(seen), seen, AT)
    scaled = sequence.joints[0] * torch.tensor([6.0, 6, 1, 1])
    torch.testing.assert_close(by_joint[0, ..., :4], scaled)  # h36m17 as it is
    assert by_joint[:, 0, 0, -1].tolist() == [0, 1, 0, 1]  # the joint set


# Learning


@pytest.mark.parametrize(
    "config",
    [
        DenoiserConfig(width=16, blocks=1, heads=2),
        GCNConfig(width=48, blocks=1, frames=2, dropout=0.0, levels=10),
    ],
    ids=["d3dp", "diffhpe"],
)
def test_what_was_learnt_is_drawn(config):
    """Two poses, told apart by the condition: samples of a trained head are the right one."""
    torch.manual_seed(0)
    head = build_head(config, FeatureLayout(2, 1)).train()
    poses = (2 * torch.rand(2, 1, 48) - 1).expand(-1, 2, -1)
    condition = torch.zeros(2, 2, 35)
    condition[1] = 1
    times, valid = (torch.arange(2) * 0.02).expand(32, -1), torch.ones(32, 2, dtype=torch.bool)
    rows = torch.arange(32) % 2
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1, 2 - step / 100)
        optimizer.zero_grad()
        loss = diffusion_loss(
            head, poses[rows], condition[rows], times, valid, generator(step), None
        )
        loss.backward()
        optimizer.step()
    head.eval()
    noise = torch.randn(32, 2, 48, generator=generator(1))

    def clean(noisy, level):
        levels = torch.full((32,), level)
        with torch.no_grad():
            said = head(config.bound(noisy), levels, condition[rows], times, valid)
        return config.clean(said, noisy, *head.schedule(torch.tensor(level)))

    fresh = torch.randn(10, 32, 2, 48, generator=generator(2))
    drawn = ddim(noise, 10, head.schedule, clean, config.eta, lambda index: fresh[index])
    error = (drawn - poses[rows]).unflatten(-1, (16, 3)).norm(dim=-1).mean()
    apart = (poses[0] - poses[1]).unflatten(-1, (16, 3)).norm(dim=-1).mean()
    assert error < 0.5 * apart
