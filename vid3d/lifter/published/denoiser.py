"""The denoiser of D3DP (Shan et al. 2023), and of FinePOSE (Xu et al. 2024), which tells it more.

D3DP: noisy 3D joints beside their 2D keypoints enter MixSTE, with the noise level as
one more embedding, and the clean pose comes out. FinePOSE, section 3.2: after the first spatial
block, tokens of joints attend to a prompt's tokens (FPC, eq. 5), what they hear is modulated by
noise level and prompt (PTS), and the prompt's summary is added to the level. Without a prompt the
second is the first, which is the paper's own ablation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vid3d.lifter.encoder import FeatureLayout, full_precision
from vid3d.lifter.head import JointHead
from vid3d.lifter.process import HeadConfig, level_features
from vid3d.lifter.published.mixste import MixSTEBody
from vid3d.lifter.published.prompts import PromptEncoder, check_design


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig(HeadConfig):
    """Sizes of the denoiser, D3DP's by default, and its diffusion.

    Attributes:
        kind: name among the heads.
        width: of a joint's token.
        blocks: pairs of a spatial and a temporal block.
        heads: of attention.
        ratio: hidden width of an MLP over its token's width.
        prompt: design, a name in `PROMPTS`; "none" is D3DP, "full" FinePOSE.
        text: the text encoder, see `load_text_encoder`.
        text_width: features of its tokens.
        prompt_blocks: of the transformer over a prompt's tokens.
        dropped: share of training samples whose action is taken as unknown.
        actions: texts of what is done that the model knows; training fills them in.
    """

    kind: str = "mixste"
    width: int = 512
    blocks: int = 8
    heads: int = 8
    ratio: int = 2
    prompt: str = "none"
    text: str = "minilm"
    text_width: int = 384
    prompt_blocks: int = 4
    dropped: float = 0.2
    actions: tuple[str, ...] = ()
    schedule: str = "clipped cosine"
    levels: int = 1000
    residual: bool = False
    every: int = 1
    largest: float = 1.1
    bounded: bool = True
    bounded_input: bool = True
    loss: str = "distance"
    eta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "actions", tuple(self.actions))
        check_design(self.prompt)


class CrossAttention(nn.Module):
    """Tokens of a sample attend to the tokens of its own prompt (eq. 5).

    Queries of a sample are one row, so that none meets another sample's prompt (the released code
    tiles prompts in another order than queries).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """What tokens x (B, T, C) hear of prompts told (B, L, C)."""
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        both = self.key_value(told).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, both[0], both[1])
        return self.proj(y.transpose(1, 2).flatten(2))


class Stylisation(nn.Module):
    """Prompt-driven timestamp stylisation: a scale and a shift from level and prompt.

    Nothing at first: its last layer starts at zero.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.style = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Tokens x (B, T, C) in the style (B, C)."""
        scale, shift = self.style(style)[:, None].chunk(2, -1)
        return self.out(functional.silu(self.norm(x) * (1 + scale) + shift))


class PoseDenoiser(JointHead):
    """Predicts the clean pose from a noisy one."""

    config: DenoiserConfig

    def __init__(self, config: DenoiserConfig, layout: FeatureLayout) -> None:
        super().__init__(config, layout, config.width)
        width = config.width
        # As large as what a noisy pose makes of a token: at the usual 0.02 the noise hides for long
        # which joint a token is of.
        self.joint_embedding = nn.Parameter(0.5 * torch.randn(17, width))
        self.level_in = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.body = MixSTEBody(width, config.blocks, config.heads, config.ratio)
        self.out = nn.Linear(width, 3)
        nn.init.normal_(self.out.weight, std=0.1 / width**0.5)  # decimetres at first
        nn.init.zeros_(self.out.bias)
        self.prompts: PromptEncoder | None = None
        if config.prompt != "none":
            self.prompts = PromptEncoder(
                config.prompt, config.actions, config.text_width, width, config.prompt_blocks,
                config.heads, config.dropped
            )  # fmt: skip
            self.attention = CrossAttention(width, config.heads)
            self.stylisation = Stylisation(width)

    def denoise(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Tensor:
        """See `Head`; clean poses."""
        style = self.level_in(level_features(level, self.config.width))
        told = None
        if self.prompts is not None:
            if action is None:
                action = torch.full((len(noisy),), -1, device=noisy.device)
            told, summary = self.prompts(action)
            style = style + summary
        with full_precision(noisy):
            x = self.read_poses(noisy) + condition + self.joint_embedding + style[:, None, None]

        def hear(x: Tensor) -> Tensor:
            heard = self.attention(x.flatten(1, 2), told)
            return x + self.stylisation(heard, style).unflatten(1, x.shape[1:3])

        return self.say(self.body(x, times, valid, hear if told is not None else None))
