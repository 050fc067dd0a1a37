"""Whether an adapter helps, told without labels of the target.

What reprojects can be wrong in depth, so looks alone are no judge. A lifter is judged by

- looks of held-out pieces, some of them hidden (`proxy`);
- a trial: source motion that nobody learns from, filmed as the held-out pieces are (F, with their
  detector's noise), of which the truth is known;
- the same motion as it was seen in training, lest what was known is forgotten.

Errors are those at the best scale (N-MPJPE), since how large people are cannot be seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vid3d.adaptation import proxy
from vid3d.adaptation.proxy import Proxy
from vid3d.adaptation.scene import Scene
from vid3d.adaptation.target import Piece
from vid3d.data.batches import Batch
from vid3d.errors import Vid3dError
from vid3d.evaluation.metrics import SCORED, n_mpjpe
from vid3d.training.lifter import Networks, encode

ENOUGH = 0.98
"""The trial's error must fall below this share of the base's (`Figures.ratio`)."""
FORGOTTEN = 1.05
"""As in training the error must stay below this share of the base's."""
MISSED = 1.05
"""Held-out looks must be missed by less than this share of what the base misses them by."""
_SEED = 78


@dataclass(frozen=True)
class Figures:
    """What a lifter is judged by; smaller is better.

    Attributes:
        looks: on held-out looks.
        trial: N-MPJPE of motion filmed as the target is, millimetres.
        elsewhere: N-MPJPE of motion seen as in training, millimetres.
    """

    looks: Proxy
    trial: float
    elsewhere: float

    def ratio(self, base: "Figures") -> float:
        """The trial's error over another's; below 1 is better than it.

        What is gained elsewhere too does not count: motion drawn from the base suits whatever
        resembles the base more, however it is filmed.
        """
        alike = self.trial / max(base.trial, 1e-9)
        return alike / min(1.0, max(self.elsewhere / max(base.elsewhere, 1e-9), 1e-9))

    def objection(self, base: "Figures") -> str:
        """Why a lifter with these figures should not take another's place; empty if it should."""
        gain, forgotten = 100 * (1 - self.ratio(base)), self.elsewhere / max(base.elsewhere, 1e-9)
        if self.ratio(base) > ENOUGH:
            return (
                f"motion filmed like these videos is lifted only {gain:.2f} % better "
                f"({100 * (1 - ENOUGH):g} % are asked for)"
                if gain >= 0
                else f"motion filmed like these videos is lifted {-gain:.1f} % worse"
            )
        if forgotten > FORGOTTEN:
            return f"motion filmed otherwise is lifted {100 * (forgotten - 1):.1f} % worse"
        missed = self.looks.ratio(base.looks)
        if missed > MISSED:
            return f"held-out looks are missed by {100 * (missed - 1):.0f} % more"
        return ""

    def against(self, base: "Figures") -> str:
        """These and another's in words."""
        return (
            f"filmed alike {base.trial:.1f} -> {self.trial:.1f} mm, "
            f"elsewhere {base.elsewhere:.1f} -> {self.elsewhere:.1f} mm, "
            f"held-out looks {100 * (self.looks.ratio(base.looks) - 1):+.1f} %"
        )


class Judge:
    """Judges lifters on windows that are always the same.

    Args:
        scene: how the target is filmed.
        held: pieces that nobody learns from.
        like: a lifter of the kind to judge.
    """

    def __init__(self, scene: Scene, held: Sequence[Piece], like: Networks) -> None:
        self.windows = proxy.proxy_windows(held, like.config)
        generator = torch.Generator().manual_seed(_SEED)
        trial, elsewhere = scene.trial(rehearsed=0.0), scene.trial(rehearsed=1.0)
        self.trial = [trial.draw(windows, generator) for windows in self.windows]
        self.elsewhere = [elsewhere.draw(windows, generator) for windows in self.windows]

    def __call__(self, networks: Networks) -> Figures:
        """Figures of a lifter's encoder."""
        return Figures(
            proxy.measure(networks, self.windows),
            scaled_error(networks, self.trial),
            scaled_error(networks, self.elsewhere),
        )


@torch.no_grad()
def scaled_error(networks: Networks, batches: Sequence[Batch]) -> float:
    """N-MPJPE of an encoder on batches, millimetres.

    Raises:
        Vid3dError: nothing in them is seen.
    """
    networks.eval()
    total, count = 0.0, 0
    for batch in batches:
        encoded, targets = encode(networks.encoder, batch, networks.config.centred)
        pairs = encoded.refined().joints, targets.joints
        said, true = (joints[targets.valid][:, SCORED].double().numpy() for joints in pairs)
        errors = n_mpjpe(said, true)
        total, count = total + float(errors.sum()), count + len(errors)
    networks.train()
    if not count:
        raise Vid3dError(
            "nothing to judge by: no motion can be seen as the people of these videos are"
        )
    return 1000 * total / count
