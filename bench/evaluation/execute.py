"""Everything of a run that is not done yet, computed in the order of its schedule."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench.core.types import Examples
from bench.evaluation.cost.forecast import IN_PASSES, Costs, Forecast
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.executor import Compute, Executor
from bench.evaluation.execution.task import Task
from bench.evaluation.plan import RunPlan
from bench.evaluation.progress import ProgressCallback, Tracker
from bench.evaluation.recheck import refuse_other_function
from bench.evaluation.result_store import ResultStore
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import GRADIENTS, Schedule, Stage
from bench.row.arrays import Breaks

__all__ = ["Runner", "execute"]

_Report = Callable[[Task, Sequence[StageResult], bool], None]


def execute(
    plan: RunPlan,
    store: ResultStore,
    *,
    executor: Executor | None = None,
    progress: ProgressCallback | None = None,
    costs: Costs | None = None,
) -> None:
    """Compute what the store does not have, and store it.

    Args:
        plan: the run, settled.
        store: what is done of it.
        executor: computes the tasks; None for this process.
        progress: called after every group of chunks.
        costs: of the stages, for the estimate of the time left; None counts passes.

    Raises:
        BenchError: if what is stored was made by another model.
        WorkFailedError: if an attack fails twice, or the disk is full; the store keeps what was finished.
    """
    indices = plan.examples.indices.tolist()
    forecast = Forecast(plan.scheduled, indices, costs or IN_PASSES, batch_size=plan.header.batch_size)
    n_workers = executor.pool.n_workers if executor is not None else 1
    tracker = Tracker(progress, forecast, n_examples=len(indices), n_workers=n_workers)
    with plan.model(), contextlib.ExitStack() as stack:
        computer = Computer.of(plan)
        compute = stack.enter_context(executor.start(plan)) if executor is not None else computer.run
        runner = Runner(computer, compute, store, plan.examples)
        Schedule(_Computed(runner, tracker), plan.scheduled, indices=indices, seed=plan.header.seed).run()


class Runner:
    """Runs stages: what the store's journal has is taken, the rest is computed and stored.

    Args:
        computer: the model in this process, for what is not journaled.
        compute: computes tasks, here or elsewhere.
        store: what is done.
        examples: all of the run, sorted by index.
    """

    def __init__(self, computer: Computer, compute: Compute, store: ResultStore, examples: Examples) -> None:
        self._store = store
        self._computer = computer
        self._compute = compute
        self._examples = examples

    @property
    def breaks(self) -> Breaks:
        """The strongest break of each example that a stage broke so far."""
        return self._store.breaks

    def run(self, stage: Stage, attacked: Sequence[bool], report: _Report | None = None) -> StageResult:
        """Run `stage` on the examples that `attacked` marks, and return what became of them.

        Args:
            stage: what to do.
            attacked: one item per example.
            report: told of each task in the order in which they are done, with its results, and whether they are
                reused.
        """

        def landed(task: Task, results: Sequence[StageResult], *, reused: bool) -> None:
            self._store.remember(task, results)
            if report is not None:
                report(task, results, reused)

        def missing() -> Iterator[Task]:
            for task in self._store.tasks(stage, attacked):
                stored = self._store.read(task)
                if stored is None or self._store.journal is None:
                    yield task
                else:
                    refuse_other_function(self._computer, self._store.journal, task, stored, self._examples)
                    landed(task, stored, reused=True)

        for task, results in self._compute(missing(), self._examples):
            self._store.write(task, results)
            landed(task, results, reused=False)
        return self._store.of(stage, attacked)


@dataclass(frozen=True)
class _Computed:
    """Results that are computed where they are missing, and told of; see `Results`."""

    runner: Runner
    tracker: Tracker

    def of(self, stage: Stage, attacked: Sequence[bool]) -> StageResult:
        self.tracker.begin(stage, attacked)
        return self.runner.run(stage, attacked, self.tracker.advance)

    def with_gradient(self, correct: Sequence[bool]) -> Sequence[bool]:
        return self.runner.run(GRADIENTS, correct).robust
