"""Transfer: points that attacks find on other models, each tried once on the model itself.

Papernot, McDaniel and Goodfellow 2016 (arXiv 1605.07277); on several models together as in Liu, Chen, Liu and Song 2017
(arXiv 1611.02770). Of the model it needs answers alone.

Every attack runs on each surrogate, and on the mean of their logits where there are several. OUR CHOICE: attacks that
go on beyond the surrogate's own boundary. Those that stop there (APGD, constraint relaxation) cost more and transfer
less (`docs/blackbox.md`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.attacks.attack import UNRECORDED, SingleAttack
from bench.attacks.cw import CW
from bench.attacks.pgd import PGD
from bench.attacks.search import BestSoFar, judge, predict
from bench.core.types import Attack, Classifier, Examples, Norm, ThreatModel

__all__ = ["Transfer"]


@dataclass(frozen=True, kw_only=True)
class Transfer(SingleAttack):
    """Attacks on surrogates in the model's place.

    Args:
        name: how rows call it.
        attacks: run on the surrogates, in order.
        most_surrogates: more are refused.
        surrogates: other classifiers of the same classes; who evaluates a model names them, and the row says which.
    """

    name: str = "transfer"
    attacks: tuple[Attack, ...] = (PGD(), CW())
    most_surrogates: int = 2
    surrogates: tuple[Classifier, ...] = field(default=(), metadata=UNRECORDED, repr=False)

    @property
    def norms(self) -> frozenset[Norm]:
        """Those that all its attacks know."""
        return frozenset(Norm).intersection(*(attack.norms for attack in self.attacks))

    @property
    def needs_gradients(self) -> bool:
        """Of the surrogates alone."""
        return False

    @property
    def logits_only(self) -> bool:
        """Any form of the model will do."""
        return True

    @property
    def n_passes(self) -> int:
        return sum(attack.n_passes for attack in self.attacks) * 2 * self.most_surrogates

    @property
    def most_trials(self) -> int:
        """How many points of an example are tried at most, each a query of the model."""
        return len(self.attacks) * (self.most_surrogates + (self.most_surrogates > 1))

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the first point that breaks, else that of the smallest margin, `(N, C, H, W)`.

        Raises:
            ValueError: if there are no surrogates, or too many.
        """
        if not 1 <= len(self.surrogates) <= self.most_surrogates:
            raise ValueError(f"Expected 1 to {self.most_surrogates} `surrogates`, but got {len(self.surrogates)}.")
        together = (_Mean(self.surrogates),) if len(self.surrogates) > 1 else ()
        best = BestSoFar(examples.inputs)
        for surrogate in (*self.surrogates, *together):
            for attack in self.attacks:
                left = best.open()
                part = examples[left]
                if len(part):
                    points = attack.perturb(surrogate, part, threat_model, seed=seed)
                    best.note(points, judge(predict(classifier, points), part.labels), rows=left)
        return best.points


class _Mean:
    """The mean of what several classifiers say.

    Args:
        classifiers: at least one.
    """

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        self._classifiers = classifiers

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return torch.stack([classifier(inputs) for classifier in self._classifiers]).mean(0)
