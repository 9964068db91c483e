"""Evaluate a model and store its row: names in, a row out."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from bench import leaderboard
from bench.core.errors import BenchError
from bench.core.plain_text import counted, reason_of
from bench.diagnostics import (
    JUDGED,
    Check,
    claim_of,
    from_evaluation,
    merged,
    select,
    unexamined,
)
from bench.evaluation import (
    Estimator,
    Evaluation,
    Executor,
    Pool,
    ProgressCallback,
    cost_of,
    evaluate_plan,
    gives_gradient,
    has_entries,
    result_of,
    settled,
)
from bench.jobs.card import card_of
from bench.jobs.evidence import pack
from bench.jobs.extent import Extent, choose
from bench.jobs.findings import Closing, find, passes_left
from bench.jobs.provenance import collect_provenance, provenance_of
from bench.jobs.request import ResolvedRun, RunRequest, resolve, row_name
from bench.models import blueprint_of
from bench.row import BlackBox, Diagnostic, Digests, Level, Record, parse_indices, same_function
from bench.storage import Place, check_writable, explain_write_errors

__all__ = [
    "Outcome",
    "Ran",
    "RunRequest",
    "attempted",
    "diagnosed",
    "executor_of",
    "finish",
    "prepared",
    "row_identity",
    "run",
]

_T = TypeVar("_T")


class Outcome(str, enum.Enum):
    """What became of the row."""

    WRITTEN = "written"
    REPLACED = "replaced"
    EXTENDED = "extended"
    REPRODUCES = "reproduces"
    COMPLETED = "completed"
    DIFFERS = "differs"
    SAMPLE = "sample"
    NO_ROW = "no-row"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A finished evaluation.

    Args:
        evaluation: what was found.
        record: the row, stored or not.
        outcome: what became of it.
        path: where the row lies; None where none was to be written.
        differences: how an existing row differs, a line each.
        n_before: how many examples the row had that was there; None where none was.
        notice: set where a substitute sample was used, so that no row was written.
        warnings: the diagnostics that failed or warn; a line each.
        extent: what was planned before it ran.
        n_split: examples of the whole split.
    """

    evaluation: Evaluation
    record: Record
    outcome: Outcome
    path: Place | None
    differences: tuple[str, ...] = ()
    n_before: int | None = None
    notice: str | None
    warnings: tuple[str, ...]
    extent: Extent
    n_split: int = 0


def run(
    request: RunRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
    pool: Pool | None = None,
    waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Ran:
    """Evaluate as asked and store the row.

    Args:
        request: what to evaluate.
        notify: called with each thing that the user should know before it runs, one line.
        on_progress: called with a `Progress` after every group of chunks.
        pool: the workers; None for this process.
        waiting: entered whenever there is nothing to do but wait for them.

    Raises:
        BenchError: if a name, a file or a value is wrong; nothing is written then.
        WorkFailedError: if an attack fails twice or the disk is full; the journal keeps what was finished.
    """
    resolved = prepared(request, notify, computed_on=pool.device if pool is not None else None)
    executor = executor_of(resolved, pool, waiting)
    if resolved.plan.journal is not None and has_entries(resolved.plan.journal):
        notify(f"Finished work of an earlier run is reused: {resolved.plan.journal}")
    resolved = dataclasses.replace(resolved, plan=settled(resolved.plan))
    estimator = Estimator(
        plan=resolved.plan,
        n_workers=executor.pool.n_workers if executor is not None else 1,
        after=passes_left(resolved),
    )
    extent = choose(estimator, budget=request.budget, notify=notify)
    start = time.perf_counter()
    evaluation = evaluate_plan(
        resolved.plan.part(slice(0, extent.n_examples)), executor=executor, progress=on_progress, costs=extent.costs
    )
    return finish(resolved, evaluation, extent, start=start, notify=notify, on_progress=on_progress)


def prepared(request: RunRequest, notify: Callable[[str], None], *, computed_on: str | None = None) -> ResolvedRun:
    """Look everything up, and say what will become of a row that is there already; arguments as of `resolve`.

    Raises:
        BenchError: if something in the request does not exist or does not fit the rest, or a row cannot be written.
    """
    if request.no_row and request.force:
        raise BenchError("--no-row leaves the leaderboard alone, so --force has nothing to replace: leave one out.")
    if request.no_row:
        return resolve(request, notify, computed_on=computed_on)
    check_writable(request.leaderboard)
    run = resolve(request, notify, computed_on=computed_on)
    if run.dataset.notice is None:
        row = row_identity(run)
        known = leaderboard.find(request.leaderboard, row)
        if known is not None:
            path = row.path(request.leaderboard)
            notify(f"There is a row on {counted(known.result.n_examples, 'example')}, {path}: {_fate(known, run)}.")
    return run


def finish(
    run: ResolvedRun,
    evaluation: Evaluation,
    extent: Extent,
    *,
    start: float,
    notify: Callable[[str], None],
    on_progress: ProgressCallback | None,
) -> Ran:
    """Have the doctor look at a finished evaluation in short, and store its row.

    What fails on the way costs the row nothing but itself: a check, the evidence or the card is "not run", and says so
    in the row.

    Args:
        run: what was evaluated; its journal keeps what the doctor finds too.
        evaluation: of all its examples.
        extent: what was planned.
        start: when the evaluation began, by `time.perf_counter`.
        notify: called before waiting for another writer of the board, with a line that says for whom.
        on_progress: called with a `Progress` after each of the doctor's checks, and once the evidence is packed.

    Raises:
        BenchError: if the row cannot be stored; the journal keeps what was computed.
        WorkFailedError: if the disk is full; likewise.
    """
    request = run.request
    closing = Closing(evaluation, start=start, listener=on_progress)
    looked = find(run, evaluation.n_examples, evaluation, closing=closing)
    diagnostics = merged(looked, diagnosed(select(JUDGED), lambda: _judged(run, evaluation)))
    record = _record(run, evaluation, diagnostics)
    warnings = tuple(filter(None, map(_warning, record.result.diagnostics)))
    if request.no_row or run.dataset.notice is not None:
        return Ran(
            evaluation=evaluation,
            record=record,
            outcome=Outcome.NO_ROW if run.dataset.notice is None else Outcome.SAMPLE,
            path=None,
            notice=run.dataset.notice,
            warnings=warnings,
            extent=extent,
            n_split=len(run.dataset),
        )
    shown = sorted(record.result.shown())
    packed, reason = attempted(
        lambda: pack(evaluation.breaks.pick(np.isin(evaluation.breaks.indices, shown)), run.dataset)
    )
    if packed is None:
        record = dataclasses.replace(record, not_run={**record.not_run, "evidence": reason})
    else:
        record = dataclasses.replace(record, evidence=packed.link)
    closing.notify("evidence", 1, 1, unit="file")
    with explain_write_errors(request.leaderboard):
        written = leaderboard.write(
            record,
            request.leaderboard,
            force=request.force,
            suite=run.plan.suite.published,
            evidence=packed.content if packed is not None else None,
            notify=notify,
        )
    return Ran(
        evaluation=evaluation,
        record=record,
        outcome=_outcome(written, record.result.n_examples),
        path=written.path,
        differences=written.differences,
        n_before=written.n_before,
        notice=None,
        warnings=warnings,
        extent=extent,
        n_split=len(run.dataset),
    )


def row_identity(run: ResolvedRun) -> leaderboard.Identity:
    """Which row it is."""
    return leaderboard.Identity(
        suite=run.plan.suite.label,
        dataset=run.dataset.name,
        threat_model=str(run.plan.threat_model),
        model=run.request.name or row_name(run.model, run.request.weights),
    )


def _fate(known: Record, run: ResolvedRun) -> str:
    """What will become of the row that is there, as far as that can be known before the run."""
    request, model = run.request, run.model
    there = set(parse_indices(known.result.indices))
    here = set(run.plan.indices)
    ours = (model.digest, model.factory_digest, run.dataset.digest, request.seed)
    digests = known.digests
    alike = ours == (digests.model, digests.factory, digests.dataset, known.result.seed)
    alike = alike and same_function(known.fingerprint, model.fingerprint) is not False
    if len(here) < len(there):
        return "it has more than this run, so it is kept" + (", --force or not" if request.force else "")
    otherwise = "replaced, since --force is given" if request.force else "kept (--force replaces it)"
    if not alike:
        fate = f"it is of another model, data or seed, so it is {otherwise}"
    elif here == there:
        fate = f"this run checks it; should it differ, it is {otherwise}"
    elif here > there:
        fate = f"it is extended if this run agrees with it, else {otherwise}"
    else:
        fate = f"this run has not all of its examples, so it is {otherwise}"
    # The budget may leave fewer examples than were asked for.
    return f"{fate}; it is kept if the budget is enough for fewer than it has" if request.budget is not None else fate


def executor_of(
    run: ResolvedRun, pool: Pool | None, waiting: Callable[[], AbstractContextManager[object]] = nullcontext
) -> Executor | None:
    """The pool as an executor of the model; None where there is none."""
    if pool is None:
        return None
    suite = run.plan.suite
    if suite.sources:
        raise BenchError(
            f"The attacks of {suite.label} are of a file of your own, which workers do not have: leave"
            " --workers, --devices and --executor out."
        )
    dataset = run.dataset.base or run.dataset.name
    blueprint, *others = (
        blueprint_of(each, dataset=dataset, threat_model=run.plan.threat_model) for each in (run.model, *run.surrogates)
    )
    return Executor(pool=pool, blueprint=blueprint, surrogates=tuple(others), waiting=waiting)


def _record(run: ResolvedRun, evaluation: Evaluation, diagnostics: tuple[Diagnostic, ...]) -> Record:
    row, request, model = row_identity(run), run.request, run.model
    card, no_card = attempted(lambda: card_of(model))
    origin, no_origin = attempted(lambda: collect_provenance(request.command))
    reasons = {"card": no_card, "provenance": no_origin}
    return Record(
        model=row.model,
        dataset=row.dataset,
        threat_model=row.threat_model,
        suite=row.suite,
        digests=Digests(
            suite=run.plan.suite.digest,
            dataset=run.dataset.digest,
            model=model.digest,
            factory=model.factory_digest,
        ),
        fingerprint=model.fingerprint,
        result=result_of(evaluation, diagnostics=diagnostics),
        black_box=_black_box(run),
        cost=dataclasses.replace(cost_of(evaluation), budget_seconds=request.budget),
        provenance=origin or provenance_of(request.command),
        card=card,
        not_run={**evaluation.not_run, **{name: reason for name, reason in reasons.items() if reason}},
        preprocessing=str(run.dataset.preprocessing) if run.dataset.preprocessing is not None else None,
    )


def _black_box(run: ResolvedRun) -> BlackBox | None:
    """How the model was asked, where no attack asked for a gradient; None of a suite that has no budget."""
    if run.plan.suite.queries is None:
        return None
    gradient = False
    with contextlib.suppress(Exception), run.plan.model() as module:  # as far as attacks are concerned it has none
        gradient = gives_gradient(module, run.plan.few_inputs.to(run.plan.device))
    names = run.plan.surrogates
    surrogates = {name: each.digest for name, each in zip(names, run.surrogates, strict=True)}
    return BlackBox(queries=run.plan.suite.queries, gradient=gradient, surrogates=surrogates)


def attempted(make: Callable[[], _T]) -> tuple[_T | None, str]:
    """What `make` makes and no reason, or nothing and why: hours of attacks are worth more than it."""
    try:
        return make(), ""
    except Exception as error:  # noqa: BLE001 - the row says what is missing, and the command ends with 3
        return None, reason_of(error)


def diagnosed(checks: Sequence[Check], examine: Callable[[], tuple[Diagnostic, ...]]) -> tuple[Diagnostic, ...]:
    """What `examine` finds; where it fails, that none of the checks ran."""
    try:
        return examine()
    except Exception as error:  # noqa: BLE001 - the row says so of each of them, and takes no rank
        return unexamined(checks, error)


def _judged(run: ResolvedRun, evaluation: Evaluation) -> tuple[Diagnostic, ...]:
    claim = claim_of(run.model, dataset=run.dataset.name)
    return from_evaluation(evaluation, claim=claim, num_classes=run.dataset.num_classes)


def _warning(diagnostic: Diagnostic) -> str | None:
    """What is said aloud of a check: that it failed or did not pass."""
    if diagnostic.failed:
        doubt = f"Check {diagnostic.id} failed, so the robust accuracy is an upper bound only."
    elif diagnostic.id == "R19" and diagnostic.status == Level.WARN.value:
        doubt = "Check R19 doubts the model or its data."
    elif diagnostic.status == Level.WARN.value:
        doubt = f"Check {diagnostic.id} doubts that the robust accuracy is the true one."
    else:
        return None
    return f"{doubt} {diagnostic.evidence} Next: {diagnostic.next}"


def _outcome(written: leaderboard.Written, n_examples: int) -> Outcome:
    if not written.existed:
        return Outcome.WRITTEN
    if not written.written:
        return Outcome.REPRODUCES if written.reproduces else Outcome.DIFFERS
    if not written.reproduces:
        return Outcome.REPLACED
    return Outcome.COMPLETED if n_examples == written.n_before else Outcome.EXTENDED
