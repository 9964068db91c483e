"""Models with a router: the routes that attacks hold fixed, and what they see of the model under them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor

from bench.attacks.search import View
from bench.core.errors import BenchError
from bench.core.structure import Route, Routed, structures_of
from bench.core.types import Classifier

__all__ = [
    "ADVERSARIAL",
    "CLEAN",
    "FrozenView",
    "RouteName",
    "SteerableView",
    "log_types",
    "rows_of",
    "static_route",
    "with_branch",
    "with_router",
]

CLEAN, ADVERSARIAL = 0, 1

RouteName = Literal[
    "clean-image", "adversarial-image", "all-clean", "all-adversarial", "static-clean", "static-adversarial"
]


def with_router(classifier: Classifier, attack: str) -> Routed:
    """The classifier as one with a router.

    Raises:
        BenchError: if it declares none, naming the attack.
    """
    if "routes" not in structures_of(classifier):
        raise BenchError(f"Attack {attack} needs a model with a router: expected methods `route` and `routed`.")
    return cast(Routed, classifier)


def with_branch(route: Route, branch: int) -> Route:
    """The same signals with all weight on one branch, for each example."""
    if isinstance(route.mix, int):
        return Route(route.signals, branch)
    mix = torch.zeros_like(route.mix)
    mix[:, branch] = 1
    return Route(route.signals, mix)


def static_route(route: Route, branch: int) -> Route:
    """The route of a static sub-network: every filter as it is (signals of 1), all weight on one branch."""
    return with_branch(Route(tuple(torch.ones_like(signal) for signal in route.signals), route.mix), branch)


def rows_of(route: Route, rows: Tensor) -> Route:
    """The route of the examples `rows`, int64 `(M,)`."""
    mix = route.mix if isinstance(route.mix, int) else route.mix[rows]
    return Route(tuple(signal[rows] for signal in route.signals), mix)


@dataclass(frozen=True, kw_only=True)
class FrozenView(View):
    """The static network of each example's own fixed route to climb; the full model decides.

    Args:
        classifier: the full model.
        route: of each example of the batch.
    """

    classifier: Routed
    route: Route

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Static logits, then full ones without a gradient: `(M, 2C)`."""
        static = self.classifier.routed(inputs, rows_of(self.route, rows))
        with torch.no_grad():
            full = self.classifier(inputs)
        return torch.cat((static, full), dim=1)

    def decided(self, outputs: Tensor) -> Tensor:
        """The full model's logits `(M, C)`."""
        return outputs[:, outputs.shape[1] // 2 :]


@dataclass(frozen=True, kw_only=True)
class SteerableView(View):
    """The full model with its router's opinion: logits, then log-probabilities of the two types, `(M, C + 2)`."""

    classifier: Routed

    def outputs(self, inputs: Tensor, rows: Tensor) -> Tensor:
        """Logits and log-probabilities in one graph, so that gradients reach the router."""
        del rows
        route = self.classifier.route(inputs)
        types = log_types(route, inputs)
        return torch.cat((self.classifier.routed(inputs, route), types), dim=1)

    def decided(self, outputs: Tensor) -> Tensor:
        """The model's logits `(M, C)`."""
        return outputs[:, :-2]


def log_types(route: Route, inputs: Tensor) -> Tensor:
    """Log-probabilities `(N, 2)` of the predicted types: clean, adversarial."""
    if isinstance(route.mix, int):
        raise ValueError(f"Expected `route.mix` to be weights (N, 2), but got branch {route.mix}.")
    smallest = torch.finfo(inputs.dtype).tiny
    return route.mix.to(inputs.dtype).clamp_min(smallest).log()
