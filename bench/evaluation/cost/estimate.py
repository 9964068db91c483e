"""Before a run: what its stages cost on this model and device, and how long so many examples will take."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bench.attacks.adaptive.report import ReportedAttack
from bench.core.structure import structures_of
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation.cost.costs import Costs
from bench.evaluation.cost.forecast import Forecast
from bench.evaluation.cost.probe import Probe
from bench.evaluation.cost.stored import StoredWork
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.in_process import InProcess
from bench.evaluation.forms import Forms
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.journal.header import Header, differences
from bench.evaluation.journal.journal import Journal, peek
from bench.evaluation.model_guard import borrowed
from bench.evaluation.precision import full_float32
from bench.evaluation.runner import Runner
from bench.evaluation.sanity import check_model
from bench.evaluation.search_precision import choose_precision
from bench.evaluation.stage import CLEAN
from bench.storage.place import Place
from bench.suites import AttackSuite

__all__ = ["Prediction", "Prospect"]


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """A run that may be done, on the first so many of some examples.

    Args:
        module: the model.
        examples: all that could be evaluated, sorted by index.
        threat_model: what the attacker may do.
        suite: the attacks.
        header: of the run, from `plan`.
        device: where to compute.
        journal: where finished work lies, if there is any.
        n_workers: how many tasks will be computed at once.
        after: passes of one example that follow the attacks, by the number of examples.
    """

    module: nn.Module
    examples: Examples
    threat_model: ThreatModel
    suite: AttackSuite
    header: Header
    device: torch.device
    journal: Place
    n_workers: int = 1
    after: Callable[[int], float] = lambda n_examples: 0.0

    @property
    def attacks(self) -> tuple[Attack, ...]:
        """All that will run: the suite's attacks, what the model's structure calls for, and what is only reported."""
        structures = structures_of(self.module)
        reports = [report for rule in self.suite.rules_for(structures) for report in rule.reports]
        naive = [_renamed(each.attack, each.name) for each in reports if isinstance(each, ReportedAttack)]
        return (*self.suite.attacks_for(structures), *naive)

    def most_seconds(self, per_pass: float) -> float:
        """An upper bound on what is left to do on all examples, if a pass of one takes `per_pass`."""
        counted = Costs(stages={}, in_seconds=True, per_pass=per_pass)
        return self.predict(counted).seconds(len(self.examples))

    def probe(self) -> contextlib.AbstractContextManager[Probe]:
        """A probe of the model, which is borrowed until the context ends."""
        return self._probe()

    def predict(self, costs: Costs) -> Prediction:
        """What so many examples take, less what the journal holds."""
        return Prediction(prospect=self, costs=costs, work=self._work, batch_size=self._settled().batch_size)

    @functools.cached_property
    def _work(self) -> StoredWork:
        """What the journal holds, read once."""
        return StoredWork(self._book(), self.examples)

    @contextlib.contextmanager
    def _probe(self) -> Iterator[Probe]:
        with borrowed(self.module, self.device) as module, full_float32():
            few = self.examples[:CHUNK_SIZE].inputs.to(self.device)
            check_model(module, few, self.attacks)
            header = self._settled()
            precision = choose_precision(header.precision, self.module, few).precision
            forms = Forms.of(self.module, few, engine=header.engine, precision=precision)

            def make_runner(examples: Examples) -> Runner:
                computer = Computer(
                    module=self.module,
                    forms=forms,
                    threat_model=self.threat_model,
                    seed=header.seed,
                    device=self.device,
                    batch_size=header.batch_size,
                )
                return Runner(
                    computer=computer,
                    lane=InProcess(computer),
                    examples=examples,
                    device=self.device,
                    batch_size=header.batch_size,
                    journal=None,
                )

            make_runner(self.examples[:1]).run(CLEAN, [True], lambda done: None)  # refuses what gives no logits
            with torch.no_grad():
                n_classes = self.module(few[:1]).shape[1]
            yield Probe(make_runner, self.examples, n_classes=n_classes, batch_size=header.batch_size)

    def _book(self) -> Journal | None:
        """The journal that this run would go on with; one of another run is refused when the run starts."""
        book = peek(self.journal)
        if book is None:
            return None
        decided = {name: getattr(book.header, name) for name in ("batch_size", "precision")}
        if self.header.fingerprint is None:
            decided["fingerprint"] = book.header.fingerprint
        return book if not differences(book.header, dataclasses.replace(self.header, **decided)) else None

    def _settled(self) -> Header:
        book = self._book()
        return book.header if book is not None else self.header


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """How long a run takes, by the number of its examples.

    Args:
        prospect: the run.
        costs: of its stages.
        work: what is done already.
        batch_size: most examples computed at once.
    """

    prospect: Prospect
    costs: Costs
    work: StoredWork
    batch_size: int

    def seconds(self, n_examples: int) -> float:
        """What the first `n_examples` take."""
        indices = self.prospect.examples.indices[:n_examples].tolist()
        costs = self.with_what_follows(n_examples)
        forecast = Forecast(self.prospect.attacks, indices, costs, batch_size=self.batch_size)
        self.work.tell(forecast)
        return forecast.remaining(self.prospect.n_workers) or 0.0

    def with_what_follows(self, n_examples: int) -> Costs:
        """The costs of a run on the first `n_examples`, with what follows the attacks."""
        return dataclasses.replace(self.costs, after=self.costs.per_pass * self.prospect.after(n_examples))


def _renamed(attack: Any, name: str) -> Attack:
    """The same attack under the name that its number has in the row."""
    renamed: Attack = dataclasses.replace(attack, name=name)
    return renamed
