"""The shortest move onto a hyperplane inside the box [0, 1], for Linf and L2, without sorting.

Croce and Hein 2020, arXiv 1907.02044, section 2.2 and appendix A solve this problem by sorting the breakpoints. With
`a = |w|`, the room `u` that each coordinate has in the direction that leads to the hyperplane, and `r = 1` (Linf) or
`r = a` (L2), both solutions move coordinate i by `min(level * r_i, u_i)`, where `level` solves

    sum_i a_i min(level * r_i, u_i) = |<w, t> - b|.

The left side is increasing, concave and piecewise linear in the level, so Newton's method from 0 rises to the root and
is exact once it stands on the last piece. Each iteration is one pass over the coordinates; three to six are usual.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Norm
from bench.ops.choosing import chosen

__all__ = ["move_onto_hyperplane"]

MAX_ITERATIONS = 40
"""Each iteration at least quarters (distance left) x (slope), so float32 is exhausted before this many."""
LOOK_EVERY = 4
_ROUNDING = 2.0**-22


def move_onto_hyperplane(points: Tensor, weights: Tensor, residual: Tensor, norm: Norm) -> Tensor:
    """The smallest `d` in `norm` with `<w, t + d> = b` and `t + d` in [0, 1].

    Args:
        points: `t`, `(..., D)`, in [0, 1].
        weights: `w`, broadcasts to `points`.
        residual: `<w, t> - b`, `(...)`.
        norm: which norm is to be small.

    Returns:
        `d`, `(..., D)`; where the hyperplane cannot be reached inside the box, the move that comes nearest.
    """
    scale = weights.abs().amax(dim=-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)
    weights = weights / scale
    residual = residual / scale.squeeze(-1)
    size = weights.abs()
    heading = -torch.sign(weights) * torch.where(residual >= 0, 1.0, -1.0)[..., None]
    room = chosen((-heading).clamp_min(0), points, 1 - points)
    rate = size if norm is Norm.L2 else None
    level = _level(size, rate, room, residual.abs())
    return heading * torch.minimum(_at(level, rate), room)


def _level(size: Tensor, rate: Tensor | None, room: Tensor, wanted: Tensor) -> Tensor:
    """Solve `sum size * min(level * rate, room) = wanted` for the level; where it has no root, saturate the sum.

    A rate of None means 1 everywhere.
    """
    wanted = torch.minimum(wanted, (size * room).sum(dim=-1))
    slopes = size if rate is None else size * rate
    level = torch.zeros_like(wanted)
    for iteration in range(1, MAX_ITERATIONS + 1):
        moved = _at(level, rate)
        lacking = wanted - (size * torch.minimum(moved, room)).sum(dim=-1)
        slope = (slopes * (room - moved).sign().clamp_min(0)).sum(dim=-1)  # those that have room left
        step = torch.where((slope > 0) & (lacking > 0), lacking / slope, 0.0)
        level = level + step
        if (level.device.type == "cpu" or iteration % LOOK_EVERY == 0) and bool((step <= _ROUNDING * level).all()):
            break
    return level


def _at(level: Tensor, rate: Tensor | None) -> Tensor:
    """How far each coordinate is moved at a level, where its room allows it."""
    return level[..., None] if rate is None else level[..., None] * rate
