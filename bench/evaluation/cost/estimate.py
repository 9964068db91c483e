"""Before a run: what its stages cost on this model and device, and how long so many examples will take."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from bench.core.types import Examples
from bench.evaluation.cost.forecast import Costs, Forecast
from bench.evaluation.cost.probe import Probe
from bench.evaluation.execute import Runner
from bench.evaluation.execution.computing import Computer
from bench.evaluation.journal.chunks import Chunk
from bench.evaluation.journal.header import differences, inputs_digest
from bench.evaluation.journal.journal import Journal, peek
from bench.evaluation.plan import RunPlan
from bench.evaluation.result_store import ResultStore
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import CLEAN

__all__ = ["Estimator"]


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Tells what a run will take on the first so many of its examples.

    Args:
        plan: the run on all examples that could be evaluated, settled.
        n_workers: how many tasks will be computed at once.
        after: passes of one example that follow the attacks, by the number of examples.
    """

    plan: RunPlan
    n_workers: int = 1
    after: Callable[[int], float] = lambda n_examples: 0.0

    @contextlib.contextmanager
    def probe(self) -> Iterator[Probe]:
        """A probe of the model, which is lent until the context ends."""
        examples = self.plan.examples
        with self.plan.model() as module:

            def make_runner(some: Examples) -> Runner:
                part, computer = self.plan.part(slice(0, len(some))), Computer.of(self.plan)
                return Runner(computer, computer.run, ResultStore(part, None), part.examples)

            make_runner(examples[:1]).run(CLEAN, [True])  # refuses what gives no logits
            with torch.no_grad():
                n_classes = module(examples[:1].inputs.to(self.plan.device)).shape[1]
            yield Probe(make_runner, examples, n_classes=n_classes, batch_size=self.plan.header.batch_size)

    def most_seconds(self, per_pass: float) -> float:
        """An upper bound on what is left to do on all examples, if a pass of one takes `per_pass`."""
        return self.seconds(Costs(stages={}, in_seconds=True, per_pass=per_pass), len(self.plan.examples))

    def seconds(self, costs: Costs, n_examples: int) -> float:
        """What the first `n_examples` take, less what the journal holds.

        Args:
            costs: of the stages.
            n_examples: how many.

        Raises:
            BenchError: if the journal was made with other examples.
        """
        forecast = Forecast(
            self.plan.attacks,
            self.plan.examples.indices[:n_examples].tolist(),
            self.with_what_follows(costs, n_examples),
            batch_size=self.plan.header.batch_size,
        )
        if self._journal is not None:
            self._observe_journal(self._journal, forecast)
        return forecast.remaining(self.n_workers) or 0.0

    def with_what_follows(self, costs: Costs, n_examples: int) -> Costs:
        """The costs of a run on the first `n_examples`, with what follows the attacks."""
        return dataclasses.replace(costs, after=costs.per_pass * self.after(n_examples))

    @functools.cached_property
    def _journal(self) -> Journal | None:
        """The journal of this run; that of another is refused when the run starts."""
        stored = peek(self.plan.journal) if self.plan.journal is not None else None
        return stored if stored is not None and not differences(stored.header, self.plan.header) else None

    @functools.cached_property
    def _results(self) -> dict[tuple[str, str], StageResult | None]:
        """What was read of the journal, by stage and chunk: each is read once."""
        return {}

    @functools.cached_property
    def _digests(self) -> dict[str, str]:
        """Of the inputs, by chunk."""
        return {}

    def _observe_journal(self, journal: Journal, forecast: Forecast) -> None:
        for step in forecast.steps:
            for chunk in forecast.chunks:
                every = [True] * len(chunk.indices)
                before = every if step.before is None else forecast.held(step.before, chunk.rows)
                result = self._read(journal, step.stage.key, chunk) if before is not None else None
                if before is None or result is None:
                    continue
                part = step.selects and all(was or not seen for seen, was in zip(result.attacked, before, strict=True))
                if part or list(result.attacked) == list(before):
                    forecast.begin(step.stage, result.attacked, rows=chunk.rows)
                    forecast.observe(step.stage, chunk.rows, result.robust, result.seconds, reused=True)

    def _read(self, journal: Journal, key: str, chunk: Chunk) -> StageResult | None:
        place = (key, chunk.key)
        if place not in self._results:
            if chunk.key not in self._digests:
                self._digests[chunk.key] = inputs_digest(self.plan.examples[chunk.rows])
            self._results[place] = journal.read(key, chunk, inputs=self._digests[chunk.key])
        return self._results[place]
