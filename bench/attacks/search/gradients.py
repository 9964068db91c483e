"""How the engine asks the model: forward alone, or forward with the gradient at the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.types import Classifier

__all__ = ["Evaluated", "differentiate", "predict"]


class Evaluated(NamedTuple):
    """Logits `(N, K)`, the objective `(N,)` and its gradient at the inputs `(N, C, H, W)`."""

    logits: Tensor
    values: Tensor
    gradient: Tensor


def predict(classifier: Classifier, points: Tensor) -> Tensor:
    """Float32 logits `(N, K)` at `points` `(N, C, H, W)`, without a graph."""
    with torch.no_grad():
        return classifier(points).float()


def differentiate(classifier: Classifier, points: Tensor, objective: Callable[[Tensor], Tensor]) -> Evaluated:
    """Evaluate an objective and its gradient at `points`; nothing is accumulated anywhere.

    A model through which no gradient flows has gradient 0, and so do components that are not finite: the iterate must
    stay finite, or the harness could only refuse it.

    Args:
        classifier: the model.
        points: `(N, C, H, W)`, in [0, 1].
        objective: from logits `(N, K)` to one value per example, `(N,)`.
    """
    leaf = points.detach().requires_grad_()
    with torch.enable_grad():
        logits = classifier(leaf).float()
        values = objective(logits)
        gradient = torch.zeros_like(points)
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True, materialize_grads=True)
    finite = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    return Evaluated(logits=logits.detach(), values=values.detach(), gradient=finite)
