"""PGD adversarial training: `min_w E[max_{x' in B(x)} CE(f_w(x'), y)]`.

Madry et al. 2018 (arXiv 1706.06083), equation 2.1; the inner maximisation is a few steps of projected gradient ascent.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["PgdAt"]


@dataclass(frozen=True, kw_only=True)
class PgdAt(Objective):
    """Cross-entropy on adversarial inputs.

    Args:
        attack: the inner maximisation, of the cross-entropy against the label itself.
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
    """

    attack: TrainingAttack
    label_smoothing: float = 0.0

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Inputs that increase the cross-entropy against the label."""

        def loss(logits: Tensor) -> Tensor:
            return functional.cross_entropy(logits, labels, reduction="sum")

        return self.attack.run(model, inputs, loss, context.threat_model, context.generator)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Mean cross-entropy of the adversarial inputs."""
        logits = model(batch.adversarial).float()
        return functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)

    def regularizer(self, clean: Tensor, adversarial: Tensor, labels: Tensor) -> Tensor:
        """Nothing: the loss is a cross-entropy alone."""
        return clean.new_zeros(())
