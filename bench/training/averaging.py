"""Averaged weights: an exponential moving average that soon forgets where it started."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Averaged", "decay_at"]

WARM_UP = 10


class Averaged:
    """A copy of a model whose parameters and buffers follow it, `average <- d average + (1 - d) current`.

    torch's own `AveragedModel` reads its count of updates from the device, which makes a GPU wait in every step.

    Args:
        model: what to follow; call `update` after each step.
        decay: d after the warm-up, in (0, 1).

    Attributes:
        module: the averaged copy; after the first update it equals the model.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(model)
        self._decay = decay
        self._count = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the weights that `model` has now."""
        share = 1 - decay_at(self._count, self._decay) if self._count else 1.0
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        averages, currents = zip(*((mine, new) for mine, new in pairs if mine.is_floating_point()), strict=True)
        torch._foreach_lerp_(averages, currents, share)
        for mine, new in pairs:
            if not mine.is_floating_point():
                mine.copy_(new)
        self._count += 1

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return {"module": self.module.state_dict(), "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.module.load_state_dict(state["module"])
        self._count = state["count"]


def decay_at(count: int, decay: float) -> float:
    """The decay after `count` updates: `(1 + count) / (10 + count)`, up to `decay` (OUR CHOICE, as is common).

    With a fixed decay, running variances, which start at 1, would outweigh those of the data for thousands of steps.
    The memory, 1 / (1 - d) steps, is at most a ninth of the steps so far: 0.9995 is reached after 18,000.

    >>> decay_at(0, 0.998), decay_at(10**6, 0.998)
    (0.1, 0.998)
    """
    return min(decay, (1 + count) / (WARM_UP + count))


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
