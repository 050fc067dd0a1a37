"""Part-aware prompts of FinePOSE (Xu et al. 2024, section 3.2, eq. 4).

A prompt is a row of segments: learnable modifiers, then the first tokens of a phrase as a frozen
text encoder says them. The seven segments of the paper fill 77 positions. The modifiers join after
the frozen encoder, as eq. 4 has it, so gradients reach them (in the released code they pass through
it under no-grad and stay as they were drawn). A small transformer mixes the row.

What is done may be unknown: a learned state stands for it, and takes the place of known actions in
a share of the training samples. Nothing is ever taken from the ground truth of what is lifted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vid3d.errors import Vid3dError
from vid3d.lifter.encoder import Block
from vid3d.lifter.published.text import TextEncoder

ACTION = "{action}"


@dataclass(frozen=True)
class Segment:
    """Some positions of a prompt.

    Attributes:
        text: phrase; `ACTION` in it stands for what is done.
        length: positions.
        words: how many of them, at the end, are of the phrase; the others are modifiers.
    """

    text: str
    length: int
    words: int


_PERSON, _ACTION, _SPEED = Segment("person", 7, 4), Segment(ACTION, 12, 4), Segment("speed", 10, 4)

PROMPTS: dict[str, tuple[Segment, ...]] = {
    "none": (),
    "manual": (Segment(f"a person: {ACTION}", 16, 16),),
    "simple": (Segment(ACTION, 77, 4),),
    "coarse": (_PERSON, _ACTION, _SPEED),
    "learned": (Segment("", 77, 0),),
    "full": (
        _PERSON,
        _ACTION,
        _SPEED,
        Segment("head", 10, 4),
        Segment("body", 10, 4),
        Segment("arms", 14, 4),
        Segment("legs", 14, 4),
    ),
}
"""The paper's designs (section 4.4, table 4)."""


class PromptEncoder(nn.Module):
    """Tokens of a prompt for what is done.

    Args:
        design: name in `PROMPTS`.
        actions: texts that the model knows, by index.
        text_width: features of a text token.
        width: of the tokens that come out.
        blocks: of the transformer that mixes the row.
        heads: of its attention.
        dropped: share of training samples whose action is taken as unknown.
    """

    phrases: Tensor
    actions: Tensor

    def __init__(
        self,
        design: str,
        actions: Sequence[str],
        text_width: int,
        width: int,
        blocks: int,
        heads: int,
        dropped: float,
    ) -> None:
        super().__init__()
        self.segments, self.known, self.dropped = PROMPTS[design], list(actions), dropped
        self.words = sum(s.words for s in self.segments if ACTION in s.text)
        phrases = sum(s.words for s in self.segments if ACTION not in s.text)
        self.modifiers = nn.ParameterDict(
            {
                str(index): nn.Parameter(0.02 * torch.randn(s.length - s.words, text_width))
                for index, s in enumerate(self.segments)
                if s.length > s.words
            }
        )
        self.register_buffer("phrases", torch.zeros(phrases, text_width))
        self.register_buffer("actions", torch.zeros(len(actions), self.words, text_width))
        self.unknown = None
        if self.words:
            self.unknown = nn.Parameter(0.02 * torch.randn(1, self.words, text_width))
        self.text_in = nn.Linear(text_width, width)
        self.position = nn.Parameter(
            0.02 * torch.randn(sum(s.length for s in self.segments), width)
        )
        self.blocks = nn.ModuleList(Block(width, heads, 4) for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.summary = nn.Linear(width, width)

    @property
    def reads(self) -> bool:
        """Whether there is any text in this design."""
        return any(segment.words for segment in self.segments)

    def learn_texts(self, encode: TextEncoder) -> None:
        """Keep what a text encoder says of the phrases and of all known actions."""
        fixed = [s for s in self.segments if s.words and ACTION not in s.text]
        if fixed:
            said = [encode([s.text], s.words)[0] for s in fixed]
            self.phrases.copy_(torch.cat(said))
        if self.words and self.known:
            self.actions.copy_(self._action_tokens(encode, self.known))

    def find_action(self, text: str, load: Callable[[], TextEncoder]) -> int:
        """Index of an action; one that the model does not know is read by a text encoder.

        Args:
            text: what is done.
            load: loads the text encoder that the model was trained with.
        """
        if text not in self.known:
            if self.words:
                tokens = self._action_tokens(load(), [text]).to(self.actions)
                self.actions = torch.cat([self.actions, tokens])
            self.known.append(text)
        return self.known.index(text)

    def _action_tokens(self, encode: TextEncoder, texts: Sequence[str]) -> Tensor:
        segment = next(s for s in self.segments if ACTION in s.text)
        return encode([segment.text.replace(ACTION, text) for text in texts], segment.words)

    def forward(self, action: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (N, L, width) and their summary (N, width) for actions (N,), -1 if unknown."""
        if self.training:
            hidden = torch.rand(action.shape, device=action.device) < self.dropped
            action = torch.where(hidden, -1, action)
        kinds, own = action.unique(return_inverse=True)
        x = self.text_in(self._rows(kinds)) + self.position
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return x[own], self.summary(x[:, -1])[own]

    def _rows(self, kinds: Tensor) -> Tensor:
        """Modifiers and words (N, L, text_width) in their order."""
        parts, phrase = [], 0
        for index, segment in enumerate(self.segments):
            if segment.length > segment.words:
                parts.append(self.modifiers[str(index)].expand(len(kinds), -1, -1))
            if ACTION in segment.text and self.unknown is not None:
                parts.append(torch.cat([self.actions, self.unknown])[kinds])  # -1: the last one
            elif segment.words:
                words = self.phrases[phrase : phrase + segment.words]
                parts.append(words.expand(len(kinds), -1, -1))
                phrase += segment.words
        return torch.cat(parts, 1)


def check_design(design: str) -> None:
    """Raise Vid3dError for a design that is not among `PROMPTS`."""
    if design not in PROMPTS:
        raise Vid3dError(f"prompt is {design!r}, expected one of {', '.join(PROMPTS)}")
