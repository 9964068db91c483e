"""Standard training: cross-entropy on clean inputs, `min_w E[CE(f_w(x), y)]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["Standard"]


@dataclass(frozen=True, kw_only=True)
class Standard(Objective):
    """Cross-entropy on clean inputs.

    Args:
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
    """

    label_smoothing: float = 0.0

    aims_at_robustness: ClassVar[bool] = False

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Mean cross-entropy of the clean inputs."""
        logits = model(batch.inputs).float()
        return functional.cross_entropy(logits, batch.labels, label_smoothing=self.label_smoothing)
