"""Square's windows: how large they are, query by query, and where they lie, with random choices keyed per example.

Andriushchenko et al. 2020, arXiv 1912.00049, sections 3 and 4.1.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.ops import sampling

__all__ = ["QUERIES_PER_DRAW", "Choices", "Draws", "KeyedDraws", "corners", "covered", "l2_side", "linf_side", "share"]

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After these queries the share halves: the schedule for 10,000 queries, which AutoAttack uses without rescaling."""
_SMALLEST_L2_SIDE = 3

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


def share(query: int, initial: float) -> float:
    """Share of the image that the square of a query covers, in (0, 1].

    Args:
        query: number of the query, from 0.
        initial: the share at query 0 (`p_init`).

    >>> share(10, 0.8), share(11, 0.8), share(4999, 0.8)
    (0.8, 0.4, 0.00625)
    """
    return initial / float(2 ** bisect_left(_HALVINGS, query))


def linf_side(query: int, initial: float, height: int, width: int) -> int:
    """Side of the square for Linf, in pixels; at least 1."""
    side = round(math.sqrt(share(query, initial) * height * width))
    return min(max(side, 1), height, width)


def l2_side(query: int, initial: float, height: int, width: int) -> int:
    """Side of the square for L2, in pixels: odd and at least 3, where the image is large enough."""
    side = max(round(math.sqrt(share(query, initial) * height * width)), _SMALLEST_L2_SIDE)
    return min(side + (side + 1) % 2, height, width)


def corners(places: Tensor, side: Tensor, length: int) -> Tensor:
    """First row (or column) of each window, int64 `(N, Q)`, uniform over all that fit into `length`.

    The reference never draws the last one, so that its squares leave the last row and column alone.
    """
    return (places * (length - side + 1)).long()


def covered(first: Tensor, side: Tensor, length: int) -> Tensor:
    """Which of `length` rows (or columns) lie in windows that begin at `first`: bool `(N, Q, length)`."""
    offset = torch.arange(length, device=first.device) - first[..., None]
    return (offset >= 0) & (offset < side[:, None])
