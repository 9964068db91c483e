"""The short doctor as the last part of a run: what the journal has of it is taken, the rest is found and journaled."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.diagnostics import SHORT_EXAMPLES, Examined, diagnose_briefly, quick, short_form, short_passes, unexamined
from bench.evaluation import Evaluation, Progress, ProgressCallback, open_journal, peek
from bench.jobs.request import ResolvedRun
from bench.jobs.surrogates import load_surrogates, shipped_surrogates
from bench.row import Diagnostic
from bench.storage import Place

__all__ = ["Closing", "find", "passes_left"]


class Closing:
    """Tells of what follows the attacks as of their stages.

    Args:
        evaluation: that is finished.
        start: when it began, by `time.perf_counter`.
        listener: called with each `Progress`; None for silence.
    """

    def __init__(self, evaluation: Evaluation, *, start: float, listener: ProgressCallback | None) -> None:
        self._evaluation = evaluation
        self._start = start
        self._listener = listener

    def examined(self, event: Examined) -> None:
        """Say that one of the doctor's checks is done."""
        self.notify("doctor", event.n_done, event.n_checks, unit="check", eta=event.eta)

    def notify(self, part: str, n_done: int, total: int, *, unit: str, eta: float = 0.0) -> None:
        """Say how far a part is."""
        if self._listener is None:
            return
        event = Progress(
            attack=part,
            stage=part,
            chunk=n_done,
            n_chunks=total,
            n_robust=self._evaluation.n_robust,
            n_examples=self._evaluation.n_examples,
            seconds=time.perf_counter() - self._start,
            eta=eta,
            unit=unit,
        )
        self._listener(event)


def find(run: ResolvedRun, n_examples: int, evaluation: Evaluation, *, closing: Closing) -> tuple[Diagnostic, ...]:
    """What the short doctor says of a run; where it fails, that its checks did not run, which is not journaled.

    Args:
        run: what is run; its journal keeps what is found.
        n_examples: how many of its examples the run has; the first few are looked at.
        evaluation: of them, or of a part that begins with them: what the attacks left robust.
        closing: told of every check.
    """
    few = run.plan.examples[: min(n_examples, SHORT_EXAMPLES)]
    header, form, robust = evaluation.header, _form(run), evaluation.robust[: len(few)]
    known = _known(run.plan.journal, few, form, robust)
    if known is not None:
        closing.notify("doctor", len(known), len(known), unit="check")
        return known
    try:
        found = diagnose_briefly(
            run.model.module,
            few,
            threat_model=run.plan.threat_model,
            num_classes=run.dataset.num_classes,
            seed=header.seed,
            surrogates=tuple(load_surrogates(run.model, run.dataset, run.plan.device).values()),
            batch_size=min(header.batch_size, n_examples),
            robust=robust,
            device=run.plan.device,
            progress=closing.examined,
        )
    except Exception as error:  # noqa: BLE001 - the row says so of each check, and takes no rank
        return unexamined(quick(), error)
    if run.plan.journal is not None and all(check.ran for check in found):
        # A journal that cannot be written any more costs the doctor's part when the run is repeated, and nothing now.
        with contextlib.suppress(BenchError), open_journal(run.plan.journal, header) as book:
            book.write_findings(few, form, robust, found)
    return found


def passes_left(run: ResolvedRun) -> Callable[[int], float]:
    """How many passes of one example the short doctor will take, by the number of examples; 0 for what is journaled."""
    form = _form(run)

    @functools.cache
    def passes(n_few: int) -> float:
        return short_passes(n_few) if _known(run.plan.journal, run.plan.examples[:n_few], form) is None else 0.0

    return lambda n_examples: passes(min(n_examples, SHORT_EXAMPLES))


def _form(run: ResolvedRun) -> str:
    return short_form(run.dataset.num_classes, shipped_surrogates(run.dataset))


def _known(
    journal: Place | None, few: Examples, form: str, robust: Sequence[bool] | None = None
) -> tuple[Diagnostic, ...] | None:
    """What the journal has; one that cannot be read has nothing, and the evaluation says why."""
    with contextlib.suppress(BenchError):
        book = peek(journal) if journal is not None else None
        return book.read_findings(few, form, robust) if book is not None else None
    return None
