"""What every diffusion head is: a network that denoises poses, given an encoder's features."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from vid3d.lifter.encoder import FeatureLayout, full_precision
from vid3d.lifter.process import HeadConfig


class Head(nn.Module):
    """A denoiser; kinds differ in `condition_in` and `denoise`.

    Attributes:
        tokens: of its attention, a moment.
        condition_in: projects features (N, G, C) of the encoder to the condition (N, G, ...).
    """

    tokens = 1
    condition_in: Callable[[Tensor], Tensor]

    def __init__(self, config: HeadConfig) -> None:
        super().__init__()
        self.config = config
        self.schedule = config.make_schedule()

    def forward(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor,
        action: Tensor | None = None,
    ) -> Tensor:
        """What the config's `predicts` names, (N, G, 48), of noisy values.

        Args:
            noisy: (N, G, 48), in the head's unit.
            level: (N,) noise level in 0..1.
            condition: (N, G, C) features of the encoder.
            times: (N, G) seconds.
            valid: (N, G) bool, moments that count.
            action: (N,) indices into the known actions, -1 where nobody knows.
        """
        return self.denoise(noisy, level, self.condition_in(condition), times, valid, action)

    def denoise(
        self,
        noisy: Tensor,
        level: Tensor,
        condition: Tensor,
        times: Tensor,
        valid: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Tensor:
        """The same with the condition from `condition_in`, projected once for all steps."""
        raise NotImplementedError


class JointHead(Head):
    """A head whose tokens are joints: each gets its own features and those of the whole moment."""

    tokens = 17
    out: nn.Linear

    def __init__(self, config: HeadConfig, layout: FeatureLayout, width: int) -> None:
        super().__init__(config)
        self.layout = layout
        self.pose_in = nn.Linear(3, width)
        self.features_in = nn.Linear(layout.per_joint + layout.shared, width)

    def condition_in(self, features: Tensor) -> Tensor:
        """The condition (N, G, 17, width) that features (N, G, C) of the encoder make."""
        with full_precision(features):
            condition: Tensor = self.features_in(self.layout.by_joint(features.float()))
        return condition

    def read_poses(self, noisy: Tensor) -> Tensor:
        """Tokens (N, G, 17, width) of noisy values (N, G, 48); the root is at 0."""
        tokens: Tensor = self.pose_in(functional.pad(noisy.unflatten(-1, (16, 3)), (0, 0, 1, 0)))
        return tokens

    def say(self, tokens: Tensor) -> Tensor:
        """Values (N, G, 48) of tokens (N, G, 17, width), the root's left out."""
        with full_precision(tokens):
            values: Tensor = self.out(tokens.float())
        return values[:, :, 1:].flatten(2)
