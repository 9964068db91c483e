"""An executor that computes nothing: for runs all of whose work has to be there already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from bench.attacks.adaptive.views import ViewName
from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.execution.assignment import Given
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult

__all__ = ["Nobody"]


class Nobody:
    """Refuses the first task; see `Executor` and `Lane`.

    Args:
        kind: of the device that the work was done on; None for the driver's.
    """

    n_workers = 1

    def __init__(self, *, kind: str | None = None) -> None:
        self.device = kind

    @contextlib.contextmanager
    def lane(self, given: Given, computer: Computer) -> Iterator[Nobody]:
        """This itself."""
        yield self

    def viewed(self, view: ViewName) -> Nobody:
        """This itself."""
        return self

    def run(self, tasks: Iterable[Task], examples: Examples) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        """Yield nothing.

        Raises:
            BenchError: if there is a task.
        """
        for task in tasks:
            first, last = task.chunks[0].indices[0], task.chunks[-1].indices[-1]
            raise BenchError(
                f"Not everything is done yet: {task.what} is missing (examples {first}:{last + 1}). Start what computes"
                " it again; it goes on where it stopped."
            )
        yield from ()
