"""How the target is filmed, as far as it shows, and source motion filmed in the same way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from vid3d.adaptation.noise import match_detector
from vid3d.adaptation.options import AdaptOptions
from vid3d.adaptation.pseudo import Label, draw_motion, label_piece, upward
from vid3d.adaptation.source import Detector, Source
from vid3d.adaptation.target import Piece
from vid3d.data.augment import BodyRanges
from vid3d.data.mocap import MotionClip
from vid3d.lifter import Lifter
from vid3d.lifter.checkpoint import Networks as Saved
from vid3d.training.lifter import Networks

_HELD_OUT = 5  # one clip of so many is never learnt from
_Some = TypeVar("_Some")


@dataclass(frozen=True)
class Scene:
    """How the target is filmed, and the motion to film like it.

    Attributes:
        ups: (P, 3) which way is up in the camera of every piece that is learnt from.
        held_ups: (H, 3) the same of those held out.
        detector: what the 2D is like.
        clips: motion to learn from.
        held_clips: motion that nobody learns from.
        body: how bodies are changed.
    """

    ups: Tensor
    held_ups: Tensor
    detector: Detector
    clips: Sequence[MotionClip]
    held_clips: Sequence[MotionClip]
    body: BodyRanges

    def source(self, rehearsed: float) -> Source:
        """Motion to learn from; see `Source`."""
        return Source(self.clips, self.ups, self.detector, self.body, rehearsed)

    def trial(self, rehearsed: float) -> Source:
        """Motion that nobody learns from, filmed as the held-out pieces are, or as in training."""
        return Source(self.held_clips, self.held_ups, self.detector, self.body, rehearsed)


def explore(
    base: Saved,
    learnt: Sequence[Piece],
    held: Sequence[Piece],
    clips: Sequence[MotionClip],
    options: AdaptOptions,
    count: Callable[[int], None],
) -> Scene:
    """Find out how the target is filmed, with the lifter as it is.

    Args:
        base: the lifter.
        learnt: pieces of the target to learn from.
        held: pieces to judge by.
        clips: source motion; without any, it is drawn from the lifter.
        options: how to adapt.
        count: told of every piece that was lifted.
    """
    teacher = Lifter(base)
    hypotheses = 3 if base.diffusion is not None else 1

    def label(piece: Piece) -> Label:
        count(1)
        return label_piece(teacher, piece, hypotheses, None, "mean", 0)

    pieces = [*learnt, *held]
    ups = upward(pieces, [label(piece) for piece in pieces], base.config.grid)
    ups, held_ups = ups.split([len(learnt), len(held)])
    motion = list(clips) or draw_motion(teacher, learnt, ups, options.seed)
    kept, body = parted(motion), BodyRanges() if clips else BodyRanges(child=0.0)
    plain = Networks(base.config)
    plain.start_from(base)
    detector = match_detector(plain, learnt, lambda found: Source(kept[0], ups, found, body))
    return Scene(ups, held_ups, detector, *kept, body)


def parted(clips: Sequence[_Some]) -> tuple[list[_Some], list[_Some]]:
    """Those to learn from and those to judge by; of one alone both."""
    held = list(clips[_HELD_OUT // 2 :: _HELD_OUT])
    learnt = [clip for i, clip in enumerate(clips) if i % _HELD_OUT != _HELD_OUT // 2]
    return learnt or held, held or learnt
