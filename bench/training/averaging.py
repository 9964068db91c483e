"""Averaged weights: an exponential moving average that soon forgets where it started."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

__all__ = ["averaged", "decay_at"]

WARM_UP = 10


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """A copy of `model` whose parameters and buffers follow it, `average <- d average + (1 - d) current`.

    Args:
        model: what to follow; call `update_parameters(model)` after each step.
        decay: d after the warm-up, in (0, 1).
    """

    def update(average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        step: Any = get_ema_multi_avg_fn(decay_at(int(count), decay))  # type: ignore[no-untyped-call]
        step(average, current, count)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def decay_at(count: int, decay: float) -> float:
    """The decay after `count` updates: `(1 + count) / (10 + count)`, up to `decay` (OUR CHOICE, as is common).

    With a fixed decay, running variances, which start at 1, would outweigh those of the data for thousands of steps.

    >>> decay_at(0, 0.998), decay_at(10**6, 0.998)
    (0.1, 0.998)
    """
    return min(decay, (1 + count) / (WARM_UP + count))
