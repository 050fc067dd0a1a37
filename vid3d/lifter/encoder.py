"""The encoder: looks in, a dense window of 3D out, in one pass.

Features:
- spatial attention over the 17 joints, on looks only (never on empty tokens);
- looks and output moments are one sequence of tokens with times in seconds (rotary, RoFormer,
  Su et al. 2021, with seconds in place of positions), so any stride and irregular looks are one
  case; output moments begin as a learned upsampling token plus the interpolated looks;
- deferred attention (Uplift and Upsample, Einfalt et al. 2023): in the first temporal block all
  tokens attend to looks only;
- sequence to sequence: every output moment of the window from one pass;
- it says how far off it expects to be, the unit in which the diffusion head thinks;
- a window without looks is answered too (trained by leaving all looks out of some windows), so that
  the head can also draw motion from nothing;
- a slot for prompt tokens: whatever is known besides the looks (FinePOSE, Xu et al. 2024) joins as
  tokens to attend to; where nothing is, a learned token says so.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.given import unfit, whole_number
from vid3d.lifter.canonical import (
    JOINT_FEATURES,
    JOINT_SETS,
    LOOK_FEATURES,
    Canonical,
    Looks,
    interpolation,
)


@dataclass(frozen=True)
class FeatureLayout:
    """What the features of an encoder (..., 17 * per_joint + shared) are made of.

    Attributes:
        per_joint: features of every h36m17 joint, joint after joint.
        shared: features of the whole moment, after those.
    """

    per_joint: int
    shared: int

    @property
    def width(self) -> int:
        """All features of a moment."""
        return 17 * self.per_joint + self.shared

    def by_joint(self, features: Tensor) -> Tensor:
        """Features (..., 17, per_joint + shared), those of the moment at every joint."""
        own, shared = features.split([17 * self.per_joint, self.shared], -1)
        shared = shared[..., None, :].expand(*shared.shape[:-1], 17, -1)
        return torch.cat([own.unflatten(-1, (17, self.per_joint)), shared], -1)


_SPATIAL_HEADS = 4


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of the encoder.

    Attributes:
        joint_width: of a joint's token in the spatial blocks, which have four heads.
        spatial_blocks: how many.
        width: of a moment's token in the temporal blocks.
        blocks: temporal blocks, the first one deferred.
        heads: attention heads of a temporal block.
        ratio: hidden width of an MLP over its token's width.
        prompt_width: of the features of a prompt token.
    """

    joint_width: int = 40
    spatial_blocks: int = 2
    width: int = 256
    blocks: int = 4
    heads: int = 8
    ratio: int = 2
    prompt_width: int = 384

    def __post_init__(self) -> None:
        if whole_number("joint_width", self.joint_width, 1) % _SPATIAL_HEADS:
            raise unfit("joint_width", self.joint_width, f"a multiple of {_SPATIAL_HEADS}")

    @property
    def layout(self) -> FeatureLayout:
        """Of the features."""
        return FeatureLayout(0, self.width)


@dataclass(frozen=True)
class Encoded:
    """What the encoder says about G output moments, canonical frame.

    Attributes:
        features: (B, G, C), the condition of the diffusion head, as the config's `layout` says.
        joints: (B, G, 17, 3) h36m17 relative to the pelvis, metres.
        coco: (B, G, 17, 3) coco17 keypoints relative to the pelvis, metres.
        root: (B, G, 3) root's slopes x/z and y/z in scales, log of depth times scale.
        contacts: (B, G, 2) logits, left and right foot.
        deviation: (B, G, 17, 3) metres, expected deviation of `joints` from the truth.
        centre: a second answer (G = 1), about the middle moment, of encoders that refine it.
    """

    features: Tensor
    joints: Tensor
    coco: Tensor
    root: Tensor
    contacts: Tensor
    deviation: Tensor
    centre: "Encoded | None" = None

    def refined(self) -> "Encoded":
        """The answer with the second one in its middle, if there is one."""
        if self.centre is None:
            return self
        middle = self.joints.shape[1] // 2
        names = ("features", "joints", "coco", "root", "contacts", "deviation")
        parts: dict[str, Any] = {
            name: torch.cat([each[:, :middle], second, each[:, middle + 1 :]], 1)
            for name in names
            for each, second in [(getattr(self, name), getattr(self.centre, name))]
        }
        return Encoded(**parts)


USUAL_DEVIATION = 0.05
"""Metres; where the prediction of deviations starts."""


def rotary(times: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (B, T, 1, width / 2) of times (B, T) in seconds; periods 0.16 to 20 s."""
    periods = torch.logspace(-0.8, 1.3, width // 2, device=times.device)
    angles = 2 * torch.pi * times[:, :, None, None] / periods
    return angles.cos(), angles.sin()


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


class Attention(nn.Module):
    """Multi-head self-attention with optional rotary times."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Tensor, mask: Tensor | None = None, turn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Attend over x (B, T, C); mask (B, 1, 1, T) bool, True for keys that count."""
        queries_keys, values = (
            self.qkv(x).unflatten(-1, (3 * self.heads, -1)).split([2 * self.heads, self.heads], 2)
        )
        if turn is not None:
            queries_keys = _turn(queries_keys, *turn)
        q, k = queries_keys.transpose(1, 2).chunk(2, 1)
        y = functional.scaled_dot_product_attention(q, k, values.transpose(1, 2), attn_mask=mask)
        return self.proj(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )

    def forward(
        self, x: Tensor, mask: Tensor | None = None, turn: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """One block over tokens (B, T, C)."""
        x = x + self.attention(self.norm1(x), mask, turn)
        return x + self.mlp(self.norm2(x))


HEADS = 3 * 51 + 3 + 2
"""Numbers that heads say of a moment: joints, coco, deviation, root, contacts."""


def read_heads(head: nn.Module, features: Tensor) -> Encoded:
    """The answer in features (B, G, width), by a head that maps them to `HEADS` numbers.

    In full precision: in eight bits a metre is known to some millimetres.
    """
    with full_precision(features):
        features = features.float()
        parts = head(features).split([51, 51, 51, 3, 2], -1)
    joints, coco, deviation = (part.unflatten(-1, (17, 3)) for part in parts[:3])
    return Encoded(
        features=features,
        joints=joints - joints[:, :, :1],
        coco=coco,
        root=parts[3] + features.new_tensor([0.0, 0.0, -0.8]),
        contacts=parts[4],
        deviation=USUAL_DEVIATION * torch.exp(deviation.clamp(-3, 3)),
    )


def full_precision(x: Tensor) -> AbstractContextManager[None]:
    """Whatever autocast says, for what handles coordinates."""
    context: AbstractContextManager[None] = torch.autocast(x.device.type, enabled=False)
    return context


class Encoder(nn.Module):
    """From canonical looks to features and 3D at every output moment."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        joint, width = config.joint_width, config.width
        self.joint_in = nn.Linear(JOINT_FEATURES, joint)
        self.joint_embedding = nn.Parameter(torch.zeros(len(JOINT_SETS), 17, joint))
        self.spatial = nn.ModuleList(
            Block(joint, _SPATIAL_HEADS, config.ratio) for _ in range(config.spatial_blocks)
        )
        self.look_in = nn.Linear(17 * joint + LOOK_FEATURES, width)
        self.moment = nn.Parameter(torch.zeros(width))
        self.gap_in = nn.Linear(4, width)
        self.temporal = nn.ModuleList(
            Block(width, config.heads, config.ratio) for _ in range(config.blocks)
        )
        self.prompt_in = nn.Linear(config.prompt_width, width)
        self.no_prompt = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, HEADS)
        self._initialise()

    def _initialise(self) -> None:
        """Linear layers truncated normal 0.02 with zero bias, embeddings normal 0.02."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.joint_in.weight)
        nn.init.xavier_uniform_(self.look_in.weight)
        for embedding in (self.joint_embedding, self.moment, self.no_prompt):
            nn.init.normal_(embedding, std=0.02)

    def forward(
        self,
        canonical: Canonical,
        looks: Looks,
        at: Tensor,
        valid: Tensor,
        prompts: Tensor | None = None,
    ) -> Encoded:
        """Encode windows of looks for moments, in the precision that autocast says.

        Args:
            canonical: of the looks.
            looks: (B, K) of them.
            at: (B, G) seconds of the moments.
            valid: (B, G) bool, moments that count.
            prompts: (B, N, prompt_width) features of prompt tokens; None where nothing is known.
        """
        seen = self._embed_looks(canonical, looks)
        weights, gaps = interpolation(looks.times, looks.valid, at)
        between = torch.cat([gaps, torch.exp(-4 * gaps)], -1)
        moments = weights @ seen + self.moment + self.gap_in(between)
        told = self._embed_prompts(prompts, len(seen))
        x = torch.cat([told, seen, moments], 1)
        middle = at.mean(1, keepdim=True).expand(-1, told.shape[1])
        times = torch.cat([middle, looks.times, at], 1)
        turn = rotary(times, x.shape[-1] // self.config.heads)
        always = torch.ones_like(middle, dtype=torch.bool)
        keys = torch.cat([always, looks.valid, valid], 1)[:, None, None]
        deferred = torch.cat([always, looks.valid, torch.zeros_like(valid)], 1)[:, None, None]
        for index, block in enumerate(self.temporal):
            x = block(x, deferred if index == 0 else keys, turn)
        return read_heads(self.head, self.norm(x[:, -at.shape[1] :]))

    def _embed_prompts(self, prompts: Tensor | None, batch: int) -> Tensor:
        """Prompt tokens (B, N, width)."""
        if prompts is None:
            return self.no_prompt.expand(batch, 1, -1)
        return self.prompt_in(prompts).float()

    def _embed_looks(self, canonical: Canonical, looks: Looks) -> Tensor:
        """Tokens (B, K, width); spatial attention runs on valid looks only."""
        with full_precision(canonical.joints):
            x = self.joint_in(canonical.joints[looks.valid])  # (N, 17, joint_width)
        x = x + self.joint_embedding[looks.joint_set[:, None].expand_as(looks.valid)[looks.valid]]
        for block in self.spatial:
            x = block(x)
        tokens = self.look_in(torch.cat([x.flatten(1), canonical.looks[looks.valid]], -1))
        seen = canonical.joints.new_zeros(*looks.valid.shape, tokens.shape[-1])
        seen[looks.valid] = tokens.float()
        return seen
