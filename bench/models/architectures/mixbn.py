"""MixBN: two batch normalisations side by side, one for clean and one for adversarial inputs.

AW-Net (Wei, Zhao, Li 2024, arXiv 2306.03430), overview figure: in training the known type of the batch picks the
branch; at test time both branches are mixed by the type that the router predicts for each input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["ADVERSARIAL", "CLEAN", "MixBN"]

CLEAN = 0
ADVERSARIAL = 1


class MixBN(nn.Module):
    """Batch normalisation with a clean and an adversarial branch.

    Args:
        channels: number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)])

    def forward(self, features: Tensor, mix: Tensor | int, signal: Tensor | None = None) -> Tensor:
        """Normalise `features` `(N, C, H, W)`, scaled by `signal` first.

        Args:
            features: what to normalise.
            mix: `CLEAN` or `ADVERSARIAL`, which runs that branch alone (and in training mode
                updates its statistics alone); or weights `(N, 2)` that sum to 1 over the
                branches, which mixes their outputs with running statistics.
            signal: scale `(N, C)` of each channel; none is 1.

        Raises:
            ValueError: if soft weights are given in training mode.
        """
        if isinstance(mix, int):
            scaled = features if signal is None else features * signal[:, :, None, None]
            normalized: Tensor = self.branches[mix](scaled)
            return normalized
        if self.training:
            raise ValueError("Expected `mix` to be a branch in training mode, but got soft weights.")
        return self._mixed(features, mix, signal)

    def _mixed(self, features: Tensor, mix: Tensor, signal: Tensor | None) -> Tensor:
        # Signal and both branches are affine per channel, so together they are one affine map per example and channel.
        affine = [_as_affine(branch) for branch in self.branches]
        scale = mix.float() @ torch.stack([scale for scale, _ in affine])  # (N, C)
        shift = mix.float() @ torch.stack([shift for _, shift in affine])  # (N, C)
        if signal is not None:
            scale = scale * signal
        scale, shift = scale.to(features.dtype), shift.to(features.dtype)
        return features * scale[:, :, None, None] + shift[:, :, None, None]


def _as_affine(branch: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift `(C,)` of a batch normalisation with running statistics."""
    if not isinstance(branch, nn.BatchNorm2d) or branch.running_var is None or branch.running_mean is None:
        raise TypeError(f"Expected `branch` to be a BatchNorm2d with running statistics, but got {branch!r}.")
    scale = branch.weight * torch.rsqrt(branch.running_var + branch.eps)
    return scale, branch.bias - branch.running_mean * scale
