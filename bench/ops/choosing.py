"""Picking images by a mask, several times faster on a CPU than `torch.where`, whose broadcasting is slow there."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.ops import norms

__all__ = ["chosen", "chosen_rows"]


def chosen(weight: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` where `weight` is 1, `old` where it is 0, to the bit but for the sign of zero.

    Args:
        weight: 0 or 1, of the type of the images, broadcasts to `(N, C, H, W)`.
        new: finite, `(N, C, H, W)`.
        old: finite, `(N, C, H, W)`.

    >>> chosen(torch.tensor([0.0, 1.0]), torch.tensor([0.1, 0.2]), torch.tensor([0.7, 0.9])).tolist()
    [0.699999988079071, 0.20000000298023224]
    """
    return torch.lerp(old, new, weight)


def chosen_rows(mask: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` in the rows that `mask`, bool `(N,)`, names, `old` in the others; both finite, `(N, ...)`."""
    return chosen(norms.per_example(mask.to(old.dtype), old), new, old)
