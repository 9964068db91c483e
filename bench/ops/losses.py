"""Losses of logits, one value per example. All but `margin` grow as the example comes closer to being misclassified."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["cross_entropy", "dlr", "margin", "negative_margin", "targeted_dlr"]

SMALLEST_GAP = 1e-12
_RANKED = 3


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of logits `(N, K)` against labels `(N,)`: `(N,)`."""
    return functional.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """`z_y - max_{k != y} z_k`: below 0 where the example is misclassified.

    Args:
        logits: `(N, K)`, K at least 2.
        labels: int64 `(N,)`.

    Returns:
        `(N,)`.

    >>> import torch
    >>> margin(torch.tensor([[2.0, 5.0, 1.0]]), torch.tensor([0])).item()
    -3.0
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    return own - _strongest_other(logits, labels)


def negative_margin(logits: Tensor, labels: Tensor) -> Tensor:
    """`max_{k != y} z_k - z_y`, `(N,)`: above 0 where the example is misclassified."""
    return -margin(logits, labels)


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """DLR, `-(z_y - max_{k != y} z_k) / (z_(1) - z_(3))`, `(N,)` (Croce and Hein 2020, equation 6).

    OUR CHOICE for two classes, where there is no third logit: `negative_margin`.

    Args:
        logits: `(N, K)`, K at least 2.
        labels: int64 `(N,)`.
    """
    if logits.shape[1] < _RANKED:
        return negative_margin(logits, labels)
    top = logits.topk(_RANKED, dim=1).values
    return negative_margin(logits, labels) / (top[:, 0] - top[:, 2] + SMALLEST_GAP)


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Targeted DLR, `-(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2)` (Croce and Hein 2020, equation 7).

    Args:
        logits: `(N, K)`, K at least 4.
        labels: int64 `(N,)`.
        targets: int64 `(N,)`, the class to move to.
    """
    top = logits.topk(4, dim=1).values
    own = logits.gather(1, labels[:, None]).squeeze(1)
    target = logits.gather(1, targets[:, None]).squeeze(1)
    return -(own - target) / (top[:, 0] - 0.5 * (top[:, 2] + top[:, 3]) + SMALLEST_GAP)


def _strongest_other(logits: Tensor, labels: Tensor) -> Tensor:
    others = logits.scatter(1, labels[:, None], float("-inf"))
    return others.amax(dim=1)
