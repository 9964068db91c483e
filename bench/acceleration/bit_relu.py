"""ReLU in bfloat16 on a CPU, computed on the bits.

A bfloat16 number is negative where the same 16 bits, read as an integer, are, and zero where they are. So ReLU is the
larger of that integer and 0, and its gradient the one at the output times the lesser of that integer and 1: the same
bits as torch's own, which converts every number to float32 and back, and takes several times as long. (Except for NaN:
one whose sign bit is set becomes 0. No verdict is taken in bfloat16.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["quick_relu", "quick_relu_", "relu_slope"]


def quick_relu(images: Tensor) -> Tensor:
    """ReLU of any tensor, which may require gradients."""
    if not _suits(images):
        return images.relu()
    result: Tensor = _Differentiable.apply(images) if torch.is_grad_enabled() else _clamped(images)
    return result


def quick_relu_(images: Tensor) -> Tensor:
    """ReLU in place, of a tensor that requires no gradient."""
    if not _suits(images):
        return images.relu_()
    images.view(torch.int16).clamp_min_(0)
    return images


def relu_slope(gradient: Tensor, result: Tensor) -> Tensor:
    """The gradient at the input of a ReLU, from that at its output and the output itself."""
    if not (_suits(gradient) and _suits(result)):
        slope: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
        return slope
    return result.view(torch.int16).clamp_max(1).mul_(gradient.view(torch.int16)).view(torch.bfloat16)


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        result = _clamped(images)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (result,) = ctx.saved_tensors
        return relu_slope(gradient, result)


def _clamped(images: Tensor) -> Tensor:
    return images.view(torch.int16).clamp_min(0).view(torch.bfloat16)


def _suits(images: Tensor) -> bool:
    return images.dtype is torch.bfloat16 and images.device.type == "cpu"
