"""The lane of a run without workers: this process computes, one task after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.core.types import Examples
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult

__all__ = ["InProcess"]


class InProcess:
    """A lane that computes in this process, one task after the other.

    Args:
        computer: of the evaluation.
    """

    def __init__(self, computer: Computer) -> None:
        self._computer = computer

    def run(self, tasks: Iterable[Task], examples: Examples) -> Iterator[tuple[Task, Sequence[StageResult]]]:
        """Yield each task with its results, in order."""
        for task in tasks:
            yield task, self._computer.compute(task, task.attacked(examples))
