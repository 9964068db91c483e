"""A worker's place: the models that it has at hand, each lent and in full float32, and what it makes of a task."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch

from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import reason_of
from bench.core.types import Examples
from bench.evaluation.execution.assignment import Assignment, take_up
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.protocol import Done, Failed
from bench.evaluation.execution.task import Task
from bench.evaluation.model_guard import guarded
from bench.evaluation.precision import full_float32

__all__ = ["Workplace"]

_KEPT = 4
"""Models at hand; where several are evaluated at once, tasks of one of them tend to follow each other."""


class Workplace:
    """Computes tasks of any number of assignments in this process.

    Args:
        device: where to compute.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._at_hand: OrderedDict[str, Computer] = OrderedDict()

    def fulfil(self, key: str, task: Task, attacked: Examples, fetch: Callable[[str], Assignment]) -> Done | Failed:
        """Compute a task.

        Args:
            key: of the assignment that it belongs to.
            task: what to compute.
            attacked: the examples that its stage sees.
            fetch: gets the assignment with a key, where it is not at hand.
        """
        try:
            computer = self._computer(key, fetch)
            with guarded(computer.module, self._device), full_float32():
                return Done(results=computer.compute(task, attacked))
        except BenchError as error:
            return Failed.of(error)
        except Exception as error:  # noqa: BLE001 - told to the driver, which ends the run with it
            return Failed.of(WorkFailedError(f"Failed: {task.what}: {reason_of(error)}."))

    def _computer(self, key: str, fetch: Callable[[str], Assignment]) -> Computer:
        if key not in self._at_hand:
            while len(self._at_hand) >= _KEPT:
                self._at_hand.popitem(last=False)
            with full_float32():
                self._at_hand[key] = take_up(fetch(key), self._device)
        self._at_hand.move_to_end(key)
        return self._at_hand[key]
