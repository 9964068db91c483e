"""What attacks on dummy classes have in common: APGD on a loss of the raw logits, scored by the recovered decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from bench.attacks.adaptive.pairs import PairView, with_dummies
from bench.attacks.attack import SingleAttack
from bench.attacks.search import ApgdSearch
from bench.core.structure import Structure
from bench.core.types import Classifier, Examples, ThreatModel

__all__ = ["PairAttack"]


@dataclass(frozen=True, kw_only=True)
class PairAttack(SingleAttack, ABC):
    """APGD on one loss of the raw logits, `(N, 2C)`.

    Args:
        name: how rows call it.
        steps: number of steps, for each target where it has some.
        restarts: number of random starts, for each target where it has some.
    """

    name: str
    steps: int = 100
    restarts: int = 1

    @property
    def structure(self) -> Structure | None:
        return "raw-pairs"

    @property
    def leaves_when_broken(self) -> bool:
        return True

    @property
    def n_passes(self) -> int:
        return 2 * self.steps * self.restarts

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the iterate with the smallest recovered margin, `(N, C, H, W)`.

        Raises:
            BenchError: if the classifier declares no dummy classes.
        """
        view = PairView(classifier=with_dummies(classifier, self.name))
        if not len(examples):
            return examples.inputs
        search = ApgdSearch.of(view, examples, threat_model, seed=seed, attack=self.name)
        targets = self.targeted(search.note(examples.inputs), examples.labels)
        search.climb(self.loss, steps=self.steps, restarts=self.restarts, targets=targets)
        return search.points

    def targeted(self, raw: Tensor, labels: Tensor) -> Tensor | None:
        """The raw targets `(N, T)` to go to apart, from the clean images' raw logits; None for an untargeted loss."""
        del raw, labels
        return None

    @abstractmethod
    def loss(self, raw: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """What is climbed: `(M,)` of raw logits `(M, 2C)`."""
