"""What a network is made of: parameters, multiplications, and how far its linear layers can stretch their inputs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Layer", "layers_of", "n_parameters", "spectral_norm"]

ITERATIONS = 20


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A convolution or a linear layer as one input meets it.

    Args:
        name: of the module.
        macs: multiplications and additions for one input.
        kernel: width of a convolution's kernel; 0 for a linear layer.
        size: side of a convolution's output; 0 for a linear layer.
        shape: of its input, without the batch.
    """

    name: str
    macs: int
    kernel: int
    size: int
    shape: tuple[int, ...]


def n_parameters(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in module.parameters())


def layers_of(module: nn.Module, example: Tensor) -> tuple[Layer, ...]:
    """Convolutions and linear layers in the order in which an input passes them; one that is used twice counts twice.

    Args:
        module: the network.
        example: `(1, C, H, W)`, where the network is; on the meta device shapes alone are computed.
    """
    found: list[Layer] = []
    handles = [
        part.register_forward_hook(_noting(name, found))
        for name, part in module.named_modules()
        if isinstance(part, nn.Conv2d | nn.Linear)
    ]
    try:
        with torch.no_grad():
            module(example)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def spectral_norm(
    layer: nn.Conv2d | nn.Linear, shape: tuple[int, ...], *, seed: int, iterations: int = ITERATIONS
) -> float:
    """The largest factor by which a convolution or a linear layer stretches an input, by power iteration.

    Padding and strides are part of the operator; the bias is not.

    Args:
        layer: a convolution or a linear layer.
        shape: of its input, without the batch.
        seed: of the first vector.
        iterations: how many; the estimate is never too large, and grows with them.
    """
    operator = copy.deepcopy(layer).cpu().double().requires_grad_(False)
    if isinstance(operator.bias, Tensor):
        operator.bias.zero_()
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(1, *shape, generator=generator, dtype=torch.float64)
    length = 0.0
    for _ in range(iterations):
        vector = (vector / vector.norm().clamp_min(torch.finfo(torch.float64).tiny)).requires_grad_()
        with torch.enable_grad():
            image = operator(vector)
            length = float(image.detach().norm())
            (vector,) = torch.autograd.grad(image, vector, image.detach())
    return length


def _noting(name: str, found: list[Layer]) -> Callable[..., None]:
    def note(part: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        shape = tuple(inputs[0].shape[1:])
        if isinstance(part, nn.Conv2d):
            per_output = part.in_channels // part.groups * part.kernel_size[0] * part.kernel_size[1]
            found.append(
                Layer(
                    name=name,
                    macs=output[0].numel() * per_output,
                    kernel=part.kernel_size[0],
                    size=output.shape[-1],
                    shape=shape,
                )
            )
        else:
            found.append(Layer(name=name, macs=output[0].numel() * part.in_features, kernel=0, size=0, shape=shape))

    return note
