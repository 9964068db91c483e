"""Augmentation on the device: random crop of a zero-padded image, and horizontal flip."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["crop_and_flip"]


def crop_and_flip(inputs: Tensor, generator: torch.Generator, *, padding: int, flip: bool) -> Tensor:
    """Shift each image by up to `padding` pixels, filling with zeros, and flip half of them.

    Args:
        inputs: `(N, C, H, W)`.
        generator: source of the draws, on the device of `inputs`.
        padding: largest shift, in pixels.
        flip: whether to mirror half of the images.

    Returns:
        `(N, C, H, W)`, of the same type.
    """
    count, channels, height, width = inputs.shape
    device = inputs.device
    shifts = torch.randint(0, 2 * padding + 1, (2, count, 1), generator=generator, device=device)
    rows = shifts[0] + torch.arange(height, device=device)  # (N, H)
    columns = shifts[1] + torch.arange(width, device=device)  # (N, W)
    if flip:
        mirrored = torch.rand((count, 1), generator=generator, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = functional.pad(inputs, (padding,) * 4)
    example = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[None, :, None, None]
    return padded[example, channel, rows[:, None, :, None], columns[:, None, None, :]]
