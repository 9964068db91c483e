"""Counts what an attack asks of the model: examples passed forwards, and gradients taken back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

__all__ = ["CountingClassifier", "Passes"]

_PASSES = ("raw", "routed")


class Passes(NamedTuple):
    """Examples passed through the model, each pass of each example counted once."""

    forwards: int
    backwards: int


class CountingClassifier(nn.Module):
    """The model as an attack sees it: the same logits and gradients, every pass counted.

    A backward pass is counted when a gradient reaches the logits. What a structured model declares is found here too;
    its raw logits and its logits under a given route count as passes, a look at its router alone does not.

    Args:
        module: the model; it is not changed.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = False
        self.forwards = 0
        self.backwards = 0

    def forward(self, inputs: Tensor) -> Any:
        """Return the model's logits, `(N, num_classes)`, for `inputs` `(N, C, H, W)` in [0, 1]."""
        return self._counted(self.module, inputs)

    def reset(self) -> None:
        """Start counting from zero."""
        self.forwards = self.backwards = 0

    @property
    def passes(self) -> Passes:
        """What was counted since the start or the last `reset`."""
        return Passes(self.forwards, self.backwards)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            found = getattr(super().__getattr__("module"), name)
        return functools.partial(self._counted, found) if name in _PASSES and callable(found) else found

    def _counted(self, call: Callable[..., Any], inputs: Tensor, *arguments: Any) -> Any:
        count = len(inputs)
        self.forwards += count
        logits = call(inputs, *arguments)
        if isinstance(logits, Tensor) and logits.requires_grad:
            logits.register_hook(lambda _: self._count_backward(count))  # type: ignore[no-untyped-call]
        return logits

    def _count_backward(self, count: int) -> None:
        self.backwards += count
