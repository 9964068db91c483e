"""Accuracy on the held-out part of the training split, clean and under PGD: what selects the best epoch."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import ThreatModel
from bench.training.crafting import TrainingAttack, as_attacked

__all__ = ["VALIDATION_ATTACK", "accuracies"]

VALIDATION_ATTACK = TrainingAttack(steps=10, relative_step_size=Fraction(1, 4))
BATCH = 250
SEED = 2_024


def accuracies(model: nn.Module, inputs: Tensor, labels: Tensor, threat_model: ThreatModel) -> tuple[float, float]:
    """Clean and PGD-10 accuracy, fractions in [0, 1], on inputs `(N, C, H, W)` in [0, 1].

    The attack draws the same start in every epoch, so that epochs are compared on equal terms.
    """
    generator = torch.Generator(inputs.device).manual_seed(SEED)
    clean = robust = 0
    for part, truth in zip(torch.split(inputs, BATCH), torch.split(labels, BATCH), strict=True):
        adversarial = VALIDATION_ATTACK.run(model, part, _summed_cross_entropy(truth), threat_model, generator)
        with as_attacked(model) as network, torch.no_grad():
            clean += int((network(part).argmax(1) == truth).sum())
            robust += int((network(adversarial).argmax(1) == truth).sum())
    return clean / len(labels), robust / len(labels)


def _summed_cross_entropy(labels: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda logits: functional.cross_entropy(logits, labels, reduction="sum")
