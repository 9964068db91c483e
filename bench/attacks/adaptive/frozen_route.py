"""Frozen routes: adversarial examples of a static sub-network of a routed model, kept where the full model errs too.

A router may hide the gradient of the network that it picks, or change the network under the attacker's feet. So the
route is held fixed, APGD climbs the margin of the static network that is left, and every iterate is scored on the full
model, router included. Croce et al. 2022 (arXiv 2202.13711) attack adaptive test-time defences by transfer from their
static parts; the fixed routes here are OUR CHOICE:

- `clean-image`: what the router says of the clean image;
- `adversarial-image`: what it says of that image after a short PGD end to end;
- `all-clean`, `all-adversarial`: the clean image's signals, with all weight on one branch of MixBN;
- `static-clean`, `static-adversarial`: no signals at all, one branch: the static sub-networks themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from bench.attacks.adaptive.routes import (
    ADVERSARIAL,
    CLEAN,
    FrozenView,
    RouteName,
    static_route,
    with_branch,
    with_router,
)
from bench.attacks.attack import SingleAttack
from bench.attacks.pgd import PGD
from bench.attacks.search import ApgdSearch
from bench.core.structure import Route, Routed, Structure
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses

__all__ = ["FrozenRoute"]


@dataclass(frozen=True, kw_only=True)
class FrozenRoute(SingleAttack):
    """APGD on the margin of a static sub-network, scored on the full model.

    Args:
        name: how rows call it.
        route: which route is held fixed.
        steps: number of steps.
        restarts: number of random starts.
        finding_steps: of the PGD that finds the adversarial image whose route is frozen.
    """

    name: str = "frozen-route"
    route: RouteName = "clean-image"
    steps: int = 100
    restarts: int = 1
    finding_steps: int = 20

    def __post_init__(self) -> None:
        if self.route not in get_args(RouteName):
            raise ValueError(f"Expected `route` to be one of {', '.join(get_args(RouteName))}, but got {self.route!r}.")

    @property
    def structure(self) -> Structure | None:
        return "routes"

    @property
    def leaves_when_broken(self) -> bool:
        return True

    @property
    def n_passes(self) -> int:
        """Each step is a pass forwards and back through the static network, and one forwards through the model."""
        finding = 2 * self.finding_steps if self.route == "adversarial-image" else 0
        return finding + 3 * self.steps * self.restarts

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest margin of the full model, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no router.
        """
        model = with_router(classifier, self.name)
        if not len(examples):
            return examples.inputs
        moved = examples.inputs
        if self.route == "adversarial-image":
            finder = PGD(name=f"{self.name}.finder", steps=self.finding_steps)
            moved = finder.perturb(classifier, examples, threat_model, seed=seed)
        view = FrozenView(classifier=model, route=self._frozen(model, moved))
        search = ApgdSearch.of(view, examples, threat_model, seed=seed, attack=self.name)
        search.note(examples.inputs)
        search.note(moved)
        search.climb(_static_margin, steps=self.steps, restarts=self.restarts)
        return search.points

    def _frozen(self, model: Routed, inputs: Tensor) -> Route:
        with torch.no_grad():
            route = model.route(inputs)
        branch = CLEAN if self.route.endswith("-clean") else ADVERSARIAL
        if self.route.startswith("all-"):
            return with_branch(route, branch)
        return static_route(route, branch) if self.route.startswith("static-") else route


def _static_margin(outputs: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    del targets
    return losses.negative_margin(outputs[:, : outputs.shape[1] // 2], labels)
