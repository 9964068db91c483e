"""Before a run: what its stages cost on this model and device, and how long so many examples will take."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from bench.core.types import Attack, Examples
from bench.evaluation.cost.costs import Costs
from bench.evaluation.cost.forecast import Forecast
from bench.evaluation.cost.probe import Probe
from bench.evaluation.cost.stored import StoredWork
from bench.evaluation.execute import Runner
from bench.evaluation.execution.computing import Computer
from bench.evaluation.journal.header import differences
from bench.evaluation.journal.journal import peek
from bench.evaluation.plan import RunPlan
from bench.evaluation.result_store import ResultStore
from bench.evaluation.schedule import CLEAN

__all__ = ["Estimator", "Prediction"]


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

    @property
    def examples(self) -> Examples:
        """All that could be evaluated, sorted by index."""
        return self.plan.examples

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """All that will run."""
        return self.plan.attacks

    def most_seconds(self, per_pass: float) -> float:
        """An upper bound on what is left to do on all examples, if a pass of one takes `per_pass`."""
        counted = Costs(stages={}, in_seconds=True, per_pass=per_pass)
        return self.predict(counted).seconds(len(self.examples))

    @contextlib.contextmanager
    def probe(self) -> Iterator[Probe]:
        """A probe of the model, which is lent until the context ends."""
        with self.plan.model() as module:

            def make_runner(examples: Examples) -> Runner:
                part, computer = self.plan.part(slice(0, len(examples))), Computer.of(self.plan)
                return Runner(computer, computer.run, ResultStore(part, None), part.examples)

            make_runner(self.examples[:1]).run(CLEAN, [True], lambda done: None)  # refuses what gives no logits
            with torch.no_grad():
                n_classes = module(self.examples[:1].inputs.to(self.plan.device)).shape[1]
            yield Probe(make_runner, self.examples, n_classes=n_classes, batch_size=self.plan.header.batch_size)

    def predict(self, costs: Costs) -> Prediction:
        """What so many examples take, less what the journal holds."""
        return Prediction(estimator=self, costs=costs, work=self._work, batch_size=self.plan.header.batch_size)

    @functools.cached_property
    def _work(self) -> StoredWork:
        """What the journal holds, read once; one of another run is refused when the run starts."""
        stored = peek(self.plan.journal) if self.plan.journal is not None else None
        usable = stored is not None and not differences(stored.header, self.plan.header)
        return StoredWork(stored if usable else None, self.examples)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How long a run takes, by the number of its examples.

    Args:
        estimator: of the run.
        costs: of its stages.
        work: what is done already.
        batch_size: most examples computed at once.
    """

    estimator: Estimator
    costs: Costs
    work: StoredWork
    batch_size: int

    def seconds(self, n_examples: int) -> float:
        """What the first `n_examples` take."""
        indices = self.estimator.examples.indices[:n_examples].tolist()
        costs = self.with_what_follows(n_examples)
        forecast = Forecast(self.estimator.attacks, indices, costs, batch_size=self.batch_size)
        self.work.tell(forecast)
        return forecast.remaining(self.estimator.n_workers) or 0.0

    def with_what_follows(self, n_examples: int) -> Costs:
        """The costs of a run on the first `n_examples`, with what follows the attacks."""
        return dataclasses.replace(self.costs, after=self.costs.per_pass * self.estimator.after(n_examples))
