"""True gradients of something else: the decision is a step, and what is smooth beside it leads nowhere.

What is differentiated is what autograd sees, so that the gradient predicts every small change of the logits; but no
small change of the logits is a change of class. He who knows it climbs the network whose decision was made hard.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Examples
from bench.diagnostics.traps.trap import Trap

__all__ = ["TRAPS"]

KIND = "irrelevant gradient"


class Decoy(nn.Module):
    """A hard decision, and a smooth term that is too small to change it.

    Args:
        base: makes the decision.
        hard: of its logits, `(N, K)`.
        smooth: of the inputs, `(N, K)`.
    """

    def __init__(self, base: nn.Module, hard: Callable[[Tensor], Tensor], smooth: nn.Module) -> None:
        super().__init__()
        self.base, self.hard, self.smooth = base, hard, smooth

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        logits: Tensor = self.hard(self.base(inputs)) + self.smooth(inputs)
        return logits


class Linear(nn.Module):
    """Random weights."""

    def __init__(self, n_inputs: int, num_classes: int, *, size: float, seed: int = 0) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        self.weight: Tensor
        self.register_buffer("weight", size * torch.randn(num_classes, n_inputs, generator=draws) / n_inputs**0.5)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return `(N, K)`."""
        return functional.linear(inputs.flatten(1), self.weight)


class Waves(Linear):
    """Random waves of the pixels: smooth, and curved everywhere."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return `(N, K)`."""
        return 0.3 * torch.sin(3 * super().forward(inputs))


class Blurred(nn.Module):
    """A small share of the network's own logits, of a blurred image."""

    def __init__(self, base: nn.Module, size: float = 0.05) -> None:
        super().__init__()
        self.base, self.size = base, size

    def forward(self, inputs: Tensor) -> Tensor:
        """Return `(N, K)`."""
        flat = inputs.flatten(2).mean(2)[:, :, None, None]
        logits: Tensor = self.size * self.base(flat + 0.3 * (inputs - flat))
        return logits


def one_hot(logits: Tensor, size: float = 10.0) -> Tensor:
    """The winner's class, and nothing of by how much it won."""
    return size * functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)


def ranks(logits: Tensor) -> Tensor:
    """The order of the classes, and nothing else of them."""
    return logits.argsort(1).argsort(1).to(logits.dtype)


def rounded(logits: Tensor, step: float = 0.5) -> Tensor:
    """Whole steps of the logits, without a gradient of their own."""
    return step * (logits.detach() / step).round()


def _decoy(hard: Callable[[Tensor], Tensor], smooth: Callable[[int, int], nn.Module]) -> Callable[..., nn.Module]:
    def build(base: nn.Module, examples: Examples) -> nn.Module:
        num_classes = int(examples.labels.max()) + 1
        return Decoy(base, hard, smooth(examples.inputs[0].numel(), num_classes))

    return build


TRAPS = (
    Trap(
        name="one-hot and a linear term",
        kind=KIND,
        build=_decoy(one_hot, lambda n_inputs, num_classes: Linear(n_inputs, num_classes, size=0.5)),
    ),
    Trap(
        name="one-hot and waves",
        kind=KIND,
        build=_decoy(one_hot, lambda n_inputs, num_classes: Waves(n_inputs, num_classes, size=2.0, seed=1)),
    ),
    Trap(
        name="ranks and a linear term",
        kind=KIND,
        build=_decoy(ranks, lambda n_inputs, num_classes: Linear(n_inputs, num_classes, size=0.1, seed=2)),
    ),
    Trap(
        name="one-hot and a small copy of a blurred network",
        kind=KIND,
        build=lambda base, examples: Decoy(base, one_hot, Blurred(base)),
    ),
    Trap(
        name="rounded logits and a linear term",
        kind=KIND,
        build=_decoy(rounded, lambda n_inputs, num_classes: Linear(n_inputs, num_classes, size=0.2, seed=3)),
    ),
)
