"""FGSM: one step of length epsilon from the clean input.

Goodfellow, Shlens, Szegedy 2015 (arXiv 1412.6572), section 4: `x' = x + epsilon sign(grad CE)`; for L2 the normalised
gradient in place of the sign.

Differences: none; no random start.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.attacks.ascent import gradient
from bench.attacks.attack import SingleAttack
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses, norms
from bench.ops.projections import project

__all__ = ["FGSM"]


@dataclass(frozen=True, kw_only=True)
class FGSM(SingleAttack):
    """One step of length epsilon along the gradient of the cross-entropy."""

    name: str = "fgsm"

    @property
    def logits_only(self) -> bool:
        """Any form of the model will do."""
        return True

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return the only iterate `(N, C, H, W)`."""
        if not len(examples):
            return examples.inputs
        slope, _ = gradient(classifier, examples.inputs, examples.labels, losses.cross_entropy)
        moved = examples.inputs + float(threat_model.epsilon) * norms.direction(slope, threat_model.norm)
        return project(moved, examples.inputs, threat_model)


ENTRY = FGSM()
