"""APGD on cross-entropy and on DLR losses: projected gradient ascent that sets its own step size.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
arXiv 2003.01690, algorithm 1. Step by step it follows the reference implementation (pyautoattack), which the tests use
as oracle.

Differences: random starts are keyed per example; an example leaves as soon as it is broken; the gradient after the
last step, which nothing uses, is not taken; the returned iterate is the one of smallest margin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from bench.attacks.autoattack.reference import InPackage
from bench.attacks.autoattack.stage import AutoAttackStage
from bench.attacks.search import RHO, ApgdSearch, Logits, rank, targeted_loss, untargeted
from bench.core.types import Classifier, Examples, Finish, ThreatModel
from bench.ops import losses

__all__ = ["ApgdCe", "ApgdDlr", "ApgdT"]


_LOSSES = {"ce": losses.cross_entropy, "dlr": losses.dlr}


@dataclass(frozen=True, kw_only=True)
class ApgdCe(AutoAttackStage):
    """APGD on the cross-entropy.

    Args:
        name: how rows call it.
        steps: number of steps.
        restarts: number of random starts.
        rho: share of improving steps below which the step size is halved.
    """

    _loss = "ce"
    _finish: ClassVar[Finish] = "cross-entropy"  # OUR CHOICE: margins here would hide how far the two losses differ

    name: str = "apgd-ce"
    steps: int = 100
    restarts: int = 1
    rho: float = RHO

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts

    def _search(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        key = f"apgd-{self._loss}"
        search = ApgdSearch.of(Logits(classifier=classifier), examples, threat_model, seed=seed, attack=key)
        search.note(examples.inputs)
        search.climb(untargeted(_LOSSES[self._loss]), steps=self.steps, restarts=self.restarts, rho=self.rho)
        return search.points

    @property
    def _in_package(self) -> InPackage:
        return InPackage("apgd", n_iter=self.steps, n_restarts=self.restarts, thr_decr=self.rho, loss=self._loss)


@dataclass(frozen=True, kw_only=True)
class ApgdDlr(ApgdCe):
    """APGD on the DLR loss, without a target: half of AutoAttack's version `rand`; the arguments are those above."""

    _loss = "dlr"
    _finish: ClassVar[Finish] = "margin"

    name: str = "apgd-dlr"


@dataclass(frozen=True, kw_only=True)
class ApgdT(AutoAttackStage):
    """APGD on the targeted DLR loss, one run for each of the most likely wrong classes.

    Args:
        name: how rows call it.
        steps: number of steps for each target.
        restarts: number of random starts for each target.
        targets: how many targets; at most the number of wrong classes.
        rho: share of improving steps below which the step size is halved.
    """

    name: str = "apgd-t"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    rho: float = RHO

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts * self.targets

    def _search(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        search = ApgdSearch.of(Logits(classifier=classifier), examples, threat_model, seed=seed, attack="apgd-t")
        targets = rank(search.note(examples.inputs), examples.labels, self.targets)
        search.climb(targeted_loss, steps=self.steps, restarts=self.restarts, targets=targets, rho=self.rho)
        return search.points

    @property
    def _in_package(self) -> InPackage:
        return InPackage(
            "apgd_targeted",
            n_iter=self.steps,
            n_restarts=self.restarts,
            n_target_classes=self.targets,
            thr_decr=self.rho,
        )
