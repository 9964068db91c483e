"""An executor that leaves the tasks of one model to a crew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from bench.evaluation.execution.assignment import assign
from bench.evaluation.execution.window import Crew, Window
from bench.evaluation.plan import RunPlan
from bench.models.blueprint import Blueprint

__all__ = ["Crewed"]


@dataclass(frozen=True, kw_only=True)
class Crewed:
    """Has a crew compute the tasks of one model; see `Executor`.

    Args:
        crew: the workers, which may serve others too.
        blueprint: how they build the model.
        waiting: entered whenever there is nothing to do but wait for them.
    """

    crew: Crew
    blueprint: Blueprint
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def n_workers(self) -> int:
        """How many tasks are computed at once."""
        return self.crew.n_workers

    @property
    def device(self) -> str:
        """Kind of the workers' devices."""
        return self.crew.device

    @contextlib.contextmanager
    def lane(self, plan: RunPlan) -> Iterator[Window]:
        """Tell the crew of an evaluation, and forget it at the end."""
        assignment = assign(plan, self.blueprint)
        try:
            yield Window(self.crew, assignment, waiting=self.waiting)
        finally:
            self.crew.release(assignment)
