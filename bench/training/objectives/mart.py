"""MART: adversarial training with more weight on the examples that the model gets wrong.

Wang et al. 2020 (ICLR, openreview rklOg6EFwS), equation 11. With `p = softmax f(x)` and `p' = softmax f(x')`,

    min_w E[ -log p'_y - log(1.0001 - max_{k != y} p'_k) + beta * KL(p || p') * (1.0000001 - p_y) ],

where `x'` increases the cross-entropy against the label, from a Gaussian start of deviation 0.001. The constants that
keep the logarithm finite are from the authors' code, as is the gradient through both distributions of the divergence
and through its weight; logarithms of probabilities are taken from the logits, not clamped.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Batch, Context, Objective
from bench.training.objectives.pgd_at import PgdAt

__all__ = ["Mart", "strongest_wrong_class", "weighted_divergence"]

ABOVE_ONE = 1.0001
BARELY_ABOVE_ONE = 1.0000001


@dataclass(frozen=True, kw_only=True)
class Mart(Objective):
    """Boosted cross-entropy of adversarial inputs plus a divergence weighted by the clean error.

    Args:
        attack: the inner maximisation of the cross-entropy.
        beta: weight of the divergence; 5 for the paper's ResNet-18, 6 for its wide ResNet.
        label_smoothing: share of the target of the cross-entropy that is spread over all classes, in [0, 1).
    """

    attack: TrainingAttack
    beta: float = 5.0
    label_smoothing: float = 0.0

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Inputs that increase the cross-entropy against the label."""
        return PgdAt(attack=self.attack).craft(model, inputs, labels, context)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Cross-entropy of the adversarial inputs plus the regulariser."""
        clean = model(batch.inputs).float()
        adversarial = model(batch.adversarial).float()
        cross_entropy = functional.cross_entropy(adversarial, batch.labels, label_smoothing=self.label_smoothing)
        return cross_entropy + self.regularizer(clean, adversarial, batch.labels)

    def regularizer(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """All of the loss but its cross-entropy, from logits `(N, K)`."""
        divergence = weighted_divergence(clean, adversarial, labels)
        return strongest_wrong_class(adversarial, labels) + self.beta * divergence


def strongest_wrong_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of `-log(1.0001 - max_{k != y} p_k)`, from logits `(N, K)`."""
    wrong = functional.softmax(logits, dim=1).scatter(1, labels[:, None], 0.0).amax(dim=1)
    return -torch.log(ABOVE_ONE - wrong).mean()


def weighted_divergence(clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
    """Mean of `KL(p || p') (1.0000001 - p_y)`, from the logits `(N, K)` of clean and adversarial inputs."""
    expected, found = functional.log_softmax(clean, dim=1), functional.log_softmax(adversarial, dim=1)
    probabilities = expected.exp()
    divergence = (probabilities * (expected - found)).sum(dim=1)  # (N,)
    error = BARELY_ABOVE_ONE - probabilities.gather(1, labels[:, None]).squeeze(1)
    return (divergence * error).mean()
