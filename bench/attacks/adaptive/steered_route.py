"""Steered routes: one loss for the class and for the router, over weights of both signs.

The attacker need not accept the route that the router picks: `-margin + w log P(clean)` drives the input to be called
clean, so that the weights for clean inputs are used, and a negative w drives it to be called adversarial. With w = 0 it
is a plain attack end to end. The log-probability levels off once the router is convinced, and the margin takes over.

OUR CHOICE: AW-Net's own adaptive attacks (Wei, Zhao, Li 2024, arXiv 2306.03430) could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from bench.attacks.adaptive.routes import ADVERSARIAL, CLEAN, SteerableView, with_router
from bench.attacks.attack import SingleAttack
from bench.attacks.search import ApgdSearch
from bench.core.structure import Structure
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses

__all__ = ["SteeredRoute", "steering"]

TYPES = 2
WEIGHTS = tuple(Fraction(weight) for weight in ("1/10", "1/2", "1", "2", "5", "10"))


@dataclass(frozen=True, kw_only=True)
class SteeredRoute(SingleAttack):
    """APGD on the margin plus a push of the route, one run for each weight.

    Args:
        name: how rows call it.
        weights: of the push; above 0 towards clean, below 0 towards adversarial.
        steps: number of steps for each weight.
        restarts: number of random starts for each weight.
    """

    name: str = "steered"
    weights: tuple[Fraction, ...] = (*WEIGHTS, *(-weight for weight in WEIGHTS))
    steps: int = 100
    restarts: int = 1

    @property
    def structure(self) -> Structure | None:
        return "routes"

    @property
    def leaves_when_broken(self) -> bool:
        return True

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts * len(self.weights)

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest margin over all weights, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no router.
        """
        view = SteerableView(classifier=with_router(classifier, self.name))
        if not len(examples):
            return examples.inputs
        search = ApgdSearch.of(view, examples, threat_model, seed=seed, attack=self.name)
        search.note(examples.inputs)
        weights = examples.inputs.new_tensor([float(weight) for weight in self.weights]).expand(len(examples), -1)
        search.climb(steering, steps=self.steps, restarts=self.restarts, targets=weights)
        return search.points


def steering(outputs: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """`-margin + |w| log P(type)` of a steerable view's outputs, for one w each `(N,)`; the type is clean if w > 0."""
    types = outputs[:, -TYPES:]
    pushed = torch.where(weights > 0, types[:, CLEAN], types[:, ADVERSARIAL])
    return losses.negative_margin(outputs[:, :-TYPES], labels) + weights.abs() * pushed
