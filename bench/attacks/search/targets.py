"""Which classes a targeted stage moves to, and how far away they are."""

from __future__ import annotations

from torch import Tensor

from bench.ops import losses

__all__ = ["DLR_CLASSES", "gap", "rank", "targeted_loss"]

DLR_CLASSES = 4


def rank(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """The classes other than the label, strongest first.

    Args:
        logits: of the clean inputs, `(N, K)`; of several passes, `(N, passes, K)`, their means count.
        labels: int64 `(N,)`.
        count: how many are wanted; there are at most K - 1.

    Returns:
        int64 `(N, min(count, K - 1))`.
    """
    logits = logits.mean(1) if logits.ndim > labels.ndim + 1 else logits
    others = logits.scatter(1, labels[:, None], float("-inf"))
    return others.topk(min(count, logits.shape[1] - 1), dim=1).indices


def gap(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """`z_t - z_y`, `(N,)`: above 0 where the target beats the label."""
    pair = logits.gather(1, labels[:, None]), logits.gather(1, targets[:, None])
    return (pair[1] - pair[0]).squeeze(1)


def targeted_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """The targeted DLR loss, `(N,)`, or the plain `gap` where there are fewer than four classes.

    OUR CHOICE for K < 4: the ratio needs the fourth largest logit, and any ratio over the two or three that exist is
    constant for one of the targets, so its gradient is 0.
    """
    if logits.shape[1] < DLR_CLASSES:
        return gap(logits, labels, targets)
    return losses.targeted_dlr(logits, labels, targets)
