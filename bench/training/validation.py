"""What a network is worth on the held-out part of the training split: what selects the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import ThreatModel
from bench.training.crafting import TrainingAttack, as_attacked
from bench.training.held_out import SplitData
from bench.training.objectives.objective import Context
from bench.training.recipe import Plan

__all__ = ["MEASURED", "VALIDATION_ATTACK", "Validated", "accuracies", "validated"]

MEASURED = 250

VALIDATION_ATTACK = TrainingAttack(steps=10, relative_step_size=Fraction(1, 4))
BATCH = 250
SEED = 2_024


class Validated(NamedTuple):
    """Held-out accuracies, clean and under PGD-10, and what the objective measures besides; fractions."""

    clean: float
    robust: float
    measured: Mapping[str, float]


def validated(model: nn.Module, plan: Plan, data: SplitData, threat_model: ThreatModel) -> Validated:
    """What `model` is worth on the held-out examples, by the same draws every time."""
    inputs, labels = data.held_inputs[:MEASURED], data.held_labels[:MEASURED]
    generator = torch.Generator(labels.device).manual_seed(SEED)
    context = Context(epoch=0.0, threat_model=threat_model, generator=generator)
    with torch.autocast(labels.device.type, torch.bfloat16):
        clean, robust = accuracies(model, data.held_inputs, data.held_labels, threat_model)
        found = plan.objective.measure(model, inputs, labels, context)
    return Validated(clean, robust, {name: count / len(labels) for name, count in found.items()})


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
