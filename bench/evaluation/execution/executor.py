"""What every executor is: something that computes the tasks of evaluations, in whatever order suits it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from bench.core.types import Examples
from bench.evaluation.execution.task import Task
from bench.evaluation.plan import RunPlan
from bench.evaluation.results import StageResult

__all__ = ["Executor", "Lane"]


class Lane(Protocol):
    """Computes the tasks of one evaluation."""

    def run(self, tasks: Iterable[Task], examples: Examples) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        """Yield each task with a result for each of its chunks, as they are done.

        Args:
            tasks: asked for one by one, a little before each can be computed.
            examples: all of the run, sorted by index.

        Raises:
            WorkFailedError: if a task fails after its retries; those that were begun before are yielded first.
        """
        ...


class Executor(Protocol):
    """Computes tasks of one model.

    Attributes:
        n_workers: how many tasks are computed at once.
        device: its kind where tasks are computed ("cuda"); None for that of the driver.
    """

    @property
    def n_workers(self) -> int: ...
    @property
    def device(self) -> str | None: ...

    def lane(self, plan: RunPlan) -> AbstractContextManager[Lane]:
        """Get ready for one evaluation, whose model is lent for as long."""
        ...
