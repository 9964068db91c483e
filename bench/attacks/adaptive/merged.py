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

from bench.attacks.adaptive.pairs import PairView, merged_cross_entropy, smooth_margin, with_dummies
from bench.attacks.adaptive.search import Search
from bench.attacks.attack import SingleAttack
from bench.core.types import Classifier, Examples, ThreatModel

__all__ = ["Merged"]

Objective = Literal["cross-entropy", "margin"]


@dataclass(frozen=True, kw_only=True)
class Merged(SingleAttack):
    """APGD on a loss of the pairs' merged probabilities.

    Args:
        name: how rows call it.
        objective: `cross-entropy`, -log(p_y + p_{y+C}), or `margin`, of the pairs' log-probabilities.
        steps: number of steps.
        restarts: number of random starts.
    """

    name: str = "merged"
    objective: Objective = "cross-entropy"
    steps: int = 100
    restarts: int = 1

    def __post_init__(self) -> None:
        if self.objective not in get_args(Objective):
            known = ", ".join(get_args(Objective))
            raise ValueError(f"Expected `objective` to be one of {known}, but got {self.objective!r}.")

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest recovered margin, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no dummy classes.
        """
        view = PairView(classifier=with_dummies(classifier, self.name))
        if not len(examples):
            return examples.inputs
        search = Search.of(view, examples, threat_model, seed=seed, attack=self.name)
        search.note(examples.inputs)
        search.climb(self._loss, steps=self.steps, restarts=self.restarts)
        return search.points

    def _loss(self, raw: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        del targets
        return (merged_cross_entropy if self.objective == "cross-entropy" else smooth_margin)(raw, labels)
