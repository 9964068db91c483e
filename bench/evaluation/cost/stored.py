"""What a journal holds already, as far as a forecast is concerned."""

from __future__ import annotations

from bench.core.types import Examples
from bench.evaluation.cost.forecast import Forecast, Step
from bench.evaluation.journal.chunks import Chunk
from bench.evaluation.journal.header import inputs_digest
from bench.evaluation.journal.journal import Journal
from bench.evaluation.results import StageResult

__all__ = ["StoredWork"]


class StoredWork:
    """Finished work that a run would reuse.

    Args:
        journal: where it lies; None holds nothing.
        examples: sorted by index; those of the run, or more.
    """

    def __init__(self, journal: Journal | None, examples: Examples) -> None:
        self._journal = journal
        self._examples = examples
        self._results: dict[tuple[str, str], StageResult | None] = {}
        self._digests: dict[str, str] = {}

    def tell(self, forecast: Forecast) -> None:
        """Let a forecast of the first examples observe all of them that are done.

        Raises:
            BenchError: if the journal was made with other examples.
        """
        if self._journal is None:
            return
        for step in forecast.steps:
            for chunk in forecast.chunks:
                self._tell_chunk(forecast, step, chunk)

    def _tell_chunk(self, forecast: Forecast, step: Step, chunk: Chunk) -> None:
        every = [True] * len(chunk.indices)
        before = every if step.before is None else forecast.held(step.before, chunk.rows)
        result = self._read(step.stage.key, chunk) if before is not None else None
        if before is None or result is None:
            return
        part = step.selects and all(was or not seen for seen, was in zip(result.attacked, before, strict=True))
        if part or list(result.attacked) == list(before):
            forecast.begin(step.stage, result.attacked, rows=chunk.rows)
            forecast.observe(step.stage, chunk.rows, result.robust, result.seconds, reused=True)

    def _read(self, key: str, chunk: Chunk) -> StageResult | None:
        if self._journal is None:
            return None
        place = (key, chunk.key)
        if place not in self._results:
            self._results[place] = self._journal.read(key, chunk, inputs=self._digest(chunk))
        return self._results[place]

    def _digest(self, chunk: Chunk) -> str:
        if chunk.key not in self._digests:
            self._digests[chunk.key] = inputs_digest(self._examples[chunk.rows])
        return self._digests[chunk.key]
