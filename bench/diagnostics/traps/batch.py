"""Models that treat many images at once otherwise than few: right for whoever looks at few.

He who knows it asks for few at a time, or climbs the network itself.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.diagnostics.traps.trap import Trap

__all__ = ["TRAPS", "Crowded"]

KIND = "batch size"


class Crowded(nn.Module):
    """Something else is done to the inputs where there are more than so many.

    Args:
        base: the network.
        crowd: of inputs `(N, C, H, W)` that are many.
        above: more than so many are.
    """

    def __init__(self, base: nn.Module, crowd: Callable[[Tensor], Tensor], *, above: int) -> None:
        super().__init__()
        self.base, self.crowd, self.above = base, crowd, above

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        logits: Tensor = self.base(self.crowd(inputs) if len(inputs) > self.above else inputs)
        return logits


class Turned(torch.autograd.Function):
    """The identity, whose gradient points the wrong way."""

    @staticmethod
    def forward(context: object, inputs: Tensor) -> Tensor:
        """Return a copy of the inputs."""
        del context
        return inputs.clone()

    @staticmethod
    def backward(context: object, gradient: Tensor) -> Tensor:
        """Return the gradient, turned round."""
        del context
        return -gradient


def detached(inputs: Tensor) -> Tensor:
    """The same, with a gradient of zero."""
    return inputs.detach() + 0 * inputs


def turned(inputs: Tensor) -> Tensor:
    """The same, with a gradient of the wrong sign."""
    image: Tensor = Turned.apply(inputs)
    return image


def shuffled(inputs: Tensor) -> Tensor:
    """The same, with the gradient of another pixel."""
    return inputs.detach() + inputs.roll(3, -1) - inputs.roll(3, -1).detach()


def smoothed(inputs: Tensor) -> Tensor:
    """Blurred, so that the logits differ too."""
    blurred = functional.avg_pool2d(inputs, 3, stride=1, padding=1, count_include_pad=False)
    return 0.7 * inputs + 0.3 * blurred.detach()


def _build(crowd: Callable[[Tensor], Tensor], *, above: int) -> Callable[..., nn.Module]:
    return lambda base, _: Crowded(base, crowd, above=above)


TRAPS = (
    Trap(name="no gradient for more than 63", kind=KIND, build=_build(detached, above=63)),
    Trap(name="the wrong gradient for more than 40", kind=KIND, build=_build(turned, above=40)),
    Trap(name="another pixel's gradient for more than 48", kind=KIND, build=_build(shuffled, above=48)),
    Trap(name="a blurred image for more than 32", kind=KIND, build=_build(smoothed, above=32)),
)
