"""Keeps other packages' attacks away from the model: what they differentiate is the input, whatever they call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.core.types import Classifier

__all__ = ["IsolatedClassifier"]


class IsolatedClassifier(nn.Module):
    """A classifier whose parameters `backward()` cannot reach.

    Logits and input gradients are bit for bit those of the classifier; `backward()` on a loss of the logits
    fills the input's `grad` and no parameter's. It has no submodules, so its mode is its own.

    Args:
        classifier: the model.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self._classifier = (classifier,)  # in a tuple, so that a module is not registered as a submodule
        self.training = False

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits `(N, K)` of `inputs` `(N, C, H, W)`."""
        logits: Tensor = _InputGradient.apply(inputs, self._classifier[0])
        return logits


class _InputGradient(torch.autograd.Function):
    """A forward pass with a graph of its own, of which only the input's gradient is ever taken."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, classifier: Classifier) -> Tensor:
        if not ctx.needs_input_grad[0]:
            return classifier(inputs)
        with torch.enable_grad():
            ctx.inputs = inputs.detach().requires_grad_()
            ctx.logits = classifier(ctx.inputs)
        logits: Tensor = ctx.logits.detach()
        return logits

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (slope,) = torch.autograd.grad(ctx.logits, ctx.inputs, gradient)
        return slope, None
