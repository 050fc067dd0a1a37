"""The body of MixSTE, which D3DP and FinePOSE share: tokens of joints and moments.

Zhang et al. 2022: attention over the joints of a moment takes turns with attention
over the moments of a joint; the norms after the spatial and after the temporal blocks are one each
for all depths. Moments are known by rotary times instead of learned positions, so that windows of
any length and rate are one case.
"""

from collections.abc import Callable

from torch import Tensor, nn

from vid3d.lifter.encoder import Block, rotary


class MixSTEBody(nn.Module):
    """Spatial and temporal transformer blocks in turn.

    Args:
        width: of a token.
        blocks: pairs of a spatial and a temporal block.
        heads: of attention.
        ratio: hidden width of an MLP over its token's width.
    """

    def __init__(self, width: int, blocks: int, heads: int, ratio: int) -> None:
        super().__init__()
        sizes = (width, heads, ratio)
        self.head_width = width // heads
        self.spatial = nn.ModuleList(Block(*sizes) for _ in range(blocks))
        self.temporal = nn.ModuleList(Block(*sizes) for _ in range(blocks))
        self.spatial_norm = nn.LayerNorm(width)
        self.temporal_norm = nn.LayerNorm(width)
        self.norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
        told: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Normalised tokens (B, G, 17, width) for tokens of the same shape.

        Args:
            x: (B, G, 17, width).
            times: (B, G) seconds.
            valid: (B, G) bool, moments that count; None for all.
            told: what happens to tokens after the first spatial block.
        """
        batch, mask = len(x), None
        if valid is not None:
            keys = valid | ~valid.any(1, keepdim=True)  # never an empty row
            mask = keys.repeat_interleave(17, 0)[:, None, None]
        turn = rotary(times.repeat_interleave(17, 0), self.head_width)
        for index, (spatial, temporal) in enumerate(zip(self.spatial, self.temporal, strict=True)):
            x = self.spatial_norm(spatial(x.flatten(0, 1))).unflatten(0, (batch, -1))
            if index == 0 and told is not None:
                x = told(x)
            x = temporal(x.transpose(1, 2).flatten(0, 1), mask, turn)
            x = self.temporal_norm(x).unflatten(0, (batch, 17)).transpose(1, 2)
        return self.norm(x)
