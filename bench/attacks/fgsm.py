"""FGSM: one step of length epsilon from the clean input.

Goodfellow, Shlens, Szegedy 2015 (arXiv 1412.6572), section 4: `x' = x + epsilon sign(grad CE)`; for L2 the normalised
gradient in place of the sign.

Differences: none; no random start.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.attacks.attack import SingleAttack
from bench.attacks.search import Ball, FixedStep, Logits, Runs, ascend, untargeted
from bench.core.types import Classifier, Examples, Norm, ThreatModel
from bench.ops import losses

__all__ = ["FGSM"]


@dataclass(frozen=True, kw_only=True)
class FGSM(SingleAttack):
    """One step of length epsilon along the gradient of the cross-entropy."""

    name: str = "fgsm"

    @property
    def norms(self) -> frozenset[Norm]:
        """All: the shared loop knows each ball."""
        return frozenset(Norm)

    @property
    def logits_only(self) -> bool:
        """Any form of the model will do."""
        return True

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the only iterate `(N, C, H, W)`."""
        if not len(examples):
            return examples.inputs
        ball = Ball.around(examples.inputs, threat_model)
        runs = Runs.at(examples.inputs, FixedStep(ball=ball, length=ball.radius), examples.labels)
        return ascend(Logits(classifier=classifier), runs, untargeted(losses.cross_entropy), steps=1).current


ENTRY = FGSM()
