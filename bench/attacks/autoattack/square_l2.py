"""Square's moves for L2 (arXiv 1912.00049, section 3.3): a patterned window takes over the budget of another."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.autoattack.square_windows import Choices, Draws, corners, covered
from bench.attacks.search import Ball
from bench.core.types import Norm
from bench.ops import norms

__all__ = ["L2Windows", "move", "pattern", "plan", "start"]

_TILES = 5
_SMALLEST = 1e-12


@dataclass(frozen=True, kw_only=True)
class L2Windows:
    """The windows of a block of Q queries, one row per example.

    Args:
        tops: first row of the window that is filled and of the one that is erased, int64 `(N, Q, 2)`.
        lefts: first columns, likewise.
        rows: bool `(N, Q, 2, H)`, which rows the two windows cover.
        columns: bool `(N, Q, 2, W)`, which columns.
        choices: signs and orientations.
        sides: of the windows, one per query.
    """

    tops: Tensor
    lefts: Tensor
    rows: Tensor
    columns: Tensor
    choices: Choices
    sides: tuple[int, ...]


@functools.lru_cache(maxsize=64)
def pattern(side: int, device: torch.device) -> Tensor:
    """A positive and a negative pyramid side by side, `(side, side)` of norm 1 (the paper's `eta`, equation 2)."""
    upper = side // 2
    both = torch.cat((_pyramid(upper, side), -_pyramid(side - upper, side)))
    return (both / both.square().sum().sqrt()).to(device)


def _pyramid(height: int, width: int) -> Tensor:
    """Concentric rectangles, `(height, width)` of norm 1: the r-th from the middle is the sum of 1/j^2, j > r."""
    if height == 0:
        return torch.zeros(0, width)
    n_rings = max(height, width) // 2 + 1
    weights = 1 / torch.arange(1, n_rings + 1, dtype=torch.float32) ** 2
    value = weights.flip(0).cumsum(0).flip(0)
    rows = (torch.arange(height) - height // 2).abs()
    columns = (torch.arange(width) - width // 2).abs()
    pyramid = value[torch.maximum(rows[:, None], columns[None, :])]
    return pyramid / pyramid.square().sum().sqrt()


def start(ball: Ball, draws: Draws, indices: Tensor) -> Tensor:
    """A grid of about 5 x 5 patterns of random sign and orientation, scaled to the radius: `(N, C, H, W)`."""
    count, channels, height, width = ball.center.shape
    side = max(min(height, width) // _TILES, 1)
    across, down = width // side, height // side
    numbers = draws.first(indices, (down, across, channels + 1))
    signs = torch.where(numbers[..., 1:] < 0.5, -1.0, 1.0)  # (N, down, across, C)
    tiles = _oriented(side, numbers[..., 0] < 0.5)[:, :, :, None] * signs[..., None, None]
    grid = tiles.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, down * side, across * side)
    top, left = (height - down * side) // 2, (width - across * side) // 2
    delta = torch.zeros_like(ball.center)
    delta[:, :, top : top + down * side, left : left + across * side] = grid
    return _scaled(delta, ball)


def plan(choices: Choices, sides: Sequence[int], size: Sequence[int]) -> L2Windows:
    """Turn choices into windows of the sides wanted, for images of `size` (height, width)."""
    side = torch.tensor(sides, device=choices.places.device)
    height, width = size
    tops = [corners(choices.places[..., axis], side, height) for axis in (0, 2)]
    lefts = [corners(choices.places[..., axis], side, width) for axis in (1, 3)]
    return L2Windows(
        tops=torch.stack(tops, dim=2),
        lefts=torch.stack(lefts, dim=2),
        rows=torch.stack([covered(each, side, height) for each in tops], dim=2),
        columns=torch.stack([covered(each, side, width) for each in lefts], dim=2),
        choices=choices,
        sides=tuple(sides),
    )


def move(best: Tensor, ball: Ball, plan: L2Windows, number: int) -> Tensor:
    """Erase one window of the perturbation and give its budget, and what is unused, to a pattern in another."""
    channels, side = best.shape[1], plan.sides[number]
    delta = best - ball.center
    masks = plan.rows[:, number, :, None, :, None] & plan.columns[:, number, :, None, None, :]  # (N, 2, 1, H, W)
    unused = (ball.radius**2 - delta.square().sum(dim=(1, 2, 3), keepdim=True)).clamp_min(0)
    budget = (unused / channels + _energy(torch.where(masks.any(dim=1), delta, 0.0))).sqrt()  # (N, C, 1, 1)
    place = _window_index(plan.tops[:, number, 0], plan.lefts[:, number, 0], side, channels)
    old = delta[place]  # (N, C, side, side)
    fresh = _oriented(side, plan.choices.transposed[:, number])[:, None]
    fresh = fresh * plan.choices.signs[:, number, :, None, None] + old / (_SMALLEST + _energy(old).sqrt())
    fresh = fresh / (_SMALLEST + _energy(fresh).sqrt()) * budget
    delta = torch.where(masks[:, 1], 0.0, delta)
    delta[place] = fresh
    return _scaled(delta, ball)


def _oriented(side: int, transposed: Tensor) -> Tensor:
    """The pattern or its transpose, as each flag says: `(*flags, side, side)`."""
    plain = pattern(side, transposed.device)
    return torch.where(transposed[..., None, None], plain.T, plain)


def _window_index(top: Tensor, left: Tensor, side: int, channels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Index of the windows `(N, C, side, side)` in a tensor `(N, C, H, W)`."""
    reach = torch.arange(side, device=top.device)
    return (
        torch.arange(len(top), device=top.device)[:, None, None, None],
        torch.arange(channels, device=top.device)[None, :, None, None],
        (top[:, None] + reach)[:, None, :, None],
        (left[:, None] + reach)[:, None, None, :],
    )


def _energy(delta: Tensor) -> Tensor:
    """Sum of squares of each channel, `(N, C, 1, 1)`."""
    return delta.square().sum(dim=(2, 3), keepdim=True)


def _scaled(delta: Tensor, ball: Ball) -> Tensor:
    """The point at distance `radius` in the direction `delta`, clipped to [0, 1]."""
    length = norms.size(delta, Norm.L2) + _SMALLEST
    return (ball.center + delta / norms.per_example(length, delta) * ball.radius).clamp(0, 1)
