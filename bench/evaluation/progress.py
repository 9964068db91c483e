"""What the harness tells while it works; whoever listens draws it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.evaluation.cost.forecast import Forecast
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import Stage

__all__ = ["Progress", "ProgressCallback", "Tracker"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the evaluation is.

    Args:
        attack: name of the attack, or "clean", "doctor" or "evidence".
        stage: name of its stage; the attack's own name where it has one stage.
        chunk: chunks of this stage that are done.
        n_chunks: chunks of this stage.
        n_robust: examples that are still robust to all that was tried.
        n_examples: examples in all.
        seconds: since the start.
        eta: seconds that the rest will take; None while nothing was measured.
        unit: what is counted in place of chunks: the doctor's checks.
    """

    attack: str
    stage: str
    chunk: int
    n_chunks: int
    n_robust: int
    n_examples: int
    seconds: float
    eta: float | None
    unit: str = "chunk"


ProgressCallback = Callable[[Progress], None]


class Tracker:
    """Keeps the time, feeds the forecast and tells the listener.

    Args:
        listener: called after every group of chunks; None for silence.
        forecast: of the whole evaluation.
        n_examples: examples in all.
        n_workers: how many groups of chunks are computed at once.
    """

    def __init__(
        self, listener: ProgressCallback | None, forecast: Forecast, *, n_examples: int, n_workers: int = 1
    ) -> None:
        self._listener = listener
        self._forecast = forecast
        self._n_workers = n_workers
        self._start = time.perf_counter()
        self._still = [True] * n_examples
        self._n_done = 0

    def begin(self, stage: Stage, attacked: Sequence[bool]) -> None:
        """Say whom a stage will see."""
        self._forecast.begin(stage, attacked, base=stage.first_pass)
        self._n_done = 0

    def advance(self, task: Task, results: Sequence[StageResult], reused: bool) -> None:
        """Say that a task of the stage that began last is done.

        Args:
            task: which.
            results: one for each of its chunks.
            reused: they come from the journal.
        """
        stage, robust = task.stage, [verdict for each in results for verdict in each.robust]
        self._forecast.observe(stage, task.rows, robust, sum(each.seconds for each in results), reused=reused)
        self._n_done += len(results)
        broken = [verdict for each in results for verdict in each.broken]
        self._still[task.rows] = [was and not now for was, now in zip(self._still[task.rows], broken, strict=True)]
        if self._listener is None:
            return
        event = Progress(
            attack=stage.parent,
            stage=stage.label,
            chunk=self._n_done,
            n_chunks=len(self._forecast.chunks),
            n_robust=sum(self._still),
            n_examples=len(self._still),
            seconds=time.perf_counter() - self._start,
            eta=self._forecast.remaining(self._n_workers),
        )
        self._listener(event)
