"""How the engine asks the model: forward alone, or forward with the gradient at the input.

A stochastic model is asked several times at every look: the objective and its gradient are means over the passes
(expectation over transformation, Athalye et al. 2018, arXiv 1707.07397), the logits are those of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from bench.attacks.search.redrawn import Redrawn
from bench.core.errors import BenchError
from bench.core.types import Classifier

__all__ = ["Evaluated", "differentiate", "predict"]


class Evaluated(NamedTuple):
    """Logits `(N, K)`, or of several passes `(N, passes, K)`; the objective `(N,)`; its gradient `(N, C, H, W)`."""

    logits: Tensor
    values: Tensor
    gradient: Tensor


def predict(classifier: Classifier, points: Tensor, *, passes: int = 1) -> Tensor:
    """Float32 logits `(N, K)` at `points` `(N, C, H, W)`, without a graph; of several passes `(N, passes, K)`.

    Raises:
        BenchError: if a stochastic model is asked for other passes than its means are of.
    """
    _check_passes(classifier, passes)
    with torch.no_grad():
        seen = [classifier(points).float() for _ in range(passes)]
    return seen[0] if passes == 1 else torch.stack(seen, dim=1)


def differentiate(
    classifier: Classifier, points: Tensor, objective: Callable[[Tensor], Tensor], *, passes: int = 1
) -> Evaluated:
    """Evaluate an objective and its gradient at `points`; nothing is accumulated anywhere.

    A model through which no gradient flows has gradient 0, and so do components that are not finite: the iterate must
    stay finite, or the harness could only refuse it.

    Args:
        classifier: the model.
        points: `(N, C, H, W)`, in [0, 1].
        objective: from logits `(N, K)` to one value per example, `(N,)`.
        passes: of the model; objective and gradient are means over them.

    Raises:
        BenchError: if a stochastic model is asked for other passes than its means are of.
    """
    _check_passes(classifier, passes)
    seen = [_once(classifier, points, objective) for _ in range(passes)]
    if passes == 1:
        return seen[0]
    logits, values, gradients = (torch.stack(each, dim=1) for each in zip(*seen, strict=True))
    return Evaluated(logits=logits, values=values.mean(1), gradient=gradients.mean(1))


def _check_passes(classifier: Classifier, passes: int) -> None:
    """An attack that is not made for means would take one lucky pass for a break."""
    if isinstance(classifier, Redrawn) and classifier.passes != passes:
        raise BenchError(
            f"Expected an attack that takes means over {classifier.passes} passes, as FGSM, PGD, CW, APGD and"
            " constraint relaxation do, but this one looks at single passes: it goes into FrozenDraws."
        )


def _once(classifier: Classifier, points: Tensor, objective: Callable[[Tensor], Tensor]) -> Evaluated:
    leaf = points.detach().requires_grad_()
    with torch.enable_grad():
        logits = classifier(leaf).float()
        values = objective(logits)
        gradient = torch.zeros_like(points)
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True, materialize_grads=True)
    finite = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    return Evaluated(logits=logits.detach(), values=values.detach(), gradient=finite)
