"""CW: projected gradient ascent on the margin loss.

Carlini and Wagner 2017 (arXiv 1608.04644), objective f6 of section V.A, `max_{k != y} z_k - z_y`, climbed by PGD as
in Madry et al. 2018, which is what the adversarial training literature reports as CW in a ball of fixed radius.

Differences: no confidence threshold, which would stop the gradient of examples that are already misclassified: the
best iterate is kept, so it does no harm to go on. The minimum-norm attack of the same paper is `carlini-wagner-l2`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.attacks.attack import StepSize
from bench.attacks.pgd import PGD, TENTH
from bench.ops import losses

__all__ = ["CW"]


@dataclass(frozen=True, kw_only=True)
class CW(PGD):
    """Projected gradient ascent on `max_{k != y} z_k - z_y`; arguments as for `PGD`."""

    name: str = "cw"
    steps: int = 50
    relative_step_size: StepSize = TENTH

    def loss(self, logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        del targets
        return losses.negative_margin(logits, labels)


ENTRY = CW()
