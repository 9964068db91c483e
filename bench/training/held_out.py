"""The part of the training split that selects the best epoch, and that nothing is trained on.

The papers select on the test set, which makes their numbers a little too good.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core.types import Examples

__all__ = ["SplitData", "held_out_size"]

SHARE = 10
LIMIT = 1_000


def held_out_size(examples: int) -> int:
    """How many of that many training examples are held out: a tenth, at most 1,000.

    >>> held_out_size(50_000), held_out_size(1_437)
    (1000, 143)
    """
    return min(LIMIT, examples // SHARE)


@dataclass(frozen=True, kw_only=True)
class SplitData:
    """Training and held-out examples on the device.

    Args:
        inputs: to train on, `(N, C, H, W)`, in [0, 1].
        labels: int64 `(N,)`.
        held_inputs: to select on, `(M, C, H, W)`.
        held_labels: int64 `(M,)`.
    """

    inputs: Tensor
    labels: Tensor
    held_inputs: Tensor
    held_labels: Tensor

    @classmethod
    def of(cls, examples: Examples, device: torch.device) -> SplitData:
        """Split `examples`; the same ones are held out whatever the recipe and its seed."""
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
        held = order[: held_out_size(len(examples))]
        rest = order[len(held) :].sort().values
        return cls(
            inputs=examples.inputs[rest].to(device),
            labels=examples.labels[rest].to(device),
            held_inputs=examples.inputs[held].to(device, memory_format=torch.channels_last),
            held_labels=examples.labels[held].to(device),
        )
