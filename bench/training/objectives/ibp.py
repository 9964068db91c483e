"""Box bound propagation: `min_w k CE(f_w(x), y) + (1 - k) CE(z, y)`, z the worst logits that intervals allow.

Gowal et al. 2018 (arXiv 1810.12715), equations 8 and 9: z takes the least logit of the label and the largest of every
other class. While epsilon grows linearly from 0, k falls from 1 to 1/2. OUR CHOICE: the ramp goes from a tenth to a
half of the epochs, and the box is one of radius epsilon inside [0, 1] whatever the norm, which no norm's ball leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.certification import Bounded, Box
from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["Ibp"]


@dataclass(frozen=True, kw_only=True)
class Ibp(Objective):
    """Cross-entropy of clean inputs, and of the worst logits that intervals allow around them.

    Args:
        ramp: shares of the epochs at which epsilon begins and ends to grow.
        least_share: of the clean cross-entropy in the loss, once epsilon is whole.
    """

    ramp: tuple[float, float] = (0.1, 0.5)
    least_share: float = 0.5

    def eligible(self, epoch: int, epochs: int) -> bool:
        """Only where epsilon is whole."""
        return epoch + 1 > self.ramp[1] * epochs or epoch + 1 == epochs

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """The two cross-entropies, weighted."""
        first, last = (share * context.epochs for share in self.ramp)
        grown = min(max((context.epoch - first) / (last - first), 0.0), 1.0)
        clean = 1 - (1 - self.least_share) * grown
        with torch.autocast(batch.inputs.device.type, enabled=False):
            natural = functional.cross_entropy(model(batch.inputs).float(), batch.labels)
            worst = _worst(model, batch.inputs, batch.labels, grown * float(context.threat_model.epsilon))
            return clean * natural + (1 - clean) * functional.cross_entropy(worst, batch.labels)

    def measure(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> dict[str, int]:
        """Of how many examples intervals prove that nothing breaks them."""
        with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
            worst = _worst(model, inputs, labels, float(context.threat_model.epsilon))
        return {"certified": int((worst.argmax(1) == labels).sum())}


def _worst(model: nn.Module, inputs: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """The least logit of the label and the largest of the others, `(N, K)`."""
    low, high = (inputs - epsilon).clamp_min(0), (inputs + epsilon).clamp_max(1)
    logits = Bounded(model).intervals(Box((low + high) / 2, (high - low) / 2))
    own = functional.one_hot(labels, logits.center.shape[1])
    return logits.center + (1 - 2 * own) * logits.radius
