"""The regression check: files, history, stored breaks, and a probe; only the last two load a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import BenchError, UnknownNameError, WorkFailedError
from bench.core.statistics import wilson
from bench.core.types import ThreatModel
from bench.jobs.lookup import Lookup
from bench.leaderboard.checks import Inspection, against, inspect_board, inspect_checkpoints
from bench.leaderboard.store import Identity
from bench.row import CheckResult, Level, Record
from bench.storage import Place

if TYPE_CHECKING:
    from bench.evaluation import ProgressCallback

__all__ = ["CheckRequest", "check"]


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What to check.

    Args:
        leaderboard: folder of the rows.
        checkpoints: folder of weights and manifests; looked at where it exists.
        lookup: where the rows' models and data are found; a model or weights in it stand for those of one row.
        rows: models or paths of rows that `replay` and `probe` are about; all where empty.
        dataset: only rows of this one are replayed and probed; None for all, or for those of the data in `lookup`.
        threat_model: likewise.
        suite: likewise.
        revision: a git revision to hold the rows against, or None.
        replay: verify stored breaks on the present code and weights.
        probe: how many examples of each row to run again; None for no probe.
        min_clean: what the interval of the clean accuracy of each row must lie above, in [0, 1], or None: of what was
            probed, else of the row.
        min_robust: likewise, for robust accuracy.
    """

    leaderboard: Place
    checkpoints: Path
    lookup: Lookup
    rows: tuple[str, ...] = ()
    dataset: str | None = None
    threat_model: str | None = None
    suite: str | None = None
    revision: str | None = None
    replay: bool = False
    probe: int | None = None
    min_clean: float | None = None
    min_robust: float | None = None


def check(
    request: CheckRequest,
    *,
    notify: Callable[[str], None] = lambda line: None,
    on_progress: ProgressCallback | None = None,
) -> tuple[CheckResult, ...]:
    """Look at everything that was asked for; what is wrong with one row does not stop the others.

    Args:
        request: what to check.
        notify: called with each thing that the user should know, one line.
        on_progress: called with a `Progress` while a probe runs.

    Raises:
        BenchError: if the folder, a row, a revision or a value that was asked for does not exist.
        WorkFailedError: if an attack of a probe fails twice.
    """
    chosen = _checked(request)
    found = inspect_board(request.leaderboard)
    results = [*found.results, *inspect_checkpoints(request.checkpoints)]
    if request.revision is not None:
        rows = {Identity.of(record): record for _, record in found.rows}
        results += against(request.leaderboard, rows, request.revision)
    if request.rows or request.dataset or request.threat_model or request.suite:
        chosen(found)  # what is named has to be there, whatever is asked of it
    if request.replay:
        results += _replayed(request, chosen(found), notify)
    if request.probe is not None:
        results += _probed(request, chosen(found), notify, on_progress)
    elif request.min_clean is not None or request.min_robust is not None:
        results += [each for path, record in chosen(found) for each in _floors(request, path, record)]
    return tuple(results)


def _checked(request: CheckRequest) -> Callable[[Inspection], Sequence[tuple[Place, Record]]]:
    """What picks the rows to replay and to probe.

    Raises:
        BenchError: if the request does not fit itself.
    """
    if request.probe is not None and request.probe < 1:
        raise BenchError(f"Expected --probe of at least 1 example, but got {request.probe}.")
    for option, floor in (("--min-clean", request.min_clean), ("--min-robust", request.min_robust)):
        if floor is not None and not 0 <= floor <= 1:
            raise BenchError(f"Expected {option} from 0 to 1, such as 0.35, but got {floor:g}.")
    lookup = request.lookup
    if request.probe is None and not request.replay and (lookup.own_model or lookup.dataset):
        raise BenchError(
            "--model, --weights and data of your own say what --probe and --replay run; add --probe N or --replay."
        )
    threat_model = str(ThreatModel.parse(request.threat_model)) if request.threat_model is not None else None
    wanted = {"dataset": request.dataset, "threat_model": threat_model, "suite": request.suite}

    def choose(found: Inspection) -> list[tuple[Place, Record]]:
        rows = [
            (path, record)
            for path, record in found.rows
            if all(value is None or getattr(record, name) == value for name, value in wanted.items())
        ]
        if lookup.dataset is not None:
            rows = _on_own_data(rows, lookup.dataset)
        names = {record.model for _, record in rows} | {str(path) for path, _ in rows}
        for row in request.rows:
            if row not in names:
                raise UnknownNameError("row", row, {record.model for _, record in rows})
        rows = [each for each in rows if not request.rows or {each[1].model, str(each[0])} & set(request.rows)]
        if not rows:
            raise BenchError("No row is left: --dataset, --threat-model and --suite exclude all.")
        if lookup.own_model and len(rows) > 1:
            raise BenchError(
                f"--model and --weights stand for one row's model, but {len(rows)} rows are chosen. Name one."
            )
        return rows

    return choose


def _on_own_data(rows: Sequence[tuple[Place, Record]], name: str) -> list[tuple[Place, Record]]:
    """The rows of a user's own data: of any version of the one that is named, else of any."""
    from bench import data

    own = [each for each in rows if each[1].dataset not in data.names()]
    return [each for each in own if each[1].dataset.startswith(data.own_stem(name))] or own


def _replayed(
    request: CheckRequest, rows: Sequence[tuple[Place, Record]], notify: Callable[[str], None]
) -> Iterator[CheckResult]:
    from bench.jobs.verify import verify

    for path, record in rows:
        subject = path.relative_to(request.leaderboard).as_posix()
        if record.evidence is None and record.external_evidence is None and record.certificate is None:
            says = "neither breaks nor proofs are stored"
            yield CheckResult(what="replay", subject=subject, level=Level.WARN, evidence=says)
            continue
        notify(f"Replaying {subject}")
        try:
            verification = verify(path, request.lookup)
        except BenchError as error:
            yield CheckResult(what="replay", subject=subject, level=Level.NOT_RUN, evidence=str(error))
            continue
        failed = [f"{each.what}: {each.evidence}" for each in verification.checks if each.level is Level.FAIL]
        level = Level.FAIL if failed else Level.PASS
        told = "; ".join(failed) or f"{verification.n_robust} robust again, in {verification.seconds:.1f} s"
        yield CheckResult(what="replay", subject=subject, level=level, evidence=told)


def _probed(
    request: CheckRequest,
    rows: Sequence[tuple[Place, Record]],
    notify: Callable[[str], None],
    on_progress: ProgressCallback | None,
) -> Iterator[CheckResult]:
    from bench.jobs.probe import ProbeRequest, probe

    for path, record in rows:
        subject = path.relative_to(request.leaderboard).as_posix()
        notify(f"Probing {subject}")
        try:
            change, probed = probe(
                ProbeRequest(record=record, n_examples=int(request.probe or 1), lookup=request.lookup),
                notify=notify,
                on_progress=on_progress,
            )
        except WorkFailedError:
            raise
        except BenchError as error:
            yield CheckResult(what="probe", subject=subject, level=Level.NOT_RUN, evidence=str(error))
            continue
        yield CheckResult(what="probe", subject=subject, level=change.level, evidence=change.evidence)
        if probed is not None:
            yield from _floors(request, path, probed)


def _floors(request: CheckRequest, path: Place, record: Record) -> Iterator[CheckResult]:
    """Whether the intervals of the accuracies lie above what is wanted."""
    total = record.result.n_examples
    wanted = (
        ("min-clean", "right", request.min_clean, record.result.n_clean, wilson(record.result.n_clean, total)),
        ("min-robust", "robust", request.min_robust, record.n_robust, record.robust_interval),
    )
    for what, word, floor, count, (low, high) in wanted:
        if floor is None:
            continue
        enough = low >= floor
        told = (
            f"{count} of {total} {word}, 95 % interval {low:.3f} to {high:.3f}:"
            f" {'at least' if enough else 'not at least'} {floor:g}"
        )
        if what == "min-robust" and record.upper_bound_only:
            enough, told = False, f"{told}; and an upper bound only, since a diagnostic failed"
        elif what == "min-robust" and record.unfinished:
            enough, told = False, f"{told}; and not all of it ran: {', '.join(record.unfinished)}"
        subject = path.relative_to(request.leaderboard).as_posix()
        yield CheckResult(what=what, subject=subject, level=Level.PASS if enough else Level.FAIL, evidence=told)
