"""Square's moves for Linf (arXiv 1912.00049, section 3.2): a square of one sign per channel, on the ball's surface."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.attacks.autoattack.fast.ball import Ball
from bench.attacks.autoattack.fast.square_draws import Draws, Window

__all__ = ["corner", "move", "start", "window_mask"]


def start(ball: Ball, draws: Draws, indices: Tensor) -> Tensor:
    """Vertical stripes of one pixel, each of one sign: `(N, C, H, W)`."""
    _, channels, _, width = ball.center.shape
    up = draws.first(indices, (channels, 1, width)) >= 0.5
    return torch.where(up, ball.upper, ball.lower)


def move(best: Tensor, ball: Ball, window: Window, side: int) -> Tensor:
    """Set a square window of `best`, `(N, C, H, W)`, to the lower or the upper end of the ball, channel by channel.

    Adding 2 epsilon of either sign and clipping, as the paper writes it, ends at the same place.
    """
    height, width = best.shape[2:]
    inside = window_mask(
        corner(window.places[:, 0], height, side), corner(window.places[:, 1], width, side), side, height, width
    )
    ends = torch.where((window.signs > 0)[:, :, None, None], ball.upper, ball.lower)
    return torch.where(inside, ends, best)


def corner(place: Tensor, length: int, side: int) -> Tensor:
    """First row (or column) of a window of `side`, int64 `(N,)`, uniform over all that fit into `length`.

    The reference never draws the last one, so that its squares leave the last row and column alone.
    """
    return (place * (length - side + 1)).long()


def window_mask(top: Tensor, left: Tensor, side: int, height: int, width: int) -> Tensor:
    """Where the windows lie: bool `(N, 1, H, W)`."""
    rows = torch.arange(height, device=top.device) - top[:, None]
    columns = torch.arange(width, device=top.device) - left[:, None]
    in_rows, in_columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]
