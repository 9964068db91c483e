"""Normalisation as a layer of the model, so that an attack works in the space of the inputs, [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["Normalize"]


class Normalize(nn.Module):
    """Subtract a mean and divide by a standard deviation, per channel.

    Args:
        mean: one number per channel, in input units.
        std: one positive number per channel.

    Raises:
        ValueError: if the two differ in length, or a standard deviation is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise ValueError(
                f"Expected `mean` and `std` to have one number per channel, but got {len(mean)} and {len(std)}."
            )
        if not all(each > 0 for each in std):
            raise ValueError(f"Expected `std` to be positive, but got {tuple(std)}.")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs `(N, C, H, W)` in [0, 1] to normalised ones of the same shape."""
        return (inputs - self.mean) / self.std

    def extra_repr(self) -> str:
        """The numbers, for `repr`."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"
