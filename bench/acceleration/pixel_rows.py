"""Images that lie channels last, seen as rows of pixels: along these a CPU computes and sums fastest.

With few channels, torch's own broadcasting over the innermost axis is an order of magnitude slower than adding images.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["as_images", "as_rows", "channel_sums", "repeated"]


def as_rows(images: Tensor) -> Tensor:
    """`(N, C, H, W)` as `(N, H, W * C)`."""
    return images.permute(0, 2, 3, 1).flatten(2)


def as_images(rows: Tensor, like: Tensor) -> Tensor:
    """Rows `(N, H, W * C)` as images of the shape of `like`."""
    count, channels, height, width = like.shape
    return rows.reshape(count, height, width, channels).permute(0, 3, 1, 2)


def repeated(values: Tensor, like: Tensor) -> Tensor:
    """Values of each example's channels, `(N, C)`, along a row of images like `like`: `(N, 1, W * C)`, in its type."""
    return values.to(like.dtype).repeat(1, like.shape[3])[:, None]


def channel_sums(rows: Tensor, channels: int) -> Tensor:
    """Sums over each example's channels, float32 `(N, C)`, of rows `(N, H, W * C)`."""
    count, height, length = rows.shape
    ones = torch.ones(count, 1, height, dtype=rows.dtype, device=rows.device)  # a product sums fastest
    return (ones @ rows).float().reshape(count, length // channels, channels).sum(1)
