"""A lane over a crew of workers: a few tasks ahead of them, what is done handed over as it lands."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.execution.assignment import Assignment
from bench.evaluation.execution.protocol import Done, Failed
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult

__all__ = ["Crew", "Window"]

_AHEAD = 2
"""Tasks per worker that are handed over before they can be computed, so that none waits for the driver."""


class Crew(Protocol):
    """Workers that compute tasks of any evaluation.

    Attributes:
        n_workers: how many tasks are computed at once.
        device: kind of their devices.
    """

    @property
    def n_workers(self) -> int: ...
    @property
    def device(self) -> str: ...

    def submit(
        self, assignment: Assignment, task: Task, examples: Examples
    ) -> concurrent.futures.Future[Done | Failed]:
        """Hand a task over; worker deaths are dealt with, and told as `Failed` where they go on.

        Args:
            assignment: that the task belongs to.
            task: what to compute.
            examples: all of the run.
        """
        ...

    def release(self, assignment: Assignment) -> None:
        """Say that no more tasks of an assignment will come."""
        ...

    def stop(self) -> None:
        """Give up all tasks at once; whoever waits for one is told that it failed."""
        ...


class Window:
    """A lane of one evaluation.

    Args:
        crew: the workers.
        assignment: what they are told.
        waiting: entered whenever there is nothing to do but wait.
    """

    def __init__(
        self,
        crew: Crew,
        assignment: Assignment,
        *,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._crew = crew
        self._assignment = assignment
        self._waiting = waiting

    def run(self, tasks: Iterable[Task], examples: Examples) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        """Yield each task with its results as it lands; after a failure only those that were begun."""
        source = iter(tasks)
        pending: dict[concurrent.futures.Future[Done | Failed], Task] = {}
        failure: BenchError | None = None
        more = True
        while more or pending:
            while more and len(pending) < _AHEAD * self._crew.n_workers:
                task = next(source, None)
                if task is None:
                    more = False
                else:
                    pending[self._crew.submit(self._assignment, task, examples)] = task
            for future in self._landed(pending):
                task, reply = pending.pop(future), future.result()
                if isinstance(reply, Done):
                    yield task, reply.results
                else:
                    failure, more = failure or reply.error, False
        if failure is not None:
            raise failure

    def _landed(
        self, pending: Iterable[concurrent.futures.Future[Done | Failed]]
    ) -> set[concurrent.futures.Future[Done | Failed]]:
        with self._waiting():
            return concurrent.futures.wait(list(pending), return_when=concurrent.futures.FIRST_COMPLETED).done
