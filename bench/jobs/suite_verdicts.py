"""What a suite says of a model: from the stored row where there is one, else from a run with a journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench import leaderboard, suites
from bench.analysis import SuiteVerdicts
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset
from bench.evaluation import FLOAT32, Evaluation, Progress, default_journal, evaluate_plan, make_plan
from bench.jobs.durations import in_words
from bench.jobs.request import digests_of, row_name
from bench.leaderboard.store import EvidenceKind, read_breaks
from bench.models import LoadedModel
from bench.row import Record, parse_indices, same_function
from bench.row.arrays import Breaks
from bench.storage import Place

__all__ = ["FALLBACK", "Library"]

PREFERRED = ("adaptive-v2", "adaptive-v1", "standard-v1", "swift-v1")
"""The strongest first; an audited row tries all of its attacks on a part alone."""
FALLBACK = "quick-v1"


@dataclass(frozen=True, kw_only=True)
class Library:
    """Where verdicts come from.

    Args:
        root: folder of the rows.
        dataset: the test split.
        threat_model: what an attacker may do.
        rows: what rows call models, by the models' names, where that does not follow from these.
    """

    root: Place
    dataset: Dataset
    threat_model: ThreatModel
    rows: Mapping[str, str] = field(default_factory=dict)

    def suite_for(self, models: Sequence[LoadedModel], examples: Examples) -> str:
        """The strongest suite that has a row on these examples for each of the models, else the quick one."""
        for suite in PREFERRED:
            if all(self.row(model, suite, examples) is not None for model in models):
                return suite
        return FALLBACK

    def extent(self, models: Sequence[LoadedModel], suite: str | None, least: int) -> int:
        """How many of the first examples the rows of all models cover, and at least `least`."""
        for label in PREFERRED if suite is None else (suite,):
            found = [self._stored(model, label) for model in models]
            covered = [_prefix(record) for record in found if record is not None]
            if len(covered) == len(models) and covered:
                return max(least, min(covered))
        return least

    def row(self, model: LoadedModel, suite: str, examples: Examples) -> Record | None:
        """The row on these examples and weights; None where there is none."""
        record = self._stored(model, suite)
        if record is None:
            return None
        covered = set(parse_indices(record.result.indices))
        return record if covered.issuperset(examples.indices.tolist()) else None

    def verdicts(
        self,
        model: LoadedModel,
        suite: str,
        examples: Examples,
        *,
        seed: int,
        device: str,
        notify: Callable[[str], None],
    ) -> SuiteVerdicts:
        """From the row, or from a run.

        Args:
            model: the model, on the device.
            suite: its label.
            examples: what is asked about.
            seed: of a run.
            device: of a run.
            notify: called before a run, one line.

        Raises:
            BenchError: if the row's evidence cannot be read.
            WorkFailedError: if an attack fails twice.
        """
        record = self.row(model, suite, examples)
        if record is not None:
            return self._of_row(record, model, examples)
        notify(f"No row of {suite} for {model.name} on these examples in {self.root}: running {suite}.")
        return _of_run(self._run(model, suite, examples, seed, device, notify))

    def _stored(self, model: LoadedModel, suite: str) -> Record | None:
        if self.dataset.notice is not None:
            return None
        record = leaderboard.find(self.root, self._identity(model, suite))
        if record is None:
            return None
        digests = record.digests
        same = (digests.model, digests.factory, digests.dataset) == (
            model.digest,
            model.factory_digest,
            self.dataset.digest,
        )
        same = same and same_function(record.fingerprint, model.fingerprint) is not False
        return record if same and digests.suite == suites.get(suite).digest else None

    def _identity(self, model: LoadedModel, suite: str) -> leaderboard.Identity:
        return leaderboard.Identity(
            suite=suite,
            dataset=self.dataset.name,
            threat_model=str(self.threat_model),
            model=self.rows.get(model.name) or row_name(model, None),
        )

    def _of_row(self, record: Record, model: LoadedModel, examples: Examples) -> SuiteVerdicts:
        path = self._identity(model, record.suite).path(self.root)
        breaks = read_breaks(path, record, EvidenceKind.OWN, shape=examples.shape) or Breaks.none(examples.shape)
        asked = examples.indices.tolist()
        row = {index: position for position, index in enumerate(parse_indices(record.result.indices))}
        clean, robust = record.result.clean_verdicts(), record.result.verdicts()
        taken = sum(attack.forwards + attack.backwards for attack in record.cost.attacks)
        return SuiteVerdicts(
            suite=record.suite,
            stored=True,
            clean=tuple(clean[row[index]] for index in asked),
            robust=tuple(robust[row[index]] for index in asked),
            breaks=breaks.pick(np.isin(breaks.indices, asked)),
            passes=taken * len(asked) / record.result.n_examples,
        )

    def _run(
        self,
        model: LoadedModel,
        suite: str,
        examples: Examples,
        seed: int,
        device: str,
        notify: Callable[[str], None],
    ) -> Evaluation:
        asked = make_plan(
            model.module,
            examples,
            threat_model=self.threat_model,
            suite=suites.get(suite),
            seed=seed,
            device=device,
            precision=FLOAT32,
            identity=digests_of(model, self.dataset),
            journal=default_journal,
        )
        return evaluate_plan(asked, progress=lambda event: _notify_of_stage(event, notify))


def _notify_of_stage(event: Progress, notify: Callable[[str], None]) -> None:
    """One line for each stage that is finished."""
    if event.chunk == event.n_chunks:
        left = f", about {in_words(event.eta)} of the suite left" if event.eta else ""
        notify(f"{event.stage}: robust so far {event.n_robust}/{event.n_examples}{left}")


def _of_run(found: Evaluation) -> SuiteVerdicts:
    return SuiteVerdicts(
        suite=found.header.suite,
        stored=False,
        clean=found.clean,
        robust=found.robust,
        breaks=found.breaks,
        passes=float(sum(attack.forwards + attack.backwards for attack in found.attacks)),
    )


def _prefix(record: Record) -> int:
    """How many of the first examples the row covers without a gap."""
    indices = parse_indices(record.result.indices)
    return next((place for place, index in enumerate(indices) if place != index), len(indices))
