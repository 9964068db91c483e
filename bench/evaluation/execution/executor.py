"""Has workers compute the tasks of one model: a few tasks ahead of them, what is done handed over as it lands."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.execution.protocol import Assignment, Failed, Reply, assign
from bench.evaluation.execution.task import Task
from bench.evaluation.plan import RunPlan
from bench.evaluation.results import StageResult
from bench.models import Blueprint

__all__ = ["Compute", "Executor", "Pool"]

_AHEAD = 2
"""Tasks per worker that are handed over before they can be computed, so that none waits for the driver."""

Compute = Callable[[Iterable[Task], Examples], Iterator[tuple[Task, Sequence[StageResult]]]]
"""Computes tasks of one evaluation, all of whose examples it is given, and yields each with a result for each of its
chunks, as they are done. Tasks are asked for one by one, a little before each can be computed. Where one fails after
its retries, those that were begun before are yielded first; then it raises."""


class Pool(Protocol):
    """Workers that compute tasks of any evaluation.

    Attributes:
        n_workers: how many tasks are computed at once.
        device: kind of their devices.
    """

    @property
    def n_workers(self) -> int: ...
    @property
    def device(self) -> str: ...

    def submit(self, assignment: Assignment, task: Task, examples: Examples) -> concurrent.futures.Future[Reply]:
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


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Has a pool of workers compute the tasks of one model.

    Args:
        pool: the workers, which may serve others too.
        blueprint: how they build the model.
        surrogates: how they build the models that examples are transferred from, in the plan's order.
        waiting: entered whenever there is nothing to do but wait for them.
    """

    pool: Pool
    blueprint: Blueprint
    surrogates: tuple[Blueprint, ...] = ()
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext

    @contextlib.contextmanager
    def start(self, plan: RunPlan) -> Iterator[Compute]:
        """Tell the workers of an evaluation, whose model is lent for as long, and forget it at the end."""
        assignment = assign(plan, self.blueprint, self.surrogates)
        try:
            yield functools.partial(self._run, assignment)
        finally:
            self.pool.release(assignment)

    def _run(
        self, assignment: Assignment, tasks: Iterable[Task], examples: Examples
    ) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        source = iter(tasks)
        pending: dict[concurrent.futures.Future[Reply], Task] = {}
        failure: BenchError | None = None
        more = True
        while more or pending:
            while more and len(pending) < _AHEAD * self.pool.n_workers:
                task = next(source, None)
                if task is None:
                    more = False
                else:
                    pending[self.pool.submit(assignment, task, examples)] = task
            with self.waiting():
                landed = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED).done
            for future in landed:
                task, reply = pending.pop(future), future.result()
                if isinstance(reply, Failed):
                    failure, more = failure or reply.error, False
                else:
                    yield task, reply
        if failure is not None:
            raise failure
