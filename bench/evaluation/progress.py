"""What the harness tells while it works; whoever listens draws it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.evaluation.cost.forecast import Forecast
from bench.evaluation.execution.task import Task
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import Stage

__all__ = ["GroupDone", "Progress", "ProgressCallback", "Tracker"]


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


@dataclass(frozen=True, kw_only=True)
class GroupDone:
    """A group of chunks that is done.

    Args:
        n_done: chunks of the stage done so far.
        n_chunks: chunks in all.
        rows: where this group's examples stand in the run.
        robust: for each of them, whether the stage saw it and did not break it.
        broken: for each of them, whether the stage saw it and broke it.
        seconds: that it took, in an earlier run if it was reused.
        reused: all of it came from the journal.
    """

    n_done: int
    n_chunks: int
    rows: slice
    robust: tuple[bool, ...]
    broken: tuple[bool, ...]
    seconds: float
    reused: bool

    @classmethod
    def of(cls, task: Task, results: Sequence[StageResult], *, n_done: int, n_chunks: int, reused: bool) -> GroupDone:
        """The group of a task, with a result for each of its chunks."""
        return cls(
            n_done=n_done,
            n_chunks=n_chunks,
            rows=task.rows,
            robust=tuple(verdict for each in results for verdict in each.robust),
            broken=tuple(verdict for each in results for verdict in each.broken),
            seconds=sum(each.seconds for each in results),
            reused=reused,
        )


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

    def begin(self, stage: Stage, attacked: Sequence[bool]) -> None:
        """Say whom a stage will see."""
        self._forecast.begin(stage, attacked, base=stage.first_pass)

    def advance(self, stage: Stage, done: GroupDone) -> None:
        """Say that a group of chunks of a stage that has begun is done."""
        self._forecast.observe(stage, done.rows, done.robust, done.seconds, reused=done.reused)
        places = range(done.rows.start, done.rows.stop)
        for place in (place for place, broken in zip(places, done.broken, strict=True) if broken):
            self._still[place] = False
        if self._listener is None:
            return
        event = Progress(
            attack=stage.parent,
            stage=stage.label,
            chunk=done.n_done,
            n_chunks=done.n_chunks,
            n_robust=sum(self._still),
            n_examples=len(self._still),
            seconds=time.perf_counter() - self._start,
            eta=self._forecast.remaining(self._n_workers),
        )
        self._listener(event)
