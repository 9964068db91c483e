"""Whether one network answers as another does, up to rounding: logits, and their gradients at the input."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Network", "alike", "close"]


Network = Callable[[Tensor], Tensor]
"""From inputs `(N, C, H, W)` to logits `(N, K)`."""


def alike(first: Network, second: Network, inputs: Tensor, *, rounding: float, turning: float) -> bool:
    """Whether two networks give the same up to rounding.

    Args:
        first: what is expected.
        second: what is asked about; one that fails is not alike.
        inputs: `(N, C, H, W)`.
        rounding: how far logits may be apart, relative to the largest.
        turning: how far gradients may be apart, relative to their norm.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a traced module prints where it failed
            (logits, slope), (others, other) = _answer(first, inputs), _answer(second, inputs)
    except Exception:  # noqa: BLE001 - a user's model may raise anything; a form that fails is no form
        return False
    return close(logits, others, rounding) and _parallel(slope, other, turning)


def close(expected: Tensor, got: Tensor, rounding: float) -> bool:
    """Whether nothing differs by more than rounding, relative to the largest expected value; NaN equals nothing."""
    if (expected.shape, expected.dtype) != (got.shape, got.dtype):
        return False
    scale = expected.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return bool(((expected - got).abs() <= rounding * scale).all()) or bool((expected == got).all())


def _answer(network: Network, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and the gradient of the largest at the input; 0 where none flows."""
    leaf = inputs.detach().clone().requires_grad_()
    with torch.enable_grad():
        logits = network(leaf)
        strongest = logits.amax(dim=1).sum()
        if not strongest.requires_grad:
            return logits, torch.zeros_like(leaf)
        (slope,) = torch.autograd.grad(strongest, leaf, allow_unused=True, materialize_grads=True)
    return logits.detach(), slope


def _parallel(expected: Tensor, got: Tensor, turning: float) -> bool:
    """Whether gradients differ by no more than `turning` times the norm of what is expected; NaN equals nothing."""
    return bool((expected - got).norm() <= turning * expected.norm())
