"""Square's moves for Linf (arXiv 1912.00049, section 3.2): a square of one sign per channel, on the ball's surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.autoattack.square_windows import Choices, Draws, corners, covered
from bench.attacks.search import Ball
from bench.ops.choosing import chosen

__all__ = ["LinfWindows", "move", "plan", "start"]


@dataclass(frozen=True, kw_only=True)
class LinfWindows:
    """The windows of a block of Q queries, one row per example.

    Args:
        rows: `(N, Q, H)`, 1 for the rows that the window covers, else 0.
        columns: `(N, Q, W)`, the same for columns.
        up: `(N, Q, C)`, 1 where the channel goes to the upper end of the ball, else 0.
    """

    rows: Tensor
    columns: Tensor
    up: Tensor


def start(ball: Ball, draws: Draws, indices: Tensor) -> Tensor:
    """Vertical stripes of one pixel, each of one sign: `(N, C, H, W)`."""
    _, channels, _, width = ball.center.shape
    up = draws.first(indices, (channels, 1, width)) >= 0.5
    return chosen(up.to(ball.lower.dtype), ball.upper, ball.lower)


def plan(choices: Choices, sides: Sequence[int], size: Sequence[int]) -> LinfWindows:
    """Turn choices into windows of the sides wanted, for images of `size` (height, width)."""
    side = torch.tensor(sides, device=choices.places.device)
    height, width = size
    return LinfWindows(
        rows=covered(corners(choices.places[..., 0], side, height), side, height).to(choices.signs.dtype),
        columns=covered(corners(choices.places[..., 1], side, width), side, width).to(choices.signs.dtype),
        up=(choices.signs > 0).to(choices.signs.dtype),
    )


def move(best: Tensor, ball: Ball, plan: LinfWindows, number: int) -> Tensor:
    """Set a square window of `best`, `(N, C, H, W)`, to the lower or the upper end of the ball, channel by channel.

    Adding 2 epsilon of either sign and clipping, as the paper writes it, ends at the same place.
    """
    inside = plan.rows[:, number, None, :, None] * plan.columns[:, number, None, None, :]
    ends = chosen(plan.up[:, number, :, None, None], ball.upper, ball.lower)
    return chosen(inside, ends, best)
