"""The model as a check sees it: it watches the clock, and tells a failure of the model from a failure of the check."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.plain_text import reason_of

__all__ = ["Deadline", "ModelFailedError", "OutOfTimeError", "TimedModel"]


class OutOfTimeError(Exception):
    """The time of the check that runs is over."""


class ModelFailedError(Exception):
    """The model raised an error on inputs that a classifier has to answer."""


class Deadline:
    """Says when the running check has to stop; by default never."""

    def __init__(self) -> None:
        self._deadline: float | None = None

    def allow(self, seconds: float | None) -> None:
        """Give the check that starts now so many seconds; None for as long as it takes."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def look(self) -> None:
        """Go on or stop.

        Raises:
            OutOfTimeError: if the time is over.
        """
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise OutOfTimeError


class TimedModel(nn.Module):
    """The model, asked against the clock and given copies; attributes that it declares are found here too.

    `changes_inputs` tells whether it changed one of the copies.

    Args:
        module: the model; it is not changed.
        deadline: looked at before every pass.
    """

    def __init__(self, module: nn.Module, deadline: Deadline) -> None:
        super().__init__()
        self.module = module
        self.training = False
        self._deadline = deadline
        self.changes_inputs = False

    def forward(self, inputs: Tensor) -> Any:
        """Return what the model answers to `inputs` `(N, C, H, W)`.

        Raises:
            OutOfTimeError: if the time is over.
            ModelFailedError: if the model raises.
        """
        self._deadline.look()
        given = inputs.clone()
        try:
            answer = self.module(given)
        except torch.OutOfMemoryError:  # says something of the device
            raise
        except Exception as error:
            raise ModelFailedError(f"{reason_of(error)} on inputs of shape {tuple(inputs.shape)}") from error
        self.changes_inputs = self.changes_inputs or not torch.equal(given.detach(), inputs.detach())
        return answer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)
