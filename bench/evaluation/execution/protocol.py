"""What a driver and its workers tell each other; both run the same code, and the driver started the workers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult

__all__ = ["Done", "Failed", "Order", "Packed"]

_LEVELS = 255


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """Examples as arrays.

    Args:
        inputs: `(N, C, H, W)`, float32, or uint8 of which each input is a 255th part.
        labels: int64 `(N,)`.
        indices: int64 `(N,)`.
    """

    inputs: NDArray[np.float32] | NDArray[np.uint8]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]

    @classmethod
    def of(cls, examples: Examples) -> Packed:
        """Pack examples, wherever they lie; pixels in a byte each where that loses nothing, as for images it does."""
        inputs = examples.inputs.cpu()
        pixels = (inputs * _LEVELS).round().to(torch.uint8)
        smallest = pixels if torch.equal(_as_inputs(pixels), inputs) else inputs
        return cls(
            inputs=smallest.numpy(), labels=examples.labels.cpu().numpy(), indices=examples.indices.cpu().numpy()
        )

    def unpack(self) -> Examples:
        """The examples, to the bit, in memory of their own."""
        inputs, labels, indices = (torch.from_numpy(each.copy()) for each in (self.inputs, self.labels, self.indices))
        return Examples(
            inputs=_as_inputs(inputs) if inputs.dtype == torch.uint8 else inputs, labels=labels, indices=indices
        )


def _as_inputs(pixels: Tensor) -> Tensor:
    return pixels.to(torch.float32) / _LEVELS


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """A task for one worker.

    Args:
        key: of the assignment that it belongs to.
        task: what to compute.
        attacked: the examples that its stage sees.
    """

    key: str
    task: Task
    attacked: Packed


@dataclass(frozen=True, kw_only=True)
class Done:
    """A task is done.

    Args:
        results: one for each of its chunks.
    """

    results: tuple[StageResult, ...]


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A task failed after its retries.

    Args:
        message: one line.
        users: whether it is the user who can help it, so that a retry cannot.
    """

    message: str
    users: bool

    @classmethod
    def of(cls, error: BenchError) -> Failed:
        """What an error comes to."""
        return cls(message=str(error), users=not isinstance(error, WorkFailedError))

    @property
    def error(self) -> BenchError:
        """The error, to be raised in the driver."""
        return BenchError(self.message) if self.users else WorkFailedError(self.message)
