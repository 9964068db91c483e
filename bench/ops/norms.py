"""Norms of perturbations, over all pixels and channels of each example."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.core.types import Norm

__all__ = ["direction", "dual", "enlarged", "per_example", "size"]

SMALLEST_LENGTH = 1e-12
_ORDER = {Norm.LINF: math.inf, Norm.L2: 2, Norm.L1: 1}
_DUAL_ORDER = {Norm.LINF: 1, Norm.L2: 2, Norm.L1: math.inf}
_SPARSE = 20
"""OUR CHOICE: of how many pixels one moves in an L1 step."""


def size(delta: Tensor, norm: Norm) -> Tensor:
    """Norm of each perturbation.

    Args:
        delta: `(N, ...)`, of any floating type; the result has the same.
        norm: which norm.

    Returns:
        `(N,)`.

    >>> size(torch.tensor([[3.0, -4.0]]), Norm.L2).item(), size(torch.tensor([[3.0, -4.0]]), Norm.LINF).item()
    (5.0, 4.0)
    """
    length: Tensor = torch.linalg.vector_norm(delta.flatten(1), ord=_ORDER[norm], dim=1)
    return length


def direction(gradient: Tensor, norm: Norm) -> Tensor:
    """The steepest ascent direction of unit norm: the sign for Linf, the normalised gradient for L2.

    For L1 the steepest one moves a single pixel, which the box soon stops; as in Tramer and Boneh 2019 (arXiv
    1904.13000) the sign of the gradient's largest entries, a twentieth of them, takes its place.

    Args:
        gradient: `(N, ...)`; a zero gradient gives a zero direction.
        norm: the norm that bounds the step.
    """
    if norm is Norm.LINF:
        return gradient.sign()
    if norm is Norm.L1:
        flat = gradient.flatten(1)
        chosen = flat.abs().topk(-(-flat.shape[1] // _SPARSE), dim=1).indices
        sparse = torch.zeros_like(flat).scatter(1, chosen, flat.gather(1, chosen).sign())
        return (sparse / sparse.abs().sum(1, keepdim=True).clamp_min(1)).view_as(gradient)
    gradient = enlarged(gradient)
    return gradient / per_example(size(gradient, norm).clamp_min(SMALLEST_LENGTH), gradient)


def enlarged(gradient: Tensor) -> Tensor:
    """Gradients `(N, ...)`, those whose largest entry is below 1e-12 divided by it; a zero gradient stays.

    A confident model's cross-entropy has gradients whose squares are 0 in float32, and yet they have a direction.
    """
    largest = gradient.flatten(1).abs().amax(1)
    divisor = torch.where(largest < SMALLEST_LENGTH, largest.clamp_min(torch.finfo(gradient.dtype).tiny), 1.0)
    return gradient / per_example(divisor, gradient)


def dual(gradient: Tensor, norm: Norm) -> Tensor:
    """Dual norm of each gradient `(N, ...)`: the most that a step of length 1 gains to first order, `(N,)`.

    >>> dual(torch.tensor([[3.0, -4.0]]), Norm.LINF).item(), dual(torch.tensor([[3.0, -4.0]]), Norm.L2).item()
    (7.0, 5.0)
    """
    length: Tensor = torch.linalg.vector_norm(gradient.flatten(1), ord=_DUAL_ORDER[norm], dim=1)
    return length


def per_example(values: Tensor, like: Tensor) -> Tensor:
    """`values` `(N,)` with trailing axes of size 1, so that they broadcast over `like` `(N, ...)`."""
    return values.reshape(-1, *(1,) * (like.dim() - 1))
