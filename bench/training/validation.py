"""The part of the training split that nothing is trained on: what a network is worth on it selects the best epoch.

The papers select on the test set, which makes their numbers a little too good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Examples, ThreatModel
from bench.ops.precision import autocast
from bench.training.crafting import TrainingAttack, as_attacked
from bench.training.objectives.objective import Context
from bench.training.recipe import Plan

__all__ = [
    "MEASURED",
    "VALIDATION_ATTACK",
    "SplitData",
    "Validated",
    "accuracies",
    "divided",
    "held_out_size",
    "validated",
]

HELD_OUT_SHARE = 10
HELD_OUT_LIMIT = 1_000


def held_out_size(examples: int) -> int:
    """How many of that many training examples are held out: a tenth, at most 1,000.

    >>> held_out_size(50_000), held_out_size(1_437)
    (1000, 143)
    """
    return min(HELD_OUT_LIMIT, examples // HELD_OUT_SHARE)


def divided(count: int) -> tuple[Tensor, Tensor]:
    """Positions of the training examples that are held out, and, ascending, of those that training sees, int64 each.

    Args:
        count: how many training examples there are.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    held = order[: held_out_size(count)]
    return held, order[len(held) :].sort().values


@dataclass(frozen=True, kw_only=True)
class SplitData:
    """Training and held-out examples on the device.

    Args:
        inputs: to train on, `(N, C, H, W)`, in [0, 1].
        labels: int64 `(N,)`.
        held_inputs: to select on, `(M, C, H, W)`.
        held_labels: int64 `(M,)`.
    """

    inputs: Tensor
    labels: Tensor
    held_inputs: Tensor
    held_labels: Tensor

    @classmethod
    def of(cls, examples: Examples, device: torch.device) -> SplitData:
        """Split `examples`; the same ones are held out whatever the recipe and its seed."""
        held, rest = divided(len(examples))
        return cls(
            inputs=examples.inputs[rest].to(device),
            labels=examples.labels[rest].to(device),
            held_inputs=examples.inputs[held].to(device, memory_format=torch.channels_last),
            held_labels=examples.labels[held].to(device),
        )


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
    with autocast(labels.device):
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
