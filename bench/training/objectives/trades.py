"""TRADES: `min_w E[CE(f(x), y) + beta * max_{x'} KL(softmax f(x) || softmax f(x'))]`.

Zhang et al. 2019 (arXiv 1901.08573), equation 5, with the authors' KL direction: the clean prediction is the target
distribution, and gradients flow through both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.training.crafting import TrainingAttack, as_attacked
from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["Trades", "kl_to_clean"]


@dataclass(frozen=True, kw_only=True)
class Trades(Objective):
    """Clean cross-entropy plus the divergence of adversarial from clean predictions.

    Args:
        attack: the inner maximisation of the divergence.
        beta: weight of the divergence; 6 in the paper.
        label_smoothing: share of the target of the cross-entropy that is spread over all classes, in [0, 1).
    """

    attack: TrainingAttack
    beta: float = 6.0
    label_smoothing: float = 0.0

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Inputs whose prediction diverges from the clean one."""
        with as_attacked(model) as network, torch.no_grad():
            clean = network(inputs).float()

        def loss(logits: Tensor) -> Tensor:
            return kl_to_clean(clean, logits) * len(inputs)

        return self.attack.run(model, inputs, loss, context.threat_model, context.generator)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Cross-entropy of the clean inputs plus beta times the divergence."""
        clean = model(batch.inputs).float()
        adversarial = model(batch.adversarial).float()
        cross_entropy = functional.cross_entropy(clean, batch.labels, label_smoothing=self.label_smoothing)
        return cross_entropy + self.regularizer(clean, adversarial, batch.labels)

    def regularizer(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Beta times the divergence, from logits `(N, K)`."""
        return self.beta * kl_to_clean(clean, adversarial)


def kl_to_clean(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Mean over the batch of KL(softmax(clean) || softmax(adversarial)), from logits `(N, K)`."""
    target = functional.log_softmax(clean, dim=1)
    return functional.kl_div(functional.log_softmax(adversarial, dim=1), target, log_target=True, reduction="batchmean")
