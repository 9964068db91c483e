"""Square's random choices, keyed per example: where the windows lie, their signs and their orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.ops import sampling

__all__ = ["QUERIES_PER_DRAW", "Choices", "Draws", "KeyedDraws"]

QUERIES_PER_DRAW = 64
_FIRST_DRAW = 0
_PLACES = 4
_COIN = 4
_SIGNS = 5


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The choices of a block of Q queries, one row per example.

    Args:
        places: uniform in [0, 1), `(N, Q, 4)`: row and column of the window, row and column of the one that L2 erases.
        transposed: bool `(N, Q)`: whether L2's pattern is transposed.
        signs: -1 or 1, `(N, Q, C)`.
    """

    places: Tensor
    transposed: Tensor
    signs: Tensor


class Draws(Protocol):
    """Where the choices come from; `indices` `(N,)` are positions in the official split."""

    def first(self, indices: Tensor, shape: Sequence[int]) -> Tensor:
        """Uniform numbers in [0, 1) for the starting point, `(N, *shape)`."""
        ...

    def block(self, indices: Tensor, number: int) -> Choices:
        """The choices of the `QUERIES_PER_DRAW` queries from `number * QUERIES_PER_DRAW` on."""
        ...


@dataclass(frozen=True, kw_only=True)
class KeyedDraws:
    """Draws that depend on (seed, restart, query, example) alone, many queries at a time.

    Args:
        seed: of the run.
        restart: number of the restart.
        channels: C of the inputs.
    """

    seed: int
    restart: int
    channels: int

    def first(self, indices: Tensor, shape: Sequence[int]) -> Tensor:
        return sampling.uniform(self._stream, indices, shape, step=_FIRST_DRAW)

    def block(self, indices: Tensor, number: int) -> Choices:
        shape = (QUERIES_PER_DRAW, _SIGNS + self.channels)
        numbers = sampling.uniform(self._stream, indices, shape, step=_FIRST_DRAW + 1 + number)
        return Choices(
            places=numbers[..., :_PLACES],
            transposed=numbers[..., _COIN] < 0.5,
            signs=torch.where(numbers[..., _SIGNS:] < 0.5, -1.0, 1.0),
        )

    @property
    def _stream(self) -> sampling.Stream:
        return sampling.Stream(seed=self.seed, attack="square", restart=self.restart)
