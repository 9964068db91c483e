"""An attack in several stages, each on what those before it left robust."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from bench.core.types import Attack, Classifier, Examples, Norm, ThreatModel
from bench.ops import losses, norms

__all__ = ["Ensemble"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ensemble:
    """The stages in order; the harness runs each on the examples that those before it left robust.

    Args:
        name: how rows call it.
        stages: the attacks.
    """

    norms: ClassVar[frozenset[Norm]] = frozenset(Norm)

    name: str
    stages: tuple[Attack, ...]

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Run all stages at once, for use outside the harness: the point of the first stage that breaks an example."""
        found = examples.inputs.clone()
        left = torch.arange(len(examples), device=found.device)
        for stage in self.stages:
            part = examples[left]
            moved = stage.perturb(classifier, part, threat_model, seed=seed)
            found[left] = moved
            left = left[_robust(classifier, moved, part, threat_model)]
        return found


def _robust(classifier: Classifier, moved: Tensor, examples: Examples, threat_model: ThreatModel) -> Tensor:
    if not len(examples):
        return torch.zeros(0, dtype=torch.bool, device=moved.device)
    with torch.no_grad():
        right = losses.margin(classifier(moved), examples.labels) >= 0
    length = norms.size(moved - examples.inputs, threat_model.norm)
    return right | (length > float(threat_model.epsilon) * (1 + 1e-5))
