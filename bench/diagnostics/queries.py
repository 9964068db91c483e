"""How checks ask the model: logits alone, or a value per example with its slope, in batches that fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.types import Classifier, ThreatModel
from bench.ops import norms

__all__ = ["BATCH", "Sloped", "is_wrong", "predict", "reach", "slope", "spread"]

BATCH = 64


class Sloped(NamedTuple):
    """Logits `(N, K)`, values `(N,)`, and the values' gradient at the inputs `(N, C, H, W)`, as autograd gives it."""

    logits: Tensor
    values: Tensor
    gradient: Tensor


def predict(classifier: Classifier, points: Tensor) -> Tensor:
    """Float32 logits `(N, K)` at `points` `(N, C, H, W)`, without gradients."""
    with torch.no_grad():
        return torch.cat([classifier(part).float() for part in torch.split(points, BATCH)])


def slope(
    classifier: Classifier, points: Tensor, value: Callable[[Tensor, slice], Tensor], *, at_once: int = BATCH
) -> Sloped:
    """Evaluate a value and its gradient at `points`; where no gradient flows, it is 0.

    Args:
        classifier: the model.
        points: `(N, C, H, W)`.
        value: of logits `(n, K)` and the rows that they belong to, `(n,)`.
        at_once: points in a pass.
    """
    parts = [
        _slope(classifier, points[start : start + at_once], value, slice(start, start + at_once))
        for start in range(0, len(points), at_once)
    ]
    return Sloped(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def is_wrong(logits: Tensor, labels: Tensor) -> Tensor:
    """Which examples the harness would not count as correct: bool `(N,)`."""
    return (logits.argmax(1) != labels) | ~logits.isfinite().all(1)


def spread(logits: Tensor) -> Tensor:
    """Largest less smallest logit, `(N,)`: the size of what the model says."""
    return logits.amax(1) - logits.amin(1)


def reach(gradient: Tensor, threat_model: ThreatModel) -> Tensor:
    """How far the gradient promises to move the value within the ball, `(N,)`: epsilon times its dual norm."""
    return float(threat_model.epsilon) * norms.dual(gradient.double(), threat_model.norm)


def _slope(classifier: Classifier, points: Tensor, value: Callable[[Tensor, slice], Tensor], rows: slice) -> Sloped:
    leaf = points.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = classifier(leaf).float()
        values = value(logits, rows)
        gradient = torch.zeros_like(leaf)
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True, materialize_grads=True)
    return Sloped(logits.detach(), values.detach(), gradient.detach())
