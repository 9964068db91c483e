"""Merged probabilities: APGD on what a model with dummy classes gives to a class and its dummy together.

OUR CHOICE. The recovered logit max(z_c, z_{c+C}) passes a gradient to one member of each pair, so the standard attacks
can stall where the two swap places. `-log(p_y + p_{y+C})` and the margin of the pairs' log-probabilities are smooth in
all members; both grow where mass leaves the pair, wherever in it the mass was. They are climbed, the recovered
decision is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from bench.attacks.adaptive.pair_attack import PairAttack
from bench.attacks.adaptive.pairs import merged_cross_entropy, smooth_margin

__all__ = ["Merged"]

Objective = Literal["cross-entropy", "margin"]


@dataclass(frozen=True, kw_only=True)
class Merged(PairAttack):
    """APGD on a loss of the pairs' merged probabilities.

    Args:
        name: how rows call it.
        objective: `cross-entropy`, -log(p_y + p_{y+C}), or `margin`, of the pairs' log-probabilities.
        steps: number of steps.
        restarts: number of random starts.
    """

    name: str = "merged"
    objective: Objective = "cross-entropy"

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            known = ", ".join(get_args(Objective))
            raise ValueError(f"Expected `objective` to be one of {known}, but got {self.objective!r}.")

    def loss(self, raw: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        del targets
        return (merged_cross_entropy if self.objective == "cross-entropy" else smooth_margin)(raw, labels)
