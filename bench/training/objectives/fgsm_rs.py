"""FGSM-RS, "fast" adversarial training: `min_w E[CE(f_w(x'), y)]` with one gradient step from a random start.

Wong, Rice, Kolter 2020 (arXiv 2001.03994), algorithm 3: `delta ~ U(-eps, eps)`, then
`delta <- clip(delta + alpha * sign(grad CE(f(x + delta), y)), -eps, eps)` with `alpha = 10/255 = 1.25 eps`. It is PGD
adversarial training with one step that is larger than the radius. OUR CHOICE: crafted in evaluation mode as in every
objective here (the authors' code: training mode), and no early stop at catastrophic overfitting, since the epoch with
the highest held-out robust accuracy is the one that is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.pgd_at import PgdAt

__all__ = ["ONE_LARGE_STEP", "FgsmRs"]

ONE_LARGE_STEP = TrainingAttack(steps=1, relative_step_size=Fraction(5, 4))


@dataclass(frozen=True, kw_only=True)
class FgsmRs(PgdAt):
    """Cross-entropy on inputs moved by one large step from a uniform start.

    Args:
        attack: the step; the published one by default.
        label_smoothing: as in `PgdAt`.
    """

    attack: TrainingAttack = ONE_LARGE_STEP
